"""A picture of many images: the parameters of each class."""

import pytest
import torch

from learned_affine import plots
from tests.subjects import blobs, vivid

IMAGES, LABELS = blobs(6)


def test_histograms_have_a_row_a_class_by_name():
    figure = plots.plot_parameters(vivid(), IMAGES, LABELS, names=["left", "right"])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["left", "right"]
    assert len(figure.axes) == 6


def test_bad_labels_are_refused():
    with pytest.raises(ValueError, match="labels must be those of 6 images in 1 to 20 classes, got 5"):
        plots.plot_parameters(vivid(), IMAGES, LABELS[:5])


def test_more_classes_than_fit_a_picture_say_what_to_do():
    images = IMAGES[:1].expand(43, -1, -1, -1)
    with pytest.raises(
        ValueError, match=r"in 1 to 20 classes, got 43 in 43: choose some, .*images\[some\], labels\[some\]"
    ):
        plots.plot_parameters(vivid(), images, torch.arange(43))
