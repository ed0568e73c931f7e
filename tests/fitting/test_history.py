"""The history of a fit: one number per round and key, and JSON that comes back."""

import json
import math

import pytest

from learned_affine import FitHistory
from learned_affine.fitting.history import KEYS
from tests.fits import SETTLED, SHORT, loader, quick


def test_history_has_every_key_comes_back_from_json_and_is_drawn(tmp_path):
    history = quick(val_loader=loader(), config=SHORT.replace(target=None)).history
    assert history.rounds == SHORT.rounds + SETTLED and set(history) == set(KEYS)
    assert all(len(values) == history.rounds for values in history.values())
    again = FitHistory.from_dict(json.loads(history.save(tmp_path / "history.json").read_text()))
    assert again.info == history.info
    for key in KEYS:
        assert again[key] == pytest.approx(history[key], nan_ok=True)
    costs, _, moved, _ = history.plot().axes
    rounds = list(range(1, history.rounds + 1))
    assert list(costs.lines[0].get_ydata()) == history["cost"] and list(costs.lines[0].get_xdata()) == rounds
    assert list(costs.lines[1].get_ydata()) == history["budget"]
    assert list(moved.lines[0].get_ydata()) == pytest.approx([100 * value for value in history["displacement"]])


def test_infinite_numbers_are_no_json():
    history = FitHistory(info={"target": math.nan, "seen": [math.inf]}).add(loss=math.inf, entropy=1.0)
    assert history.to_dict()["rounds"]["loss"] == [None]
    assert history.to_dict()["info"] == {"target": None, "seen": [None]}
    assert FitHistory.from_dict(history.to_dict())["entropy"] == [1.0] and len(history) == len(KEYS)


def test_rounds_can_be_added_to_those_of_a_file():
    history = FitHistory({"cost": [1.0, 2.0]}).add(cost=3.0, kl=4.0)
    again = FitHistory.from_dict(history.to_dict())
    assert again["cost"] == [1, 2, 3] and again["kl"] == pytest.approx([math.nan, math.nan, 4], nan_ok=True)


def test_an_unknown_key_is_named():
    with pytest.raises(ValueError, match=r"history keys must be among loss, .*seconds, got los"):
        FitHistory().add(los=1.0)
    with pytest.raises(ValueError, match=r"history keys must be among loss, .*seconds, got los"):
        FitHistory({"los": [1.0]})
    with pytest.raises(ValueError, match="records must be lists of one length, got 1 and 2 numbers"):
        FitHistory({"loss": [1.0, 2.0], "cost": [1.0]})


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"path must be in a folder that exists, got '.*nowhere.history\.json'"):
        FitHistory().save(tmp_path / "nowhere" / "history.json")
