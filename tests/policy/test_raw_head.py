"""The paper's own head against torch's spatial transformer."""

import pytest
import torch
from torch import nn

from learned_affine import AffineLimits, LearnedAffineAugment
from learned_affine.geometry.warp import warp_images
from learned_affine.policy.raw_head import RawHead
from tests.subjects import STILL


@pytest.mark.parametrize("size", [(16, 16), (12, 20)])
@pytest.mark.parametrize("across", [1.1, -1.1])
def test_raw_head_agrees_with_a_spatial_transformer(size, across):
    head = RawHead(1)
    theta = torch.tensor([across, 0.2, 0.1, -0.3, 0.9, -0.2])  # of the second the determinant is negative
    with torch.no_grad():
        head.head.bias.copy_(theta)
    images = torch.rand(2, 1, *size)
    parameters = head.draw(images, None, AffineLimits(), 1.0)
    assert parameters.mirror.tolist() == [across < 0] * 2
    got = warp_images(images, parameters, padding_mode="zeros")
    grid = torch.nn.functional.affine_grid(theta.view(1, 2, 3).expand(2, 2, 3), images.shape, align_corners=False)
    expected = torch.nn.functional.grid_sample(images, grid, align_corners=False)
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)


def test_limits_are_not_its_own():
    """Nor where they allow nothing: the image is moved as the parameters say."""
    augment = LearnedAffineAugment(STILL, localization=RawHead(1), p=1.0)
    nn.init.normal_(augment.localization.head.bias, 1.0)
    images = torch.rand(2, 1, 8, 8)
    assert torch.equal(augment(images), augment.warp(images, augment.last_parameters))
    assert not torch.equal(augment(images), images)
