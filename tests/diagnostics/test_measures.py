"""Measures of a policy, against values worked out by hand."""

import math

import pytest
import torch

from learned_affine import AffineLimits
from learned_affine.diagnostics.measures import (
    policy_measures,
    spread_measures,
    symmetry_measures,
    variance_between_images,
)
from learned_affine.policy.distribution import Policy


def test_a_shift_by_half_the_width_moves_by_a_half_and_shows_a_half():
    shift = AffineLimits(0, 1, 0, 1).parameters(torch.tensor([[0.0, 0, 0, 0, 0.5, 0]]))
    assert policy_measures(shift, 16, 16) == pytest.approx({"displacement": 0.5, "visible_area": 0.5})


@pytest.mark.parametrize(("between", "within"), [(0.05, 0.05), (0.1, 0.05), (0.0, 0.1), (0.05, 1e-4)])
def test_variance_between_images_is_its_share(between, within):
    """Small numbers, at which tanh is straight: images whose means and draws have known deviations."""
    mean = between * torch.randn(2000, 6, generator=torch.Generator().manual_seed(0))
    policy = Policy(mean, torch.full((2000, 6), within))
    share = between**2 / (between**2 + within**2)
    assert variance_between_images(policy, AffineLimits()) == pytest.approx(share, abs=0.02)


def test_spread_within_and_between_images_by_hand():
    """Two images: the angle's draws have means 3 and 7 and deviations 1 and 2."""
    mean, deviation = torch.zeros(2, 6), torch.zeros(2, 6)
    mean[:, 0], deviation[:, 0] = torch.tensor([3.0, 7.0]), torch.tensor([1.0, 2.0])
    found = spread_measures(mean, deviation)
    assert found["within_angle"] == 1.5 and found["between_angle"] == pytest.approx(4 / math.sqrt(2))
    assert found["within_scale_x"] == found["between_shear"] == 0
    assert spread_measures(mean[:1], deviation[:1])["within_angle"] == 1
    assert math.isnan(spread_measures(mean[:1], deviation[:1])["between_angle"])


def test_mean_chance_of_a_symmetry_and_its_spread_by_hand():
    chances = torch.zeros(2, 8)
    chances[0, [0, 4]], chances[1, [0, 1, 7]] = 0.5, torch.tensor([0.9, 0.05, 0.05])
    found = symmetry_measures(chances)
    assert found == pytest.approx({"symmetry_chance": 0.3, "symmetry_spread": 0.4 / math.sqrt(2)})
    found = symmetry_measures(chances[:1])
    assert found == pytest.approx({"symmetry_chance": 0.5, "symmetry_spread": math.nan}, nan_ok=True)


def test_a_mirror_moves_nothing_and_hides_nothing():
    """The displacement is that without mirrors, which would else swamp it: a flip moves corners by a whole side."""
    shift = AffineLimits(0, 1, 0, 1).parameters(torch.tensor([[0.0, 0, 0, 0, 0.5, 0]]), torch.tensor([True]))
    assert policy_measures(shift, 16, 16) == pytest.approx({"displacement": 0.5, "visible_area": 0.5})
