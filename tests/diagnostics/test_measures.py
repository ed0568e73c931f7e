"""Measures of a policy, against values worked out by hand."""

import math

import pytest
import torch

from learned_affine import AffineLimits, AffineParameters
from learned_affine.diagnostics.measures import (
    output_measures,
    policy_measures,
    spread_measures,
    variance_between_images,
)
from learned_affine.policy.distribution import Policy


def test_a_shift_by_half_the_width_moves_by_a_half_and_shows_a_half():
    shift = AffineLimits(0, 1, 0, 1).parameters(torch.tensor([[0.0, 0, 0, 0, 0.5, 0]]))
    assert policy_measures(shift, 16, 16) == pytest.approx({"displacement": 0.5, "visible_area": 0.5})


def test_entropy_and_agreement_by_hand():
    clean = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    augmented = torch.tensor([[0.0, 9e9], [9e9, 0.0], [0.0, 9e9], [-1.0, -1.0 + 1e-7]])
    found = output_measures(augmented, clean)
    assert found["agreement"] == 0.75 and found["entropy"] == pytest.approx(0.25, abs=1e-3)  # of one in four a bit


@pytest.mark.parametrize(("between", "within"), [(0.05, 0.05), (0.1, 0.05), (0.0, 0.1), (0.05, 1e-4)])
def test_variance_between_images_is_its_share(between, within):
    """Small numbers, at which tanh is straight: images whose means and draws have known deviations."""
    generator = torch.Generator().manual_seed(0)
    mean = between * torch.randn(2000, 6, generator=generator)
    noise = torch.randn(64, 2000, 6, generator=generator)
    share = between**2 / (between**2 + within**2)
    found = variance_between_images(Policy.diagonal(mean, torch.full((2000, 6), within)), noise)
    assert found == pytest.approx(share, abs=0.02)


def test_spread_within_and_between_images_by_hand():
    drawn = [torch.tensor([1.0, 5.0]), torch.tensor([3.0, 7.0])]  # of two images, two draws each
    one = torch.ones(2)
    found = spread_measures([AffineParameters(angle, one, one, 0 * one, 0 * one, 0 * one) for angle in drawn])
    assert found["within_angle"] == pytest.approx(math.sqrt(2))
    assert found["between_angle"] == pytest.approx(4 / math.sqrt(2))
    assert found["within_scale_x"] == found["between_shear"] == 0
