"""The bytes of a weights file: what is damaged, foreign or beyond the limits is refused, and no code is run."""

import json
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from learned_affine import LearnedAffineAugment
from learned_affine.weights import WeightsError
from learned_affine.weights.container import MAX_FILE
from tests.weights.fuzz import pack, unpack

pytestmark = pytest.mark.filterwarnings("ignore:augment is not fitted")  # saved without a fit
load = LearnedAffineAugment.from_pretrained


def test_damage_is_found_that_leaves_a_sound_looking_file(path):
    content = path.read_bytes()
    header, _ = unpack(content)
    save_file(load_file(path), path, {"learned_affine": header["__metadata__"]["learned_affine"]})
    for damaged in (content[:-1] + bytes([content[-1] ^ 1]), path.read_bytes()):  # a bit, and no digest at all
        path.write_bytes(damaged)
        with pytest.raises(WeightsError, match="damaged: its sha256 is not that of its content"):
            load(path)


def test_foreign_files_are_refused(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match="not one of learned_affine"):
        load(tmp_path / "x.safetensors")


class Trap:
    """What runs code when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_pickle_under_the_same_name_is_not_run(tmp_path):
    for name in ("x.safetensors", "model.safetensors", "x.pt"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap(tmp_path / "ran")))
        with pytest.raises(WeightsError, match="no safetensors file"):
            load(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_a_key_that_comes_twice_is_refused(path):
    header, data = unpack(path.read_bytes())
    path.write_bytes(pack(json.dumps(header)[:-1].encode() + b', "head.bias": 1}', data))
    with pytest.raises(WeightsError, match="a key comes twice"):
        load(path)


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
