"""The dials: each is checked, and one that cannot act is refused by name."""

import dataclasses
import json
import math

import pytest

from learned_affine import FitConfig
from learned_affine.config import DIALS, FIELDS

PAPER = FitConfig.paper()
OTHERS = {  # of each dial: a value that is not its default
    "objective": "paper",
    "steps": 7,
    "epochs": 3,
    "draws": 4,
    "updates": 3,
    "memory": 5,
    "learning_rate": 0.01,
    "shared_rate": 2.0,
    "target": 0.4,
    "tolerance": 0.3,
    "labels": "predicted",
    "entropy_weight": 0.5,
    "adversarial_weight": 0.3,
    "discriminator_rate": 0.01,
    "dual_rate": 0.2,
    "sign": "corrected",
    "patience": 9,
}


def test_there_are_few_dials():
    assert len(FIELDS) <= 18 and set(OTHERS) == set(FIELDS)
    assert set(DIALS) == {"calibrated", "paper"} and set().union(*DIALS.values()) == set(FIELDS)


# -- what cannot act --------------------------------------------------------------------------------------------------


def acts(objective: str, name: str) -> bool:
    """Whether a dial acts by itself in this objective."""
    return name in DIALS[objective]


@pytest.mark.parametrize("objective", DIALS)
@pytest.mark.parametrize("name", [name for name in FIELDS if name != "objective"])
def test_a_dial_acts_in_its_objective_or_is_refused(objective, name):
    changes = {"objective": objective, name: OTHERS[name]}
    if acts(objective, name):
        assert getattr(FitConfig(**changes), name) == OTHERS[name]
    else:
        with pytest.raises(ValueError) as caught:
            FitConfig(**changes)
        assert (
            str(caught.value)
            == f"{name} has no effect with objective='{objective}': leave it out, got {OTHERS[name]!r}"
        )


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"steps": 7, "epochs": 3}, "steps has no effect with epochs=3: leave it out, got 7"),
        ({"tolerance": 0.3, "target": 0.4}, "tolerance has no effect with target=0.4: leave it out, got 0.3"),
        (
            {"adversarial_weight": 0, "discriminator_rate": 0.1},
            "discriminator_rate has no effect with adversarial_weight=0: leave it out, got 0.1",
        ),
    ],
)
def test_a_dial_that_another_one_replaces_is_refused(changes, named):
    with pytest.raises(ValueError, match=f"^{named}$"):
        FitConfig(**changes)
    with pytest.raises(ValueError, match=f"^{named}$"):
        FitConfig().replace(**changes)
    for name in changes:
        FitConfig(**{name: changes[name]})


@pytest.mark.parametrize("name", [name for name in FIELDS if name != "objective"])
def test_a_dial_may_be_given_its_default_wherever_it_has_no_effect(name):
    for objective in DIALS:
        default = getattr(FitConfig(), name)
        assert getattr(FitConfig(objective=objective, **{name: default}), name) == default


# -- what is wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        ({"objective": "best"}, ValueError, "objective must be one of 'calibrated', 'paper', got 'best'"),
        ({"steps": 0}, ValueError, "steps must be at least 1, got 0"),
        ({"steps": 1.5}, TypeError, "steps must be an int, got float: 1.5"),
        ({"draws": None}, TypeError, "draws must be an int, got NoneType"),
        ({"epochs": 0}, ValueError, "epochs must be at least 1, got 0"),
        ({"patience": True}, TypeError, "patience must be an int, got bool"),
        ({"draws": 1}, ValueError, "draws must be at least 2, to be held against each other, got 1"),
        ({"draws": 0}, ValueError, "draws must be at least 1"),
        ({"updates": 0}, ValueError, "updates must be at least 1"),
        ({"memory": 2.5}, TypeError, "memory must be an int"),
        ({"learning_rate": -1.0}, ValueError, "learning_rate must be positive, got -1.0"),
        ({"shared_rate": 0.0}, ValueError, "shared_rate must be positive"),
        ({"discriminator_rate": 0}, ValueError, "discriminator_rate must be positive"),
        ({"target": 0.0}, ValueError, "target must be above 0, got 0.0"),
        ({"target": "0.3"}, TypeError, "target must be a number, got str"),
        ({"tolerance": 1.5}, ValueError, r"tolerance must be in \[0, 1\], got 1.5"),
        ({"labels": "none"}, ValueError, "labels must be one of 'given', 'predicted', got 'none'"),
        ({"entropy_weight": math.inf}, ValueError, "entropy_weight must be at least 0, got inf"),
        ({"adversarial_weight": math.nan}, ValueError, "adversarial_weight must be at least 0, got nan"),
        ({"dual_rate": -0.1}, ValueError, "dual_rate must be at least 0"),
        ({"sign": "plus"}, ValueError, "sign must be one of 'printed', 'corrected', got 'plus'"),
        ({"estimator": "pathwise"}, TypeError, "unexpected keyword argument 'estimator'"),
    ],
)
def test_dials_are_checked(options, error, named):
    with pytest.raises(error, match=named):
        FitConfig(**options)


def test_the_default_leaves_the_number_of_steps_to_the_data_and_has_a_discriminator():
    config = FitConfig()
    assert (config.steps, config.epochs, config.patience, config.target) == (None, None, None, None)
    assert config.adversarial_weight == 0.1


# -- configurations with a name ---------------------------------------------------------------------------------------


def test_the_paper_is_the_papers():
    assert (PAPER.objective, PAPER.sign, PAPER.epochs) == ("paper", "printed", 50)
    assert (PAPER.learning_rate, PAPER.discriminator_rate) == (1e-4, 1e-4)
    assert (PAPER.entropy_weight, PAPER.adversarial_weight) == (2.0, 1.0)
    assert FitConfig.paper("corrected").sign == "corrected" and not PAPER.needs_labels


def test_the_papers_own_values_make_room_for_others():
    assert FitConfig.paper(adversarial_weight=0.0).discriminator_rate == FitConfig().discriminator_rate
    assert (FitConfig.paper(steps=7).steps, FitConfig.paper(steps=7).epochs) == (7, None)
    with pytest.raises(ValueError, match="discriminator_rate has no effect with adversarial_weight=0"):
        FitConfig.paper(adversarial_weight=0.0, discriminator_rate=1e-4)
    with pytest.raises(ValueError, match="steps has no effect with epochs=3"):
        FitConfig.paper(steps=7, epochs=3)


@pytest.mark.parametrize(
    ("config", "needs"), [(FitConfig(), True), (FitConfig(labels="predicted"), False), (PAPER, False)]
)
def test_only_the_default_needs_labels(config, needs):
    assert config.needs_labels == needs


@pytest.mark.parametrize(
    "config",
    [
        FitConfig(),
        PAPER,
        FitConfig.paper("corrected", epochs=3),
        FitConfig(epochs=2, target=0.4),
        FitConfig(discriminator_rate=0.1, patience=5),
        FitConfig(adversarial_weight=0.0, steps=7),
    ],
)
def test_a_dict_holds_the_dials_that_act_and_comes_back(config):
    plain = json.loads(json.dumps(config.to_dict()))
    assert set(plain) == set(DIALS[config.objective])
    assert FitConfig(**plain) == config


def test_replace_leaves_the_rest():
    changed = PAPER.replace(epochs=3)
    assert dataclasses.asdict(changed) == {**dataclasses.asdict(PAPER), "epochs": 3}
