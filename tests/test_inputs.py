"""What a fit is given: arguments of the wrong kind, generators of the user's own, and what resuming must find again."""

import math

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from learned_affine import AffineLimits, FitConfig, FitHistory, LearnedAffineAugment
from learned_affine.diagnostics import StoppedFitWarning, check_fit
from learned_affine.history import KEYS
from tests.subjects import Halves, blobs
from tests.test_fitting import loader, quick

IMAGES, LABELS = blobs(64)


@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        ({"preprocess": 3}, TypeError, "preprocess must be callable, got int"),
        ({"callbacks": 3}, TypeError, "callbacks must be callable, got int"),
        ({"callbacks": [print, "log"]}, TypeError, "callbacks must be callable, got str"),
        ({"seed": 1.5}, TypeError, "seed must be an int"),
        ({"max_steps": "many"}, TypeError, "max_steps must be an int"),
        ({"max_steps": True}, TypeError, "max_steps must be an int"),
        ({"val_loader": 3}, TypeError, "val_loader must be iterable"),
        ({"val_loader": iter([1])}, ValueError, "val_loader must be one that can be passed over again"),
        ({"val_loader": [], "config": FitConfig()}, ValueError, "val_loader must give at least one batch"),
    ],
)
def test_errors_name_the_argument(options, error, named):
    with pytest.raises(error, match=named):
        quick(**options)


@pytest.mark.parametrize("seed", [-1, 2**62, 0])
def test_any_seed_will_do(seed):
    assert quick(seed=seed).history.info["seed"] == seed


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
    for one, two in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(one, two)


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
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert check_fit(FitHistory(), 2, False) == []


def test_instance_takes_images_of_other_channels():
    augment = LearnedAffineAugment()  # looks at three
    augment.fit(Halves(), loader(), config=FitConfig(target=0.3), max_steps=2, progress=False)
    assert augment.localization.channels == 3 and augment.history.info["steps"] == 2


def test_infinite_numbers_are_no_json():
    history = FitHistory()
    history.add(loss=math.inf, entropy=1.0)
    assert history.to_dict()["epochs"]["loss"] == [None]
    assert FitHistory.from_dict(history.to_dict())["entropy"] == [1.0] and len(history) == len(KEYS)


def test_weights_that_lead_nowhere_are_taken_back(tmp_path):
    augment = LearnedAffineAugment()
    saved = []

    def spoil(values):
        if values["step"] == 3:
            with torch.no_grad():
                augment.localization.head.bias.fill_(math.nan)
        else:
            saved.append([parameter.detach().clone() for parameter in augment.localization.parameters()])

    with pytest.warns(StoppedFitWarning, match="not finite"):
        options = {"config": FitConfig(target=0.3), "callbacks": spoil, "log_dir": tmp_path, "progress": False}
        augment.fit(Halves(), loader(), **options)
    for parameter, good in zip(augment.parameters(), saved[-1], strict=True):
        assert torch.equal(parameter, good)
