"""Early stopping: once no measure moves from one stretch of steps to the next."""

import pytest

from learned_affine import FitConfig
from learned_affine.runtime.early_stopping import KEYS, TOLERANCE, EarlyStopping
from tests.fits import loader, quick, same_weights

STILL = {"target": 0.3, "steps": 200, "learning_rate": 1e-9, "dual_rate": 0.0}


def count_steps(stopping: EarlyStopping, values) -> int | None:
    """The step after which it stops; None if it does not."""
    for step, value in enumerate(values, 1):
        if stopping.update(dict.fromkeys(KEYS, value)):
            return step
    return None


@pytest.mark.parametrize(
    ("patience", "values", "step"),
    [
        (None, [1.0] * 50, None),
        (5, [1.0] * 50, 10),  # two stretches are alike
        (5, [1.0] * 5 + [2.0] * 45, 15),  # the step from 1 to 2 counts once
        (5, [1.02**step for step in range(50)], None),  # a tenth a stretch
        (5, [1.0, 2.0] * 25, None),  # means of five: 1.4 after 1.6 after 1.4
        (10, [1.0, 2.0] * 25, 20),
    ],
)
def test_means_of_successive_stretches_are_compared(patience, values, step):
    assert count_steps(EarlyStopping(patience), values) == step


@pytest.mark.parametrize(("change", "stops"), [(0.9 * TOLERANCE, True), (1.1 * TOLERANCE, False)])
def test_a_change_counts_beyond_the_tolerance_of_the_larger_mean(change, stops):
    assert (count_steps(EarlyStopping(3), [1.0] * 3 + [1 - change] * 3) == 6) == stops


def test_it_goes_on_from_its_state():
    values = [1.0] * 20
    whole, first, second = EarlyStopping(6), EarlyStopping(6), EarlyStopping(6)
    count_steps(first, values[:8])
    second.load_state(first.state())
    assert count_steps(whole, values) == 8 + count_steps(second, values[8:])


# -- in a fit ---------------------------------------------------------------------------------------------------------


def stopped(**changes):
    """The steps of a fit whose rates are so low that nothing moves."""
    return quick(config=FitConfig(**{**STILL, **changes}), data=loader(64), max_steps=None).history.info


def test_early_stopping_once_nothing_moves():
    info = stopped(patience=40)
    assert info["at_rest"] and 80 <= info["steps"] < 200 and info["steps"] % 40 == 0


def test_early_stopping_is_off_by_default_and_waits_while_things_move():
    assert FitConfig().patience is None and stopped(steps=90)["steps"] == 90
    info = stopped(patience=10, dual_rate=0.01, target=5.0, steps=60)  # the dual variable falls all the time
    assert info["steps"] == 60 and "at_rest" not in info


def test_a_fit_that_stopped_early_is_not_taken_up_again(tmp_path):
    options = {"config": FitConfig(**STILL, patience=40), "data": loader(64), "checkpoint": tmp_path, "max_steps": None}
    first, again = quick(**options), quick(**options, resume=True)
    assert first.history.info["steps"] == again.history.info["steps"] < 200
    assert same_weights(first, again)
