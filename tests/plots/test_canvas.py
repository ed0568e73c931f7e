"""What holds for every picture: no text overlaps, nothing else is touched, no strength moves nothing."""

import itertools
import math

import pytest
import torch

from learned_affine import plots
from tests.fits import loader, quick
from tests.subjects import blobs, symmetric, vivid

IMAGES, LABELS = blobs(6)


def pictures():
    images, labels = blobs(40, classes=10)
    yield plots.plot_before_after(vivid(), images[:10])
    yield plots.plot_policies({"as learned": vivid(), "too strong": vivid()}, images[:8])
    yield plots.plot_parameters(vivid(), images, labels, names=[f"class {number}" for number in range(10)])
    for count in (1, 10, 24):
        yield plots.plot_symmetries(symmetric(), blobs(count)[0], names=["a long name of a class"] * count)
    yield quick(val_loader=loader()).history.plot()


def texts_of(axis):
    """The texts of an axis that are drawn; matplotlib keeps tick labels beyond its limits, too."""
    ticks = []
    for side in (axis.xaxis, axis.yaxis):
        low, high = sorted(side.get_view_interval())
        ticks += [tick.label1 for tick in side.get_major_ticks() if low <= tick.get_loc() <= high]
    legend = axis.get_legend().get_texts() if axis.get_legend() else []
    found = [axis.title, axis.xaxis.label, axis.yaxis.label, *axis.texts, *legend, *ticks]
    return [text for text in found if text.get_visible() and text.get_text().strip()]


def test_no_text_overlaps_and_the_size_fits_a_page():
    for figure in pictures():
        figure.canvas.draw()
        boxes = [(text.get_text(), text.get_window_extent()) for axis in figure.axes for text in texts_of(axis)]
        for (one, a), (two, b) in itertools.combinations(boxes, 2):
            gap_x = max(a.x0, b.x0) - min(a.x1, b.x1)
            gap_y = max(a.y0, b.y0) - min(a.y1, b.y1)
            assert max(gap_x, gap_y) > -1, f"{one!r} overlaps {two!r}"
        assert figure.get_figwidth() <= 12 and math.prod(figure.get_size_inches()) < 100
        assert figure.get_facecolor() == (1.0, 1.0, 1.0, 1.0)


@pytest.mark.parametrize("plot", [plots.plot_parameters, plots.plot_symmetries])
def test_labels_may_be_of_any_kind_and_names_must_suffice(plot):
    """A negative label is none: it has neither a row nor the name of the last class."""
    given = LABELS.where(torch.arange(6) > 1, -1)
    expected = rows_of(plot(vivid(), IMAGES, given, names=["$a", "b$"]))
    assert expected == ["$a", "b$"]
    for labels in (given.tolist(), given.numpy(), given.to(torch.int16)):
        assert rows_of(plot(vivid(), IMAGES, labels, names=["$a", "b$"])) == expected
    for wrong in (LABELS.float(), LABELS[:5], "labels", torch.rand(6, 2)):
        with pytest.raises(ValueError, match=r"labels must be class indices of shape \(6,\), one per image, got"):
            plot(vivid(), IMAGES, wrong)
    with pytest.raises(ValueError, match="names must have one for each class, at least 2, got 1"):
        plot(vivid(), IMAGES, LABELS, names=["a"])


def rows_of(figure):
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def test_dollars_are_no_maths(tmp_path):
    names = ["5 $ to 9 $", r"$\broken$"]
    for figure in (
        plots.plot_parameters(vivid(), IMAGES, LABELS, names=names),
        plots.plot_symmetries(vivid(), IMAGES, LABELS, names),
        plots.plot_summary(vivid(), [(IMAGES, LABELS)], names),
        plots.plot_policies({"5 $ to 9 $": vivid(), r"$\broken$": vivid()}, IMAGES),
    ):
        figure.savefig(tmp_path / "a.svg")
        dollars = [text for axis in figure.axes for text in texts_of(axis) if "$" in text.get_text()]
        assert len(dollars) >= 2 and not any(text.get_parse_math() for text in dollars)


def test_pictures_leave_randomness_alone():
    augment = vivid(generator=torch.Generator().manual_seed(4))
    own, state = augment.generator, torch.get_rng_state()
    before = own.get_state()
    plots.plot_before_after(augment, IMAGES)
    plots.plot_parameters(augment, IMAGES, LABELS)
    plots.plot_symmetries(augment, IMAGES)
    assert torch.equal(torch.get_rng_state(), state)
    assert augment.generator is own and torch.equal(own.get_state(), before)


def test_without_strength_nothing_moves():
    still = vivid(strength=0.0)
    bars = [axis.collections[-1].get_segments() for axis in plots.plot_parameters(still, IMAGES, LABELS).axes]
    assert [float(segments[0][0][0]) for segments in bars] == pytest.approx([0, 1, 1, 0, 0, 0], abs=1e-6)


@pytest.mark.parametrize("name", ["", "epoch0.5", "page"])
def test_a_path_that_is_no_picture_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"path must be a file that ends in \.png, \.svg or \.pdf, got "):
        plots.plot_symmetries(vivid(), torch.rand(1, 3, 8, 8), path=tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_an_image_with_an_alpha_is_drawn_on_a_plain_ground():
    """As the network sees it: black icons on nothing were black squares."""
    icon = torch.zeros(1, 4, 16, 16)
    icon[:, 3, 4:8, 4:8] = 1
    sheet = plots.plot_symmetries(vivid(), icon).axes[0].images[0].get_array()
    assert float(sheet[:16, :16].min()) == 0 and float(sheet[:16, :16].max()) == 1
