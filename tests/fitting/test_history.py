"""The history of a fit: one number an epoch and key, and JSON that comes back."""

import json
import math

import pytest

from learned_affine import AffineLimits, FitConfig, FitHistory
from learned_affine.fitting.history import KEYS
from tests.fits import IMAGES, LABELS, loader, quick


def test_history_has_every_key_and_is_json(tmp_path):
    config = FitConfig(target=0.3, adversarial_weight=0.1)
    history = quick(val_loader=loader(), max_steps=8, config=config).history
    assert history.epochs == 2 and set(history) == set(KEYS)
    path = history.save(tmp_path / "history.json")
    again = FitHistory.from_dict(json.loads(path.read_text()))
    assert {key: again[key] for key in KEYS} == {key: history[key] for key in KEYS}


def test_the_accuracy_of_a_step_is_that_of_its_augmented_images():
    """Labels that are all wrong: of the images that hardly move none is right; of labels that fit all are."""
    still = AffineLimits(0, 1, 0, 0, symmetries="none")
    for labels, right in ((LABELS, 1.0), (1 - LABELS, 0.0)):
        history = quick(data=[(IMAGES, labels)], max_steps=1, limits=still).history
        assert history["accuracy"] == [right]
    assert math.isnan(quick(data=[IMAGES], max_steps=1, config=FitConfig.paper()).history["accuracy"][0])


@pytest.mark.parametrize("strength", [1.0, 0.5])
@pytest.mark.parametrize("mirror", [True, False])
def test_the_divergence_of_the_mirrors_is_that_part_of_the_divergence(mirror, strength):
    """A new network gives every image the same policy: 1 in 20 is mirrored, whatever the strength makes of it."""
    options = {"max_steps": 1, "limits": AffineLimits(mirror=mirror), "strength": strength}
    config = FitConfig(target=0.3, learning_rate=1e-9)
    augment = quick(config=config, **options)
    expected = 0.05 * math.log(0.1) + 0.95 * math.log(1.9) if mirror else 0.0
    assert augment.history["mirror_kl"][0] == pytest.approx(expected, abs=1e-6)
    numbers = quick(config=config, **{**options, "limits": AffineLimits(symmetries="none")}).history["kl"][0]
    assert augment.history["kl"][0] - augment.history["mirror_kl"][0] == pytest.approx(numbers, rel=1e-5)


def test_infinite_numbers_are_no_json():
    history = FitHistory()
    history.add(loss=math.inf, entropy=1.0)
    assert history.to_dict()["epochs"]["loss"] == [None]
    assert FitHistory.from_dict(history.to_dict())["entropy"] == [1.0] and len(history) == len(KEYS)


def test_an_unknown_key_is_named():
    with pytest.raises(ValueError, match=r"history keys must be among loss, .*images_per_second, got los"):
        FitHistory().add(los=1.0)
