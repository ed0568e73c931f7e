"""One safe file: strict, atomic, no code, clear errors."""

import json
import pickle
import random

import pytest
import torch
from safetensors.torch import load_file, save_file
from torchvision import tv_tensors

from learned_affine import AffineLimits, LearnedAffineAugment, LearnedAffineAugment_Weights, list_weights
from learned_affine.localization import LocalizationNetwork
from tests.subjects import vivid
from tests.test_fitting import quick

load = LearnedAffineAugment.from_pretrained


def same_draws(one, two):
    images = torch.rand(4, 1, 12, 12)
    torch.manual_seed(0)
    expected = one(images)
    torch.manual_seed(0)
    return torch.equal(two(images), expected)


def rewrite(path, change=lambda tensors, config: None, **metadata):
    """Write a file again with its tensors or description changed."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        config = json.loads(file.metadata()["learned_affine"])
    tensors = load_file(path)
    change(tensors, config)
    save_file(tensors, path, metadata or {"learned_affine": json.dumps(config)})


@pytest.fixture
def path(tmp_path):
    return vivid(AffineLimits(10)).save_pretrained(tmp_path / "a.safetensors")


def test_file_round_trip(path):
    assert same_draws(vivid(AffineLimits(10)), load(path))
    assert load(str(path)).limits == AffineLimits(10)


def test_folder_round_trip(tmp_path):
    augment = quick()
    augment.save_pretrained(tmp_path / "folder")
    again = load(tmp_path / "folder")
    assert sorted(p.name for p in (tmp_path / "folder").iterdir()) == ["config.json", "model.safetensors"]
    assert same_draws(augment, again) and again.history.info == augment.history.info


def test_arguments_come_back_and_can_be_changed(tmp_path):
    fill = {tv_tensors.Image: 3, "others": 1}
    path = vivid(padding_mode="fill", fill=fill, p=0.25, strength=0.5).save_pretrained(tmp_path / "a.safetensors")
    again = load(path)
    assert (again.p, again.strength, again.padding_mode, again.fill) == (0.25, 0.5, "fill", fill)
    assert load(path, p=1.0, padding_mode="zeros", fill=0.0).p == 1.0
    with pytest.raises(TypeError, match=r"can change .* got angle"):
        load(path, angle=3)


@pytest.mark.parametrize("name", [*list_weights(), "DEFAULT", LearnedAffineAugment_Weights.FASHION_MNIST_V1])
def test_shipped_weights_load_by_name_and_member(name):
    augment = load(name, p=1.0)
    images = torch.rand(2, 3, 40, 40)
    assert augment(images).shape == images.shape and augment.history.epochs > 0


def test_weights_follow_torchvisions_convention():
    member = LearnedAffineAugment_Weights.verify("CIFAR10_V1")
    assert member is LearnedAffineAugment_Weights.DEFAULT and member.meta["channels"] == 3
    assert isinstance(member.transforms(p=0.2), LearnedAffineAugment)


def test_what_is_not_there_is_said_with_the_known_names(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"FASHION_MNIST_V1.*taken for a path"):
        load("IMAGENET_V1")
    with pytest.raises(FileNotFoundError, match="taken for a path"):
        load(tmp_path)
    with pytest.raises(TypeError, match="got int"):
        load(3)


def drop(tensors, config):
    del tensors["head.bias"]


def add(tensors, config):
    tensors["more"] = torch.zeros(1)


def reshape(tensors, config):
    tensors["head.bias"] = torch.zeros(3)


def poison(tensors, config):
    tensors["head.bias"][0] = float("nan")


def age(tensors, config):
    config["format"] = 99


def grow(tensors, config):
    config["localization"]["width"] = 10**9


def swell(tensors, config):
    config["localization"].update(width=1024, size=256)  # gigabytes, if it were built


def misname(tensors, config):
    config["localization"]["depth"] = 3


def overflow(tensors, config):
    config["format"] = float("inf")


def lack(tensors, config):
    del config["limits"]


def retype(tensors, config):
    tensors["head.bias"] = tensors["head.bias"].half()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (drop, r"missing tensors \['head.bias'\]"),
        (add, r"unexpected ones \['more'\]"),
        (reshape, "head.bias must be"),
        (retype, "head.bias must be"),
        (poison, "NaN or infinity in head.bias"),
        (age, "format 99"),
        (grow, "localization.width"),
        (swell, r"features\.1\.(weight|bias) must be"),
        (misname, "damaged description.*depth"),
        (overflow, "damaged description"),
        (lack, "damaged description: 'limits'"),
    ],
)
def test_changed_files_are_refused(path, change, named):
    rewrite(path, change)
    with pytest.raises(ValueError, match=named):
        load(path)


def test_foreign_files_are_refused(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match="not one of learned_affine"):
        load(tmp_path / "x.safetensors")
    (tmp_path / "y.safetensors").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ValueError, match="damaged or no safetensors"):
        load(tmp_path / "y.safetensors")


def test_weights_that_are_not_finite_are_not_written(tmp_path):
    augment = vivid()
    with torch.no_grad():
        augment.localization.head.bias[0] = float("inf")
    with pytest.raises(ValueError, match="finite"):
        augment.save_pretrained(tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_network_of_ones_own_is_not_written(tmp_path):
    class Own(LocalizationNetwork):
        pass

    with pytest.raises(TypeError, match=r"localization must be .* got Own"):
        LearnedAffineAugment(localization=Own()).save_pretrained(tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


def mutated(content, source):
    """A copy with a few bytes of it changed, cut off, or repeated; mostly in the header, where it matters."""
    content = bytearray(content)
    kind = source.randrange(3)
    if kind == 0:
        return bytes(content[: source.randrange(len(content))])
    for _ in range(source.randrange(1, 6)):
        place = source.randrange(3000 if kind == 1 else len(content))
        content[place] = source.randrange(256)
    return bytes(content)


def load_mutated(path, count):
    """Load ``count`` mutated files; how many were refused."""
    content, source, refused = path.read_bytes(), random.Random(0), 0
    for _ in range(count):
        path.write_bytes(mutated(content, source))
        try:
            assert isinstance(load(path), LearnedAffineAugment)
        except ValueError:
            refused += 1
    return refused


def test_mutated_files_load_or_raise_one_error(path):
    assert load_mutated(path, 300) > 100


@pytest.mark.long
def test_ten_thousand_mutated_files_load_or_raise_one_error(path):
    assert load_mutated(path, 10_000) > 3_000
