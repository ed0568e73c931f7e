"""The history of a fit: one number per round and key, and JSON that comes back."""

import json
import math

import pytest

from learned_affine import FitHistory
from learned_affine.fitting.history import KEYS
from tests.fits import SETTLED, SHORT, loader, quick


def test_history_has_every_key_and_is_json(tmp_path):
    history = quick(val_loader=loader(), config=SHORT.replace(target=None)).history
    assert history.rounds == SHORT.rounds + SETTLED and set(history) == set(KEYS)
    assert all(len(values) == history.rounds for values in history.values())
    again = FitHistory.from_dict(json.loads(history.save(tmp_path / "history.json").read_text()))
    assert again.info == history.info
    for key in KEYS:
        assert again[key] == pytest.approx(history[key], nan_ok=True)


def test_infinite_numbers_are_no_json():
    history = FitHistory().add(loss=math.inf, entropy=1.0)
    assert history.to_dict()["rounds"]["loss"] == [None]
    assert FitHistory.from_dict(history.to_dict())["entropy"] == [1.0] and len(history) == len(KEYS)


def test_an_unknown_key_is_named():
    with pytest.raises(ValueError, match=r"history keys must be among loss, .*seconds, got los"):
        FitHistory().add(los=1.0)
