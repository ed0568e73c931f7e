"""The six numbers: against an independent matrix, torchvision's signs, and inverses."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as F

from learned_affine import AffineLimits, AffineParameters
from learned_affine.geometry.warp import warp_images

UNIT = st.lists(st.floats(-1, 1), min_size=6, max_size=6)
SIDES = st.integers(1, 300)


def one(*values: float) -> AffineParameters:
    return AffineParameters(*(torch.tensor([value], dtype=torch.float64) for value in values))


def numpy_matrix(values: tuple[float, ...], height: int, width: int) -> np.ndarray:
    """The documented convention, step by step, by homogeneous matrices."""
    angle, x, y, shear, right, down = values
    a, s = math.radians(angle), math.radians(shear)
    centre = np.array([[1, 0, (width - 1) / 2], [0, 1, (height - 1) / 2], [0, 0, 1]])
    rotation = np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])
    lean = np.array([[1, -math.tan(s), 0], [0, 1, 0], [0, 0, 1]])
    shift = np.array([[1, 0, right * width], [0, 1, down * height], [0, 0, 1]])
    return (shift @ centre @ rotation @ lean @ np.diag([x, y, 1]) @ np.linalg.inv(centre))[:2]


@given(UNIT, SIDES, SIDES)
def test_matrix_of_one_image_is_that_of_a_batch(unit, height, width):
    parameters = AffineLimits.wide().parameters(torch.tensor([unit], dtype=torch.float64))
    found = parameters.matrix_of_one(height, width, torch.float64)
    assert torch.allclose(found, parameters.matrix(height, width), rtol=1e-12, atol=1e-9)
    assert parameters.matrix_of_one(height, width, torch.float32).dtype == torch.float32


@given(UNIT, SIDES, SIDES)
@settings(max_examples=200)
def test_matrix_agrees_with_numpy(unit, height, width):
    parameters = AffineLimits.wide().parameters(torch.tensor([unit], dtype=torch.float64))
    expected = numpy_matrix(tuple(parameters.stacked()[0].tolist()), height, width)
    np.testing.assert_allclose(parameters.matrix(height, width)[0].numpy(), expected, atol=1e-9)


@given(UNIT, SIDES, SIDES)
@settings(max_examples=200)
def test_from_matrix_undoes_matrix(unit, height, width):
    parameters = AffineLimits(170, 2, 30, 0.4).parameters(torch.tensor([unit], dtype=torch.float64))
    again = AffineParameters.from_matrix(parameters.matrix(height, width), height, width)
    torch.testing.assert_close(again.stacked(), parameters.stacked(), atol=1e-9, rtol=0)


@given(UNIT, SIDES, SIDES)
@settings(max_examples=100)
def test_inverse_composes_to_the_identity(unit, height, width):
    parameters = AffineLimits.wide().parameters(torch.tensor([unit], dtype=torch.float64))
    there = parameters.matrix(height, width)[0]
    back = parameters.inverse(height, width).matrix(height, width)[0]
    product = back[:, :2] @ there[:, :2]
    torch.testing.assert_close(product, torch.eye(2, dtype=torch.float64), atol=1e-9, rtol=0)
    torch.testing.assert_close(back[:, :2] @ there[:, 2] + back[:, 2], torch.zeros(2).double(), atol=1e-7, rtol=0)


def test_inverse_needs_only_the_ratio_of_the_sides():
    parameters = one(20, 1.2, 0.8, 10, 0.1, -0.2)
    torch.testing.assert_close(parameters.inverse(2, 3).stacked(), parameters.inverse(200, 300).stacked())


@pytest.mark.parametrize(
    ("values", "options"),
    [
        ((25.0, 1.0, 1.0, 0.0, 0.0, 0.0), {"angle": 25.0}),
        ((0.0, 1.3, 1.3, 0.0, 0.0, 0.0), {"scale": 1.3}),
        ((0.0, 1.0, 1.0, 12.0, 0.0, 0.0), {"shear": [12.0, 0.0]}),
        ((0.0, 1.0, 1.0, 0.0, 0.1, -0.2), {"translate": [3, -6]}),
        (
            (-40.0, 0.8, 0.8, -15.0, 0.2, 0.1),
            {"angle": -40.0, "scale": 0.8, "shear": [-15.0, 0.0], "translate": [6, 3]},
        ),
    ],
)
def test_signs_are_those_of_torchvision(values, options):
    image = torch.rand(1, 1, 30, 30, dtype=torch.float64)
    full = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0], **options}
    expected = F.affine(image, interpolation=F.InterpolationMode.BILINEAR, **full)
    got = warp_images(image, one(*values).matrix(30, 30), padding_mode="zeros")
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)  # torchvision's grid is made in float32


def test_displacement_of_a_shift_is_its_length():
    assert one(0, 1, 1, 0, 0.3, -0.4).displacement(10, 10).item() == pytest.approx(0.5)


def test_displacement_of_a_rotation_by_180_degrees_is_the_diagonal():
    assert one(180, 1, 1, 0, 0, 0).displacement(5, 5).item() == pytest.approx(math.sqrt(2))


def test_negative_determinant_is_read_as_negative_scale_y():
    mirror = torch.tensor([[[1.0, 0.0, 0.0], [0.0, -1.0, 9.0]]], dtype=torch.float64)
    parameters = AffineParameters.from_matrix(mirror, 10, 10)
    assert parameters.scale_y.item() == pytest.approx(-1)
    torch.testing.assert_close(parameters.matrix(10, 10), mirror)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"angle": 181}, "limits.angle"),
        ({"angle": float("nan")}, "limits.angle"),
        ({"scale": 0.9}, "limits.scale"),
        ({"shear": 90}, "limits.shear"),
        ({"translate": -0.1}, "limits.translate"),
    ],
)
def test_limits_out_of_range_are_named(options, named):
    with pytest.raises(ValueError, match=named):
        AffineLimits(**options)


def test_limits_of_the_wrong_kind_are_named():
    with pytest.raises(TypeError, match=r"limits\.angle must be a number"):
        AffineLimits(angle="30")


def test_unit_cube_reaches_the_limits_and_no_further():
    limits = AffineLimits(30, 1.3, 15, 0.15)
    top = limits.parameters(torch.ones(1, 6)).stacked()[0]
    torch.testing.assert_close(top, torch.tensor([30, 1.3, 1.3, 15, 0.15, 0.15]))
    bottom = limits.parameters(-torch.ones(1, 6)).stacked()[0]
    torch.testing.assert_close(bottom, torch.tensor([-30, 1 / 1.3, 1 / 1.3, -15, -0.15, -0.15]))
    torch.testing.assert_close(
        limits.parameters(torch.zeros(1, 6)).stacked(), AffineParameters.identity(1).stacked(), atol=0, rtol=0
    )


def test_parameters_read_like_a_batch():
    parameters = AffineLimits().parameters(torch.rand(10, 6))
    assert len(parameters) == 10 and len(parameters[2:5]) == 3 and len(parameters[-1]) == 1
    assert [len(single) for single in parameters] == [1] * 10
    assert json.loads(json.dumps(parameters.to_dict()))["angle"] == parameters.angle.tolist()
    assert "2 more" in str(parameters) and str(parameters).count("\n") == 9
    with pytest.raises(IndexError, match="10 images"):
        parameters[10]


def test_from_matrix_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"\(B, 2, 3\)"):
        AffineParameters.from_matrix(torch.eye(3), 8, 8)
