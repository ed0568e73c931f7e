"""The accuracy benchmark from its command line to its rows, at a size that takes seconds."""

import sys

import pytest
import torch

from benchmarks.accuracy import arms
from benchmarks.accuracy import run as accuracy
from benchmarks.common.rows import read

SMALL = ["--data", "fashion-mini", "--sizes", "64", "--seeds", "0", "--epochs", "1", "--test-size", "40"]


@pytest.fixture
def run(monkeypatch, tmp_path):
    def rows(*options: str) -> list[dict]:
        given = [*SMALL, "--arms", "none", "learned", "--out", str(tmp_path / "rows.jsonl"), *options]
        monkeypatch.setattr(sys, "argv", ["run", *given])
        accuracy.main()
        return read(tmp_path / "rows.jsonl")

    threads = torch.get_num_threads()
    yield rows
    torch.set_num_threads(threads)


def test_a_run_leaves_a_row_and_is_not_run_again(run):
    first = run()
    assert [row["arm"] for row in first] == ["none", "learned"]
    assert all(0 <= row["worst_of_10"] <= row["affine"] <= 1 and 0 <= row["clean"] <= 1 for row in first)
    assert first[0]["fit_seconds"] < 0.1 < first[1]["fit_seconds"] and first[1]["target"] > 0
    assert run() == first


def test_rows_of_fewer_test_images_do_not_stand_for_those_of_all(run):
    (row,) = run("--arms", "none")
    assert row["data"] == "fashion-mini, 40 test images"
    assert [row["data"] for row in run("--arms", "none", "--name", "garments", "--turned")] == [
        "fashion-mini, 40 test images",
        "garments turned, 40 test images",
    ]


def test_arms_draw_on_the_device_of_the_images():
    images = torch.rand(8, 1, 28, 28, device="meta")
    for draw in (arms.uniform_points, arms.prior_points):
        assert draw(images).device == images.device
    chosen = arms.chosen(images, 1.0)
    assert chosen.device == images.device and images.index_copy(0, chosen, images).device == images.device


def test_the_geometric_part_of_trivial_augment_has_its_magnitudes():
    torch.manual_seed(0)
    ours, whole = arms.Geometric(), arms.v2.TrivialAugmentWide()
    assert set(ours._AUGMENTATION_SPACE) < set(whole._AUGMENTATION_SPACE)
    assert float(ours._AUGMENTATION_SPACE["Rotate"][0](31, 28, 28).max()) == 135
    images = torch.rand(4, 1, 28, 28)
    warped = arms.PerImage(ours)(images)
    # nearest neighbours, moved: no pixel value that was not there before, but for the black from outside
    assert set(warped.flatten().tolist()) <= {0.0, *images.flatten().tolist()} and not torch.equal(warped, images)


def test_a_row_of_other_code_does_not_stand_for_a_run(run, monkeypatch):
    run("--arms", "none")
    monkeypatch.setattr(accuracy, "code_of", lambda arm: "other")
    assert [row["code"] != "other" for row in run("--arms", "none")] == [True, False]


@pytest.mark.long
def test_full_is_a_resnet_on_all_images_unless_it_is_told_otherwise(run, monkeypatch):
    rows = run("--full")
    assert [row["model"] for row in rows] == ["resnet18", "resnet18"] and rows[0]["size"] == 64
    monkeypatch.setattr(sys, "argv", ["run", "--full"])
    options = accuracy.parse()
    assert (options.model, options.sizes, options.epochs) == ("resnet18", [49_600], 100)


def test_too_few_images_are_refused(run):
    with pytest.raises(SystemExit, match=r"--sizes must leave 400 of .* images held out, got 100000"):
        run("--sizes", "100000")
