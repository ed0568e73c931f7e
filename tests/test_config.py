"""The dials: each is checked, and one that cannot act is refused by name."""

import dataclasses
import json
import math

import pytest

from learned_affine import FitConfig
from learned_affine.config import IDLE

PAPER = FitConfig.paper()
FIELDS = [field.name for field in dataclasses.fields(FitConfig)]
OTHERS = {  # of each dial: a value that is not its default
    "objective": "paper",
    "rounds": 3,
    "images": 700,
    "learning_rate": 0.01,
    "tolerance": 0.3,
    "target": 0.4,
    "labels": "predicted",
    "entropy_weight": 0.5,
    "adversarial_weight": 0.3,
    "sign": "corrected",
}


def test_there_are_at_most_ten_dials():
    assert len(FIELDS) <= 10 and set(OTHERS) == set(FIELDS)


# -- what cannot act --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", IDLE)
@pytest.mark.parametrize("name", FIELDS[1:])
def test_a_dial_acts_in_its_objective_or_is_refused(objective, name):
    changes, default = {"objective": objective, name: OTHERS[name]}, getattr(FitConfig(), name)
    if name not in IDLE[objective]:
        assert getattr(FitConfig(**changes), name) == OTHERS[name]
    else:
        said = f"{name} has no effect with objective='{objective}': leave it out, got {OTHERS[name]!r}"
        with pytest.raises(ValueError) as caught:
            FitConfig(**changes)
        assert str(caught.value) == said
    assert getattr(FitConfig(objective=objective, **{name: default}), name) == default, "a default may be given"


def test_a_target_replaces_the_tolerance():
    named = r"^tolerance has no effect with target=0\.4: leave it out, got 0\.3$"
    with pytest.raises(ValueError, match=named):
        FitConfig(tolerance=0.3, target=0.4)
    with pytest.raises(ValueError, match=named):
        FitConfig(target=0.4).replace(tolerance=0.3)


# -- what is wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        ({"objective": "best"}, ValueError, "objective must be one of 'calibrated', 'paper', got 'best'"),
        ({"rounds": 0}, ValueError, "rounds must be at least 1, got 0"),
        ({"rounds": 1.5}, TypeError, "rounds must be an int, got float: 1.5"),
        ({"rounds": None}, TypeError, "rounds must be an int, got NoneType"),
        ({"images": 0}, ValueError, "images must be at least 1, got 0"),
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


# -- configurations with a name ---------------------------------------------------------------------------------------


def test_the_paper_is_the_papers():
    assert (PAPER.objective, PAPER.sign, PAPER.rounds, PAPER.learning_rate) == ("paper", "printed", 50, 1e-4)
    assert (PAPER.entropy_weight, PAPER.adversarial_weight) == (2.0, 1.0)
    assert FitConfig.paper("corrected").sign == "corrected" and FitConfig.paper(rounds=3).rounds == 3


@pytest.mark.parametrize(
    ("config", "needs"), [(FitConfig(), True), (FitConfig(labels="predicted"), False), (PAPER, False)]
)
def test_only_the_default_needs_labels(config, needs):
    assert config.needs_labels == needs


@pytest.mark.parametrize(
    "config", [FitConfig(), PAPER, FitConfig.paper("corrected", rounds=3), FitConfig(target=0.4, images=9)]
)
def test_a_dict_holds_the_dials_that_act_and_comes_back(config):
    plain = json.loads(json.dumps(config.to_dict()))
    assert set(plain) == set(FIELDS) - set(IDLE[config.objective])
    assert FitConfig(**plain) == config


def test_replace_leaves_the_rest():
    changed = PAPER.replace(rounds=3)
    assert dataclasses.asdict(changed) == {**dataclasses.asdict(PAPER), "rounds": 3}
