"""Pixels by their parameters, against kornia's warp and its grid in float64."""

import pytest
import torch
from kornia.geometry.transform import warp_affine
from torch import Tensor
from torch.nn import functional as nn_functional

from learned_affine import AffineLimits, AffineParameters
from learned_affine.geometry.parameters import EIGHT, NAMES
from learned_affine.geometry.warp import (
    along_the_sides,
    as_dtype,
    rearrange,
    warp_by_matrix,
    warp_images,
    working_dtype,
)
from tests.geometry.matrices import one, rearranged, some, symmetries_alone

SIZES = [(1, 1), (1, 7), (5, 3), (32, 32), (97, 61), (224, 300)]
EXTREME = AffineParameters.cat(
    [
        AffineParameters.identity(1).double(),
        one(180, 1, 1, 0, 0, 0),
        one(-180, 2, 0.5, 30, 1, -1, mirror=True),
        one(90, 0.5, 2, -30, -1, 1, turns=1),
        one(0, 1, 1, 0, 0, 0, mirror=True),
        one(33, 0.5, 0.5, 30, 0.3, 0.2, mirror=True, turns=3),
        one(-120, 2, 2, -30, 0, 0, turns=2),
        one(0, 1, 1, 0, 1, 1),
    ]
)


def to(parameters: AffineParameters, dtype: torch.dtype) -> AffineParameters:
    return parameters.map(lambda value: value.to(dtype))


@pytest.mark.parametrize("code", EIGHT)
def test_a_symmetry_moves_pixels_as_torchs_flip_and_rot90(code):
    images, points = torch.randint(0, 99, (2, 3, 7, 7)), torch.rand(2, 1, 6, 7)
    assert torch.equal(rearrange(images, code), rearranged(images, code))
    assert torch.equal(rearrange(points, code), rearranged(points, code))
    exact = warp_images(images.double(), to(symmetries_alone(code, code), torch.float64))  # sampled at the same pixels
    torch.testing.assert_close(exact, rearranged(images, code).double(), atol=1e-9, rtol=0)


def kornias_grid(parameters: AffineParameters, height: int, width: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """The grid that kornia's ``warp_affine`` samples at."""
    taken, images = [], torch.zeros(len(parameters), 1, height, width, dtype=dtype)

    def take(image, grid, **options):
        taken.append(grid)
        return image

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn_functional, "grid_sample", take)
        warp_affine(images, parameters.matrix(height, width).to(dtype), (height, width), align_corners=False)
    return taken[0]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_the_grid_is_kornias(size, dtype, most):
    """Of a batch it is computed in tensors, of one image in plain numbers."""
    parameters = AffineParameters.cat([EXTREME, some(8, symmetries=True)])
    truth = kornias_grid(parameters, *size)
    scale = truth.abs().clamp_min(1)  # far outside there are fewer digits behind the point
    for parts in ([parameters], parameters):
        along = [along_the_sides(to(part, dtype), *size, dtype) for part in parts]
        got = torch.cat([(along_x + along_y).permute(1, 2, 3, 0) for along_x, along_y in along])
        assert got.shape == truth.shape and got.dtype == dtype
        assert ((got - truth) / scale).abs().max() <= most


def smooth(count: int, height: int, width: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Images in which neighbouring pixels differ by at most a fifth, two channels."""
    x, y = torch.linspace(0, 1, width, dtype=dtype), torch.linspace(0, 1, height, dtype=dtype)
    phase = torch.arange(count, dtype=dtype)[:, None, None]
    waves = torch.stack([torch.sin(3 * x + y[:, None] + phase), torch.cos(2 * y[:, None] - x + phase)], 1)
    return 0.5 + 0.4 * waves


PADS = [("reflection", 0.0), ("border", 0.0), ("zeros", 0.0), ("fill", 0.7), ("fill", (0.2, 0.9))]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("padding_mode", "fill"), PADS)
def test_images_are_kornias_whether_or_not_a_gradient_is_needed(size, interpolation, padding_mode, fill):
    """In float64 both grids are the same to 12 digits, so that the images are to 10."""
    images, matrix = torch.rand(len(EXTREME), 2, *size, dtype=torch.float64), EXTREME.matrix(*size)
    value = torch.tensor(fill, dtype=torch.float64).expand(2).view(1, 2, 1, 1)
    truth = warp_affine(images, matrix, size, interpolation, padding_mode, align_corners=False, fill_value=value)
    for got in (
        warp_images(images, EXTREME, interpolation, padding_mode, fill),
        warp_images(images.clone().requires_grad_(), EXTREME, interpolation, padding_mode, fill).detach(),
    ):
        torch.testing.assert_close(got, truth, atol=1e-9, rtol=0)


@pytest.mark.parametrize(
    ("dtype", "most"), [(torch.float32, 5e-5), (torch.bfloat16, 4e-3), (torch.float16, 5e-4), (torch.uint8, 0.5 / 255)]
)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "sharp"])
@pytest.mark.parametrize("size", [(32, 32), (224, 300)])
def test_every_dtype_is_within_its_rounding_of_kornia_in_float64(dtype, most, interpolation, size):
    """Of smooth images: a grid that is off by 1e-6 of the side moves a value by less than 3e-5."""
    white = 255 if dtype == torch.uint8 else 1
    images = (white * smooth(len(EXTREME), *size)).to(dtype)
    truth = warp_by_matrix(images.double() / white, EXTREME.matrix(*size), interpolation, "border")
    source = images if dtype.is_floating_point else images.to(working_dtype(images))  # as the transform does
    warped = warp_images(source, to(EXTREME, torch.float32), interpolation, "border")
    assert warped.dtype == source.dtype
    assert (as_dtype(warped, dtype).double() / white - truth).abs().max() <= most + 1e-5


def test_warp_passes_gradcheck_in_image_and_parameters():
    images = torch.rand(8, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    parameters = some(8, AffineLimits(20, 1.2, 5, 0.1), symmetries=True)
    numbers = tuple(value.clone().requires_grad_() for value in parameters.tensors())

    def warped(x, *numbers):
        return warp_images(x, AffineParameters(*numbers, *parameters.leaves()[6:]), padding_mode="zeros")

    assert torch.autograd.gradcheck(warped, (images, *numbers))


@pytest.mark.parametrize("name", NAMES)
def test_a_gradient_reaches_each_number_alone(name):
    """Whichever it is, and also at the identity, where nothing moves yet."""
    fields = dict(zip(NAMES, AffineParameters.identity(2).tensors(), strict=True))
    value = fields[name].clone().requires_grad_()
    images = smooth(2, 9, 8, torch.float32)
    warp_images(images, AffineParameters(**{**fields, name: value}), padding_mode="border")[..., :3].sum().backward()
    assert value.grad.abs().min() > 0
