"""The example of segmentation: its scenes, its loss, and a whole run at a size that takes seconds."""

import json
import sys

import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from examples import segmentation


def test_scenes_are_drawn_from_the_seed_and_masks_are_where_the_icons_are():
    (train, held_out), (again, _) = segmentation.parts(0, 20, 1), segmentation.parts(0, 20, 1)
    assert len(train) == 20 and len(held_out) == 100
    for (image, mask), (same, _) in zip(train, again, strict=True):
        assert torch.equal(image, same) and isinstance(mask, tv_tensors.Mask)
        inside = image[:, mask.as_subclass(torch.Tensor)]
        assert 0 < int(mask.sum()) < mask.numel() / 2
        assert float(inside.std(1).max()) < 0.2  # of one colour, but for the edges


def test_the_loss_is_torchs_mean_image_by_image_and_one_less_dice():
    images, masks = next(iter(segmentation.batches(segmentation.parts(0, 16, 1)[0])))
    output = torch.randn(16, 1, 48, 48)
    found = segmentation.per_image(output, masks)
    loss = torch.nn.BCEWithLogitsLoss()
    for row, (one, mask) in enumerate(zip(output[:, 0], masks.as_subclass(torch.Tensor).float(), strict=True)):
        dice = 2 * (one.sigmoid() * mask).sum() / (one.sigmoid().sum() + mask.sum())
        torch.testing.assert_close(found[row], loss(one, mask) + 1 - dice)
    moved, following = segmentation.one_by_one(v2.RandomHorizontalFlip(p=1.0))(images, masks)
    assert torch.equal(moved, images.flip(-1)) and torch.equal(following, masks.flip(-1))


@pytest.mark.long
def test_a_run_gives_a_row_for_each_pipeline(tmp_path, monkeypatch, capsys):
    options = ["--scenes", "40", "--epochs", "1", "--out", str(tmp_path / "rows.jsonl")]
    monkeypatch.setattr(sys, "argv", ["segmentation.py", *options])
    segmentation.main()
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [row["arm"] for row in rows] == ["none", "v2.RandomAffine(30)", "learned"]
    assert all(0 <= row["iou"] <= 1 for row in rows) and rows[-1]["target"] > 1


@pytest.mark.parametrize("option", ["--scenes", "--epochs"])
def test_an_option_below_one_is_refused_before_any_training(monkeypatch, capsys, option):
    monkeypatch.setattr(sys, "argv", ["segmentation.py", option, "0"])
    with pytest.raises(SystemExit):
        segmentation.main()
    assert f"argument {option}: must be at least 1, got 0" in capsys.readouterr().err
