"""Images a quarter finer, and sharp interpolation, against their definition pixel by pixel in float64."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from learned_affine.geometry import enlarge
from learned_affine.geometry.enlarge import PREFILTER, enlarged
from learned_affine.geometry.warp import warp_by_matrix, warp_images
from tests.geometry.test_warp import EXTREME, PADS, kornias_grid

SIZES = [(1, 1), (1, 7), (5, 3), (40, 33), (61, 130)]


def cubic_spline(distance: float) -> float:
    far = abs(distance)
    return 2 / 3 - far**2 + far**3 / 2 if far < 1 else max(0, 2 - far) ** 3 / 6


def matrix_of(side: int) -> Tensor:
    """What a side is multiplied with: mirrored at the edge, prefiltered, and evaluated at the finer places."""
    count = round(side * 5 / 4)
    whole = torch.zeros(count, side, dtype=torch.float64)
    for row in range(count):
        place = (row + 0.5) * side / count - 0.5
        for knot in range(int(place) - 3, int(place) + 4):
            for step in range(-len(PREFILTER) + 1, len(PREFILTER)):
                pixel = list(range(side)) + list(range(side))[::-1]  # the image and its mirror image, for ever
                weight = PREFILTER[abs(step)] * cubic_spline(place - knot)
                whole[row, pixel[(knot + step) % (2 * side)]] += weight
    return whole


def truth(images: Tensor) -> Tensor:
    height, width = images.shape[-2:]
    return matrix_of(height) @ images.double() @ matrix_of(width).mT


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_finer_copy_is_its_definition(size, dtype, most, layout):
    images = torch.rand(2, 3, *size, dtype=dtype).to(memory_format=layout)
    got = enlarged(images)
    assert got.dtype == dtype and enlarged(images[:0]).shape == got[:0].shape
    torch.testing.assert_close(got.double(), truth(images), atol=most, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (33, 47)])
@pytest.mark.parametrize("padding_mode", ["reflection", "border"])
def test_a_constant_image_stays_constant(size, padding_mode):
    images = torch.full((8, 1, *size), 0.7, dtype=torch.float64)
    torch.testing.assert_close(warp_images(images, EXTREME, "sharp", padding_mode), images, atol=1e-12, rtol=0)


@pytest.mark.parametrize("size", [(5, 3), (32, 32), (97, 61)])
@pytest.mark.parametrize(("padding_mode", "fill"), PADS)
def test_sharp_is_bilinear_reading_of_the_finer_copy(size, padding_mode, fill):
    """At the places that kornia reads, with kornia's matrix, and with a gradient."""
    images = torch.rand(len(EXTREME), 2, *size, dtype=torch.float64)
    value = torch.tensor(fill, dtype=torch.float64).expand(2).view(1, 2, 1, 1)
    mode = "zeros" if padding_mode == "fill" else padding_mode
    grid = kornias_grid(EXTREME, *size)
    expected = F.grid_sample(truth(images - value), grid, "bilinear", mode, align_corners=False) + value
    options = ("sharp", padding_mode, fill)
    torch.testing.assert_close(warp_images(images, EXTREME, *options), expected, atol=1e-9, rtol=0)
    torch.testing.assert_close(warp_by_matrix(images, EXTREME.matrix(*size), *options), expected, atol=1e-9, rtol=0)
    followed = warp_images(images.clone().requires_grad_(), EXTREME, *options)
    torch.testing.assert_close(followed.detach(), expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 3e38])
@pytest.mark.parametrize("graph", [False, True])
def test_a_bad_pixel_spoils_only_what_is_made_of_it(monkeypatch, value, graph):
    """Also where nobody may look at the pixels, as in a graph."""
    clean = torch.rand(1, 2, 60, 70)
    images = clean.clone()
    images[0, 0, 20, 30] = value
    monkeypatch.setattr(enlarge, "is_traced", lambda: graph)
    apart = enlarged(images) != enlarged(clean)
    touched = (matrix_of(60)[:, 20] != 0)[:, None] & (matrix_of(70)[:, 30] != 0)
    assert touched.sum() < 14**2
    assert not apart[0, 1].any() and not apart[0, 0][~touched].any() and apart[0, 0][touched].all()


def test_what_is_kept_of_one_call_serves_the_next():
    """Also where the first was in inference mode and the second is differentiated."""
    enlarge.bands.cache_clear()
    images = torch.rand(1, 1, 9, 9)
    with torch.inference_mode():
        first = enlarged(images)
    second = enlarged(images.requires_grad_())
    second.sum().backward()
    torch.testing.assert_close(second.detach(), first.clone())
    torch.testing.assert_close(images.grad.sum(), torch.tensor(121.0))
