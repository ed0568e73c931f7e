"""The mean difference of an image from its moved copies, against the copies themselves."""

import pytest
import torch

from learned_affine.geometry.warp import rearrange
from learned_affine.policy.moved import mean_differences, pairs_of_pixels


@pytest.mark.parametrize("codes", [(1, 2, 3, 4, 5, 6, 7), (4,), (3,), (2, 3, 6)])
@pytest.mark.parametrize("size", [1, 2, 5, 16])
@pytest.mark.parametrize("count", [0, 1, 4])
def test_pairs_of_pixels_give_what_moved_copies_give(codes, size, count):
    images = torch.rand(count, 3, size, size)
    found = mean_differences(images, *pairs_of_pixels(codes, size, 3))
    expected = [(rearrange(images, code) - images).abs().mean((1, 2, 3)) for code in codes]
    torch.testing.assert_close(found, torch.stack(expected, 1))


def test_an_image_that_is_its_own_copy_does_not_differ():
    image = torch.rand(1, 1, 8, 8)
    image = sum(rearrange(image, code) for code in range(8))
    assert float(mean_differences(image, *pairs_of_pixels(range(1, 8), 8, 1)).max()) < 1e-6
