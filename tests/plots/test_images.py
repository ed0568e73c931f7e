"""Pictures of single images show what a policy makes of them, whatever the images are."""

import numpy as np
import pytest
import torch

from learned_affine import plots
from tests.subjects import blobs, seeded, vivid

IMAGES, LABELS = blobs(6)


@pytest.mark.parametrize(
    "images",
    [IMAGES, IMAGES.expand(-1, 3, -1, -1), (IMAGES * 255).to(torch.uint8), IMAGES[..., :9], 5 - 9 * IMAGES],
    ids=["grey", "rgb", "uint8", "tall", "normalised"],
)
def test_before_after_shows_the_warp_of_the_captioned_parameters(images, tmp_path):
    parameters = vivid(generator=seeded(3)).sample_parameters(images)
    figure = plots.plot_before_after(vivid(), images, tmp_path / "a.png", seed=3)
    assert (tmp_path / "a.png").stat().st_size > 1000
    shown = torch.stack([torch.tensor(axis.images[0].get_array()[..., 0]) for axis in figure.axes])
    low, high = float(images.min()), float(images.max())
    expected = torch.cat([images.float(), vivid().warp(images.float(), parameters)])[:, 0]
    torch.testing.assert_close(shown, (expected - low) / (high - low), atol=1e-5, rtol=0)
    captions = [parameters.caption(place).replace("  ", "\n") for place in range(6)]
    assert [axis.get_xlabel() for axis in figure.axes[6:]] == captions


def test_policies_stand_in_rows_under_the_originals():
    figure = plots.plot_policies({"weak": vivid(strength=0.0), "strong": vivid()}, IMAGES, draws=2)
    rows = [figure.axes[start : start + 6] for start in range(0, 30, 6)]
    assert [row[0].get_ylabel() for row in rows] == ["before", "weak", "", "strong", ""]
    first, weak, strong = (torch.tensor(row[0].images[0].get_array()) for row in (rows[0], rows[1], rows[3]))
    assert torch.allclose(first, weak, atol=1e-4) and not torch.allclose(first, strong, atol=0.1)


def test_parameters_have_a_bar_at_the_median_of_each_class():
    augment = vivid(deterministic=True)
    drawn = augment.sample_parameters(IMAGES).stacked()
    for values, axis in zip(drawn.T, plots.plot_parameters(augment, IMAGES, LABELS).axes, strict=True):
        bars = [bar.get_segments()[0][0, 0] for bar in axis.collections]
        assert bars == pytest.approx([float(values[one == LABELS].median()) for one in (0, 1)], abs=1e-5)


def test_nan_is_drawn_black_and_infinity_white():
    images = IMAGES.clone()
    images[0, 0, 0, 0], images[1, 0, 3, 3] = float("nan"), float("inf")
    figure = plots.plot_before_after(vivid(), images)
    figure.canvas.draw()
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert all(np.isfinite(picture).all() for picture in shown)
    assert (shown[0][0, 0] == 0).all() and (shown[1][3, 3] == 1).all()
