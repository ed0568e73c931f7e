"""Unseen images: which are kept, how sure the classifier may be of them, and what a fit learns from them alone."""

import copy
import warnings

import pytest
import torch
from torch import nn

from learned_affine import AffineLimits, FitConfig, LearnedAffineAugment
from learned_affine.diagnostics import FitWarning
from learned_affine.unseen import KEPT, Unseen, temperature_of
from tests.subjects import Halves, blobs

IMAGES, LABELS = blobs(64)
NOISY = torch.where(torch.rand(64, generator=torch.Generator().manual_seed(0)) < 0.2, 1 - LABELS, LABELS)


def numbered(count: int, side: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Images that hold their own number."""
    return torch.arange(float(count))[:, None, None, None].expand(count, 1, side, side), torch.arange(count)


def kept(batches: list, seed: int = 0) -> Unseen:
    """What is left of some batches."""
    unseen = Unseen(seed)
    assert sum(len(images) for images, _ in unseen.watch(batches)) == sum(len(images) for images, _ in batches)
    return unseen


# -- which are kept ---------------------------------------------------------------------------------------------------


def test_few_images_are_all_kept_with_their_labels():
    images, labels = kept([numbered(10), numbered(3)]).draw(13, torch.Generator())
    assert sorted(labels.tolist()) == sorted([*range(10), *range(3)])
    assert torch.equal(images[:, 0, 0, 0].long(), labels)


def test_of_many_each_is_as_likely_to_be_kept():
    """Of 4 KEPT images in order, those kept are spread evenly: their mean is within 4 deviations of the middle."""
    images, labels = numbered(4 * KEPT)
    unseen = kept(list(zip(images.split(100), labels.split(100), strict=True)))
    numbers = torch.stack(unseen.labels).double()
    assert len(numbers) == KEPT == len(set(numbers.tolist()))
    deviation = 4 * KEPT / 12**0.5 / KEPT**0.5
    assert abs(float(numbers.mean()) - (4 * KEPT - 1) / 2) < 4 * deviation


def test_large_images_are_kept_in_smaller_number():
    assert len(kept([(torch.zeros(70, 3, 700, 700), None)]).images) == 64


def test_images_of_another_shape_are_left_out():
    unseen = kept([numbered(4), numbered(4, side=3)])
    assert len(unseen.images) == 4


def test_more_are_drawn_than_there_are():
    images, labels = kept([numbered(3)]).draw(7, torch.Generator().manual_seed(0))
    assert images.shape == (7, 1, 2, 2)
    assert sorted(labels[:3].tolist()) == [0, 1, 2] == sorted(labels[3:6].tolist())


def test_without_labels_there_are_none():
    assert kept([(numbered(4)[0], None)]).draw(2, torch.Generator())[1] is None


# -- how sure ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_temperature_undoes_a_scale(scale):
    """Labels drawn from the softmax itself: logits times a scale have that scale for temperature."""
    logits = 2 * torch.randn(20_000, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.multinomial(logits.softmax(-1), 1, generator=torch.Generator().manual_seed(1))[:, 0]
    assert temperature_of(scale * logits, labels) == pytest.approx(scale, rel=0.05)


@pytest.mark.parametrize(("certain", "scale"), [(True, 0.1), (False, 100.0)])
def test_temperature_stays_within_its_bounds(certain, scale):
    """Always right: the surer the better. Always wrong: the less sure the better."""
    logits = nn.functional.one_hot(LABELS, 2).float()
    assert temperature_of(logits, LABELS if certain else 1 - LABELS) == pytest.approx(scale)


class Scaled(nn.Module):
    """Another classifier's logits, times a factor."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.inner, self.factor = Halves(), factor

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.factor * self.inner(images)


def test_how_sure_the_classifier_is_makes_no_difference():
    """The same classifier with five times the logits gets nearly the same target and policy."""
    found = []
    for factor in (1.0, 5.0):
        history = fit(Scaled(factor), val_loader=[(IMAGES, NOISY)]).history
        found.append((history.info["target"], history.last()["kl"]))
    assert found[0] == pytest.approx(found[1], rel=0.1)


# -- what a fit learns from them --------------------------------------------------------------------------------------


def fit(classifier=None, **options) -> LearnedAffineAugment:
    """A short fit, without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        options = {"config": FitConfig(steps=30), "seed": 0, "progress": False, **options}
        return LearnedAffineAugment.fit(classifier or Halves(), [(IMAGES, LABELS)], **options)


class ByHeart(nn.Module):
    """Right about the training images, and not sure of any other, however little it differs: turns cost nothing new."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        super().__init__()
        self.known, self.labels = images.flatten(1), labels

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        near = torch.cdist(images.flatten(1), self.known).min(1)
        by_heart = torch.exp(-((near.values / 0.5) ** 2))
        right = nn.functional.one_hot(self.labels[near.indices], 2) * 2.0 - 1
        return right * (0.3 + 5 * by_heart)[:, None]


def rings(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy discs and rings, whose labels know no angle."""
    steps = torch.arange(16) - 7.5
    radius = torch.hypot(steps.expand(16, 16), steps[:, None].expand(16, 16))
    disc, ring = torch.sigmoid(2 * (4 - radius)), torch.sigmoid(4 - 4 * (radius - 5).abs())
    labels = torch.arange(count) % 2
    noise = 0.05 * torch.randn(count, 1, 16, 16, generator=torch.Generator().manual_seed(seed))
    return torch.stack([disc, ring])[labels][:, None] + noise, labels


def test_a_warp_that_costs_new_images_nothing_is_found_to_be_free():
    """By heart a turned training image is a new one; held on unseen ones the policy takes all turns."""
    mine, unseen = rings(64, seed=0), rings(64, seed=1)
    limits = AffineLimits(angle=180, scale=1, shear=0, translate=0)
    ranges = {}
    for held_on in ("unseen", "training"):
        config = FitConfig(held_on=held_on, steps=60)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)
            augment = LearnedAffineAugment.fit(
                ByHeart(*mine), [mine], val_loader=[unseen], config=config, limits=limits, progress=False, seed=0
            )
        torch.manual_seed(0)
        ranges[held_on] = float(augment.sample_parameters(mine[0].repeat(16, 1, 1, 1)).angle.detach().std())
    assert ranges["unseen"] > 95  # of 104 for a uniform turn
    assert ranges["unseen"] > 1.3 * ranges["training"]


def test_the_target_is_a_share_of_what_is_known():
    classifier = Halves()
    with torch.no_grad():
        logits = classifier(IMAGES)
    scale = temperature_of(logits, NOISY)
    plain = float(nn.functional.cross_entropy(logits / scale, NOISY))
    info = fit(classifier, config=FitConfig(tolerance=0.2, steps=1), val_loader=[(IMAGES, NOISY)]).history.info
    assert info["target"] == pytest.approx(plain + 0.2 * (torch.tensor(2.0).log().item() - plain), rel=1e-5)
    assert info["held_on"] == "unseen"
    assert fit(config=FitConfig(target=0.4, steps=1)).history.info["held_on"] == "training"


def test_unseen_images_without_labels_are_refused():
    with pytest.raises(ValueError, match="labels"):
        fit(val_loader=[IMAGES])


def test_a_fit_that_cannot_use_them_says_so():
    with pytest.raises(ValueError, match="held_on must be 'training' but for a fit by values, got 'unseen'"):
        FitConfig.pathwise(held_on="unseen")
    with pytest.raises(ValueError, match="tolerance must be in"):
        FitConfig(tolerance=1.5)


def test_resume_is_exact_and_wants_them_again(tmp_path):
    options = {"config": FitConfig(steps=9), "val_loader": [(IMAGES[:40], LABELS[:40])], "seed": 3}
    whole = fit(**options)
    fit(max_steps=5, checkpoint=tmp_path, **options)
    left = copy.deepcopy(options) | {"val_loader": None}
    with pytest.raises(ValueError, match="val_loader must be given to go on with a fit that has one"):
        fit(resume=tmp_path, **left)
    with pytest.raises(ValueError, match="val_loader must give at least one batch, got an empty one"):
        fit(resume=tmp_path, **left | {"val_loader": []})
    parts = fit(resume=tmp_path, **options)
    pairs = zip(whole.localization.parameters(), parts.localization.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
