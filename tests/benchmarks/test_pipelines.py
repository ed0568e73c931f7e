"""The pipelines benchmark: held-out images, a run, and its table by hand."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.common.rows import read
from benchmarks.pipelines import report, run
from benchmarks.pipelines.groups import Setting, classes, grouped
from examples.datasets import DATA, Images

ICONS = report.ICONS


def families(name: str) -> np.ndarray:
    """Of all icons in a part of the file."""
    with np.load(DATA / "icons.npz") as arrays:
        return arrays["families"][arrays[f"{name}_sets"]]


def numbered(count: int) -> Images:
    """Images that tell their place, with two classes."""
    return Images(torch.arange(float(count))[:, None, None, None], torch.arange(count) % 2, ("a", "b"))


def places(images: Images) -> set[int]:
    return set(images.images.flatten().int().tolist())


@pytest.mark.parametrize("data", ["icons", "fashion-mnist"])
def test_held_out_images_are_in_no_training(data):
    images = numbered(len(families("train")))
    family = np.unique(families("train"), return_inverse=True)[1]
    if data == "icons":
        images = replace(images, families=torch.from_numpy(family))
    held_out, mine = map(places, run.split(data, images, None, 1))
    assert not held_out & mine and len(held_out | mine) == len(images)
    if data == "icons":
        assert not set(family[list(held_out)]) & set(family[list(mine)])
        assert 300 < len(held_out) <= run.HELD_OUT_ICONS
        assert not set(families("train")) & set(families("test"))
    else:
        assert len(held_out) == run.HELD_OUT


@pytest.mark.long
def test_a_run_leaves_rows_that_the_report_reads_and_is_not_run_again(monkeypatch, tmp_path):
    arms, path = ["none", "learned", "learned + colour", "learned, proposed label map"], tmp_path / "rows.jsonl"
    few = ["--size", "64", "--seeds", "1", "--epochs", "1"]
    monkeypatch.setattr(sys, "argv", ["run", *few, "--out", str(path), "--arms", *arms])
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)  # those of the other tests stay
    run.main()
    found = read(path)
    assert [row["arm"] for row in found] == arms
    assert found[1]["fit_seconds"] > 0.05 > found[2]["fit_seconds"] and "label_map" in found[3]  # one fit for both
    assert np.shape(found[1]["symmetries_by_class"]) == (53, 8) and "target" not in found[0]
    assert all(0 <= row["worst_class"] <= row["accuracy"] <= 1 and row["seconds"] > 0 for row in found)
    assert set(found[1]["views"]) == {"one", "flip", "policy", "half"} and "views" not in found[3]
    assert 0 <= found[0]["warped"] <= 1 and 0 <= found[1]["held_out_accuracy"] <= 1
    run.main()
    assert read(path) == found
    (setting,) = groups = grouped(found)
    assert setting == Setting("icons", 64, "small", 1)
    assert report.paired_table(groups, {"map": ("learned, proposed label map", "learned")}).count("\n") == 2


def row(arm: str, seed: int, accuracy: float, setting: Setting = ICONS, **values) -> dict:
    number = len(classes(setting.data)) or 10
    return {
        **setting._asdict(),
        **{"arm": arm, "seed": seed, "accuracy": accuracy, "by_class": [accuracy] * number, "worst_class": 0.1},
        **{"nll": 1 - accuracy, "calibration_error": 0.02, "fit_seconds": 0.0, "seconds": 10.0, "code": "c"},
        **values,
    }


def test_tables_by_hand():
    found = [row("none", 1, 0.50), row("none", 2, 0.54), row("learned", 1, 0.51), row("learned", 2, 0.57)]
    found += [row("none", 3, 0.1), row("learned", 3, 0.1), row("flip + crop", 1, 0.9)]  # one seed of three: not bold
    groups = grouped(found)
    lines = report.results(groups).splitlines()
    assert lines[0] == "| accuracy, % | none | learned |"
    assert lines[2] == "| icons, 3,700 images, small CNN (3 seeds) | 38.0 | **39.3** |"
    # gains 1, 3 and 0: 4.303 * 1.528 / sqrt(3) = 3.79
    (gain,) = report.paired_table(groups, {"gain": ("learned", "none")}).splitlines()[2:]
    assert gain == "| icons, 3,700 images, small CNN | +1.33 ± 3.79 |"
    assert "| learned | 39.3 | 39.3 | +1.3 ± 3.8 | +1.3 ± 3.8 |" in report.side_table(groups[ICONS])
