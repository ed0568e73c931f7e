"""The symmetry and the six numbers: against an independent matrix, torchvision's signs, and inverses."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as F

from learned_affine import AffineLimits, AffineParameters
from learned_affine.geometry.parameters import EIGHT, NAMES
from learned_affine.geometry.warp import warp_images
from tests.geometry.matrices import one, rearranged, some, symmetries_alone, symmetry

UNIT = st.lists(st.floats(-1, 1), min_size=6, max_size=6)
SIDES = st.integers(1, 300)
CODES = st.sampled_from(EIGHT)


def of_unit(unit: list[float], code: int, limits: AffineLimits | None = None) -> AffineParameters:
    """The parameters of one image at a point of the unit cube, with a symmetry, in float64."""
    return (limits or AffineLimits.wide()).parameters(torch.tensor([unit], dtype=torch.float64), *symmetry([code]))


def numpy_matrix(values: tuple[float, ...], code: int, height: int, width: int) -> np.ndarray:
    """The documented convention, step by step, by homogeneous matrices."""
    angle, x, y, shear, right, down = values
    a, s = math.radians(angle), math.radians(shear)
    centre = np.array([[1, 0, (width - 1) / 2], [0, 1, (height - 1) / 2], [0, 0, 1]])
    rotation = np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])
    lean = np.array([[1, -math.tan(s), 0], [0, 1, 0], [0, 0, 1]])
    shift = np.array([[1, 0, right * width], [0, 1, down * height], [0, 0, 1]])
    quarter = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    exact = np.linalg.matrix_power(quarter, code % 4) @ np.diag([-1 if code >= 4 else 1, 1, 1])
    return (shift @ centre @ rotation @ lean @ np.diag([x, y, 1]) @ exact @ np.linalg.inv(centre))[:2]


@given(UNIT, CODES, SIDES, SIDES)
def test_matrix_agrees_with_numpy(unit, code, height, width):
    parameters = of_unit(unit, code)
    expected = numpy_matrix(tuple(parameters.stacked()[0].tolist()), code, height, width)
    np.testing.assert_allclose(parameters.matrix(height, width)[0].numpy(), expected, atol=1e-9)


@pytest.mark.parametrize("size", [(7, 7), (4, 6), (300, 300)])
def test_the_matrix_of_a_symmetry_is_exact(size):
    matrix = symmetries_alone(*EIGHT).matrix(*size)
    assert torch.equal(2 * matrix, (2 * matrix).round())


ENTRIES = st.lists(st.floats(-2, 2), min_size=6, max_size=6)


@given(ENTRIES.filter(lambda m: abs(m[0] * m[4] - m[1] * m[3]) > 1e-2), st.integers(2, 50), st.integers(2, 50))
def test_every_invertible_matrix_has_its_parameters(entries, height, width):
    """Every orientation: whatever the sign of the determinant, the factors are positive and the angle within 180."""
    matrix = torch.tensor(entries, dtype=torch.float64).view(1, 2, 3)
    parameters = AffineParameters.from_matrix(matrix, height, width)
    torch.testing.assert_close(parameters.matrix(height, width), matrix, atol=1e-6, rtol=0)
    assert parameters.scale_x > 0 and parameters.scale_y > 0 and abs(parameters.angle) <= 180
    assert parameters.mirror == (torch.linalg.det(matrix[:, :, :2]) < 0)


@given(UNIT, CODES, SIDES, SIDES)
def test_inverse_composes_to_the_identity(unit, code, height, width):
    parameters = of_unit(unit, code)
    there = parameters.matrix(height, width)[0]
    back = parameters.inverse(height, width).matrix(height, width)[0]
    product = back[:, :2] @ there[:, :2]
    torch.testing.assert_close(product, torch.eye(2, dtype=torch.float64), atol=1e-9, rtol=0)
    torch.testing.assert_close(back[:, :2] @ there[:, 2] + back[:, 2], torch.zeros(2).double(), atol=1e-7, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_any_number_alone_moves_an_image(name):
    assert not replace(AffineParameters.identity(2), **{name: torch.tensor([0.1, -0.1])}).is_still().any()


@pytest.mark.parametrize("size", [(1, 1), (5, 9)])
def test_a_symmetry_is_undone_by_a_symmetry(size):
    undone = symmetries_alone(*EIGHT).inverse(*size)
    assert undone.to_dict() == symmetries_alone(0, 3, 2, 1, 4, 5, 6, 7).to_dict() and undone.is_still().all()
    among = AffineParameters.cat([symmetries_alone(1, 5), some(2, symmetries=True).map(torch.Tensor.float)])
    undone = among.inverse(*size)
    assert undone.codes()[:2].tolist() == [3, 5] and undone.is_still().tolist() == [True, True, False, False]


def test_signs_are_those_of_torchvision():
    image = torch.rand(1, 1, 30, 30, dtype=torch.float64)
    options = {"angle": -40.0, "scale": 0.8, "shear": [-15.0, 0.0], "translate": [6, 3]}
    expected = F.affine(image, interpolation=F.InterpolationMode.BILINEAR, **options)
    got = warp_images(image, one(-40.0, 0.8, 0.8, -15.0, 0.2, 0.1), padding_mode="zeros")
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)  # torchvision's grid is made in float32


@given(UNIT, CODES, SIDES, SIDES)
def test_displacement_is_the_mean_shift_of_the_corners(unit, code, height, width):
    parameters = of_unit(unit, code)
    corners = np.array([[-0.5, -0.5], [width - 0.5, -0.5], [-0.5, height - 0.5], [width - 0.5, height - 0.5]])
    matrix = numpy_matrix(tuple(parameters.stacked()[0].tolist()), code, height, width)
    moved = corners @ matrix[:, :2].T + matrix[:, 2]
    expected = np.linalg.norm(moved - corners, axis=1).mean() / ((height + width) / 2)
    assert parameters.displacement(height, width).item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("word", "square", "other"),
    [("all", EIGHT, (0, 2, 4, 6)), ("mirror", (0, 4), (0, 4)), ("none", (0,), (0,))],
)
def test_which_symmetries_an_image_may_get(word, square, other):
    limits = AffineLimits(symmetries=word)
    assert limits.allowed_symmetries(8, 8) == square
    assert limits.allowed_symmetries(8, 9) == limits.allowed_symmetries(9, 8) == other
    kept = [code for code in square if rearranged(torch.zeros(8, 9), code).shape == (8, 9)]
    assert tuple(kept) == other


def test_unit_cube_reaches_the_limits_and_no_further():
    limits = AffineLimits(30, 1.3, 15, 0.15)
    corner = torch.tensor([[1.0, 1, -1, 1, 1, -1]])
    one, other = limits.parameters(torch.cat([corner, -corner])).stacked()
    torch.testing.assert_close(one, torch.tensor([30, 1.3, 1 / 1.3, 15, 0.15, -0.15]))
    torch.testing.assert_close(other, torch.tensor([-30, 1 / 1.3, 1.3, -15, -0.15, 0.15]))
    assert torch.equal(limits.parameters(torch.zeros(1, 6)).stacked(), AffineParameters.identity(1).stacked())


def test_parameters_read_like_a_batch():
    parameters = AffineLimits().parameters(torch.rand(10, 6), torch.arange(10) % 3 == 0, torch.arange(10) % 4)
    assert len(parameters) == 10 and len(parameters[2:5]) == 3 and len(parameters[-1]) == 1
    assert [len(single) for single in parameters] == [1] * 10
    with pytest.raises(IndexError, match="10 images"):
        parameters[10]
    again = AffineParameters.cat([parameters[:4], parameters[4:9], parameters[[9]]])
    assert again.to_dict() == parameters.to_dict()
    assert parameters[torch.tensor([3, 1])].mirror.tolist() == [True, False]
    assert parameters[torch.tensor([3, 1])].quarter_turns.tolist() == [3, 1]
    assert not parameters.without_symmetry().mirror.any() and parameters.detach().double().mirror.sum() == 4
    assert parameters.detach().double().to("cpu").quarter_turns.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]


def test_the_table_has_a_row_an_image_and_says_which_symmetry_it_gets():
    parameters = AffineLimits().parameters(torch.rand(10, 6), torch.arange(10) % 3 == 0, torch.arange(10) % 4)
    header, *rows = str(parameters).split("\n")
    assert "2 more" in str(parameters) and len(rows) == 9
    assert header.split()[:2] == ["image", "mirror"]
    assert [row.split()[1] for row in rows[:8]] == ["yes", "no", "no", "yes", "no", "no", "yes", "no"]
    assert [row.split()[2] for row in rows[:8]] == ["0", "1", "2", "3"] * 2 and len(rows[0]) == len(header)
    assert len({len(row) for row in rows[:8]}) == 1


CAPTIONS = {
    "rotation 0°  scale 1.00/1.00  shear 0°  shift 0%/0%": one(-0.4, 1, 1, -0.2, -0.001, -0.004),
    "mirrored  rotation 0°  scale 1.00/1.00  shear 0°  shift 0%/0%": one(-0.0, 1, 1, -0.0, -0.0, -0.0, mirror=True),
    "1 quarter turn  rotation +12°  scale 1.20/0.90  shear -3°  shift +10%/-5%": one(
        12, 1.2, 0.9, -3, 0.1, -0.05, turns=1
    ),
    "mirrored  3 quarter turns  rotation +5°  scale 1.00/1.00  shear 0°  shift 0%/0%": one(
        5, 1, 1, 0, 0, 0, mirror=True, turns=3
    ),
}


@pytest.mark.parametrize("expected", CAPTIONS)
def test_a_caption_says_what_is_done_in_words(expected):
    assert CAPTIONS[expected].caption() == expected


read, of_code, WORDS = AffineParameters.from_matrix, AffineParameters.symmetry, "'all', 'mirror', 'none', got "
SINGULAR = torch.stack([torch.eye(2, 3), torch.ones(2, 3)])
WRONG = [
    (lambda: AffineLimits(angle=181), ValueError, "limits.angle must be in .0, 180. degrees, got 181"),
    (lambda: AffineLimits(scale=0.9), ValueError, "limits.scale"),
    (lambda: AffineLimits(shear=90), ValueError, "limits.shear"),
    (lambda: AffineLimits(translate=-0.1), ValueError, "limits.translate"),
    (lambda: AffineLimits(symmetries=True), TypeError, rf"limits\.symmetries must be {WORDS}bool"),
    (lambda: AffineLimits(symmetries="flip"), ValueError, rf"limits\.symmetries must be one of {WORDS}'flip'"),
    (lambda: read(torch.eye(3), 8, 8), ValueError, r"\(B, 2, 3\)"),
    (lambda: read("...", 8, 8), TypeError, r"matrix must be a tensor of shape \(B, 2, 3\) or \(B, 3, 3\), got str"),
    (lambda: read(SINGULAR, 8, 8), ValueError, "matrix must be invertible, got a determinant of 0 for image 1"),
    *(
        (lambda one=one: of_code(one, 1), ValueError, f"code must be one of 0, 1, .*, 7, got {one}")
        for one in (-1, 8, 9)
    ),
]


@pytest.mark.parametrize(("make", "error", "named"), WRONG)
def test_limits_matrices_and_symmetries_that_are_none_are_named(make, error, named):
    with pytest.raises(error, match=named):
        make()


FIELDS = dict(zip((*NAMES, "mirror", "quarter_turns"), AffineParameters.identity(2).leaves(), strict=True))
MIRROR, TURNS = r"a bool tensor of shape \(B,\), got ", r"an integer tensor of shape \(B,\), got "


@pytest.mark.parametrize(
    ("name", "value", "error", "said"),
    [
        ("scale_x", 1.0, TypeError, r"a tensor of shape \(B,\), got float"),
        ("shear", torch.tensor(1.0), ValueError, r"\(2,\) of angle, got \(\)"),
        ("translate_y", torch.ones(3), ValueError, r"\(2,\) of angle, got \(3,\)"),
        ("mirror", torch.tensor([1, 0]), TypeError, MIRROR + r"torch\.int64"),
        ("mirror", torch.tensor([True]), ValueError, r"\(2,\) of angle, got \(1,\)"),
        ("quarter_turns", torch.zeros(2), TypeError, TURNS + r"torch\.float32"),
        ("quarter_turns", torch.zeros(2) > 0, TypeError, TURNS + r"torch\.bool"),
        ("quarter_turns", torch.tensor([0, 4]), ValueError, "0, 1, 2 or 3, got 4"),
        ("quarter_turns", torch.tensor([-1, 0]), ValueError, "0, 1, 2 or 3, got -1"),
    ],
)
def test_fields_of_another_kind_length_or_value_are_named(name, value, error, said):
    with pytest.raises(error, match=rf"^{name} must .*{said}$"):
        AffineParameters(**{**FIELDS, name: value})


def test_whole_numbers_are_numbers():
    """Given as integers, they are those of floats: an inverse in integers was none."""
    zero, one, angle = torch.zeros(2), torch.ones(2), torch.tensor([90, -10])
    whole = AffineParameters(angle, 2 * one.int(), one.int(), zero.int(), zero, zero)
    floating = AffineParameters(angle.float(), 2 * one, one, zero, zero, zero)
    assert torch.equal(whole.inverse().stacked(), floating.inverse().stacked())
    matrix = floating.matrix(4, 4)[:1].round()
    read, expected = (AffineParameters.from_matrix(one_, 4, 4) for one_ in (matrix.long(), matrix))
    assert torch.equal(read.stacked(), expected.stacked())
    assert len(whole[np.int64(1)]) == 1 and float(whole[np.int64(1)].angle) == -10
