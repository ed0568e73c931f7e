"""What a fit shows while it runs."""

import pytest
import torch

from learned_affine import FitConfig
from tests.test_fitting import loader, quick

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


def test_measures_are_taken_at_most_every_fifty_steps(monkeypatch):
    from learned_affine.fitter import Fitter

    calls, measure = [], Fitter.measure

    def counted(self, *args):
        calls.append(self.step)
        return measure(self, *args)

    monkeypatch.setattr(Fitter, "measure", counted)
    history = quick(data=loader(32), max_steps=120, config=FitConfig(target=0.3, steps=120)).history  # two an epoch
    assert history.epochs == 60 and calls == [2, 50, 100, 120]
    assert all(value == value for value in history["agreement"])


# -- early stopping ---------------------------------------------------------------------------------------------------


def stopped(**changes):
    """The steps of a fit whose rates are so low that nothing moves."""
    dials = {"target": 0.3, "steps": 200, "learning_rate": 1e-9, "discriminator_rate": 1e-9, "dual_rate": 0.0}
    return quick(config=FitConfig(**{**dials, **changes}), data=loader(64), max_steps=None).history.info


def test_early_stopping_once_nothing_moves():
    info = stopped(patience=40)
    assert info["at_rest"] and 80 <= info["steps"] < 200 and info["steps"] % 40 == 0


def test_early_stopping_is_off_by_default_and_waits_while_things_move():
    assert FitConfig().patience is None and stopped(steps=90)["steps"] == 90
    info = stopped(patience=10, dual_rate=0.01, target=0.5, steps=60)  # the dual variable falls all the time
    assert info["steps"] == 60 and "at_rest" not in info


def test_a_fit_at_rest_is_not_taken_up_again(tmp_path):
    dials = {"target": 0.3, "steps": 200, "learning_rate": 1e-9, "discriminator_rate": 1e-9, "dual_rate": 0.0}
    options = {"config": FitConfig(**dials, patience=40), "data": loader(64), "checkpoint": tmp_path, "max_steps": None}
    first, again = quick(**options), quick(**options, resume=True)
    assert first.history.info["steps"] == again.history.info["steps"] < 200
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
