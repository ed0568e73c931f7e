"""Pictures show what they claim, whatever the images are, and leave everything else as it was."""

import itertools
import math

import numpy as np
import pytest
import torch

from learned_affine import FitHistory, plots
from learned_affine.geometry import warp_points
from tests.subjects import Halves, blobs, vivid
from tests.test_fitting import loader, quick

IMAGES, LABELS = blobs(6)
CORNERS = torch.tensor([[0.0, 0.0], [16.0, 0.0], [16.0, 16.0], [0.0, 16.0]])


@pytest.fixture(scope="module")
def history():
    return quick(val_loader=loader()).history


def seeded(augment, draws, seed=0):
    """What an augmenter with its own generator draws."""
    augment.generator = torch.Generator().manual_seed(seed)
    return [augment.sample_parameters(IMAGES) for _ in range(draws)]


@pytest.mark.parametrize(
    "images",
    [IMAGES, IMAGES.expand(-1, 3, -1, -1), (IMAGES * 255).to(torch.uint8), IMAGES[..., :9], 5 - 9 * IMAGES],
    ids=["grey", "rgb", "uint8", "tall", "normalised"],
)
def test_before_after_captions_every_image(images, tmp_path):
    figure = plots.plot_before_after(vivid(), images, tmp_path / "a.png")
    captions = [axis.get_xlabel() for axis in figure.axes[6:]]
    assert (tmp_path / "a.png").stat().st_size > 1000
    assert len(captions) == 6 and all("turn" in caption and "shift" in caption for caption in captions)


def test_before_after_shows_the_warp_of_the_captioned_parameters():
    parameters = seeded(vivid(), 1, seed=3)[0]
    figure = plots.plot_before_after(vivid(), IMAGES, seed=3)
    shown = torch.stack([torch.tensor(axis.images[0].get_array()[..., 0]) for axis in figure.axes])
    limits = float(IMAGES.min()), float(IMAGES.max())
    expected = torch.cat([IMAGES, vivid().warp(IMAGES, parameters)])[:, 0]
    torch.testing.assert_close(shown, (expected - limits[0]) / (limits[1] - limits[0]), atol=1e-5, rtol=0)
    assert [axis.get_xlabel() for axis in figure.axes[6:]] == [plots.caption_lines(parameters, i) for i in range(6)]


def test_fan_outlines_are_the_moved_corners():
    drawn = seeded(vivid(), 3)
    figure = plots.plot_fan(vivid(), IMAGES, draws=3)
    for column, axis in enumerate(figure.axes):
        for one, line in zip(drawn, axis.lines, strict=True):
            expected = warp_points(CORNERS, one.matrix(16, 16)[column])
            points = torch.tensor(line.get_xydata())
            torch.testing.assert_close(points[:4], expected, atol=1e-4, rtol=0)
            torch.testing.assert_close(points[4], points[0])


def test_quiver_arrows_lead_to_the_mean_of_the_dots():
    figure = plots.plot_quiver(vivid(), IMAGES, draws=8)
    for axis in figure.axes:
        dots = torch.tensor(axis.lines[0].get_xydata()).reshape(8, 4, 2)
        arrows = axis.collections[0]
        ends = CORNERS + torch.stack([torch.tensor(arrows.U), torch.tensor(arrows.V)], 1)
        torch.testing.assert_close(ends.double(), dots.mean(0).double(), atol=1e-4, rtol=0)


def test_without_strength_nothing_moves():
    still = vivid(strength=0.0)
    quiver = plots.plot_quiver(still, IMAGES).axes[0].collections[0]
    assert [*quiver.U, *quiver.V] == pytest.approx([0] * 8, abs=1e-5)
    same, other = plots.plot_entropy(still, Halves(), IMAGES, draws=2).axes[0].lines[:2]
    assert len(same.get_xdata()) == 12 and len(other.get_xdata()) == 0
    assert max(same.get_xdata()) < 1e-4
    bars = [axis.collections[-1].get_segments() for axis in plots.plot_parameters(still, IMAGES, LABELS).axes]
    assert [float(segments[0][0][0]) for segments in bars] == pytest.approx([0, 1, 1, 0, 0, 0], abs=1e-6)


def test_entropy_is_that_of_the_classifier_on_the_warped_images():
    augment, classifier = vivid(), Halves().train()
    logits = classifier(augment.warp(IMAGES, seeded(vivid(), 1)[0]))
    p = logits.softmax(-1).detach()
    bits = -(p * p.log2()).sum(-1)
    lines = plots.plot_entropy(augment, classifier, IMAGES, draws=1).axes[0].lines[:2]
    drawn = [y for line in lines for y in line.get_ydata().tolist()]
    assert sorted(drawn) == pytest.approx(sorted(bits.tolist()), abs=1e-4)
    assert classifier.training and classifier.sharpness.requires_grad


def test_policies_stand_in_rows_under_the_originals():
    figure = plots.plot_policies({"weak": vivid(strength=0.0), "strong": vivid()}, IMAGES, draws=2)
    rows = [figure.axes[start : start + 6] for start in range(0, 30, 6)]
    assert [row[0].get_ylabel() for row in rows] == ["before", "weak", "", "strong", ""]
    first, weak, strong = (torch.tensor(row[0].images[0].get_array()) for row in (rows[0], rows[1], rows[3]))
    assert torch.allclose(first, weak, atol=1e-4) and not torch.allclose(first, strong, atol=0.1)


def test_histograms_have_a_row_a_class_by_name():
    figure = plots.plot_parameters(vivid(), IMAGES, LABELS, names=["left", "right"])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["left", "right"]
    assert len(figure.axes) == 6


def test_curves_are_the_histories_numbers(history):
    losses, output, moved, _ = history.plot().axes
    assert list(losses.lines[0].get_ydata()) == history["loss"]
    assert output.lines[-1].get_ydata()[0] == history.info["target"]
    assert list(moved.lines[0].get_ydata()) == pytest.approx([100 * value for value in history["displacement"]])


def test_an_empty_history_is_an_empty_picture(tmp_path):
    FitHistory().plot(tmp_path / "h.png")
    assert (tmp_path / "h.png").stat().st_size > 1000


def pictures(history):
    images, labels = blobs(40, classes=10)
    yield plots.plot_before_after(vivid(), images[:10])
    yield plots.plot_policies({"as learned": vivid(), "too strong": vivid()}, images[:8])
    yield plots.plot_fan(vivid(), images[:6])
    yield plots.plot_quiver(vivid(), images[:6])
    yield plots.plot_parameters(vivid(), images, labels, names=[f"class {number}" for number in range(10)])
    yield plots.plot_entropy(vivid(), Halves(), images)
    yield history.plot()


def texts_of(axis):
    """The texts of an axis that are drawn; matplotlib keeps tick labels beyond its limits, too."""
    ticks = []
    for side in (axis.xaxis, axis.yaxis):
        low, high = sorted(side.get_view_interval())
        ticks += [tick.label1 for tick in side.get_major_ticks() if low <= tick.get_loc() <= high]
    legend = axis.get_legend().get_texts() if axis.get_legend() else []
    found = [axis.title, axis.xaxis.label, axis.yaxis.label, *axis.texts, *legend, *ticks]
    return [text for text in found if text.get_visible() and text.get_text().strip()]


def test_no_text_overlaps_and_the_size_fits_a_page(history):
    for figure in pictures(history):
        figure.canvas.draw()
        boxes = [(text.get_text(), text.get_window_extent()) for axis in figure.axes for text in texts_of(axis)]
        for (one, a), (two, b) in itertools.combinations(boxes, 2):
            gap_x = max(a.x0, b.x0) - min(a.x1, b.x1)
            gap_y = max(a.y0, b.y0) - min(a.y1, b.y1)
            assert max(gap_x, gap_y) > -1, f"{one!r} overlaps {two!r}"
        assert figure.get_figwidth() <= 12 and math.prod(figure.get_size_inches()) < 100
        assert figure.get_facecolor() == (1.0, 1.0, 1.0, 1.0)


def test_pictures_leave_randomness_alone(history):
    augment = vivid(generator=torch.Generator().manual_seed(4))
    own, state = augment.generator, torch.get_rng_state()
    before = own.get_state()
    plots.plot_before_after(augment, IMAGES)
    plots.plot_entropy(augment, Halves(), IMAGES)
    assert torch.equal(torch.get_rng_state(), state)
    assert augment.generator is own and torch.equal(own.get_state(), before)


@pytest.mark.parametrize("plot", [plots.plot_before_after, plots.plot_fan, plots.plot_quiver])
def test_the_number_of_images_must_fit(plot):
    with pytest.raises(ValueError, match="images must be 1 to 16 to fit a picture, got 17"):
        plot(vivid(), torch.rand(17, 1, 8, 8))
    with pytest.raises(ValueError, match="got 0"):
        plot(vivid(), torch.rand(0, 1, 8, 8))
    with pytest.raises(TypeError, match="images must be a tensor"):
        plot(vivid(), [IMAGES])


def test_bad_labels_and_draws_are_refused():
    with pytest.raises(ValueError, match="labels must be those of 6 images in 1 to 20 classes, got 5"):
        plots.plot_parameters(vivid(), IMAGES, LABELS[:5])
    with pytest.raises(ValueError, match="draws must be at least 1, got 0"):
        plots.plot_fan(vivid(), IMAGES, draws=0)


def test_nan_is_drawn_black_and_infinity_white():
    images = IMAGES.clone()
    images[0, 0, 0, 0], images[1, 0, 3, 3] = float("nan"), float("inf")
    figure = plots.plot_before_after(vivid(), images)
    figure.canvas.draw()
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert all(np.isfinite(picture).all() for picture in shown)
    assert (shown[0][0, 0] == 0).all() and (shown[1][3, 3] == 1).all()
