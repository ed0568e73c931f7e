"""Checks of what users hand in: each error names the argument, the rule and what came."""

import math
import warnings

import numpy as np
import pytest
import torch

from learned_affine import FitConfig, LearnedAffineAugment
from learned_affine._checks import check_batch, check_choice, check_range, explain_keywords, shown, warn_caller
from tests.subjects import Halves, blobs


@pytest.mark.parametrize(("value", "found"), [(0, 0.0), (1, 1.0), (0.5, 0.5)])
def test_a_number_in_its_range_is_a_float(value, found):
    assert check_range("p", value, 0, 1) == found and type(check_range("p", value, 0, 1)) is float


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (2, ValueError, "p must be in [0, 1], got 2"),
        (math.nan, ValueError, "p must be in [0, 1], got nan"),
        (True, TypeError, "p must be a number, got bool: True"),
        ("1", TypeError, "p must be a number, got str: '1'"),
        (None, TypeError, "p must be a number, got NoneType: None"),
    ],
)
def test_another_value_is_named(value, error, text):
    with pytest.raises(error) as caught:
        check_range("p", value, 0, 1)
    assert str(caught.value) == text


def test_a_rule_of_its_own_is_told():
    with pytest.raises(ValueError, match=r"^rate must be positive, got -1$"):
        check_range("rate", -1, 0, 9, "positive")


def test_a_choice_is_one_of_a_few():
    assert check_choice("mode", "a", ("a", "b")) == "a"
    with pytest.raises(ValueError, match=r"^mode must be one of 'a', 'b', got 3$"):
        check_choice("mode", 3, ("a", "b"))


@pytest.mark.parametrize(
    ("images", "error", "text"),
    [
        ([1], TypeError, "images must be a tensor of shape (B, C, H, W), got list"),
        (
            torch.rand(3, 8, 8),
            ValueError,
            "images must have the shape (B, C, H, W) with sides of at least 1, got (3, 8, 8)",
        ),
        (torch.rand(1, 3, 0, 8), ValueError, "images must have the shape (B, C, H, W) with sides of at least 1, got"),
    ],
)
def test_no_batch_is_named(images, error, text):
    with pytest.raises(error) as caught:
        check_batch("images", images)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (torch.zeros(2, 3), "Tensor of shape (2, 3)"),
        (np.zeros(4), "ndarray of shape (4,)"),
        ([1], "list"),
        (None, "NoneType"),
    ],
)
def test_what_came_is_shown_in_short(value, text):
    assert shown(value) == text


# -- where a warning points -------------------------------------------------------------------------------------------


def warned(give) -> list[warnings.WarningMessage]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        give()
    return found


def line_of(function) -> int:
    """The only line of a lambda."""
    return function.__code__.co_firstlineno


def test_a_warning_points_at_the_line_outside_the_package():
    images, labels = blobs(8)
    options = {"config": FitConfig(rounds=1, images=10), "progress": False}
    for fit in (LearnedAffineAugment.fit, LearnedAffineAugment().fit):
        call = lambda fit=fit: fit(Halves(), [(images, labels)], **options)  # noqa: E731
        found = [one for one in warned(call) if "the target is a guess" in str(one.message)]
        assert [(one.filename, one.lineno) for one in found] == [(__file__, line_of(call))]


def test_a_warning_given_outside_the_package_points_at_itself():
    call = lambda: warn_caller(UserWarning("here"))  # noqa: E731
    assert [(one.filename, one.lineno) for one in warned(call)] == [(__file__, line_of(call))]


# -- keywords ---------------------------------------------------------------------------------------------------------


def test_a_function_that_explains_its_keywords_is_otherwise_itself():
    @explain_keywords("paint")
    def paint(wall: str, *, colour: str = "white", coats: int = 2) -> tuple[str, str, int]:
        """Paint a wall."""
        return wall, colour, coats

    assert paint("north", coats=1) == paint(wall="north", coats=1) == ("north", "white", 1)
    assert (paint.__name__, paint.__doc__) == ("paint", "Paint a wall.")
    with pytest.raises(TypeError, match=r"^paint takes no keyword 'color': did you mean 'colour'\?$"):
        paint("north", color="red")
    with pytest.raises(TypeError, match=r"^paint takes no keyword 'x': it takes colour, coats$"):
        paint("north", x=1)
    with pytest.raises(TypeError, match=r"^colour must be given by its name: paint\(wall, colour=\.\.\.\)$"):
        paint("north", "red")
