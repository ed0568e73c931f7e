"""The localization network observes one image at a time, starts narrow, and gives costs at a price."""

import math

import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from learned_affine import AffineLimits
from learned_affine.policy import network as network_file
from learned_affine.policy.distribution import FLATTEST, PRIOR_WIDTH, REACH, STEEPEST
from learned_affine.policy.network import CODES, DIFFERENT, NUMBERS, LocalizationNetwork
from learned_affine.policy.raw_head import RawHead
from learned_affine.policy.thumbnail import thumbnail
from tests.fits import assert_same_policy
from tests.subjects import blobs, vivid

ALL = AffineLimits()


def lively(**options) -> LocalizationNetwork:
    """One whose costs differ from image to image."""
    network = LocalizationNetwork(1, **options)
    torch.nn.init.normal_(network.head.weight, std=0.3)
    return network.requires_grad_(False)


def test_an_unfitted_policy_is_narrow_and_round_the_identity():
    policy = LocalizationNetwork(1).requires_grad_(False)(torch.rand(4, 1, 16, 16))
    assert torch.equal(policy.mean, torch.zeros(4, 6))
    torch.testing.assert_close(policy.width, torch.full((4, 6), 0.1 * PRIOR_WIDTH), rtol=0.01, atol=0)
    assert float(policy.chances[:, 1:].min()) > 0 and float(policy.chances[:, 1:].max()) < 0.03


def test_costs_are_bounded_whatever_the_head_gives():
    network = lively()
    for extreme, curvature in ((-1e4, FLATTEST), (1e4, STEEPEST)):
        torch.nn.init.constant_(network.head.bias, extreme)
        costs = network.costs(network.observe(blobs(2)[0]))
        torch.testing.assert_close(costs.curvature, torch.full((2, 6), math.exp(curvature)))
        torch.testing.assert_close(costs.centre.abs(), torch.full((2, 6), REACH))


@pytest.mark.parametrize("word", CODES)
@pytest.mark.parametrize("size", [(16, 16), (16, 20)])
def test_a_symmetry_has_a_chance_where_network_limits_and_shape_allow_it(word, size):
    images = torch.rand(3, 1, *size)
    for limited in CODES:
        policy = lively(symmetries=word)(images, AffineLimits(symmetries=limited))
        allowed = set(CODES[word]) & set(CODES[limited])
        allowed -= {1, 3, 5, 7} if size[0] != size[1] else set()
        assert {*(policy.chances > 0).any(0).nonzero().flatten().tolist()} == allowed
        torch.testing.assert_close(policy.chances.sum(-1), torch.ones(3))


@pytest.mark.parametrize("word", ["all", "mirror"])
@pytest.mark.parametrize("size", [1, 5, 16])
@pytest.mark.parametrize("count", [0, 1, 4])
@pytest.mark.parametrize("whole", [DIFFERENT, 10.0])
def test_the_gate_is_how_much_an_image_differs_from_its_moved_copies(word, size, count, whole, monkeypatch):
    """Moved by torchvision, after the thumbnail is made; noise differs by more than ``DIFFERENT``, which counts 1."""
    monkeypatch.setattr(network_file, "DIFFERENT", whole)
    images, network = torch.rand(count, 3, size, size), LocalizationNetwork(3, size, symmetries=word)
    seen = thumbnail(images, size, 3)
    copies = (tv.rotate(tv.horizontal_flip(seen) if code >= 4 else seen, -90 * (code % 4)) for code in CODES[word][1:])
    expected = [((copy - seen).abs().mean((1, 2, 3)) / whole).clamp_max(1) for copy in copies]
    gate = network.gate(network.observe(images))
    torch.testing.assert_close(gate, torch.stack(expected, 1), atol=1e-4, rtol=1e-3)


def test_an_image_that_equals_its_moved_copy_bears_that_symmetry_at_any_price():
    images, network = torch.rand(3, 1, 16, 16), LocalizationNetwork(1).requires_grad_(False)
    images[0] = 0.5 + images[0, :, :1, :1]  # equal to all of its copies
    images[1] = images[1] + tv.horizontal_flip(images[1])
    torch.nn.init.constant_(network.head.bias[NUMBERS:], 1e3)
    chances = network(images).chances
    torch.testing.assert_close(chances[0], torch.full((8,), 0.125))
    assert float(chances[2, 0]) == 1 and float(chances[1, 4]) == pytest.approx(0.5, abs=0.05)


def test_a_symmetry_that_is_forbidden_is_never_drawn_and_the_others_stay():
    network, images = lively(), torch.rand(20, 1, 16, 16)
    before = network(images).chances
    network.forbid([0, 1, 6])
    after = network(images).chances
    assert float(after[:, [1, 6]].max()) < 1e-20
    rest = [0, 2, 3, 4, 5, 7]
    torch.testing.assert_close(after[:, rest], before[:, rest] / before[:, rest].sum(-1, keepdim=True))


def test_another_price_changes_no_policy_and_costs_are_divided_by_it():
    network, images = lively(), torch.rand(20, 1, 16, 16)
    before, costs = network(images), network.costs(network.observe(images))
    network.reprice(7.0, 0.3)
    assert (network.price, network.free) == (7.0, 0.3)
    assert_same_policy(network(images), before)
    there = network.costs(network.observe(images))
    torch.testing.assert_close(7 * there.curvature, costs.curvature)
    torch.testing.assert_close(7 * (there.symmetries[:, 1:] - 0.3), costs.symmetries[:, 1:], atol=1e-4, rtol=1e-4)
    network.price = 21.0  # three times as dear: the policy is another one
    expected = there.at(21.0, 0.3, tuple(range(8)))
    assert_same_policy(network(images), expected)
    network.reprice(1.0)
    assert (network.price, network.free) == (1.0, 0.0)
    assert_same_policy(network(images), expected)


NETWORKS = {
    "own": lambda: vivid().localization,
    "for all": lambda: LocalizationNetwork(per_image=False),
    "without symmetries": lambda: LocalizationNetwork(symmetries="none"),
    "the paper's": RawHead,
}


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS.keys())
@pytest.mark.parametrize("assign", [False, True])
def test_a_network_is_its_state(make, assign):
    network, images = make(), torch.rand(4, 3, 16, 16)
    noise = network.noise(4, ALL, None) if isinstance(network, LocalizationNetwork) else None
    with torch.device("meta"):
        again = make()
    if not assign:
        again = again.to_empty(device="cpu")
        for buffer in again.buffers():
            buffer.fill_(77)  # as good as any: of what is not in the state, memory holds whatever it held
    again.load_state_dict(network.state_dict(), assign=assign)
    assert again.draw(images, noise, ALL, 1.0).to_dict() == network.draw(images, noise, ALL, 1.0).to_dict()
    assert set(network.state_dict()) == {name for name, _ in (*network.named_parameters(), *network.named_buffers())}
