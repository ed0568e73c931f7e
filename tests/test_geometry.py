"""Warping against torchvision's ``perspective``, which is an independent implementation, and against drawn blobs."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kornia.geometry.transform import warp_affine
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

from learned_affine import AffineLimits
from learned_affine.geometry import (
    as_dtype,
    continuous,
    visible_area,
    warp_boxes,
    warp_images,
    warp_key_points,
    warp_points,
    working,
)

FORMATS = [format_.name for format_ in tv_tensors.BoundingBoxFormat]
PLAIN = ("XYXY", "XYWH", "CXCYWH")


def matrices(count: int, height: int, width: int, limits: AffineLimits | None = None) -> Tensor:
    unit = 2 * torch.rand(count, 6, dtype=torch.float64) - 1
    return (limits or AffineLimits.wide()).parameters(unit).matrix(height, width)


def coefficients(matrix: Tensor) -> list[float]:
    """Destination to source in continuous coordinates, by homogeneous matrices."""
    half = torch.tensor([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]], dtype=torch.float64)
    whole = torch.cat([matrix, torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)])
    return [*torch.linalg.inv(half @ whole @ torch.linalg.inv(half))[:2].flatten().tolist(), 0.0, 0.0]


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


@pytest.mark.parametrize("format_", FORMATS)
def test_boxes_agree_with_perspective(format_):
    start = tv_tensors.BoundingBoxes([[5.0, 6, 20, 15], [0, 0, 8, 8]], format="XYXY", canvas_size=(30, 40))
    boxes = F.convert_bounding_box_format(start, new_format=format_) if format_ in PLAIN else rotated(format_)
    matrix = matrices(1, 30, 40)[0]
    expected = F.perspective(boxes, None, None, coefficients=coefficients(matrix))
    torch.testing.assert_close(warp_boxes(boxes, matrix), expected, atol=0.01, rtol=0)


def rotated(format_: str) -> tv_tensors.BoundingBoxes:
    """Two turned boxes in a rotated format."""
    centre = tv_tensors.BoundingBoxes(
        [[15.0, 13, 10, 6, 30], [20, 10, 8, 4, -60]], format="CXCYWHR", canvas_size=(30, 40)
    )
    return F.convert_bounding_box_format(centre, new_format=format_)


@given(st.integers(0, 10_000))
@settings(max_examples=100)
def test_axis_aligned_box_is_the_box_round_its_moved_corners(seed):
    torch.manual_seed(seed)
    low = torch.rand(3, 2, dtype=torch.float64) * 15
    corners = torch.cat([low, low + 1 + 10 * torch.rand(3, 2, dtype=torch.float64)], dim=1)
    boxes = tv_tensors.BoundingBoxes(corners, format="XYXY", canvas_size=(30, 30), clamping_mode=None)
    matrix = matrices(1, 30, 30)[0]
    moved = warp_points(corners[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(3, 4, 2), matrix)
    expected = torch.cat([moved.amin(1), moved.amax(1)], dim=1)
    torch.testing.assert_close(warp_boxes(boxes, matrix).as_subclass(Tensor), expected, atol=1e-3, rtol=0)


def test_no_boxes_stay_no_boxes():
    boxes = tv_tensors.BoundingBoxes(torch.zeros(0, 4), format="XYXY", canvas_size=(30, 40))
    moved = warp_boxes(boxes, matrices(1, 30, 40)[0])
    assert moved.shape == (0, 4) and isinstance(moved, tv_tensors.BoundingBoxes)


def test_key_points_agree_with_perspective():
    points = tv_tensors.KeyPoints([[10.0, 12], [20, 5], [39, 29]], canvas_size=(30, 40))  # the last one leaves
    matrix = matrices(1, 30, 40)[0]
    expected = F.perspective(points, None, None, coefficients=coefficients(matrix))
    torch.testing.assert_close(warp_key_points(points, matrix), expected, atol=0.01, rtol=0)


@pytest.mark.parametrize("seed", range(5))
def test_drawn_blob_is_found_where_its_key_point_went(seed):
    torch.manual_seed(seed)
    matrix = matrices(1, 64, 80, AffineLimits(40, 1.2, 10, 0.1))
    point = torch.tensor([38.0, 30.0], dtype=torch.float64)  # continuous
    steps = torch.arange(80, dtype=torch.float64) + 0.5
    image = torch.exp(-((steps[None, :80] - point[0]) ** 2 + (steps[:64, None] - point[1]) ** 2) / 18)[None, None]
    warped = warp_images(image, matrix, padding_mode="zeros")[0, 0]
    found = torch.stack([(warped.sum(0) * steps).sum(), (warped.sum(1) * steps[:64]).sum()]) / warped.sum()
    torch.testing.assert_close(found, warp_points(point, matrix[0]), atol=0.01, rtol=0)


def test_continuous_keeps_the_centre_of_a_turn():
    turn = AffineLimits(90, 1, 0, 0).parameters(torch.tensor([[1.0, 0, 0, 0, 0, 0]], dtype=torch.float64)).matrix(9, 5)
    middle = torch.tensor([2.5, 4.5], dtype=torch.float64)
    moved = continuous(turn)[0]
    torch.testing.assert_close(moved[:, :2] @ middle + moved[:, 2], middle)


def test_visible_area_of_a_half_shift_is_a_half():
    shift = torch.tensor([[[1.0, 0, 8], [0, 1, 0]], [[0.5, 0, 3.75], [0, 0.5, 3.75]]])
    torch.testing.assert_close(visible_area(shift, 16, 16), torch.tensor([0.5, 0.25]))
