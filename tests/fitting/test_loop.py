"""The loop round a step: the order of the data, measures, callbacks, and how a fit goes on."""

import math

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from learned_affine import AffineLimits, FitConfig
from learned_affine.fitting.trainer import PolicyTrainer
from learned_affine.runtime.checkpoint import NAME, read_checkpoint, write_checkpoint
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


# -- going on ---------------------------------------------------------------------------------------------------------


def own_generator(steps, **options):
    """A fit on a loader that shuffles by its own generator."""
    generator = torch.Generator().manual_seed(7)
    data = DataLoader(TensorDataset(IMAGES, LABELS), 16, shuffle=True, generator=generator)
    return quick(data=data, config=FitConfig(target=0.3, steps=20), max_steps=steps, **options)


@pytest.mark.parametrize("steps", [3, 4, 6])
def test_resume_follows_the_loaders_own_generator(tmp_path, steps):
    whole = own_generator(steps + 5)
    own_generator(steps, checkpoint=tmp_path)
    parts = own_generator(steps + 5, checkpoint=tmp_path, resume=True)
    assert same_weights(whole, parts)


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
    with pytest.raises(ValueError, match="val_loader must give at least one batch, got an empty one"):
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
