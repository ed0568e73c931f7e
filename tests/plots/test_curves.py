"""The curves of a fit are the numbers of its history, and the parameters of a policy have one row per class."""

import pytest
import torch

from learned_affine import FitHistory, plots
from tests.fits import loader, quick
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
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["left", "right"]
    assert len(figure.axes) == 6


def test_labels_of_other_images_or_too_many_classes_say_what_to_do():
    match = r"labels must be of 1 to 20 classes, got 43: choose some, .*images\[some\], labels\[some\]"
    with pytest.raises(ValueError, match=match):
        plots.plot_parameters(vivid(), IMAGES[:1].expand(43, -1, -1, -1), torch.arange(43))
