"""The dual variable by hand: it grows above the target, falls below, and stays within its range."""

import math

import pytest

from learned_affine.objectives.constraint import RANGE, START, Constraint, relative_error


def constraint(**changes) -> Constraint:
    return Constraint(**{"target": 1.0, "rate": 0.1, "log_dual": 0.0, **changes})


@pytest.mark.parametrize(
    ("start", "measured", "end"),
    [
        (0.0, 1.5, 0.05),
        (0.0, 0.5, -0.05),
        (0.0, 99.0, 0.1),  # an error counts up to the whole target
        (0.0, 1.0, 0.0),
        (math.log(1e4), 99.0, math.log(1e4)),
        (math.log(1e-4), 0.0, math.log(1e-4)),
    ],
)
def test_dual_grows_above_the_target_and_falls_below(start, measured, end):
    held = constraint(log_dual=start)
    held.update(measured)
    assert held.log_dual == pytest.approx(end)
    assert held.dual == pytest.approx(math.exp(end))


def test_it_starts_high_and_stays_within_its_range():
    assert Constraint(1.0, 0.1).dual == pytest.approx(START)
    held = constraint(rate=3.0)
    for measured, end in ((2.0, RANGE[1]), (0.0, RANGE[0])):
        for _ in range(20):
            held.update(measured)
        assert held.log_dual == end


def test_a_batchs_own_error_weighs_at_once():
    held = constraint()
    weights = [held.weight(measured) for measured in (0.5, 1.0, 1.5)]
    assert weights == pytest.approx([math.exp(error) for error in (-0.5, 0.0, 0.5)])
    assert held.log_dual == 0, "a weight is no step"


@pytest.mark.parametrize(
    ("measured", "target", "error"), [(1.2, 1.0, 0.2), (0.4, 0.5, -0.2), (9.0, 1.0, 1.0), (0.0, 1.0, -1.0), (1, 0, 1)]
)
def test_the_error_is_a_share_of_the_target(measured, target, error):
    assert relative_error(measured, target) == pytest.approx(error)
