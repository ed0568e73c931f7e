"""The policies that ship with the package: torchvision's convention, and use far from where they were fitted."""

import copy
import pickle
from pathlib import Path

import PIL.Image
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torchvision import transforms as v1
from torchvision import tv_tensors
from torchvision.models import WeightsEnum
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from examples import datasets
from learned_affine import LearnedAffineAugment, LearnedAffineAugment_Weights, list_weights
from learned_affine.classifier import train_classifier
from learned_affine.geometry.parameters import NAMES
from tests.subjects import blobs, small_net

load = LearnedAffineAugment.from_pretrained
MEMBERS = list(LearnedAffineAugment_Weights)
every_policy = pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)


def pictures(channels=3, size=32, count=8):
    """Smooth images in [0, 1] that differ from each other."""
    coarse = torch.rand(count, channels, 4, 4, generator=torch.Generator().manual_seed(4))
    return F.resize(coarse, [size, size], F.InterpolationMode.BICUBIC, antialias=False).clamp(0, 1)


def draws(augment, images, seed=0):
    """``(B, 6)`` parameters, each as a share of its limit."""
    torch.manual_seed(seed)
    drawn = augment.sample_parameters(images)
    unit = torch.stack([getattr(drawn, name).log() if "scale" in name else getattr(drawn, name) for name in NAMES], -1)
    return unit / torch.tensor(augment.limits.extent())


# -- torchvision's convention -----------------------------------------------------------------------------------------


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
def test_members_survive_pickle_and_deepcopy(member):
    assert pickle.loads(pickle.dumps(member)) is member and copy.deepcopy(member) is member


@every_policy
def test_the_state_dict_is_the_files(member):
    state = member.get_state_dict(progress=False, check_hash=True)
    assert all(torch.equal(state[name], tensor) for name, tensor in load_file(member.path).items())
    fresh = LearnedAffineAugment(localization=copy.deepcopy(load(member).localization))
    assert fresh.localization.load_state_dict(state).missing_keys == []


@every_policy
def test_transforms_make_the_augmenter(member):
    augment = member.transforms(p=0.2, padding_mode="border")
    assert isinstance(augment, LearnedAffineAugment) and (augment.p, augment.padding_mode) == (0.2, "border")


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
def test_the_page_says_what_every_policy_pads_with(member):
    page = (Path(__file__).parent.parent / "docs" / "pretrained.md").read_text()
    (row,) = [line for line in page.splitlines() if line.startswith(f"| `{member.name}`")]
    assert row.endswith(f"| {load(member).padding_mode} |")


def test_the_policies_stay_under_one_megabyte():
    folder = MEMBERS[0].path.parent
    assert {path.name for path in folder.iterdir()} == {member.url for member in MEMBERS}
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_000_000


@every_policy
def test_the_policies_are_useful_ones(member):
    """Neither the identity nor the prior, and different from image to image."""
    unit = torch.stack([draws(load(member), pictures(), seed) for seed in range(50)])
    assert 0.05 < unit.abs().mean() < 0.6 and unit.abs().max() <= 1
    assert (unit.mean(0).std(0) > 1e-3).any()


# -- transfer ---------------------------------------------------------------------------------------------------------


@every_policy
@pytest.mark.parametrize("size", [(16, 16), (28, 28), (64, 64), (97, 61), (224, 224)])
def test_another_resolution_keeps_size_and_limits(member, size):
    images = F.resize(pictures(), list(size))
    assert load(member, p=1.0)(images).shape == images.shape
    assert draws(load(member), images).abs().max() <= 1


@every_policy
@pytest.mark.parametrize("times", [2, 4, 7])
def test_an_image_enlarged_exactly_is_warped_alike(member, times):
    images = pictures(size=32)
    large = images.repeat_interleave(times, -1).repeat_interleave(times, -2)
    torch.testing.assert_close(draws(load(member), large), draws(load(member), images), rtol=0, atol=1e-4)


@every_policy
def test_before_and_after_normalize_is_the_same(member):
    """Not bit by bit: the thumbnail's standardisation takes mean and deviation out again, up to rounding."""
    normalize = v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    images, augment = pictures(), load(member, p=1.0, padding_mode="reflection")
    torch.testing.assert_close(draws(augment, normalize(images)), draws(augment, images), rtol=0, atol=0.02)
    torch.manual_seed(1)
    before = normalize(augment(images))
    torch.manual_seed(1)
    torch.testing.assert_close(augment(normalize(images)), before, rtol=0, atol=0.2)


@every_policy
def test_uint8_and_float_are_warped_alike(member):
    pixels = (255 * pictures()).to(torch.uint8)
    augment = load(member, p=1.0, interpolation="bilinear")  # a sharp one overshoots [0, 1], but not 0 to 255
    torch.testing.assert_close(draws(augment, pixels), draws(augment, pixels / 255), rtol=0, atol=1e-4)
    torch.manual_seed(1)
    as_bytes = augment(pixels)
    torch.manual_seed(1)
    as_floats = augment(pixels / 255)
    assert as_bytes.dtype == torch.uint8 and as_floats.dtype == torch.float32
    assert (as_bytes / 255 - as_floats).abs().max() < 0.6 / 255  # rounded, not truncated


@every_policy
def test_grey_and_rgb_of_the_same_content_are_warped_alike(member):
    grey = pictures(channels=1)
    torch.testing.assert_close(
        draws(load(member), grey.expand(-1, 3, -1, -1)), draws(load(member), grey), rtol=0, atol=1e-4
    )


@every_policy
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_pil_images_of_every_mode(member, mode):
    image = F.to_pil_image(pictures(count=1)[0]).convert(mode)
    warped = v1.Compose([load(member, p=1.0)])(image)
    assert isinstance(warped, PIL.Image.Image) and (warped.mode, warped.size) == (mode, image.size)


@every_policy
@pytest.mark.parametrize("channels", [5, 7])
def test_wrong_channels_are_named(member, channels):
    wanted = member.meta["channels"]
    with pytest.raises(ValueError, match=rf"images must have {wanted} channels.*got \(8, {channels}, 32, 32\)"):
        load(member, p=1.0)(torch.rand(8, channels, 32, 32))


@every_policy
def test_labels_move_along(member):
    sample = {"image": tv_tensors.Image(pictures(count=1)[0]), "mask": tv_tensors.Mask(torch.ones(32, 32)), "label": 3}
    done = load(member, p=1.0)(sample)
    assert type(done["image"]) is tv_tensors.Image and done["mask"].shape == (32, 32) and done["label"] == 3


@every_policy
@pytest.mark.parametrize(
    "make", [small_net, lambda channels: nn.Sequential(nn.Flatten(), nn.Linear(channels * 256, 2))]
)
def test_a_classifier_that_it_was_not_fitted_on_learns_with_it(member, make):
    images, labels = blobs(64, channels=3)
    torch.manual_seed(0)
    classifier = make(3)
    record = train_classifier(
        classifier, [(images, labels)] * 4, augment=load(member), epochs=15, learning_rate=1e-2, progress=False
    )
    with torch.no_grad():
        assert (classifier(images).argmax(-1) == labels).float().mean() > 0.9
    assert record["loss"][-1] < record["loss"][0]


@every_policy
def test_several_workers_draw_from_it(member):
    images = pictures(count=8)
    dataset = [(image, 0) for image in images]

    def collate(batch):
        return torch.stack([load(member, p=1.0)(image) for image, _ in batch])

    loader = torch.utils.data.DataLoader(dataset, 4, num_workers=2, collate_fn=collate)
    torch.manual_seed(0)
    assert not torch.equal(torch.cat(list(loader)), images)
