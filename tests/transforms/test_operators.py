"""How many operators a call dispatches, what it waits for, and what it holds: the cost of a call that has no clock."""

import pytest
import torch
from kornia.augmentation import RandomAffine

from benchmarks.common.counting import counted
from learned_affine import AffineLimits
from tests.subjects import STILL, symmetric, vivid

SAMPLING = "grid_sampler_2d"


@pytest.fixture(autouse=True)
def _meta_knows_no_autocast(monkeypatch):
    known = torch.is_autocast_enabled
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda kind: kind != "meta" and known(kind))


@pytest.mark.parametrize("p", [1.0, 0.5])
@pytest.mark.parametrize(
    ("device", "symmetries", "share"), [("cpu", "all", 0.52), ("meta", "all", 0.57), ("meta", "none", 0.43)]
)
def test_a_batch_takes_half_of_the_operators_of_kornias_random_affine(device, symmetries, share, p):
    """Which has no network. On meta as on a GPU: bad pixels are found by masks, since to ask would be to wait."""
    augment, images = vivid(AffineLimits(symmetries=symmetries), p=p), torch.rand(64, 3, 32, 32)
    kornias = counted(RandomAffine(30, (0.15, 0.15), (0.8, 1.3), 15, p=p), images)
    found = counted(augment, images.to(device))
    assert found.operators[SAMPLING] == 1 and found.total <= share * kornias.total


def test_the_number_of_operators_does_not_grow_with_the_batch():
    few, many = (counted(vivid(), torch.rand(count, 3, 16, 16)).total for count in (2, 200))
    assert few == many


OPTIONS = [
    {},
    {"p": 0.5},
    {"deterministic": True},
    {"deterministic": True, "p": 0.5},
    {"strength": 0.5},
    {"strength": 0.0, "p": 0.5},
    {"limits": STILL},
    {"padding_mode": "fill", "fill": (0.1, 0.2, 0.3)},
    {"interpolation": "bicubic"},
    {"interpolation": "sharp"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8])
def test_a_gpu_is_never_waited_for(options, dtype):
    """On the meta device a tensor has no data, so that an operator that needs some, such as ``item``, raises."""
    images = torch.empty(16, 3, 64, 64, device="meta", dtype=dtype)
    found = counted(vivid(**options), images)
    assert "meta" not in found.waiting  # of the CPU's own numbers anything may be asked: they are there
    assert found.copies and all(way == ("cpu", "meta", False) for way in found.copies)


@pytest.mark.parametrize("options", [{"limits": STILL}, {"strength": 0.0}, {"deterministic": True, "limits": STILL}])
@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("p", [1.0, 0.5])
def test_a_symmetry_alone_and_the_identity_are_not_sampled(options, device, p):
    found = counted(symmetric(p=p, **options), torch.empty(16, 3, 48, 48, device=device).fill_(0.5))
    assert found.operators[SAMPLING] == 0


@pytest.mark.parametrize(("count", "size"), [(64, 32), (64, 96), (32, 224)])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_call_holds_at_most_2_3_times_the_batch(count, size, threads):
    images = torch.rand(count, 3, size, size)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for p in (1.0, 0.5):
            found = counted(vivid(p=p), images)
            assert found.most >= images.nbytes  # the result alone is as large
            assert found.most <= 2.3 * images.nbytes, p
    finally:
        torch.set_num_threads(before)
