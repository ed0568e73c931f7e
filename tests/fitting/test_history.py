"""The history of a fit: one number an epoch and key, and JSON that comes back."""

import json
import math

import pytest

from learned_affine import FitConfig, FitHistory
from learned_affine.fitting.history import KEYS
from tests.fits import loader, quick


def test_history_has_every_key_and_is_json(tmp_path):
    config = FitConfig(target=0.3, adversarial_weight=0.1)
    history = quick(val_loader=loader(), max_steps=8, config=config).history
    assert history.epochs == 2 and set(history) == set(KEYS)
    path = history.save(tmp_path / "history.json")
    again = FitHistory.from_dict(json.loads(path.read_text()))
    assert {key: again[key] for key in KEYS} == {key: history[key] for key in KEYS}


def test_infinite_numbers_are_no_json():
    history = FitHistory()
    history.add(loss=math.inf, entropy=1.0)
    assert history.to_dict()["epochs"]["loss"] == [None]
    assert FitHistory.from_dict(history.to_dict())["entropy"] == [1.0] and len(history) == len(KEYS)


def test_an_unknown_key_is_named():
    with pytest.raises(ValueError, match=r"history keys must be among loss, .*images_per_second, got los"):
        FitHistory().add(los=1.0)
