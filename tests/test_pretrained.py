"""The policies that ship with the package: torchvision's convention, and use far from where they were fitted."""

import pytest
import torch
from torchvision.models import WeightsEnum
from torchvision.transforms.v2 import functional as F

from examples import datasets
from learned_affine import LearnedAffineAugment, LearnedAffineAugment_Weights, list_weights

load = LearnedAffineAugment.from_pretrained
MEMBERS = list(LearnedAffineAugment_Weights)
every_policy = pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)


@pytest.mark.parametrize("name", [*list_weights(), "DEFAULT", *MEMBERS, *map(str, MEMBERS)])
def test_policies_load_by_name_and_member(name):
    augment = load(name, p=1.0)
    images = torch.rand(2, 3, 40, 40)
    assert augment(images).shape == images.shape and augment.history.rounds > 0 and augment.p == 1


def test_members_follow_torchvisions_convention():
    kind = LearnedAffineAugment_Weights
    assert issubclass(kind, WeightsEnum) and list_weights() == sorted(member.name for member in MEMBERS)
    assert kind.verify("CIFAR10_V3") is kind.verify("LearnedAffineAugment_Weights.CIFAR10_V3") is kind.DEFAULT
    assert kind.verify(None) is None and kind.verify(kind.DEFAULT) is kind.DEFAULT
    assert repr(kind.CIFAR10_V3) == "LearnedAffineAugment_Weights.CIFAR10_V3"
    with pytest.raises(ValueError, match=r"must be one of FASHION_MNIST_V3, CIFAR10_V3, DEFAULT, got 'IMAGENET_V1'"):
        kind.verify("IMAGENET_V1")
    with pytest.raises(TypeError, match="expected LearnedAffineAugment_Weights"):
        kind.verify(3)


@every_policy
def test_meta_tells_what_one_must_know(member):
    meta = member.meta
    assert meta["num_params"] == sum(parameter.numel() for parameter in load(member).localization.parameters())
    for key in ("data", "classifier", "recipe", "seed", "licence", "versions", "measured", "channels", "classes"):
        assert meta[key] is not None, key
    meta.clear()
    assert member.meta["channels"] in (1, 3), "a caller cannot change it for others"


@every_policy
def test_the_policies_give_each_class_the_symmetries_that_it_bears(member):
    augment, meta = load(member), member.meta
    chances = torch.tensor([row["chance"] for row in meta["classes_moved"]])
    assert augment.limits.symmetries == "all" and len(meta["class_names"]) == len(chances) == 10
    torch.testing.assert_close(chances.sum(1), torch.ones(10), rtol=0, atol=1e-3)
    assert 0 < meta["measured"]["symmetry_chance"] < 0.6 < meta["measured"]["classifier_test_accuracy"]
    assert (chances.argmax(1) % 4 == 0).all(), "photographs and clothes stand upright"


def test_a_boot_is_left_as_it_is_and_a_shirt_is_flipped():
    _, test = datasets.load("fashion-mini", "", download=False)
    boots, trousers = (test.images[test.labels == test.classes.index(name)] for name in ("Ankle boot", "Trouser"))
    boot, trouser = (load("FASHION_MNIST_V3").policy(images).chances.mean(0) for images in (boots, trousers))
    assert boot[0] > 0.95 and trouser[4] > 0.3 and trouser[[1, 3, 5, 7]].max() < 0.02


@every_policy
def test_the_policies_are_useful_ones(member):
    """Neither the identity nor the prior, and different from image to image: of smooth images, as shares of limits."""
    augment, coarse = load(member), torch.rand(8, 3, 4, 4)
    images = F.resize(coarse, [32, 32], F.InterpolationMode.BICUBIC, antialias=False).clamp(0, 1)
    drawn = torch.stack([augment.sample_parameters(images).stacked() for _ in range(50)])
    drawn[..., 1:3] = drawn[..., 1:3].log()  # the scales
    unit = drawn / torch.tensor(augment.limits.extent())
    assert 0.05 < unit.abs().mean() < 0.6 and unit.abs().max() <= 1
    assert (unit.mean(0).std(0) > 1e-3).any()
