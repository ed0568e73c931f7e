"""What ``fit`` takes: bad input is named, and an instance or a class is fitted."""

import math

import pytest
import torch

from learned_affine import AffineLimits, FitConfig, FitHistory, LearnedAffineAugment
from learned_affine.diagnostics.checks import check_fit
from learned_affine.policy.network import LocalizationNetwork
from learned_affine.policy.raw_head import RawHead
from tests.fits import loader, quick, silent
from tests.subjects import Halves, blobs

IMAGES, LABELS = blobs(64)


# -- what is fitted ---------------------------------------------------------------------------------------------------


def test_fit_on_an_instance_keeps_its_arguments():
    augment = LearnedAffineAugment(AffineLimits(10), localization=None, p=0.3)
    assert silent(augment, config=FitConfig(target=0.3), max_steps=2) is augment
    assert augment.p == 0.3 and augment.limits.angle == 10 and augment.history.epochs == 1
    with pytest.raises(TypeError, match="no constructor arguments, got p"):
        augment.fit(Halves(), loader(), p=1.0)


def test_instance_takes_images_of_other_channels():
    augment = LearnedAffineAugment()  # observes three
    augment.fit(Halves(), loader(), config=FitConfig(target=0.3), max_steps=2, progress=False)
    assert augment.localization.channels == 3 and augment.history.info["steps"] == 2


@pytest.mark.parametrize(
    ("config", "network", "other"),
    [(FitConfig(target=0.3), LocalizationNetwork, RawHead), (FitConfig.paper(), RawHead, LocalizationNetwork)],
)
def test_the_objective_decides_the_network(config, network, other):
    assert type(quick(config=config).localization) is network
    instance = LearnedAffineAugment(localization=other(1))
    assert type(silent(instance, config=config, max_steps=1).localization) is network


def test_a_network_is_taken_as_it_is():
    network = LocalizationNetwork(1, width=8)
    assert quick(localization=network).localization is network
    instance = LearnedAffineAugment(localization=network)
    assert silent(instance, config=FitConfig(target=0.3), max_steps=1).localization is network


def test_tensorboard_gets_files(tmp_path):
    pytest.importorskip("tensorboard")
    quick(log_dir=tmp_path, max_steps=4)
    assert list(tmp_path.glob("events*"))


def test_an_empty_history_sets_off_no_alarm():
    assert check_fit(FitHistory(), 2, False) == []


# -- bad input --------------------------------------------------------------------------------------------------------


def no_gradient(images):
    with torch.no_grad():
        return Halves()(images)


@pytest.mark.parametrize(
    ("classifier", "data", "options", "error", "named"),
    [
        (Halves(), [], {}, ValueError, "at least one batch"),
        (Halves(), 5, {}, TypeError, "loader must be iterable, got int"),
        (3, None, {}, TypeError, "classifier must be callable"),
        (lambda x: x.mean((1, 2, 3))[:, None], None, {}, ValueError, "m >= 2"),
        (lambda x: x.mean((1, 2, 3)), None, {}, ValueError, "m >= 2"),
        (lambda x: "cat", None, {}, TypeError, "must return logits"),
        (lambda x: Halves()(x) * math.nan, None, {}, ValueError, "finite logits"),
        (no_gradient, None, {"config": FitConfig.paper()}, ValueError, "pass a gradient"),
        (lambda x: torch.zeros(len(x), 2), None, {}, ValueError, "depend on its input, got the same"),
        (lambda x: torch.zeros(len(x), 2), None, {"config": FitConfig.paper()}, ValueError, "pass a gradient"),
        (Halves(), [(IMAGES * math.nan, LABELS)], {}, ValueError, "finite images"),
        (Halves(), [(IMAGES[:, 0], LABELS)], {}, ValueError, r"\(B, C, H, W\)"),
        (Halves(), [(["a.png"], LABELS)], {}, TypeError, "images as a tensor"),
        (Halves(), [(IMAGES, LABELS + 1)], {}, ValueError, r"labels must be within \[0, 2\)"),
        (Halves(), [IMAGES], {}, ValueError, "must give labels"),
        (Halves(), [(IMAGES, LABELS[:3])], {}, ValueError, "one class index an image"),
        (Halves(), None, {"max_steps": 0}, ValueError, "max_steps"),
        (Halves(), None, {"config": "paper"}, TypeError, "config must be a FitConfig"),
        (Halves(), None, {"resume": True}, ValueError, "resume=True needs checkpoint"),
        (Halves(), None, {"resume": "nowhere"}, FileNotFoundError, "resume must be"),
    ],
)
def test_errors_name_what_is_wrong(classifier, data, options, error, named):
    with pytest.raises(error, match=named):
        quick(classifier, data, **options)


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


def test_a_classifier_that_uses_nothing_of_the_image_is_refused():
    with pytest.raises(ValueError, match="classifier must give logits that depend on its input, got the same for"):
        quick(lambda images: torch.zeros(len(images), 2), [(IMAGES, LABELS)], config=FitConfig(target=0.4))


def test_held_out_images_are_given_by_name():
    by_name = r"val_loader must be given by its name: fit\(classifier, loader, val_loader=\.\.\.\)"
    for augment in (LearnedAffineAugment, LearnedAffineAugment()):
        with pytest.raises(TypeError, match=by_name):
            augment.fit(Halves(), loader(), loader())
