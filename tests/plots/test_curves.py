"""The curves of a fit are the numbers of its history, and the parameters of a policy have one row per class."""

import pytest

from learned_affine import FitHistory, plots
from tests.fits import loader, quick
from tests.plots.test_canvas import row_titles
from tests.subjects import blobs, vivid

IMAGES, LABELS = blobs(6)


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


def test_histograms_have_a_row_a_class_by_name():
    figure = plots.plot_parameters(vivid(), IMAGES, LABELS, names=["left", "right"])
    assert row_titles(figure)[:2] == ["left", "right"] and len(figure.axes) == 6
