"""The alarms of a fit: each set off by a fit that goes wrong in its way, none by one that goes well."""

import copy
import math
import re
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.transforms import v2

from learned_affine import AffineLimits, FitConfig, FitHistory, LearnedAffineAugment
from learned_affine.classifier import train_classifier
from learned_affine.diagnostics import (
    DeadNetworkWarning,
    DestroyedImagesWarning,
    DiscriminatorWarning,
    FitWarning,
    IdentityCollapseWarning,
    LimitsBindWarning,
    LittleToGainWarning,
    MirrorWarning,
    PixelRangeWarning,
    StoppedFitWarning,
    TargetWarning,
)
from learned_affine.diagnostics.checks import FEWEST_STEPS, check_fit
from learned_affine.policy.network import LocalizationNetwork
from tests.fits import loader
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
    return {one.category: str(one.message) for one in mine}


def healthy(**changes):
    """Dials of a fit that goes well."""
    return FitConfig(**{"target": 0.4, "steps": 110, "updates": 8, "learning_rate": 0.01, **changes})


def test_a_healthy_fit_is_silent():
    options = {"config": FitConfig(target=0.4, steps=150), "data": loader(32), "limits": AffineLimits.wide()}
    assert alarms(preprocess=v2.Normalize([0.0], [1.0]), **options) == {}


def test_one_policy_for_all_that_was_asked_for_is_silent():
    network = LocalizationNetwork(1, per_image=False)
    assert alarms(localization=network, limits=AffineLimits.wide()) == {}


def test_mirrors_that_harm_a_class():
    """Warps this small leave most of what may be lost to the mirrors, and one image in forty names a side."""
    options = {"classifier": Sides(), "data": [sides(160, 0)], "val_loader": [sides(160, 1)]}
    options["config"] = FitConfig(steps=120, target=0.2)
    found = alarms(limits=AffineLimits(5, 1.05, 5, 0.02), **options)
    assert re.match(r"mirrors harm class [01]: it is flipped with a chance of 0\.[1-5]", found[MirrorWarning])
    assert "AffineLimits(mirror=False)" in found[MirrorWarning]
    assert MirrorWarning not in alarms(limits=AffineLimits.wide(), padding_mode="zeros", **options)


def test_collapse_to_the_identity():
    classifier = small_net()
    train_classifier(classifier, loader(), epochs=15, progress=False)
    found = alarms(classifier, loader(), config=FitConfig.paper(epochs=4))
    assert "mean displacement" in found[IdentityCollapseWarning] and "use FitConfig()" in found[IdentityCollapseWarning]


def test_limits_that_leave_no_room():
    assert IdentityCollapseWarning in alarms(limits=AffineLimits(1.0, 1.01, 1.0, 0.01))


def test_destroyed_images():
    classifier = small_net()
    train_classifier(classifier, loader(), epochs=15, progress=False)
    config = FitConfig.paper("corrected", epochs=10, learning_rate=3e-3)
    found = alarms(classifier, loader(), config=config, padding_mode="zeros")
    assert set(found) == {DestroyedImagesWarning} and "of the image visible" in found[DestroyedImagesWarning]


def without_features(network):
    """Cut off: whatever the image, the last layer gets the same."""
    with torch.no_grad():
        network.features[2].weight.zero_()
    network.features[2].weight.requires_grad_(False)
    network.features[2].bias.requires_grad_(False)
    return network


def test_a_dead_localization_network():
    network = without_features(LocalizationNetwork(1))
    found = alarms(localization=network, limits=AffineLimits.wide())
    assert set(found) == {DeadNetworkWarning} and "no longer varies" in found[DeadNetworkWarning]


def test_limits_that_the_policy_fills():
    """The classifier bears every warp within them, and twice what that costs."""
    found = alarms(config=healthy(target=1.0, steps=200), limits=AffineLimits(5, 1.05, 5, 0.02, mirror=False))
    assert set(found) == {LimitsBindWarning}
    assert re.match(
        r"the limits bind: the policy fills them \(its divergence .* is 0\.\d+ nats\), and augmented images "
        r"cost 0\.\d+ nats, no more than the target 1\.00",
        found[LimitsBindWarning],
    )


def test_a_classifier_that_hardly_overfits():
    images, labels = blobs(128)
    options = {"data": [(images, labels)], "val_loader": [(images + 1e-6, labels)]}  # costs what training images do
    found = alarms(config=FitConfig(), max_steps=1, **options)
    assert "augmentation has little to give" in found[LittleToGainWarning]


def test_a_discriminator_that_is_always_right():
    class Marked(LearnedAffineAugment):
        """Leaves a mark on what it warps."""

        def warp(self, images, parameters):
            return super().warp(images, parameters) + 3.0 * torch.ones_like(images)

    found = alarms(augment=Marked, config=healthy(adversarial_weight=0.1, discriminator_rate=0.01))
    assert "always right" in found[DiscriminatorWarning]


def test_a_discriminator_at_chance():
    assert "at chance" in alarms(config=healthy(adversarial_weight=0.1, discriminator_rate=1e-9))[DiscriminatorWarning]


def test_a_cross_entropy_that_stays_above_the_target():
    every_fifth_wrong = torch.where(torch.arange(64) % 5 == 0, 1 - LABELS, LABELS)  # costs 0.5 nats without a warp
    options = {"config": FitConfig(target=0.01, steps=110), "limits": AffineLimits.wide()}
    found = alarms(val_loader=[(IMAGES, every_fifth_wrong)], **options)
    assert "stay harder than the target" in found[TargetWarning]


@pytest.mark.parametrize(("factor", "why"), [(255.0, "normalised already"), (1 / 255, "twice")])
def test_a_pixel_range_that_does_not_fit_preprocess(factor, why):
    data = [(IMAGES * factor, LABELS)]
    found = alarms(data=data, preprocess=v2.Normalize([0.5], [0.5]), config=FitConfig(target=0.3), max_steps=1)
    assert why in found[PixelRangeWarning] and "[0, 1]" in found[PixelRangeWarning]


def test_a_target_without_held_out_images():
    found = alarms(config=FitConfig(), val_loader=None, max_steps=1)
    assert "without val_loader" in found[TargetWarning]


class Breaks(nn.Module):
    """Passes a gradient that is not finite, from its third call on."""

    def __init__(self):
        super().__init__()
        self.calls = 0
        self.inner = Halves()

    def forward(self, images):
        self.calls += 1
        logits = self.inner(images)
        if self.calls > 4 and logits.requires_grad:
            logits.register_hook(lambda grad: grad * math.nan)
        return logits


def test_a_gradient_that_is_not_finite_stops_the_fit_and_keeps_the_last_good_weights():
    saved = []
    augment = LearnedAffineAugment(localization=None)

    def keep(values):
        saved.append(copy.deepcopy(augment.localization.state_dict()))

    with pytest.warns(StoppedFitWarning, match="not finite"):
        augment.fit(Breaks(), loader(), config=FitConfig.paper(), callbacks=keep, progress=False)
    assert 0 < len(saved) < 20
    for key, value in augment.localization.state_dict().items():
        assert torch.equal(value, saved[-1][key]) and torch.isfinite(value).all()


# -- as numbers set them off ------------------------------------------------------------------------------------------


def history_of(**values):
    """One epoch with nothing to complain of, but for ``values``."""
    fine = {
        "displacement": 0.1,
        "visible_area": 0.9,
        "agreement": 0.9,
        "between_image_variance": 0.2,
        "discriminator_loss": 1.0,
        "entropy": 1.0,
        "kl": 1.0,
        "mirror_kl": 0.2,
        "cross_entropy": 0.5,
    }
    config = values.pop("config", FitConfig())
    info = {"output_spread": values.pop("spread", 1.0), "steps": 400, "target": 0.5, "classes": 10}
    info["worst_mirrored_class"] = values.pop("worst", None)
    info |= values.pop("info", {})
    history = FitHistory(info={"config": config.to_dict(), **info})
    history.add(**{**fine, **values})
    return history


@pytest.mark.parametrize(
    ("values", "alarm"),
    [
        ({}, None),
        ({"displacement": 0.001}, IdentityCollapseWarning),
        ({"visible_area": 0.1}, DestroyedImagesWarning),
        ({"agreement": 0.1}, DestroyedImagesWarning),
        ({"between_image_variance": 0.0}, None),  # that each image gets the same may be best
        ({"kl": 0.6}, LimitsBindWarning),  # of which the six numbers have 0.4
        ({"kl": 0.6, "cross_entropy": 0.501}, None),  # which costs more than the target of 0.5
        ({"kl": 0.6, "mirror_kl": 0.05}, None),
        ({"kl": 0.4, "mirror_kl": math.nan}, LimitsBindWarning),
        ({"kl": 0.6, "info": {"target": None}}, None),
        ({"kl": 0.6, "config": FitConfig.paper()}, None),
        ({"spread": 1e-9}, DeadNetworkWarning),
        ({"spread": math.nan}, None),
        ({"between_image_variance": math.nan}, None),
        ({"discriminator_loss": 0.001}, DiscriminatorWarning),
        ({"discriminator_loss": 2 * math.log(2)}, DiscriminatorWarning),
        ({"cross_entropy": 0.79}, None),
        ({"cross_entropy": 0.81}, TargetWarning),  # half as much again, and 0.05
        ({"cross_entropy": 0.81, "info": {"steps": 60}}, TargetWarning),  # as few as a default fit may take
        ({"cross_entropy": 0.81, "info": {"steps": 59}}, None),  # too early to tell
        ({"worst": {"class": 3, "chance": 0.4, "cost": 0.5}}, MirrorWarning),
        ({"worst": {"class": 3, "chance": 0.4, "cost": 0.01}}, None),
    ],
)
def test_alarms(values, alarm):
    found = check_fit(history_of(**values), 10, False)
    assert [type(one) for one in found] == ([] if alarm is None else [alarm])


def test_the_docs_say_from_where_on_a_missed_target_is_named():
    page = (Path(__file__).parents[2] / "docs" / "fitting.md").read_text()
    assert f"much harder than the target (in a fit of {FEWEST_STEPS} steps or more)" in page
    assert f"In a fit of fewer than {FEWEST_STEPS} steps, check yourself" in page
