"""Boxes and key points by a matrix: against torchvision's ``perspective``, and against drawn blobs."""

import pytest
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

from learned_affine import AffineLimits, AffineParameters
from learned_affine.geometry.coordinates import rearrange_boxes, visible_area, warp_boxes, warp_points
from learned_affine.geometry.parameters import EIGHT
from learned_affine.geometry.warp import warp_images
from tests.geometry.matrices import coefficients, matrices, one, some, symmetries_alone
from tests.transforms.pictures import FORMATS, boxes

PLAIN = ("XYXY", "XYWH", "CXCYWH")


def boxes_of(format_: str) -> tv_tensors.BoundingBoxes:
    return boxes(format_, (30, 40))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("format_", FORMATS)
def test_boxes_of_half_precision_are_those_of_full_precision_rounded(format_, dtype, mirrored):
    boxes = boxes_of(format_)
    half = tv_tensors.wrap(boxes.as_subclass(torch.Tensor).to(dtype), like=boxes)
    matrix = matrices(1, 30, 40)[0]
    matrix[:, 0] *= -1 if mirrored else 1
    moved, expected = warp_boxes(half, matrix), warp_boxes(tv_tensors.wrap(half.float(), like=boxes), matrix)
    assert moved.dtype == dtype and moved.format == boxes.format
    assert torch.equal(moved.as_subclass(torch.Tensor), expected.as_subclass(torch.Tensor).to(dtype))


@pytest.mark.parametrize("format_", FORMATS)
def test_autocast_moves_boxes_as_far(format_):
    """torchvision's corners would be off by pixels."""
    matrix = 20 * matrices(1, 30, 40)[0]
    large = tv_tensors.wrap(boxes_of(format_), like=boxes_of(format_), clamping_mode=None)
    moved = warp_boxes(large, matrix)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(warp_boxes(large, matrix), moved)
        back = AffineParameters.from_matrix(matrix[None], 30, 40).matrix(30, 40)[0]
    torch.testing.assert_close(back, matrix, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("code", EIGHT)
@pytest.mark.parametrize("format_", FORMATS)
def test_boxes_of_a_symmetry_alone_are_those_of_its_matrix(format_, code):
    """Exactly, where there are no angles to be rounded; the same rectangle, though its corners may be counted on."""
    boxes = tv_tensors.wrap(boxes_of(format_), like=boxes_of(format_), canvas_size=(40, 40), clamping_mode=None)
    moved = rearrange_boxes(boxes, code)
    assert moved.format == boxes.format and moved.dtype == boxes.dtype
    before, after = (corners_of(one_) for one_ in (boxes, moved))
    expected = warp_points(before, symmetries_alone(code).matrix(40, 40)[0])
    assert torch.cdist(expected, after.double()).amin(2).max() < (0 if format_ in PLAIN else 1e-4) + 1e-9
    by_matrix = warp_boxes(boxes, symmetries_alone(code).matrix(40, 40)[0])
    assert torch.cdist(corners_of(by_matrix), after).amin(2).max() < 1e-3
    if format_ not in PLAIN:  # as those that torchvision makes, corners run clockwise
        first, second, _, fourth = after.unbind(1)
        assert (torch.linalg.det(torch.stack([second - first, fourth - first], 1)) > 0).all()
    undone = rearrange_boxes(moved, int(symmetries_alone(code).inverse().codes()))
    assert torch.cdist(before, corners_of(undone)).amin(2).max() < 1e-4


def corners_of(boxes: tv_tensors.BoundingBoxes) -> Tensor:
    """``(N, 4, 2)`` in the order that torchvision counts them."""
    if boxes.format.name in PLAIN:
        values = F.convert_bounding_box_format(boxes, new_format="XYXY").as_subclass(Tensor)
        return values[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    return F.convert_bounding_box_format(boxes, new_format="XYXYXYXY").as_subclass(Tensor).reshape(-1, 4, 2)


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("angle", [0, 20, 90, -170, 180])
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("mirror", [False, True])
def test_boxes_are_those_of_perspective_after_the_flip(format_, angle, turns, mirror):
    before = tv_tensors.wrap(boxes_of(format_), like=boxes_of(format_), clamping_mode=None)
    moved = warp_boxes(before, one(angle, 1.2, 0.9, 5, 0.1, -0.1, mirror=mirror, turns=turns).matrix(30, 40)[0])
    unmirrored = one(angle, 1.2, 0.9, 5, 0.1, -0.1, turns=turns).matrix(30, 40)[0]
    flipped = F.horizontal_flip(before) if mirror else before
    expected = F.perspective(flipped, None, None, coefficients=coefficients(unmirrored))
    torch.testing.assert_close(moved, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("seed", EIGHT)
def test_drawn_blob_is_found_where_its_key_point_went(seed):
    torch.manual_seed(seed)
    parameters = some(8, AffineLimits(40, 1.2, 10, 0.1), symmetries=True)[seed]
    point = torch.tensor([38.0, 30.0], dtype=torch.float64)  # continuous
    steps = torch.arange(80, dtype=torch.float64) + 0.5
    image = torch.exp(-((steps[None, :] - point[0]) ** 2 + (steps[:, None] - point[1]) ** 2) / 18)[None, None]
    warped = warp_images(image, parameters, padding_mode="zeros")[0, 0]
    found = torch.stack([(warped.sum(0) * steps).sum(), (warped.sum(1) * steps).sum()]) / warped.sum()
    torch.testing.assert_close(found, warp_points(point, parameters.matrix(80, 80)[0]), atol=0.01, rtol=0)


def test_visible_area_of_a_half_shift_is_a_half():
    shift = torch.tensor([[[1.0, 0, 8], [0, 1, 0]], [[0.5, 0, 3.75], [0, 0.5, 3.75]]])
    torch.testing.assert_close(visible_area(shift, 16, 16), torch.tensor([0.5, 0.25]))
    assert visible_area(shift[:1], 16, 32).item() == 0.75
