"""Pixels by a matrix, against torchvision's ``perspective``, which is an independent implementation, and kornia."""

import pytest
import torch
from kornia.geometry.transform import warp_affine
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from learned_affine import AffineLimits
from learned_affine.geometry.warp import as_dtype, warp_images, working
from tests.geometry.matrices import coefficients, matrices


def warp_integers(images: Tensor, matrix: Tensor, interpolation: str, padding_mode: str) -> Tensor:
    """The way that the transform takes with integers and bools: there and back."""
    return as_dtype(warp_images(working(images), matrix, interpolation, padding_mode), images.dtype, padding_mode)


@pytest.mark.parametrize("size", [(32, 32), (17, 41), (1, 9)])
def test_warp_agrees_with_perspective(size):
    images = torch.rand(4, 3, *size, dtype=torch.float64)
    matrix = matrices(4, *size)
    got = warp_images(images, matrix, padding_mode="zeros")
    for image, one, warped in zip(images, matrix, got, strict=True):
        torch.testing.assert_close(
            F.perspective(image, None, None, coefficients=coefficients(one)), warped, atol=1e-5, rtol=0
        )


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("fill", [0.3, (0.1, 0.7, 0.4)])
def test_fill_in_one_pass_is_kornias_own(interpolation, fill):
    images, matrix = torch.rand(3, 3, 20, 20, dtype=torch.float64), matrices(3, 20, 20)
    value = torch.tensor(fill, dtype=torch.float64).expand(3)
    expected = warp_affine(
        images, matrix, (20, 20), interpolation, "fill", align_corners=False, fill_value=value.view(1, 3, 1, 1)
    )
    torch.testing.assert_close(warp_images(images, matrix, interpolation, "fill", fill), expected)


def test_autocast_does_not_move_pixels():
    images, matrix = torch.rand(2, 3, 64, 64), matrices(2, 64, 64).float()
    expected = warp_images(images, matrix)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(warp_images(images, matrix), expected)


def test_warp_passes_gradcheck_in_image_and_matrix():
    images = torch.rand(2, 1, 5, 6, dtype=torch.float64, requires_grad=True)
    matrix = matrices(2, 5, 6, AffineLimits(20, 1.2, 5, 0.1)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, m: warp_images(x, m, padding_mode="zeros"), (images, matrix))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_integers_are_rounded_not_cut_off(dtype):
    images = torch.randint(0, 200, (2, 1, 16, 16)).to(dtype)
    matrix = matrices(2, 16, 16)
    exact = warp_images(images.double(), matrix, padding_mode="border")
    got = warp_integers(images, matrix, "bilinear", "border")
    assert got.dtype == dtype
    assert (got.double() - exact).abs().max() <= 0.5 + 1e-3


def test_bool_stays_bool():
    images = torch.rand(1, 1, 8, 8) > 0.5
    still = torch.tensor([[[1.0, 0, 0], [0, 1, 0]]])
    assert torch.equal(warp_integers(images, still, "nearest", "fill"), images)
