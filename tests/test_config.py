"""The dials: each is checked, and one that cannot act is refused by name."""

import dataclasses
import json
import math

import pytest

from learned_affine import FitConfig

PAPER = FitConfig.paper()


@pytest.mark.parametrize(
    ("objective", "name", "value"),
    [
        ("calibrated", "sign", "corrected"),
        ("paper", "images", 700),
        ("paper", "tolerance", 0.3),
        ("paper", "target", 0.4),
        ("paper", "labels", "predicted"),
    ],
)
def test_a_dial_that_cannot_act_is_refused(objective, name, value):
    other = {"calibrated": "paper", "paper": "calibrated"}[objective]
    assert getattr(FitConfig(objective=other, **{name: value}), name) == value, "it acts there"
    said = f"^{name} has no effect with objective='{objective}': leave it out, got {value!r}$"
    with pytest.raises(ValueError, match=said):
        FitConfig(objective=objective, **{name: value})
    default = getattr(FitConfig(), name)
    assert getattr(FitConfig(objective=objective, **{name: default}), name) == default, "a default may be given"


@pytest.mark.parametrize(
    "make", [lambda: FitConfig(tolerance=0.3, target=0.4), lambda: FitConfig(target=0.4).replace(tolerance=0.3)]
)
def test_a_target_replaces_the_tolerance(make):
    with pytest.raises(ValueError, match=r"^tolerance has no effect with target=0\.4: leave it out, got 0\.3$"):
        make()


@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        ({"objective": "best"}, ValueError, "objective must be one of 'calibrated', 'paper', got 'best'"),
        ({"rounds": 0}, ValueError, "rounds must be at least 1, got 0"),
        ({"images": True}, TypeError, "images must be an int, got bool"),
        ({"learning_rate": -1.0}, ValueError, "learning_rate must be positive, got -1.0"),
        ({"target": 0.0}, ValueError, "target must be above 0, got 0.0"),
        ({"target": "0.3"}, TypeError, "target must be a number, got str"),
        ({"tolerance": 1.5}, ValueError, r"tolerance must be in \[0, 1\], got 1.5"),
        ({"labels": "none"}, ValueError, "labels must be one of 'given', 'predicted', got 'none'"),
        ({"entropy_weight": math.inf}, ValueError, "entropy_weight must be at least 0, got inf"),
        ({"adversarial_weight": math.nan}, ValueError, "adversarial_weight must be at least 0, got nan"),
        ({"sign": "plus"}, ValueError, "sign must be one of 'printed', 'corrected', got 'plus'"),
        ({"steps": 3}, TypeError, "unexpected keyword argument 'steps'"),
    ],
)
def test_dials_are_checked(options, error, named):
    with pytest.raises(error, match=named):
        FitConfig(**options)


@pytest.mark.parametrize("config", [FitConfig(), PAPER, FitConfig(target=0.4, images=9)])
def test_a_dict_comes_back_and_a_change_leaves_the_rest(config):
    plain = json.loads(json.dumps(config.to_dict()))
    assert FitConfig(**plain) == config and ("sign" in plain) == (config is PAPER) != ("labels" in plain)
    assert dataclasses.asdict(config.replace(rounds=3)) == {**dataclasses.asdict(config), "rounds": 3}
