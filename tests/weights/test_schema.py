"""What a weights file says of an augmenter, and what it should not say."""

import itertools
import json

import PIL.Image
import pytest
import torch
from safetensors.torch import load_file, save_file
from torchvision import tv_tensors

from learned_affine import FitHistory, LearnedAffineAugment
from learned_affine.fitting.history import KEYS
from learned_affine.policy.network import LocalizationNetwork
from learned_affine.weights import WeightsError, describe
from tests.fits import ROUNDS, quick
from tests.subjects import vivid
from tests.weights.fuzz import sign, unpack

pytestmark = pytest.mark.filterwarnings("ignore:augment is not fitted")  # saved without a fit
load = LearnedAffineAugment.from_pretrained


def rewrite(path, change):
    """Write a file again with its tensors and description changed, and a digest that fits."""
    header, _ = unpack(path.read_bytes())
    tensors, config = load_file(path), json.loads(header["__metadata__"]["learned_affine"])
    change(tensors, config)
    save_file(tensors, path, {"learned_affine": json.dumps(config), "sha256": ""})
    path.write_bytes(sign(*unpack(path.read_bytes())))


FILLS = [
    3,
    [1.0, 2.0, 3.0],
    {tv_tensors.Image: 3, "others": 1},
    {PIL.Image.Image: 9, tv_tensors.Image: [1, 2, 3], torch.Tensor: 0.5, tv_tensors.Mask: 255, tv_tensors.Video: 4},
    {"Image": 2, "Mask": 1},
]


@pytest.mark.parametrize("fill", FILLS)
def test_fills_come_back_by_type_and_can_be_changed(tmp_path, fill):
    path = vivid(padding_mode="fill", fill=fill).save_pretrained(tmp_path / "a.safetensors")
    assert load(path).fill == fill and load(path, p=0.1).fill == fill
    assert load(path, fill=7).fill == 7
    assert load(path, padding_mode="zeros").fill == 0, "what another padding cannot use no longer counts"
    with pytest.raises(ValueError, match="fill must be 0"):
        load(path, padding_mode="zeros", fill=7)


def test_the_history_comes_back_without_the_clock(tmp_path):
    history, again = (augment := quick()).history, load(augment.save_pretrained(tmp_path / "a.safetensors")).history
    assert again.info == history.info and again.rounds == history.rounds == ROUNDS
    for key in KEYS:
        assert again[key] == pytest.approx(history[key] if key != "seconds" else [], nan_ok=True)


def test_the_file_says_what_it_was_fitted_to_and_with(tmp_path):
    augment = quick()
    augment.history.info["data"] = "blobs"
    info = describe(augment.save_pretrained(tmp_path / "a.safetensors"))["history"]["info"]
    assert (info["classifier"], info["images"], info["data"], info["seed"]) == ("Halves", 64, "blobs", 0)
    assert info["versions"].keys() == {"learned_affine", "torch", "torchvision", "kornia"}
    assert torch.__version__.startswith(info["versions"]["torch"]) and info["config"]["objective"] == "calibrated"


def test_a_long_history_stays_small(tmp_path):
    augment = quick()
    augment.history = FitHistory(info=augment.history.info | {"target": float("nan")})
    for number in range(12_345):
        augment.history.add(loss=number, entropy=float("inf"))
    path = augment.save_pretrained(tmp_path / "a.safetensors")
    again = load(path).history
    assert path.stat().st_size < 120_000 and again.info["target"] is None
    assert again["loss"][-1] == 12_344 and 50 <= len(again["loss"]) <= 100
    assert len({after - before for before, after in itertools.pairwise(again["loss"])}) == 1, "evenly thinned"


def tensors_with(**changes):
    return lambda tensors, config: tensors.update(changes)


def described_with(part, **changes):
    return lambda tensors, config: config[part].update(changes)


def without(part, name):
    return lambda tensors, config: config[part].pop(name)


def without_symmetries(tensors, config):
    config["localization"]["symmetries"] = "none"
    for name in ("head.bias", "head.weight"):
        tensors[name] = tensors[name][:12].clone()


ZEROS = torch.zeros
EARLIER = r"it has the format \d, which version 0\.2 of learned_affine reads .*fit the augmenter anew"
REFUSED = {
    "a tensor is missing": (lambda tensors, config: tensors.pop("head.bias"), r"missing 'head.bias', unex"),
    "another shape": (tensors_with(**{"head.bias": ZEROS(3)}), r"head.bias must be F32 of shape \(19,\), got .*\[3\]"),
    "another dtype": (tensors_with(**{"head.bias": ZEROS(19).half()}), r"head.bias must be F32 .* got .*'F16'"),
    "NaN": (tensors_with(**{"head.bias": ZEROS(19) / 0}), "NaN or infinity in head.bias"),
    "other channels": (described_with("localization", channels=1), r"features\.1\.weight must be .* \(64, 256\)"),
    "too wide": (described_with("localization", width=10**9), r"localization.width must be an int in \[1, 1024\], got"),
    "gigabytes": (described_with("localization", width=1024, size=256), r"features\.1\.\w+ must be F32"),
    "an unknown head": (described_with("localization", head="../x"), r"localization.head must be one of bounded, raw"),
    "a size that is no int": (described_with("localization", size=True), "localization.size must be an int"),
    "a bool that is none": (described_with("localization", per_image="yes"), "localization.per_image must be a bool"),
    "symmetries that are no word": (described_with("localization", symmetries=1), "one of all, mirror, none, got 1"),
    "symmetries left out": (without("localization", "symmetries"), "localization is damaged: missing 'symmetries'"),
    "limits of symmetries that are no word": (described_with("limits", symmetries="some"), "limits.symmetries must be"),
    "a limit of format 3": (described_with("limits", mirror=True), "its limits is damaged: .* unexpected 'mirror'"),
    "limits that claim what the network does not know": (without_symmetries, "or fewer, 'none', got 'all'"),
    "symmetries of a raw head": (described_with("localization", head="raw"), "unexpected 'per_image', 'symmetries'"),
    "an argument too many": (described_with("arguments", code="x"), "its arguments is damaged: .* unexpected 'code'"),
    "another bool": (described_with("arguments", deterministic=1), "arguments.deterministic must be a bool"),
    "p out of range": (described_with("arguments", p=2), r"p must be in \[0, 1\], got 2"),
    "p that overflows": (described_with("arguments", p=10**400), "description is damaged"),
    "a fill by no type": (described_with("arguments", fill={"__class__": 1}), r"fill must be by .* got \['__class__'"),
    "a fill that is no number": (described_with("arguments", fill=["1"]), "fill must be finite numbers"),
    "a part missing": (lambda tensors, config: config.pop("limits"), "its description is damaged: missing 'limits'"),
    "a newer format": (lambda tensors, config: config.update(format=99), "format 99, and this version reads the form"),
    **{f"format {one}": (lambda tensors, config, one=one: config.update(format=one), EARLIER) for one in range(1, 4)},
    "a format that is none": (lambda tensors, config: config.update(format="2"), "format must be a positive int"),
    "a history that is none": (lambda tensors, config: config.update(history=[1]), "its history must be a JSON object"),
    "a history without rounds": (without("history", "rounds"), "its history is damaged: missing 'rounds'"),
    "a history of words": (described_with("history", rounds={"loss": ["a"]}), "its history must hold finite numbers"),
    "a history of other keys": (described_with("history", rounds={"x": [1]}), "by this package's keys, lists of equal"),
    "a deep history": (described_with("history", info={"x": json.loads("[" * 40 + "]" * 40)}), "is nested too deeply"),
    "an uneven history": (described_with("history", rounds={"loss": [1], "kl": [1, 2]}), "lists of equal length"),
}


@pytest.mark.parametrize(("change", "named"), REFUSED.values(), ids=REFUSED)
def test_files_that_say_what_they_should_not_are_refused(tmp_path, fitted, change, named):
    augment = vivid()
    augment.history = fitted.history
    path = augment.save_pretrained(tmp_path / "a.safetensors")
    rewrite(path, change)
    with pytest.raises(WeightsError, match=rf"weights file '.*a\.safetensors' cannot be used: .*{named}"):
        load(path)


def test_a_description_of_a_damaged_file_names_the_file(tmp_path, fitted):
    path = fitted.save_pretrained(tmp_path / "a.safetensors")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(WeightsError, match=r"weights file '.*a\.safetensors' cannot be used: "):
        describe(path)


class OwnNetwork(LocalizationNetwork):
    pass


class OwnImage(tv_tensors.Image):
    pass


def infinite():
    augment = vivid()
    torch.nn.init.constant_(augment.localization.head.bias, float("inf"))
    return augment


def with_info(info):
    augment = vivid()
    augment.history = FitHistory(info=info)
    return augment


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: LearnedAffineAugment(localization=OwnNetwork()), r"localization must be .* got OwnNetwork"),
        (lambda: vivid(padding_mode="fill", fill={OwnImage: 1}), r"fill must be by .* got .*OwnImage"),
        (lambda: with_info({"when": object()}), r"history\.info must hold plain values"),
        (lambda: with_info({"names": {0: "cat"}}), r"history\.info must have strings as keys, as JSON has, got 0"),
        (infinite, "finite, got NaN or infinity in head"),
    ],
)
def test_what_no_file_can_hold_is_not_written(tmp_path, make, said):
    with pytest.raises((TypeError, WeightsError), match=said):
        make().save_pretrained(tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())
