"""The alarm on symmetries compares with the budget, but not below what costs are known to."""

import pytest

from learned_affine import FitHistory
from learned_affine.diagnostics.checks import check_fit

GOOD = {"displacement": 0.1, "visible_area": 0.9, "agreement": 0.9, "kl": 5.0, "symmetry_kl": 0.5, "cost": 0.0}


@pytest.mark.parametrize(
    ("harm", "budget", "found"),
    [(0.3, 0.2, ["symmetry"]), (0.1, 0.2, []), (0.004, 0.001, []), (0.1, 0.001, ["symmetry"])],
)
def test_a_harm_beyond_the_budget_is_named_where_it_is_more_than_noise(harm, budget, found):
    row = {"class": 1, "chance": [0.9, 0.1], "harm": [0.0, harm]}
    history = FitHistory(info={"chance": 0.1, "classes_moved": [row]})
    history.add(**GOOD, symmetry_chance=0.1, budget=budget, between_image_variance=0.1)
    assert [one.kind for one in check_fit(history, False)] == found
