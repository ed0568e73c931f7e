"""Pictures of many images: entropy against displacement, and the parameters of each class."""

import pytest
import torch

from learned_affine import plots
from tests.plots.seeded import seeded
from tests.subjects import Halves, blobs, symmetric, vivid

IMAGES, LABELS = blobs(6)


def test_entropy_is_that_of_the_classifier_on_the_warped_images():
    augment, classifier = symmetric(), Halves().train()
    logits = classifier(augment.warp(IMAGES, seeded(augment, IMAGES, 1)[0]))
    p = logits.softmax(-1).detach()
    bits = -(p * p.log2()).sum(-1)
    lines = plots.plot_entropy(augment, classifier, IMAGES, draws=1).axes[0].lines[:2]
    drawn = [y for line in lines for y in line.get_ydata().tolist()]
    assert sorted(drawn) == pytest.approx(sorted(bits.tolist()), abs=1e-4)
    one = seeded(augment, IMAGES, 1)[0]
    moved = 100 * one.without_symmetry().displacement()
    places = [x for line in lines for x in line.get_xdata().tolist()]
    assert bool(one.codes().any()) and sorted(places) == pytest.approx(sorted(moved.tolist()), abs=1e-4)


def test_histograms_have_a_row_a_class_by_name():
    figure = plots.plot_parameters(vivid(), IMAGES, LABELS, names=["left", "right"])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["left", "right"]
    assert len(figure.axes) == 6


@pytest.mark.parametrize(
    ("images", "classes", "said"),
    [
        (6, 5, "those of 6 images in 1 to 20 classes, got 5 in"),
        (43, 43, r"got 43 in 43: choose some, .*images\[some\]"),
    ],
)
def test_labels_that_do_not_fit_a_picture_are_named(images, classes, said):
    with pytest.raises(ValueError, match=said):
        plots.plot_parameters(vivid(), IMAGES[:1].expand(images, -1, -1, -1), torch.arange(classes))
