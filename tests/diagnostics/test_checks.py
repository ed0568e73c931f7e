"""The alarms of a fit: each set off by a fit that goes wrong in its way, none by one that goes well."""

import math
import pickle
import re
import warnings

import pytest
import torch
from torch import nn
from torchvision.transforms import v2

from learned_affine import AffineLimits, FitConfig, FitHistory, LearnedAffineAugment
from learned_affine.classifier import train_classifier
from learned_affine.diagnostics import FitWarning
from learned_affine.diagnostics.checks import check_fit
from learned_affine.policy.network import LocalizationNetwork
from tests.fits import SHORT, loader
from tests.subjects import Halves, Sides, blobs, sides, small_net

IMAGES, LABELS = blobs(64)
fit = LearnedAffineAugment.fit


# -- as fits set them off ---------------------------------------------------------------------------------------------


def alarms(classifier=None, data=None, **options):
    """The kinds of alarms that a fit gives, and the last one's text."""
    options = {"config": healthy(), "val_loader": loader(), "progress": False, **options}
    augment = options.pop("augment", LearnedAffineAugment)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        augment.fit(classifier or Halves(4.0), loader(64) if data is None else data, **options)
    mine = [one for one in found if issubclass(one.category, FitWarning)]
    assert all(one.filename == __file__ for one in mine)  # they point at the call
    return {one.message.kind: one.message.text for one in mine}


def healthy(**changes):
    """Dials of a fit that goes well."""
    return FitConfig(**{"target": 0.4, "rounds": 3, "images": 900, **changes})


def test_a_healthy_fit_is_silent():
    assert alarms(preprocess=v2.Normalize([0.0], [1.0]), data=loader(32), limits=AffineLimits.wide()) == {}


def test_one_policy_for_all_that_was_asked_for_is_silent():
    network = LocalizationNetwork(1, per_image=False)
    assert alarms(localization=network, limits=AffineLimits.wide()) == {}


def test_a_symmetry_that_harms_a_class():
    """Warps this small leave all that may be lost to the flips, and one image in forty names a side."""
    options = {"classifier": Sides(), "data": [sides(400, 0)], "val_loader": [sides(400, 1)]}
    limits = AffineLimits(5, 1.05, 5, 0.02, symmetries="mirror")
    text = alarms(config=FitConfig(rounds=2, images=2000, target=0.3), limits=limits, **options)["symmetry"]
    assert re.match(r"class [01] is flipped left-right with a chance of 0\.[1-5]\d, which adds [1-9]\.", text)
    assert "more than the budget of 0." in text and "label_map" in text


def test_collapse_to_the_identity():
    classifier = small_net()
    train_classifier(classifier, loader(), epochs=15, progress=False)
    found = alarms(classifier, loader(), config=FitConfig.paper(rounds=4))
    assert "mean displacement" in found["identity-collapse"] and "use FitConfig()" in found["identity-collapse"]


def test_limits_that_leave_no_room():
    assert "identity-collapse" in alarms(limits=AffineLimits(0.5, 1.005, 0.5, 0.005, "none"))


def test_destroyed_images():
    classifier = small_net()
    train_classifier(classifier, loader(), epochs=15, progress=False)
    config = FitConfig.paper("corrected", rounds=10, learning_rate=3e-3)
    found = alarms(classifier, loader(), config=config, padding_mode="zeros")
    assert set(found) == {"destroyed-images"} and "of the image visible" in found["destroyed-images"]


class NoFeatures(nn.Module):
    """Whatever the image, the last layer gets the same."""

    def forward(self, images):
        return torch.ones(len(images), 64)


def test_a_dead_localization_network():
    network = LocalizationNetwork(1)
    network.features = NoFeatures()
    found = alarms(localization=network, limits=AffineLimits.wide())
    assert set(found) == {"dead-network"} and "all images the same policy" in found["dead-network"]


def test_limits_that_the_policy_fills():
    """The classifier bears every warp within them, and twice what that costs."""
    found = alarms(config=healthy(target=1.0), limits=AffineLimits(5, 1.05, 5, 0.02, symmetries="none"))
    assert set(found) == {"limits-bind"}
    assert re.match(
        r"the policy fills the limits \(its divergence .* is 0\.\d+ nats\), and augmented images "
        r"cost -?0\.\d+ nats more, within the budget of 0\.9",
        found["limits-bind"],
    )


def test_a_classifier_that_hardly_overfits():
    images, labels = blobs(128)
    options = {"data": [(images, labels)], "val_loader": [(images + 1e-6, labels)]}  # costs what training images do
    found = alarms(config=FitConfig(rounds=1, images=64), **options)
    assert "augmentation has little to give" in found["little-to-gain"]


@pytest.mark.parametrize(("factor", "why"), [(255.0, "normalised already"), (1 / 255, "twice")])
def test_a_pixel_range_that_does_not_fit_preprocess(factor, why):
    data = [(IMAGES * factor, LABELS)]
    found = alarms(data=data, preprocess=v2.Normalize([0.5], [0.5]), config=SHORT)
    assert why in found["pixel-range"] and "[0, 1]" in found["pixel-range"]


def test_a_target_without_held_out_images():
    found = alarms(config=FitConfig(rounds=1, images=64), val_loader=None)
    assert "without val_loader" in found["target"]


class Breaks(nn.Module):
    """Passes a gradient that is not finite, from its twentieth call on."""

    def __init__(self):
        super().__init__()
        self.calls = 0
        self.inner = Halves()

    def forward(self, images):
        self.calls += 1
        logits = self.inner(images)
        if self.calls > 20 and logits.requires_grad:
            logits.register_hook(lambda grad: grad * math.nan)
        return logits


def test_a_gradient_that_is_not_finite_stops_the_fit_and_keeps_the_last_good_weights():
    rounds = []
    with pytest.warns(FitWarning, match=r"stopped-fit: .*stopped in round [2-9] since .* not finite"):
        augment = fit(Breaks(), loader(), config=FitConfig.paper(), callbacks=rounds.append, progress=False)
    assert 0 < len(rounds) < 20
    assert all(bool(torch.isfinite(value).all()) for value in augment.localization.state_dict().values())


# -- as numbers set them off ------------------------------------------------------------------------------------------


def history_of(**values):
    """One round with nothing to complain of, but for ``values``."""
    fine = {
        "displacement": 0.1,
        "visible_area": 0.9,
        "agreement": 0.9,
        "between_image_variance": 0.2,
        "kl": 1.0,
        "symmetry_kl": 0.2,
        "symmetry_chance": 0.3,
        "cost": 0.1,
        "budget": 0.1,
    }
    config = values.pop("config", FitConfig())
    info = {"chance": 0.1, "localization": {"per_image": True}} | values.pop("info", {})
    history = FitHistory(info={"config": config.to_dict(), **info})
    history.add(**{**fine, **values})
    return history


def moved(harm):
    """The table of a fit in which class 1 is rotated by 180 degrees, at a cost."""
    harms, chances = [0.0] * 8, [0.1] * 8
    harms[2], chances[2] = harm, 0.4
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
        ({"cost": 0.149}, None),
        ({"cost": 0.151}, "target"),  # half as much again
        ({"info": moved(0.101)}, "symmetry"),
        ({"info": moved(0.099)}, None),
    ],
)
def test_alarms(values, alarm):
    found = check_fit(history_of(**values), False)
    assert [one.kind for one in found] == ([] if alarm is None else [alarm])


def test_the_alarm_of_a_symmetry_names_class_and_symmetry():
    (alarm,) = check_fit(history_of(info={**moved(0.5), "class_names": ["cat", "six"]}), False)
    assert alarm.text.startswith("class 1 (six) is rotated by 180 degrees with a chance of 0.40, which adds 0.50 nats")


def test_of_the_papers_procedure_only_collapse_and_destruction_are_told():
    paper = history_of(config=FitConfig.paper(), cost=math.nan, budget=math.nan, kl=math.nan)
    assert check_fit(paper, True) == []
    (alarm,) = check_fit(history_of(config=FitConfig.paper(), displacement=0.015), True)
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
