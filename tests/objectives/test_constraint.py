"""The dual variable by hand: where it starts, that it grows above the target, falls below, and keeps to its range."""

import math

import pytest

from learned_affine.objectives.constraint import LEAST, Constraint, relative_error


def constraint(start: float = 0.0, **changes) -> Constraint:
    """One whose dual variable has this logarithm, and may grow to 90."""
    held = Constraint(**{"target": 1.0, "rate": 0.1, "budget": 0.1, **changes})
    held.log_dual = start
    return held


# -- where it starts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "start"),
    [
        (None, 10.0),  # not known
        (0.3, 10.0),
        (0.03, 100.0),
        (3.0, 1.0),
        (30.0, 1.0),  # at least 1
        (0.003, 1000.0),
        (1e-5, 1000.0),  # at most 1000
        (0.0, 1000.0),
    ],
)
def test_it_starts_at_three_over_the_budget_and_ends_at_three_times_that(budget, start):
    held = Constraint(1.0, 0.1, budget)
    assert held.dual == pytest.approx(start)
    for _ in range(100):
        held.update(99.0)
    assert held.dual == pytest.approx(3 * start)


def test_it_starts_where_a_cost_that_is_quadratic_in_six_widths_ends():
    """Six numbers of variance ``v`` cost ``6 a v`` and are worth ``3 log v``: the best v is 1 / (2 a dual)."""
    budget, slope = 0.2, 7.0
    dual = Constraint(1.0, 0.1, budget).dual
    variances = [n * 1e-5 for n in range(1, 20_000)]
    best = min(variances, key=lambda v: dual * 6 * slope * v - 3 * math.log(v))
    assert 6 * slope * best == pytest.approx(budget, rel=1e-2)


# -- how it moves -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "measured", "end"),
    [
        (0.0, 1.5, 0.05),
        (0.0, 0.5, -0.05),
        (0.0, 99.0, 0.1),  # an error counts up to the whole target
        (0.0, 1.0, 0.0),
        (math.log(90), 99.0, math.log(90)),
        (math.log(1e-4), 0.0, math.log(1e-4)),
    ],
)
def test_dual_grows_above_the_target_and_falls_below(start, measured, end):
    held = constraint(start)
    held.update(measured)
    assert held.log_dual == pytest.approx(end)
    assert held.dual == pytest.approx(math.exp(end))


def test_it_stays_within_its_range():
    held = constraint(rate=3.0)
    for measured, end in ((2.0, math.log(90)), (0.0, LEAST)):
        for _ in range(20):
            held.update(measured)
        assert held.log_dual == pytest.approx(end)
    assert math.exp(LEAST) == pytest.approx(1e-4)


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
