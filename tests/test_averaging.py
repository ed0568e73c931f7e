"""Averaging at test time, against the mean of the probabilities written out."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from learned_affine import AffineLimits, LearnedAffineAugment
from learned_affine.averaging import AveragedClassifier
from learned_affine.fitting.history import FitHistory
from learned_affine.policy.distribution import Policy
from tests.fits import IMAGES as HALVES
from tests.fits import quick
from tests.geometry.matrices import rearranged
from tests.subjects import COMPASS, STILL, Compass, EverySymmetry, Halves, compass, seeded


@pytest.fixture
def classifier() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, 16), nn.ReLU(), nn.Linear(16, 4))


@pytest.fixture
def augment() -> LearnedAffineAugment:
    torch.manual_seed(1)
    return LearnedAffineAugment(AffineLimits.wide())


IMAGES = torch.rand(7, 3, 12, 12, generator=torch.Generator().manual_seed(2))


def test_preprocess_is_that_of_the_fit():
    augment = quick(preprocess=lambda images: 1 - images)
    options = None, lambda images: 1 - images, nn.Identity()
    fitted, given, without = (AveragedClassifier(Halves(), augment, preprocess=one)(HALVES) for one in options)
    assert torch.equal(fitted, given) and not torch.allclose(fitted, without)


def test_it_is_the_mean_probability_of_the_image_and_its_draws(classifier, augment):
    augment.strength = 0.5
    averaged = AveragedClassifier(classifier, augment, draws=3, seed=5, strength=0.25)
    augment.strength = 0.125
    augment.generator = torch.Generator().manual_seed(5)
    views = [IMAGES, *(augment.warp(IMAGES, augment.sample_parameters(IMAGES)) for _ in range(3))]
    mean = torch.stack([classifier(view).softmax(-1) for view in views]).mean(0)
    torch.testing.assert_close(averaged(IMAGES).exp(), mean)


@pytest.mark.parametrize("most", [1, 7, 14, 20, 1000])
def test_how_much_is_done_at_once_changes_nothing(classifier, augment, most):
    whole = AveragedClassifier(classifier, augment, max_images=4096)(IMAGES)
    torch.testing.assert_close(AveragedClassifier(classifier, augment, max_images=most)(IMAGES), whole)


def test_a_call_gives_the_same_answer_again_and_leaves_torch_s_generator_alone(classifier, augment):
    """Also where another strength is set on the augmenter later."""
    averaged = AveragedClassifier(classifier, augment)
    state = torch.get_rng_state()
    first = averaged(IMAGES)
    augment.strength = 0.9
    assert torch.equal(first, averaged(IMAGES))
    assert torch.equal(state, torch.get_rng_state())
    assert not torch.equal(first, AveragedClassifier(classifier, augment, seed=1)(IMAGES))


def choosy(**options) -> LearnedAffineAugment:
    """An augmenter whose symmetries have chances of their own for each image, from 0.003 to 0.7."""
    augment = LearnedAffineAugment(**options)
    torch.nn.init.normal_(augment.localization.head.weight, std=1.0, generator=torch.Generator().manual_seed(0))
    return augment


@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_over_symmetries_it_is_the_mean_by_their_chances(classifier, strength):
    augment = choosy()
    chances = augment.policy(IMAGES).chances * strength
    chances[:, 0] += 1 - chances.sum(1)

    def sharp(images):
        return 30 * (classifier(images) - classifier(IMAGES).mean(0))

    answers = torch.stack([sharp(rearranged(IMAGES, code)).softmax(-1) for code in range(8)], dim=1)
    averaged = AveragedClassifier(sharp, augment, over="symmetries", strength=strength)(IMAGES).exp()
    torch.testing.assert_close(averaged.sum(-1), torch.ones(7))
    assert (averaged - (chances[..., None] * answers).sum(1)).abs().max() < 0.05  # but for the rarest symmetries
    assert (averaged - answers[:, 0]).abs().max() > 0.1


def test_symmetries_that_no_image_bears_are_not_asked_for(classifier):
    seen = []
    classifier.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    for word, views in (("none", 1), ("mirror", 2), ("all", 4)):
        augment = choosy(limits=AffineLimits(symmetries=word))
        augment.localization.forbid([1, 3, 5, 7])
        seen.clear()
        AveragedClassifier(classifier, augment, over="symmetries")(IMAGES)
        assert sum(seen) == views * len(IMAGES)


@pytest.mark.parametrize("over", ["draws", "symmetries"])
def test_answers_about_moved_images_are_read_with_the_label_map(over):
    """The classifier is right about every moved image, whose label the map changes: so is the mean."""
    images, labels = compass(8)
    augment = LearnedAffineAugment(STILL, localization=EverySymmetry(1))
    if over == "symmetries":
        everything = torch.full((8, 8), 0.125)
        augment.localization.forward = lambda *_: Policy(torch.zeros(8, 6), torch.ones(8, 6), everything)
    averaged = AveragedClassifier(Compass(), augment, label_map=COMPASS, over=over, strength=1.0)(images)
    torch.testing.assert_close(averaged.argmax(-1), labels)
    torch.testing.assert_close(averaged, Compass()(images).log_softmax(-1), atol=0.05, rtol=0.05)


def test_the_label_map_is_that_of_the_fit(classifier, augment):
    rules = {"mirror": [1, 0, 2, 3]}
    given = AveragedClassifier(classifier, augment, label_map=rules)(IMAGES)
    augment.history = FitHistory(info={"label_map": rules})
    torch.testing.assert_close(AveragedClassifier(classifier, augment)(IMAGES), given)
    augment.history = FitHistory(info={"label_map": {"mirror": "swapped"}})
    with pytest.raises(ValueError, match=r"label_map must be that of the fit, which had the functions .*, got None"):
        AveragedClassifier(classifier, augment)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"draws": 0}, ValueError, "draws must be at least 1, got 0"),
        ({"over": "flips"}, ValueError, "over must be one of 'draws', 'symmetries', got 'flips'"),
        ({"strength": 1.5}, ValueError, "strength must be in"),
        ({"max_images": 0}, ValueError, "max_images must be at least 1"),
        ({"augment": nn.Identity()}, TypeError, "augment must be a LearnedAffineAugment, got"),
        ({"classifier": 3}, TypeError, "classifier must be a module or a function, got"),
        ({"label_map": {"mirror": torch.neg}}, TypeError, "label_map must be of permutations here, got a function"),
        ({"task": "multi-label"}, ValueError, "task must be one of classes, got 'multi-label'"),
    ],
)
def test_wrong_arguments_are_named(classifier, augment, change, error, message):
    with pytest.raises(error, match=message):
        AveragedClassifier(**{"classifier": classifier, "augment": augment} | change)


@pytest.mark.parametrize(
    ("options", "label_map"), [({}, None), ({"deterministic": True}, None), ({}, {"mirror": [1, 0, 2, 3]})]
)
@pytest.mark.parametrize("over", ["draws", "symmetries"])
@pytest.mark.parametrize("strict", [False, True])
def test_an_exported_one_gives_the_same_again_and_again(classifier, options, label_map, over, strict):
    augment = LearnedAffineAugment(AffineLimits.wide(), **options)
    averaged = AveragedClassifier(classifier, augment, draws=3, over=over, strength=0.9, label_map=label_map)
    exported = torch.export.export(averaged, (IMAGES,), strict=strict).module()
    for images in (IMAGES, IMAGES.flip(0), IMAGES):
        torch.testing.assert_close(exported(images), averaged(images))


def test_vmap_is_a_loop_over_batches(classifier, augment):
    averaged = AveragedClassifier(classifier, augment, draws=2)
    batches = IMAGES[:6].unflatten(0, (3, 2))
    torch.testing.assert_close(torch.func.vmap(averaged)(batches), torch.stack([averaged(one) for one in batches]))


def test_one_logit_is_averaged_as_the_two_that_it_stands_for(augment):
    torch.manual_seed(2)
    one = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, 1))
    averaged = [AveragedClassifier(net, augment, 3, task="binary") for net in (one, lambda x: F.pad(one(x), (1, 0)))]
    torch.testing.assert_close(averaged[0](IMAGES), averaged[1](IMAGES))
    torch.testing.assert_close(averaged[0](IMAGES).exp().sum(1), torch.ones(len(IMAGES)))


def test_a_data_loaders_worker_gives_the_same_answer_and_nothing_is_set(classifier, augment, monkeypatch):
    """A worker has streams of its own, and threads share attributes."""
    augment.generator = seeded(4)
    averaged = AveragedClassifier(classifier, augment)
    before, state = averaged(IMAGES), averaged.augment.generator.get_state()
    monkeypatch.setattr(torch.utils.data, "get_worker_info", lambda: SimpleNamespace(seed=1))
    assert torch.equal(averaged(IMAGES), before) and torch.equal(averaged.augment.generator.get_state(), state)
