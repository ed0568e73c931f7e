"""The alarms of a fit: each set off by a fit that goes wrong in its way, none by one that goes well."""

import math
import pickle
import re
import warnings

import pytest
from torch.nn import functional as F
from torchvision.transforms import v2

from learned_affine import AffineLimits, FitConfig, FitHistory, LearnedAffineAugment
from learned_affine.diagnostics import FitWarning
from learned_affine.diagnostics.checks import check_fit
from tests.fits import IMAGES, LABELS, SHORT, loader
from tests.subjects import Halves, Sides, sides

HEALTHY = FitConfig(target=0.4, rounds=3, images=900)  # dials of a fit that goes well


def alarms(classifier=None, data=None, **options):
    """The kinds of alarms that a fit gives, and the last one's text."""
    options = {"config": HEALTHY, "val_loader": loader(), "progress": False, **options}
    augment = options.pop("augment", LearnedAffineAugment)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        augment.fit(classifier or Halves(4.0), loader(64) if data is None else data, **options)
    mine = [one for one in found if issubclass(one.category, FitWarning)]
    assert all(one.filename == __file__ for one in mine)  # they point at the call
    return {one.message.kind: one.message.text for one in mine}


def test_narrow_limits_are_not_called_a_collapse():
    """No target can move images further than the user's own limits allow."""
    narrow = AffineLimits(angle=1, scale=1, shear=0, translate=0.01, symmetries="none")
    assert set(alarms(limits=narrow)) == {"limits-bind"}


def test_a_loader_that_is_sorted_by_class_is_named_at_the_call():
    """Beneath torch's decorators, whose file a warning could point at."""
    order = LABELS.argsort()
    data = [(IMAGES[rows], LABELS[rows]) for rows in order.repeat_interleave(160).split(64)]
    assert "class by class" in alarms(val_loader=data)["target"]


def test_a_healthy_fit_is_silent():
    assert alarms(preprocess=v2.Normalize([0.0], [1.0]), data=loader(32), limits=AffineLimits.wide()) == {}


@pytest.mark.parametrize(("task", "target"), [(None, 0.3), ("multi-label", 2.6)])
def test_a_symmetry_that_harms_a_class_or_a_label(task, target):
    """These images tolerate all warps, which leaves all that may be lost to flips; one in forty names a side."""
    one, other = sides(400, 0), sides(400, 1)
    if task is not None:  # four labels, two of which name a side
        one, other = ((images, F.one_hot(labels, 4)) for images, labels in (one, other))
    config, limits = FitConfig(rounds=2, images=2000, target=target), AffineLimits(symmetries="mirror")
    text = alarms(Sides(), [one], val_loader=[other], task=task, config=config, limits=limits)["symmetry"]
    assert re.match(r"class [01] is flipped left-right with a chance of 0\.[1-5]\d, which adds [1-9]\.", text)
    assert "more than the budget of " in text and "label_map" in text


@pytest.mark.parametrize(("factor", "shift", "why"), [(255, 0, "already"), (2, -1, "already"), (1 / 255, 0, "twice")])
def test_a_pixel_range_that_does_not_fit_preprocess(factor, shift, why):
    data = [(factor * IMAGES + shift, LABELS)]
    found = alarms(data=data, preprocess=v2.Normalize([0.5], [0.5]), config=SHORT)
    assert why in found["pixel-range"] and "[0, 1]" in found["pixel-range"]


def history_of(**values):
    """One round with nothing to complain of, but for ``values``."""
    fine = {"displacement": 0.1, "visible_area": 0.9, "agreement": 0.9, "between_image_variance": 0.2, "kl": 1.0}
    fine |= {"symmetry_kl": 0.2, "symmetry_chance": 0.3, "cost": 0.1, "budget": 0.1}
    config = values.pop("config", FitConfig())
    info = {"chance": 0.1, "localization": {"per_image": True}} | values.pop("info", {})
    history = FitHistory(info={"config": config.to_dict(), **info})
    history.add(**{**fine, **values})
    return history


def moved(harm):
    """The table of a fit in which class 1 is flipped and rotated by 180 degrees, at a cost."""
    harms, chances = [0.0] * 8, [0.1] * 8
    harms[6], chances[6] = harm, 0.4
    rows = [{"class": 0, "harm": [0.0] * 8, "chance": chances}, {"class": 1, "harm": harms, "chance": chances}]
    return {"classes_moved": rows}


@pytest.mark.parametrize(
    ("values", "alarm"),
    [
        ({}, None),
        ({"displacement": 0.001}, None),  # there are symmetries
        ({"displacement": 0.001, "symmetry_chance": 0.04}, "identity-collapse"),
        ({"visible_area": 0.1}, "destroyed-images"),
        ({"agreement": 0.1}, "destroyed-images"),
        ({"displacement": math.nan, "agreement": math.nan, "cost": math.nan}, None),
        ({"between_image_variance": 0.0}, "dead-network"),
        ({"between_image_variance": 0.0, "info": {"localization": {"per_image": False}}}, None),
        ({"between_image_variance": math.nan}, None),
        ({"kl": 0.6}, "limits-bind"),  # of which the six numbers have 0.4
        ({"kl": 0.6, "cost": 0.101}, None),  # more than the budget of 0.1
        ({"kl": 0.6, "symmetry_kl": 0.05}, None),
        ({"kl": 0.6, "displacement": 0.0}, None),  # symmetries alone are allowed
        ({"cost": 0.149}, None),
        ({"cost": 0.151}, "target"),  # half as much again
        ({"info": moved(0.101)}, "symmetry"),
        ({"info": moved(0.099)}, None),
        ({"info": moved(0.1), "budget": 0.001, "cost": 0.0}, "symmetry"),
        ({"info": moved(0.004), "budget": 0.001, "cost": 0.0}, None),  # costs are known no better
    ],
)
def test_alarms(values, alarm):
    found = check_fit(history_of(**values))
    assert [one.kind for one in found] == ([] if alarm is None else [alarm])


def test_the_alarm_of_a_symmetry_names_class_and_symmetry():
    (alarm,) = check_fit(history_of(info={**moved(0.5), "class_names": ["cat", "six"]}))
    said = "class 1 (six) is flipped left-right and rotated by 180 degrees with a chance of 0.40, which adds 0.50 nats"
    assert alarm.text.startswith(said)


def test_of_the_papers_procedure_only_collapse_and_destruction_are_told():
    paper = history_of(config=FitConfig.paper(), cost=math.nan, budget=math.nan, kl=math.nan)
    assert check_fit(paper) == []
    (alarm,) = check_fit(history_of(config=FitConfig.paper(), displacement=0.015))
    assert alarm.kind == "identity-collapse" and "use FitConfig()" in str(alarm)


def test_a_kind_is_silenced_by_its_name_and_travels_between_processes():
    with warnings.catch_warnings():
        warnings.simplefilter("error", FitWarning)
        warnings.filterwarnings("ignore", "target", FitWarning)
        warnings.warn(FitWarning("target", "a guess"), stacklevel=1)
        with pytest.raises(FitWarning, match="setup: no preprocess") as raised:
            warnings.warn(FitWarning("setup", "no preprocess"), stacklevel=1)
    same = pickle.loads(pickle.dumps(raised.value))
    assert (same.kind, same.text, str(same)) == ("setup", "no preprocess", "setup: no preprocess")
