"""What a fit shows while it runs."""

import pytest

from learned_affine import FitConfig
from tests.fits import loader, quick

WITH_DISCRIMINATOR = FitConfig(target=0.3, adversarial_weight=0.1)


def test_one_bar_with_entropy_displacement_and_the_adversarial_balance(capsys):
    quick(progress=True, max_steps=5, config=WITH_DISCRIMINATOR)
    shown = capsys.readouterr().err
    assert "fit" in shown and "5/5" in shown
    assert all(f"{name}=" in shown for name in ("entropy", "moved", "D"))


def test_no_bar_where_none_is_wanted(capsys):
    quick(progress=False)
    quick()  # the output is no terminal
    assert capsys.readouterr().err == ""


def test_tensorboard_holds_scalars_a_grid_and_histograms(tmp_path):
    pytest.importorskip("tensorboard")
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    quick(log_dir=tmp_path, max_steps=12, val_loader=loader(), config=WITH_DISCRIMINATOR)
    events = accumulators.EventAccumulator(str(tmp_path))
    events.Reload()
    tags = events.Tags()
    assert {"step/loss", "step/entropy", "step/displacement", "step/discriminator_loss"} <= set(tags["scalars"])
    assert {"epoch/entropy", "epoch/agreement", "epoch/val_loss"} <= set(tags["scalars"])
    assert tags["images"] == ["before (first half) and after"]
    assert {f"parameters/{name}" for name in ("angle", "scale_x", "shear", "translate_y")} <= set(tags["histograms"])
