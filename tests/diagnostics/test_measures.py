"""How far images move, and the share of variance between them, against values worked out by hand."""

import math

import pytest
import torch

from learned_affine import AffineLimits
from learned_affine.diagnostics.measures import policy_measures, variance_between_images
from learned_affine.policy.distribution import Policy


@pytest.mark.parametrize("mirror", [None, torch.tensor([True])])
def test_a_shift_by_half_the_width_moves_by_a_half_and_shows_a_half(mirror):
    """Without mirrors, which would else swamp it: a flip moves corners by a whole side."""
    shift = AffineLimits(0, 1, 0, 1).parameters(torch.tensor([[0.0, 0, 0, 0, 0.5, 0]]), mirror)
    assert policy_measures(shift, [(16, 16)]) == pytest.approx({"displacement": 0.5, "visible_area": 0.5})


def test_images_of_several_sizes_are_measured_by_their_own():
    shift = AffineLimits(30, 1, 0, 1).parameters(torch.tensor([[0.0, 0, 0, 0, 0.5, 0], [1.0, 0, 0, 0, 0, 0]] * 2))
    sizes = [(16, 16), (8, 64), (8, 64), (16, 16)]
    each = [policy_measures(shift[row], [size]) for row, size in enumerate(sizes)]
    means = {name: sum(one[name] for one in each) / 4 for name in each[0]}
    assert policy_measures(shift, sizes) == pytest.approx(means)
    assert policy_measures(shift[:0], []) == pytest.approx(dict.fromkeys(means, math.nan), nan_ok=True)


@pytest.mark.parametrize(("between", "within"), [(0.05, 0.05), (0.1, 0.05), (0.0, 0.1), (0.05, 1e-4)])
def test_variance_between_images_is_its_share(between, within):
    """Small numbers, at which tanh is straight: images whose means and draws have known deviations."""
    mean = between * torch.randn(2000, 6, generator=torch.Generator().manual_seed(0))
    policy = Policy(mean, torch.full((2000, 6), within))
    share = between**2 / (between**2 + within**2)
    assert variance_between_images(policy, AffineLimits()) == pytest.approx(share, abs=0.02)
