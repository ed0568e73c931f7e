"""A generator of one's own in DataLoader workers: who shares it shares one stream, and no two workers have the same."""

import copy
import itertools
import pickle
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader

from learned_affine import LearnedAffineAugment
from tests.subjects import vivid

CONTEXTS = ["fork", *(pytest.param(name, marks=pytest.mark.long) for name in ("spawn", "forkserver"))]


def of_one_image(first: LearnedAffineAugment, second: LearnedAffineAugment, _) -> torch.Tensor:
    image = torch.linspace(0, 1, 64).reshape(1, 8, 8)
    return torch.stack([first(image), second(image)])[None]


def views(first: LearnedAffineAugment, second: LearnedAffineAugment, context: str, seed: int = 2) -> torch.Tensor:
    """All views that two workers give, ``(6, 2, 1, 8, 8)``."""
    torch.manual_seed(seed)
    collate = partial(of_one_image, first, second)
    return torch.cat([*DataLoader(range(6), num_workers=2, collate_fn=collate, multiprocessing_context=context)])


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_two_that_share_a_generator_draw_what_one_would_that_is_called_twice(context):
    generator = torch.Generator().manual_seed(7)
    one = vivid(generator=torch.Generator().manual_seed(7))
    both = views(vivid(generator=generator), vivid(generator=generator), context)
    assert torch.equal(both, views(one, one, context))
    assert len(torch.unique(both.flatten(0, 1), dim=0)) == 12


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("seed", [None, 7])
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_workers_draw_distinct_and_repeatable_by_torchs_generator_and_by_ones_own(context, seed):
    one = vivid(generator=None if seed is None else torch.Generator().manual_seed(seed))
    drawn = views(one, one, context)
    assert len(torch.unique(drawn.flatten(0, 1), dim=0)) == 12
    assert torch.equal(views(one, one, context), drawn)
    assert not torch.equal(views(one, one, context, 3), drawn)  # as in the next epoch


@pytest.mark.parametrize("again", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_copies_of_two_that_share_a_generator_share_one_too(again):
    generator = torch.Generator().manual_seed(7)
    torch.rand(3, generator=generator)
    first, second = again([vivid(generator=generator), vivid(generator=generator)])
    assert first.generator is second.generator is not generator
    assert torch.equal(first.generator.get_state(), generator.get_state())
    assert copy.copy(first).generator is first.generator, "of a shallow copy it is the same"


PAIRS = {  # seeds of generators and of workers
    "four ranks of four workers": itertools.product(range(7, 11), range(40, 44)),
    "seeds that differ above their lowest 32 bits": itertools.product([5, 5 + 2**32, 5 + 2**40], [9, 9 + 2**32]),
    "seeds and workers that swap their words": [(5 + 2**32, 7), (5, 1 + 7 * 2**32), (5, 7), (7, 5)],
}


@pytest.mark.parametrize("pairs", PAIRS.values(), ids=PAIRS.keys())
def test_another_seed_or_another_worker_is_another_stream(pairs, monkeypatch):
    angles, pairs = [], list(pairs)
    for seed, worker in pairs:
        monkeypatch.setattr(torch.utils.data, "get_worker_info", lambda worker=worker: SimpleNamespace(seed=worker))
        augment = vivid(generator=torch.Generator().manual_seed(seed))
        angles.append(augment.sample_parameters(torch.ones(3, 1, 8, 8)).angle)
    assert len(torch.unique(torch.stack(angles), dim=0)) == len(pairs)
