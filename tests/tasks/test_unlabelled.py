"""Images of which nothing is known are left out everywhere, and hard labels beside soft ones are one form."""

import pytest
import torch
from torch.nn import functional as F

from learned_affine import FitConfig, LearnedAffineAugment
from learned_affine.tasks import Binary, MultiLabel, SingleLabel
from tests.fits import PAPER, assert_same_fit, quick, silent
from tests.subjects import Halves, blobs, seeded, vivid

IMAGES, LABELS = blobs(96)
NOISY = torch.where(torch.arange(96) % 5 == 0, 1 - LABELS, LABELS)
TASKS = {
    "single-label": (SingleLabel(ignore_index=-100), NOISY, torch.tensor(-100)),
    "binary": (Binary(ignore_index=255), NOISY, torch.tensor(255)),
    "chance of a yes": (Binary(ignore_index=-1), 0.1 + 0.8 * NOISY, torch.tensor(-1.0)),
    "multi-label": (MultiLabel(ignore_index=-1), F.one_hot(NOISY, 2).float(), torch.tensor([-1.0, -1.0])),
}
CONFIGS = {"calibrated": FitConfig(rounds=1, images=64), "paper": PAPER}


def batches(labels, known=None, unknown=None):
    """Batches of 16; with ``unknown``, one with no label at the start, in the middle and at the end, and mixed ones."""
    found = list(zip(IMAGES.split(16), labels.split(16), strict=True))
    if unknown is None:
        return found
    noise = torch.rand(8, 1, 16, 16, generator=seeded())
    none = (noise, unknown.expand(8, *unknown.shape))
    mixed = [(torch.cat([images, noise]), torch.cat([own, none[1]])) for images, own in found]
    return [none, none, *mixed[:3], none, *mixed[3:], none]


@pytest.mark.parametrize("way", ["list", "iterator"])
@pytest.mark.parametrize(
    ("name", "config"), [*((name, "calibrated") for name in TASKS), ("single-label", "paper"), ("binary", "paper")]
)
def test_a_fit_is_that_to_the_images_that_have_a_label(name, config, way):
    (task, labels, unknown), options = TASKS[name], {"config": CONFIGS[config]}
    give = iter if way == "iterator" else list
    plain, mixed = (
        quick(data=give(data), val_loader=data, task=task, **options)
        for data in (batches(labels), batches(labels, unknown=unknown))
    )
    assert_same_fit(plain, mixed)


@pytest.mark.parametrize("name", TASKS)
def test_an_evaluation_is_that_of_the_images_that_have_a_label(name):
    task, labels, unknown = TASKS[name]
    plain, mixed = (
        vivid(generator=seeded()).evaluate(Halves(), data, task=task)
        for data in (batches(labels), batches(labels, unknown=unknown))
    )
    assert "accuracy" in plain
    torch.testing.assert_close(dict(mixed), dict(plain), equal_nan=True)


@pytest.mark.parametrize("name", TASKS)
def test_where_no_image_has_a_label_it_is_said(name):
    task, labels, unknown = TASKS[name]
    none = [(IMAGES, unknown.expand(96, *unknown.shape))] * 2
    named = "loader must give at least one image that has a label, got none in 2 batches"
    with pytest.raises(ValueError, match=f"^{named}"):
        silent(data=none, val_loader=batches(labels), task=task)
    with pytest.raises(ValueError, match=f"^val_{named}"):
        silent(data=batches(labels), val_loader=none, task=task)
    with pytest.raises(ValueError, match=f"^{named}"):
        LearnedAffineAugment().evaluate(Halves(), none, task=task)


def test_a_fit_to_hard_and_soft_labels_is_that_to_all_of_them_as_soft_ones():
    sure = F.one_hot(NOISY, 2).float()
    soft = [(images, labels) for images, labels in batches(0.9 * sure + 0.05)]
    every = [own if number % 2 else other for number, (own, other) in enumerate(zip(soft, batches(sure), strict=True))]
    mixed = [own if number % 2 else other for number, (own, other) in enumerate(zip(soft, batches(NOISY), strict=True))]
    one, other = (quick(data=data, val_loader=data, config=CONFIGS["calibrated"]) for data in (every, mixed))
    assert_same_fit(one, other)
    found = [vivid(generator=seeded()).evaluate(Halves(), data) for data in (every, mixed)]
    torch.testing.assert_close(*map(dict, found))


def test_an_index_that_is_no_class_beside_soft_labels_is_named():
    soft = (IMAGES, F.one_hot(LABELS, 2).float())
    with pytest.raises(ValueError, match=r"^val_loader's labels .* class indices beside them within \[0, 2\)"):
        silent(data=[(IMAGES, LABELS)], val_loader=[soft, (IMAGES, LABELS + 1)])
