"""Pictures of single images show what a policy makes of them, whatever the images are."""

import numpy as np
import pytest
import torch

from learned_affine import plots
from learned_affine.geometry.coordinates import warp_points
from tests.plots.seeded import seeded
from tests.subjects import blobs, symmetric, vivid

IMAGES, LABELS = blobs(6)
CORNERS = torch.tensor([[0.0, 0.0], [16.0, 0.0], [16.0, 16.0], [0.0, 16.0]])


@pytest.mark.parametrize(
    "images",
    [IMAGES, IMAGES.expand(-1, 3, -1, -1), (IMAGES * 255).to(torch.uint8), IMAGES[..., :9], 5 - 9 * IMAGES],
    ids=["grey", "rgb", "uint8", "tall", "normalised"],
)
def test_before_after_captions_every_image(images, tmp_path):
    figure = plots.plot_before_after(vivid(), images, tmp_path / "a.png")
    captions = [axis.get_xlabel() for axis in figure.axes[6:]]
    assert (tmp_path / "a.png").stat().st_size > 1000
    assert len(captions) == 6 and all("rotation" in caption and "shift" in caption for caption in captions)


def test_before_after_shows_the_warp_of_the_captioned_parameters():
    parameters = seeded(vivid(), IMAGES, 1, seed=3)[0]
    figure = plots.plot_before_after(vivid(), IMAGES, seed=3)
    shown = torch.stack([torch.tensor(axis.images[0].get_array()[..., 0]) for axis in figure.axes])
    limits = float(IMAGES.min()), float(IMAGES.max())
    expected = torch.cat([IMAGES, vivid().warp(IMAGES, parameters)])[:, 0]
    torch.testing.assert_close(shown, (expected - limits[0]) / (limits[1] - limits[0]), atol=1e-5, rtol=0)
    assert [axis.get_xlabel() for axis in figure.axes[6:]] == [plots.caption_lines(parameters, i) for i in range(6)]


def test_fan_outlines_are_the_moved_corners():
    drawn = seeded(vivid(), IMAGES, 3)
    figure = plots.plot_fan(vivid(), IMAGES, draws=3)
    for column, axis in enumerate(figure.axes):
        for one, line in zip(drawn, axis.lines, strict=True):
            expected = warp_points(CORNERS, one.matrix(16, 16)[column])
            points = torch.tensor(line.get_xydata())
            torch.testing.assert_close(points[:4], expected, atol=1e-4, rtol=0)
            torch.testing.assert_close(points[4], points[0])


def test_quiver_does_not_take_a_symmetry_for_a_movement():
    augment = symmetric()
    drawn = seeded(augment, IMAGES, 8)
    assert any(bool(one.codes().any()) for one in drawn)
    figure = plots.plot_quiver(augment, IMAGES, draws=8)
    for column, axis in enumerate(figure.axes):
        dots = torch.tensor(axis.lines[0].get_xydata()).reshape(8, 4, 2)
        for one, moved in zip(drawn, dots, strict=True):
            expected = warp_points(CORNERS, one.without_symmetry().matrix(16, 16)[column])
            torch.testing.assert_close(moved, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("plot", [plots.plot_before_after, plots.plot_fan, plots.plot_quiver])
def test_the_number_of_images_must_fit(plot):
    with pytest.raises(ValueError, match="images must be 1 to 16 to fit a picture, got 17"):
        plot(vivid(), torch.rand(17, 1, 8, 8))
    with pytest.raises(ValueError, match="got 0"):
        plot(vivid(), torch.rand(0, 1, 8, 8))
    with pytest.raises(TypeError, match="images must be a tensor"):
        plot(vivid(), [IMAGES])


def test_nan_is_drawn_black_and_infinity_white():
    images = IMAGES.clone()
    images[0, 0, 0, 0], images[1, 0, 3, 3] = float("nan"), float("inf")
    figure = plots.plot_before_after(vivid(), images)
    figure.canvas.draw()
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert all(np.isfinite(picture).all() for picture in shown)
    assert (shown[0][0, 0] == 0).all() and (shown[1][3, 3] == 1).all()
