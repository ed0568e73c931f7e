"""The ways to fit that the accuracy benchmark holds against the default: what they do, where it is known by hand."""

import sys
from pathlib import Path
from unittest.mock import patch

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from variants import PerClass, weighted_moments

from learned_affine import LearnedAffineAugment, fitting
from learned_affine.localization import PRIOR_WIDTH, Policy
from tests.subjects import Halves, blobs

NOISE = torch.randn(4096, 1, 6, generator=torch.Generator().manual_seed(0))
CURVATURE = torch.tensor([0.0, 0.5, 1.0, 2.0, 4.0, 8.0])
BEST = (CURVATURE + PRIOR_WIDTH**-2).rsqrt()  # the width of the best policy under a loss 1/2 a z^2


def moments(width: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    losses = (CURVATURE * (width * NOISE).square() / 2).sum(-1)
    policy = Policy(torch.zeros(1, 6), torch.diag_embed(width[None]))
    slopes = weighted_moments(policy, NOISE, losses, PRIOR_WIDTH)
    return slopes.mean[0], slopes.width[0]


def test_weighted_samples_leave_the_best_policy_where_it_is():
    mean, width = moments(BEST)
    assert mean.abs().max() < 0.05 and width.abs().max() < 0.06


def test_weighted_samples_narrow_what_is_wider_than_best_and_widen_what_is_narrower():
    assert moments(1.5 * BEST)[1].min() > 0.1
    assert moments(0.7 * BEST)[1].max() < -0.1


class Biased(Halves):
    """Takes what stands in the middle for the first class."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images) + torch.tensor([12.0, 0.0])


def test_the_class_that_warps_harm_more_has_the_larger_factor():
    fits: list[PerClass] = []

    class Kept(PerClass):
        def _improve(self, *arguments):
            super()._improve(*arguments)
            fits.append(self)

    loader = [blobs(64)]
    with patch.object(fitting, "ByValues", Kept):
        LearnedAffineAugment.fit(Biased(), loader, val_loader=loader, seed=0, max_steps=30, progress=False)
    first, second = fits[-1].log_factors.tolist()
    assert abs(first + second) < 1e-5 and second > 0.2
