"""The curves of a fit are the numbers of its history."""

import pytest

from learned_affine import FitHistory, LearnedAffineAugment, plots
from tests.fits import loader, quick


def test_curves_are_the_histories_numbers():
    history = quick(val_loader=loader()).history
    costs, _, moved, _ = history.plot().axes
    rounds = list(range(1, history.rounds + 1))
    assert list(costs.lines[0].get_ydata()) == history["cost"] and list(costs.lines[0].get_xdata()) == rounds
    assert list(costs.lines[1].get_ydata()) == history["budget"]
    assert list(moved.lines[0].get_ydata()) == pytest.approx([100 * value for value in history["displacement"]])


def test_an_empty_history_is_an_empty_picture(tmp_path):
    FitHistory().plot(tmp_path / "h.png")
    assert (tmp_path / "h.png").stat().st_size > 1000


def test_the_history_of_no_fit_is_refused():
    with pytest.raises(TypeError, match="history must be that of a fitted augmenter, a FitHistory, got NoneType"):
        plots.plot_history(LearnedAffineAugment().history)
