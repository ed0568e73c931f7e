"""The loop round a step: the order of the data, measures, callbacks, and how a fit goes on."""

import math

import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

from learned_affine import AffineLimits, FitConfig
from learned_affine.fitting import loop
from learned_affine.fitting.loop import FitLoop
from learned_affine.fitting.trainer import PolicyTrainer
from learned_affine.runtime.checkpoint import NAME, read_checkpoint, write_checkpoint
from learned_affine.runtime.progress import FitLog
from tests.fits import loader, quick, same_weights, silent
from tests.subjects import blobs

IMAGES, LABELS = blobs(64)


def test_same_seed_same_policy_and_global_randomness_is_left_alone():
    state = torch.get_rng_state()
    first, second = quick(data=loader(shuffle=True)), quick(data=loader(shuffle=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert same_weights(first, second)
    other = quick(data=loader(shuffle=True), seed=1)
    assert not torch.equal(first.localization.features[1].weight, other.localization.features[1].weight)


@pytest.mark.parametrize("seed", [-1, 2**62, 0])
def test_any_seed_will_do(seed):
    assert quick(seed=seed).history.info["seed"] == seed


def test_callbacks_see_every_step():
    seen = []
    quick(callbacks=[seen.append], max_steps=5)
    assert [values["step"] for values in seen] == [1, 2, 3, 4, 5]
    assert all(math.isfinite(values["entropy"]) for values in seen)


def test_measures_are_taken_at_most_every_fifty_steps(monkeypatch):
    calls, measure = [], PolicyTrainer.measure

    def counted(self, *args):
        calls.append(self.step)
        return measure(self, *args)

    monkeypatch.setattr(PolicyTrainer, "measure", counted)
    history = quick(data=loader(32), max_steps=120, config=FitConfig(target=0.3, steps=120)).history  # two an epoch
    assert history.epochs == 60 and calls == [2, 50, 100, 120]
    assert all(value == value for value in history["agreement"])


# -- how many steps ---------------------------------------------------------------------------------------------------


def planned(batches: int, **options):
    """The steps of a default fit to so many batches: those that its rate falls over, and those that it took."""
    totals, start = [], FitLog.start

    def note(self, total, done):
        totals.append(total)
        return start(self, total, done)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FitLog, "start", note)
        history = silent(data=batches * [(IMAGES[:2], LABELS[:2])], **{"config": FitConfig(target=0.3), **options})
    return totals[0], history.history.info["steps"]


@pytest.mark.parametrize(
    ("batches", "steps"), [(1, 60), (75, 60), (76, 61), (100, 80), (374, 299), (375, 300), (9999, 300)]
)
def test_a_default_fit_takes_four_fifths_of_a_pass_between_60_and_300_steps(batches, steps):
    seen = []

    def trainer_of(self, *rest):
        seen.append(self.trainer.steps)
        self.trainer.steps = 1
        return to_end(self, *rest)

    to_end = FitLoop.to_end
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FitLoop, "to_end", trainer_of)
        silent(data=batches * [(IMAGES[:2], LABELS[:2])], config=FitConfig(target=0.3))
    assert seen == [steps]


def test_so_many_steps_are_taken():
    assert planned(90) == (72, 72)


@pytest.mark.parametrize("objective", ["calibrated", "paper"])
def test_where_the_length_of_the_loader_is_not_known_it_takes_60_steps(objective):
    def forever():
        while True:
            yield IMAGES[:2], LABELS[:2]

    config = FitConfig(objective=objective, **({"target": 0.3} if objective == "calibrated" else {}))
    assert silent(data=forever(), config=config).history.info["steps"] == 60


def test_steps_and_epochs_that_are_given_are_taken():
    assert planned(90, config=FitConfig(target=0.3, steps=7)) == (7, 7)
    assert planned(9, config=FitConfig(target=0.3, epochs=2)) == (18, 18)
    assert planned(90, max_steps=5) == (5, 5)
    assert planned(1, max_steps=70) == (60, 60), "which shortens a fit alone"


def test_max_steps_leaves_the_rate_as_in_the_whole_fit():
    """The rate falls to the end of the fit, not to where it is broken off."""
    broken, whole = (planned_weights(config=FitConfig(target=0.3, **dial), max_steps=5) for dial in ({}, {"steps": 72}))
    short = planned_weights(config=FitConfig(target=0.3, steps=5))
    assert same_weights(broken, whole) and not same_weights(broken, short)


def planned_weights(**options):
    return silent(data=90 * [(IMAGES[:2], LABELS[:2])], **options)


def test_resume_keeps_the_number_of_steps(tmp_path):
    """Of the fit that was begun, on a loader of 90 batches, not that of the loader of 9 which is given then."""
    planned(90, max_steps=5, checkpoint=tmp_path)
    assert read_checkpoint(tmp_path / NAME, {})["fitter"]["steps"] == 72
    assert planned(9, resume=tmp_path) == (72, 72)


class Clock:
    """A clock that is set by hand."""

    now = 1000.0

    def perf_counter(self) -> float:
        return self.now


def timed(monkeypatch, seconds: float, **options) -> int:
    """How many steps a fit to 150 batches takes, a default one 120, where a step takes so many seconds."""
    clock = Clock()
    monkeypatch.setattr(loop, "time", clock)
    train_step = PolicyTrainer.train_step

    def slow(self, *batch):
        clock.now += seconds
        return train_step(self, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(PolicyTrainer, "train_step", slow)
        return planned(150, **options)[1]


@pytest.mark.parametrize(("seconds", "steps"), [(0.5, 120), (1.0, 120), (1.25, 96), (1.5, 80), (2.0, 60), (60.0, 60)])
def test_a_default_fit_takes_no_more_than_two_minutes_but_60_steps_at_least(monkeypatch, seconds, steps):
    assert timed(monkeypatch, seconds) == steps


def test_what_was_asked_for_is_taken_however_long_it_takes(monkeypatch):
    assert timed(monkeypatch, 60.0, config=FitConfig(target=0.3, steps=70)) == 70
    assert timed(monkeypatch, 60.0, config=FitConfig(target=0.3, epochs=1)) == 150


@pytest.mark.parametrize(("stop", "steps"), [(5, 120), (20, 80)])
def test_a_fit_that_goes_on_keeps_the_steps_that_it_had(monkeypatch, tmp_path, stop, steps):
    """Once shortened it stays so, and a few steps of the first ten do not tell how long all take."""
    timed(monkeypatch, 1.5, max_steps=stop, checkpoint=tmp_path)
    assert timed(monkeypatch, 0.01 if stop == 20 else 60.0, resume=tmp_path) == steps


# -- going on ---------------------------------------------------------------------------------------------------------


def sampled(steps, kind, **options):
    """A fit on a loader that shuffles by a generator of its own, or of its sampler's."""
    data, generator, other = TensorDataset(IMAGES, LABELS), *(torch.Generator().manual_seed(seed) for seed in (7, 8))
    sampler = RandomSampler(data, generator=generator)
    loaders = {
        "loader": lambda: DataLoader(data, 16, shuffle=True, generator=generator),
        "sampler": lambda: DataLoader(data, 16, sampler=sampler),
        "batch sampler": lambda: DataLoader(data, batch_sampler=BatchSampler(sampler, 16, drop_last=False)),
        "both": lambda: DataLoader(data, 16, sampler=sampler, generator=other),
    }
    return quick(data=loaders[kind](), config=FitConfig(target=0.3, steps=20), max_steps=steps, **options)


@pytest.mark.parametrize("kind", ["loader", "sampler", "batch sampler", "both"])
@pytest.mark.parametrize("steps", [3, 4, 6])
def test_resume_follows_the_loaders_own_generator(tmp_path, steps, kind):
    whole = sampled(steps + 5, kind)
    sampled(steps, kind, checkpoint=tmp_path)
    parts = sampled(steps + 5, kind, checkpoint=tmp_path, resume=True)
    assert same_weights(whole, parts)


def test_a_checkpoint_with_the_state_of_one_generator_goes_on(tmp_path):
    """As earlier ones have it, not in a list."""
    sampled(3, "loader", checkpoint=tmp_path)
    state = read_checkpoint(tmp_path / NAME, {})
    (state["order"],) = state["order"]
    write_checkpoint(tmp_path, state)
    assert same_weights(sampled(8, "loader"), sampled(8, "loader", resume=tmp_path))


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"limits": AffineLimits(5)}, "limits: "), ({"padding_mode": "zeros"}, "padding_mode: 'reflection' there")],
)
def test_checkpoint_of_another_augmenter_is_refused(tmp_path, changes, named):
    quick(checkpoint=tmp_path)
    with pytest.raises(ValueError, match=named):
        quick(checkpoint=tmp_path, resume=True, max_steps=5, **changes)


def test_resuming_what_is_done_changes_nothing(tmp_path):
    first = quick(checkpoint=tmp_path, max_steps=2)  # in the middle of the first pass
    again = quick(checkpoint=tmp_path, max_steps=2, resume=True)
    assert same_weights(first, again)


@pytest.mark.parametrize("config", [FitConfig(target=0.4, steps=9, adversarial_weight=0.1), FitConfig.paper(epochs=3)])
def test_resume_is_exact(tmp_path, config):
    options = {"config": config, "seed": 3}
    whole = silent(**options)
    silent(max_steps=5, checkpoint=tmp_path, **options)
    parts = silent(checkpoint=tmp_path, resume=True, **options)
    assert same_weights(whole, parts)


def held_out(**options):
    """A fit with held-out images, of which it keeps some."""
    options = {"config": FitConfig(steps=9), "val_loader": [(IMAGES[:40], LABELS[:40])], "seed": 3, **options}
    return silent(data=[(IMAGES, LABELS)], **options)


def test_resume_is_exact_and_wants_the_held_out_images_again(tmp_path):
    whole = held_out()
    held_out(max_steps=5, checkpoint=tmp_path)
    with pytest.raises(ValueError, match="val_loader must be given to go on with a fit that has one"):
        held_out(resume=tmp_path, val_loader=None)
    with pytest.raises(ValueError, match="val_loader must give at least one batch, got an empty list"):
        held_out(resume=tmp_path, val_loader=[])
    assert same_weights(whole, held_out(resume=tmp_path))


def test_a_fit_without_held_out_images_goes_on_without(tmp_path):
    options = {"config": FitConfig(target=0.4, steps=9), "val_loader": None}
    held_out(max_steps=5, checkpoint=tmp_path, **options)
    with pytest.raises(ValueError, match=r"and not otherwise, got a checkpoint held on training images"):
        held_out(resume=tmp_path, config=options["config"])
    assert same_weights(held_out(**options), held_out(resume=tmp_path, **options))


def test_a_checkpoint_that_calls_held_out_images_unseen_goes_on(tmp_path):
    """As earlier checkpoints do, with dials that have left the configuration since."""
    held_out(max_steps=5, checkpoint=tmp_path)
    state = read_checkpoint(tmp_path / NAME, {})
    assert state["history"]["info"]["held_on"] == "held-out"
    state["history"]["info"]["held_on"] = "unseen"
    state["config"] |= {"estimator": None, "held_on": None, "dual_damping": 1.0}
    write_checkpoint(tmp_path, state)
    parts = held_out(resume=tmp_path)
    assert same_weights(held_out(), parts) and parts.history.info["held_on"] == "held-out"
