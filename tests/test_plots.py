"""Pictures come out, whatever the images are."""

import pytest
import torch

from learned_affine import plots
from tests.subjects import blobs, vivid
from tests.test_fitting import loader, quick

IMAGES, LABELS = blobs(6)


@pytest.mark.parametrize("images", [IMAGES, IMAGES.expand(-1, 3, -1, -1), (IMAGES * 255).to(torch.uint8)])
def test_before_after_captions_every_image(images, tmp_path):
    figure = plots.plot_before_after(vivid(), images, tmp_path / "a.png")
    captions = [axis.get_xlabel() for axis in figure.axes[6:]]
    assert (tmp_path / "a.png").stat().st_size > 1000
    assert len(captions) == 6 and all("turn" in caption and "shift" in caption for caption in captions)


def test_history_fan_and_histograms_are_drawn(tmp_path):
    history = quick(val_loader=loader()).history
    history.plot(tmp_path / "h.png")
    plots.plot_fan(vivid(), IMAGES, tmp_path / "f.png")
    plots.plot_parameters(vivid(), IMAGES, LABELS, tmp_path / "p.png", names=["left", "right"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.png", "h.png", "p.png"]


def test_pictures_leave_randomness_alone():
    augment = vivid()
    state = torch.get_rng_state()
    plots.plot_before_after(augment, IMAGES)
    assert torch.equal(torch.get_rng_state(), state)
