"""One safe file: strict, atomic, no code, clear errors, and every earlier format still loads."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import PIL.Image
import pytest
import torch
from safetensors.torch import load_file, save_file
from torchvision import tv_tensors

from learned_affine import AffineLimits, FitHistory, LearnedAffineAugment
from learned_affine.history import KEYS
from learned_affine.localization import LocalizationNetwork, RawHead
from learned_affine.weights import WeightsError, describe
from learned_affine.weights_file import FORMAT, MAX_FILE
from tests.fuzz_weights import EARLIER, KINDS, Trap, sign, unpack
from tests.subjects import vivid
from tests.test_fitting import quick

load = LearnedAffineAugment.from_pretrained


def same_draws(one, two):
    images = torch.rand(4, 1, 12, 12)
    torch.manual_seed(0)
    expected = one(images)
    torch.manual_seed(0)
    return torch.equal(two(images), expected)


def rewrite(path, change):
    """Write a file again with its tensors and description changed, and a digest that fits."""
    header, _ = unpack(path.read_bytes())
    tensors, config = load_file(path), json.loads(header["__metadata__"]["learned_affine"])
    change(tensors, config)
    save_file(tensors, path, {"learned_affine": json.dumps(config), "sha256": ""})
    path.write_bytes(sign(*unpack(path.read_bytes())))


@pytest.fixture
def path(tmp_path):
    return vivid(AffineLimits(10)).save_pretrained(tmp_path / "a.safetensors")


def test_file_round_trip(path):
    assert same_draws(vivid(AffineLimits(10)), load(path))
    assert load(str(path)).limits == AffineLimits(10)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("p", 0.25),
        ("strength", 0.25),
        ("deterministic", True),
        ("padding_mode", "border"),
        ("interpolation", "nearest"),
        ("limits", AffineLimits(5)),
    ],
)
def test_arguments_can_be_changed_at_loading(path, name, value):
    before, after = load(path), load(path, **{name: value})
    assert getattr(after, name) == value != getattr(before, name)
    kept = {"p", "strength", "deterministic", "padding_mode", "interpolation", "fill", "limits"} - {name}
    assert all(getattr(after, other) == getattr(before, other) for other in kept)


def test_a_changed_strength_is_the_fitted_policy_at_that_strength(path):
    images = torch.rand(4, 1, 12, 12)
    half, whole = load(path, strength=0.5, deterministic=True), load(path, deterministic=True)
    torch.testing.assert_close(
        half.sample_parameters(images).angle, whole.sample_parameters(images).angle / 2, rtol=1e-5, atol=1e-5
    )


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


def test_only_arguments_can_be_changed(path):
    with pytest.raises(TypeError, match=r"can change p, strength, .* got angle, localization"):
        load(path, angle=3, localization=None)
    with pytest.raises(ValueError, match=r"p must be in \[0, 1\], got 2") as caught:
        load(path, p=2)
    assert not isinstance(caught.value, WeightsError), "the file is not at fault"


def test_fill_by_a_type_that_no_name_stands_for_is_not_written(tmp_path):
    class Own(tv_tensors.Image):
        pass

    with pytest.raises(TypeError, match=r"fill must be by .* got .*Own"):
        vivid(padding_mode="fill", fill={Own: 1}).save_pretrained(tmp_path / "a.safetensors")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_network_of_another_dtype_is_written_as_float32(tmp_path, dtype):
    augment = vivid()
    augment.localization.to(dtype)
    again = load(augment.save_pretrained(tmp_path / "a.safetensors"))
    assert torch.equal(again.localization.head.weight, augment.localization.head.weight.float())


def test_loading_draws_no_random_number(path):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    load(path, p=0.3)
    assert torch.equal(torch.rand(3), expected)


def test_a_subclass_is_loaded_as_itself(path):
    class Own(LearnedAffineAugment):
        pass

    assert type(Own.from_pretrained(path)) is Own


# -- what the file says of the fit ------------------------------------------------------------------------------------


def test_the_history_comes_back_without_the_clock(tmp_path):
    history, again = (augment := quick()).history, load(augment.save_pretrained(tmp_path / "a.safetensors")).history
    assert again.info == history.info
    for key in KEYS:
        assert again[key] == pytest.approx(
            history[key] if key not in ("seconds", "images_per_second") else [], nan_ok=True
        )


def test_the_file_says_what_it_was_fitted_to_and_with(tmp_path):
    augment = quick()
    augment.history.info["data"] = "blobs"
    info = describe(augment.save_pretrained(tmp_path / "a.safetensors"))["history"]["info"]
    assert (info["classifier"], info["images"], info["data"], info["seed"]) == ("Halves", 64, "blobs", 0)
    assert info["versions"].keys() == {"learned_affine", "torch", "torchvision", "kornia"}
    assert torch.__version__.startswith(info["versions"]["torch"]) and info["config"]["objective"] == "calibrated"


def test_the_order_of_what_is_known_does_not_matter_to_the_bytes(tmp_path):
    augment = quick()
    first = augment.save_pretrained(tmp_path / "a.safetensors").read_bytes()
    augment.history.info = dict(reversed(augment.history.info.items()))
    assert augment.save_pretrained(tmp_path / "a.safetensors").read_bytes() == first


def test_the_same_fit_gives_the_same_bytes(tmp_path):
    files = [quick().save_pretrained(tmp_path / f"{number}.safetensors") for number in range(6)]
    assert len({path.read_bytes() for path in files}) == 1


def test_a_long_history_stays_small(tmp_path):
    augment = quick()
    augment.history = FitHistory(info=augment.history.info | {"target": float("nan")})
    for epoch in range(12_345):
        augment.history.add(loss=epoch, entropy=float("inf"))
    path = augment.save_pretrained(tmp_path / "a.safetensors")
    again = load(path).history
    assert path.stat().st_size < 120_000 and again.info["target"] is None
    assert again["loss"][-1] == 12_344 and 50 <= again.epochs <= 100
    assert len(set(again["loss"][i + 1] - again["loss"][i] for i in range(again.epochs - 1))) == 1, "evenly thinned"


def test_a_history_that_json_cannot_hold_is_named(tmp_path):
    augment = quick()
    augment.history.info["when"] = object()
    with pytest.raises(TypeError, match=r"history\.info must hold plain values"):
        augment.save_pretrained(tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


# -- formats ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(EARLIER.glob("*.safetensors")), ids=lambda path: path.stem)
def test_files_of_every_earlier_format_load(path, tmp_path):
    augment = load(path)
    again = load(augment.save_pretrained(tmp_path / "a.safetensors"))
    assert describe(path)["format"] == describe(tmp_path / "a.safetensors")["format"] == FORMAT
    for name, tensor in load_file(path).items():
        assert torch.equal(augment.localization.state_dict()[name], tensor), name
    kept = ("p", "strength", "deterministic", "interpolation", "padding_mode", "fill", "limits")
    assert all(getattr(again, name) == getattr(augment, name) for name in kept)
    assert (again.history is None) == (augment.history is None)


def test_every_earlier_format_has_a_file():
    found = {
        json.loads(unpack(path.read_bytes())[0]["__metadata__"]["learned_affine"])["format"]
        for path in EARLIER.iterdir()
    }
    assert found == set(range(1, FORMAT))


def test_what_the_files_of_format_1_were_made_of():
    fitted, raw, unfitted = (load(EARLIER / f"format_1_{name}.safetensors") for name in ("fitted", "raw", "unfitted"))
    assert fitted.fill == {tv_tensors.Image: 7, "others": 1} and fitted.limits == AffineLimits(20, 1.2, 10, 0.1)
    assert (fitted.p, fitted.strength, fitted.interpolation, fitted.history.epochs) == (0.75, 0.5, "nearest", 2)
    assert isinstance(raw.localization, RawHead) and raw.deterministic and raw.history is None
    assert not unfitted.localization.per_image and unfitted.limits == AffineLimits.wide()


# -- what is refused --------------------------------------------------------------------------------------------------


def tensors_with(**changes):
    return lambda tensors, config: tensors.update(changes)


def described_with(part, **changes):
    return lambda tensors, config: config[part].update(changes)


ZEROS = torch.zeros
REFUSED = {
    "a tensor is missing": (
        lambda tensors, config: tensors.pop("head.bias"),
        r"missing tensors 'head.bias', unexpected",
    ),
    "one too many": (tensors_with(more=ZEROS(1)), r"unexpected ones 'more'"),
    "another shape": (tensors_with(**{"head.bias": ZEROS(3)}), r"head.bias must be F32 of shape \(27,\), got .*\(3,\)"),
    "another dtype": (tensors_with(**{"head.bias": ZEROS(27).half()}), r"head.bias must be F32 .* got 'F16'"),
    "NaN": (tensors_with(**{"head.bias": ZEROS(27) / 0}), "NaN or infinity in head.bias"),
    "other channels": (
        described_with("localization", channels=1),
        r"features\.1\.weight must be F32 of shape \(64, 256\)",
    ),
    "too wide": (described_with("localization", width=10**9), r"localization.width must be an int in \[1, 1024\], got"),
    "gigabytes": (described_with("localization", width=1024, size=256), r"features\.1\.\w+ must be F32"),
    "an unknown size": (described_with("localization", depth=3), r"its localization is damaged: .* unexpected 'depth'"),
    "an unknown head": (described_with("localization", head="../x"), r"localization.head must be one of bounded, raw"),
    "a size that is no int": (described_with("localization", size=True), "localization.size must be an int"),
    "a bool that is none": (described_with("localization", per_image="yes"), "localization.per_image must be a bool"),
    "another bool": (described_with("arguments", deterministic=1), "arguments.deterministic must be a bool"),
    "p out of range": (described_with("arguments", p=2), r"p must be in \[0, 1\], got 2"),
    "p that overflows": (described_with("arguments", p=10**400), "description is damaged"),
    "an unknown padding": (described_with("arguments", padding_mode="wrap"), "padding_mode must be one of"),
    "a fill by no type": (described_with("arguments", fill={"__class__": 1}), r"fill must be by .* got '__class__'"),
    "a fill that is no number": (described_with("arguments", fill=["1"]), "fill must hold finite numbers"),
    "limits out of range": (described_with("limits", angle=1000), "limits.angle must be"),
    "a limit missing": (
        lambda tensors, config: config["limits"].pop("angle"),
        "its limits is damaged: missing 'angle'",
    ),
    "a part missing": (lambda tensors, config: config.pop("limits"), "its description is damaged: missing 'limits'"),
    "a part too many": (
        lambda tensors, config: config.update(code="x"),
        "its description is damaged: .* unexpected 'code'",
    ),
    "a newer format": (
        lambda tensors, config: config.update(format=99),
        r"format 99, and this version reads up to .*update",
    ),
    "a format that is none": (lambda tensors, config: config.update(format="2"), "format must be a positive int"),
    "an infinite format": (lambda tensors, config: config.update(format=float("inf")), "Infinity is no JSON number"),
    "a history that is none": (lambda tensors, config: config.update(history=[1]), "its history must be a JSON object"),
    "a history of words": (described_with("history", epochs={"loss": ["a"]}), "its history must hold finite numbers"),
    "an uneven history": (described_with("history", epochs={"loss": [1], "kl": [1, 2]}), "lists of equal length"),
}


@pytest.mark.parametrize(("change", "named"), REFUSED.values(), ids=REFUSED)
def test_files_that_say_what_they_should_not_are_refused(tmp_path, change, named):
    augment = vivid()
    augment.history = quick().history
    path = augment.save_pretrained(tmp_path / "a.safetensors")
    rewrite(path, change)
    with pytest.raises(WeightsError, match=rf"weights file '.*a\.safetensors' cannot be used: .*{named}"):
        load(path)


def test_damage_is_found_that_leaves_a_sound_looking_file(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="damaged: its sha256 is not that of its content"):
        load(path)


def test_a_file_of_this_format_must_have_its_digest(path):
    header, _ = unpack(path.read_bytes())
    save_file(load_file(path), path, {"learned_affine": header["__metadata__"]["learned_affine"]})
    with pytest.raises(WeightsError, match="a file of format 2 must have a sha256"):
        load(path)


def test_foreign_files_are_refused(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match="not one of learned_affine"):
        load(tmp_path / "x.safetensors")
    torch.save(vivid().state_dict(), tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match="no safetensors file"):
        load(tmp_path / "x.safetensors")


def test_a_pickle_under_the_same_name_is_not_run(tmp_path):
    for name in ("x.safetensors", "model.safetensors", "x.pt"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap(tmp_path / "ran")))
        with pytest.raises(WeightsError, match="no safetensors file"):
            load(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_a_header_is_not_read_beyond_its_limits(path):
    content = path.read_bytes()
    for length, named in ((2**63, "header must be smaller"), (2**20, "cut off: its header has 1048576 bytes")):
        path.write_bytes(length.to_bytes(8, "little") + content[8:])
        with pytest.raises(WeightsError, match=named):
            load(path)
    with path.open("r+b") as file:
        file.truncate(MAX_FILE + 1)
    with pytest.raises(WeightsError, match=f"must be smaller than {MAX_FILE} bytes"):
        load(path)


def test_weights_that_are_not_finite_are_not_written(tmp_path):
    augment = vivid()
    with torch.no_grad():
        augment.localization.head.bias[0] = float("inf")
    with pytest.raises(WeightsError, match="finite, got NaN or infinity in head"):
        augment.save_pretrained(tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


def test_what_could_not_be_loaded_is_not_written(tmp_path):
    augment = LearnedAffineAugment(localization=LocalizationNetwork(3, size=128, width=200))
    with pytest.raises(WeightsError, match=f"must be smaller than {MAX_FILE} bytes"):
        augment.save_pretrained(tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_network_of_ones_own_is_not_written(tmp_path):
    class Own(LocalizationNetwork):
        pass

    with pytest.raises(TypeError, match=r"localization must be .* got Own"):
        LearnedAffineAugment(localization=Own()).save_pretrained(tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.pt", "a.pth", "A.PKL", "a.json"])
def test_the_ending_of_another_kind_of_file_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=rf"path must end in \.safetensors, or be a folder, got '.*{name}'"):
        vivid().save_pretrained(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_folders_are_made_where_they_are_missing(tmp_path):
    assert load(vivid().save_pretrained(tmp_path / "a" / "b.safetensors")).p == 1
    assert vivid().save_pretrained(tmp_path / "c" / "v1.0") == tmp_path / "c" / "v1.0" / "model.safetensors"


def test_a_full_disk_leaves_the_old_file(path, monkeypatch):
    before = path.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        vivid(AffineLimits(20)).save_pretrained(path)
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


# -- mutated files ----------------------------------------------------------------------------------------------------


def fuzz(count, folder):
    """Load ``count`` mutated files in a process with limits; what it measured."""
    command = [sys.executable, "-m", "tests.fuzz_weights", str(count), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    assert done.returncode == 0, (done.returncode, done.stderr[-3000:])  # -27: the timer; -11, -6: a crash
    return json.loads(done.stdout)


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is measured by /proc")


@on_linux
def test_mutated_files_load_as_they_say_or_raise_one_error(tmp_path):
    found = fuzz(300, tmp_path)
    assert len(KINDS - set(found["kinds"])) <= 1 and 5 < found["loaded"] < 75


@on_linux
@pytest.mark.long
def test_ten_thousand_mutated_files_load_as_they_say_or_raise_one_error(tmp_path):
    found = fuzz(10_000, tmp_path)
    assert set(found["kinds"]) == KINDS and 100 < found["loaded"] < 2500


@on_linux
def test_the_largest_file_that_is_loaded_stays_within_the_limits(tmp_path):
    network = LocalizationNetwork(3, size=128, width=160)
    path = LearnedAffineAugment(localization=network).save_pretrained(tmp_path / "model.safetensors")
    assert 0.9 * MAX_FILE < path.stat().st_size <= MAX_FILE
    code = f"from tests.fuzz_weights import *; limit_memory(); assert attempt({str(path)!r})[0] is not None"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent.parent)
