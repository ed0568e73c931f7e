"""Judging a policy: against truths worked out by hand or by a dense integral, and without a trace."""

import math

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from learned_affine import AffineLimits, LearnedAffineAugment
from learned_affine.fitting.history import FitHistory
from learned_affine.geometry.parameters import NAMES
from learned_affine.policy.raw_head import RawHead
from tests.fits import IMAGES, LABELS, loader
from tests.subjects import COMPASS, STILL, Compass, Halves, compass, symmetric, vivid


def test_identity_changes_nothing():
    found = LearnedAffineAugment(AffineLimits(0, 1, 0, 0, symmetries="none")).evaluate(Halves(), loader())
    assert found["displacement"] == 0 and found["agreement"] == 1 and found["visible_area"] == 1
    assert found["accuracy"] == found["clean_accuracy"] == 1
    assert found["within_angle"] == found["between_angle"] == found["symmetry_chance"] == found["worst_class_loss"] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"loader": []}, "loader must give at least one batch"),
        ({"draws": 0}, "draws must be at least 1, got 0"),
        ({"max_images": 0}, "max_images must be at least 1, got 0"),
        ({"loader": [(IMAGES, LABELS), (IMAGES, LABELS + 1)]}, "loader's labels"),
        ({"loader": [(IMAGES, LABELS), (IMAGES, torch.full((64, 2), 0.7))]}, "loader's labels"),
    ],
)
def test_errors_are_clear(options, said):
    with pytest.raises(ValueError, match=said):
        vivid().evaluate(Halves(), **{"loader": loader(), **options})


@pytest.mark.parametrize("kind", ["deterministic", "raw"])
def test_what_draws_nothing_spreads_between_images_alone(kind):
    augment = vivid(deterministic=True)
    if kind == "raw":
        augment = LearnedAffineAugment(localization=RawHead(1))
        nn.init.normal_(augment.localization.head.weight, std=0.02)
    drawn = augment.sample_parameters(IMAGES)
    found = augment.evaluate(Halves(), loader())
    for name in NAMES:
        assert found[f"within_{name}"] == 0
        assert found[f"between_{name}"] == pytest.approx(float(getattr(drawn, name).std()), rel=1e-4), name
    assert found["symmetry_chance"] == found["symmetry_spread"] == 0 and not bool(drawn.codes().any())


@pytest.mark.parametrize(
    ("limits", "options"),
    [
        (AffineLimits(), {}),
        (AffineLimits(), {"strength": 0.4}),
        (AffineLimits(), {"strength": 0.0}),
        (AffineLimits(), {"deterministic": True}),
        (AffineLimits(symmetries="mirror"), {}),
        (AffineLimits(symmetries="none"), {}),
    ],
)
def test_the_chance_of_a_symmetry_is_how_often_images_get_one(limits, options):
    augment = vivid(AffineLimits())
    with torch.no_grad():
        augment.localization.head.bias[12:] = 1.0
    changed = LearnedAffineAugment(limits, localization=augment.localization, **options)
    found = changed.evaluate(Halves(), loader())
    often = torch.stack([changed.sample_parameters(IMAGES).codes() > 0 for _ in range(150)]).double().mean(0)
    assert found["symmetry_chance"] == pytest.approx(float(often.mean()), abs=4 * 0.5 / math.sqrt(150 * 64))
    assert found["symmetry_spread"] == pytest.approx(float(often.std()), abs=0.03)


halves_of = torch.no_grad()(Halves(4.0).forward)


def test_the_worst_class_is_the_one_whose_cross_entropy_grows_most():
    """A shift of everything to the right is good for what is on the right, and bad for what is on the left."""
    augment = LearnedAffineAugment(AffineLimits(0, 1, 0, 0.4), deterministic=True, padding_mode="zeros")
    with torch.no_grad():
        augment.localization.head.bias[4] = 9.0  # as far as a centre can go
    found = augment.evaluate(halves_of, loader())
    warped = augment.warp(IMAGES, augment.sample_parameters(IMAGES))
    grown = nn.functional.cross_entropy(halves_of(warped), LABELS, reduction="none")
    grown -= nn.functional.cross_entropy(halves_of(IMAGES), LABELS, reduction="none")
    right = (halves_of(warped).argmax(-1) == LABELS).float()
    assert float(grown[LABELS == 0].mean()) > 0 > float(grown[LABELS == 1].mean())
    assert found["worst_class"] == 0
    assert found["worst_class_loss"] == pytest.approx(float(grown[LABELS == 0].mean()), rel=1e-4)
    assert found["worst_class_accuracy"] == float(right[LABELS == 0].mean())
    assert found["accuracy"] == float(right.mean())


def shifted(monkeypatch, shift):
    """An augmenter that moves each image by a share of the side along x, which follows from the image."""
    augment = LearnedAffineAugment(AffineLimits(0, 1, 0, 0.5), padding_mode="zeros")

    def drawn(images):
        unit = torch.zeros(len(images), 6)
        unit[:, 4] = shift(images) / 0.5
        return augment.limits.parameters(unit)

    monkeypatch.setattr(augment, "sample_parameters", drawn)
    return augment


def to_the_outside(images):
    """A blob on the left goes further to the left by a quarter of the side, one on the right to the right."""
    left, right = images[..., :8].sum((1, 2, 3)), images[..., 8:].sum((1, 2, 3))
    return torch.where(left > right, -0.25, 0.25)


@pytest.mark.parametrize("order", ["alternating", "sorted"])
@pytest.mark.parametrize("size", [1, 5, 64])
def test_own_gain_is_what_another_images_draws_cost_more(order, size, monkeypatch):
    """About half of the others are of the other class, whose shift goes the wrong way, however images are ordered."""
    rows = torch.arange(64) if order == "alternating" else LABELS.argsort(stable=True)
    data = list(zip(IMAGES[rows].split(size), LABELS[rows].split(size), strict=True))
    found = shifted(monkeypatch, to_the_outside).evaluate(Halves(), iter(data), draws=2)
    away = torch.where(LABELS == 0, -4, 4)  # pixels
    wrong, own = (nn.functional.cross_entropy(Halves()(rolled(IMAGES, one)), LABELS).item() for one in (-away, away))
    assert found["own_gain"] == pytest.approx((wrong - own) * 32 / 63, abs=3 * found["own_gain_error"])
    assert found["own_gain"] > 4 * found["own_gain_error"]


def rolled(images, places):
    """Each image moved by so many pixels to the right, with zeros from beyond."""
    wide = nn.functional.pad(images, (8, 8))
    return torch.stack([one[..., 8 - place : 24 - place] for one, place in zip(wide, places.tolist(), strict=True)])


def test_own_gain_is_also_that_of_images_of_several_sizes(monkeypatch):
    """Each has a size of its own, and only draws of square images may have an odd quarter turn."""
    images = [nn.functional.pad(one[None], (0, 0, 0, row // 4)) for row, one in enumerate(IMAGES)]
    data = list(zip(images, LABELS.split(1), strict=True))
    found = shifted(monkeypatch, to_the_outside).evaluate(Halves(), data)
    assert found["own_gain"] > 4 * found["own_gain_error"] > 0
    assert math.isfinite(symmetric(channels=1).evaluate(Halves(), data)["own_gain"])


def test_own_gain_of_one_image_has_no_error_and_without_labels_there_is_none():
    found = vivid().evaluate(Halves(), [(IMAGES[:1], LABELS[:1])])
    assert found["own_gain"] == 0 and math.isnan(found["own_gain_error"])
    assert not {"own_gain", "own_gain_error"} & set(vivid().evaluate(Halves(), [IMAGES]))


def test_agreement_follows_the_label_map_which_is_that_of_the_fit():
    """Moved to what its map says, an answer that changes is the same one; it was taken for destroyed images."""
    images, labels = compass(160)
    augment, data = symmetric(STILL, channels=1), [(images, labels)]
    assert augment.evaluate(Compass(), data)["accuracy"] == pytest.approx(1 / 4, abs=0.1)
    augment.history = FitHistory(info={"label_map": COMPASS})
    for given in (None, COMPASS):
        found = augment.evaluate(Compass(), data, label_map=given)
        assert found["agreement"] == found["accuracy"] == 1
    assert augment.evaluate(Compass(), data, label_map={"mirror": [0, 1, 2, 3]})["agreement"] < 0.5
    turns = {"quarter_turn": COMPASS["quarter_turn"]}
    assert augment.evaluate(Compass(), data, label_map=turns)["accuracy"] < 0.9
    # the same by functions of soft labels
    rules = {key: lambda soft, order=order: soft[:, torch.tensor(order).argsort()] for key, order in COMPASS.items()}
    soft = nn.functional.one_hot(labels, 4).float()
    found = augment.evaluate(Compass(), [(images, soft)], label_map=rules)
    assert found["accuracy"] == found["agreement"] == 1


def test_classes_of_one_name_keep_their_rows():
    dataset = TensorDataset(IMAGES, LABELS)
    dataset.classes = ["arrow", "arrow"]
    found = vivid().evaluate(Halves(), DataLoader(dataset, 64))
    assert list(found.chances) == ["arrow (class 0)", "arrow (class 1)"]
