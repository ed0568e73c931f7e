"""The shell for kornia: the same pixels as the shell for torchvision, and labels that follow."""

import pickle

import pytest
import torch
from kornia.augmentation import AugmentationSequential

from learned_affine import AffineLimits
from learned_affine.kornia import LearnedAffine
from tests.subjects import vivid

LIMITS = AffineLimits(20, 1.2, 5, 0.05)


def test_both_shells_give_the_same_pixels():
    augment, images = vivid(LIMITS), torch.rand(4, 3, 20, 24)
    torch.manual_seed(0)
    shell = LearnedAffine(augment)
    shell.forward_parameters(images.shape)
    out = shell(images)
    expected = augment.warp(images, augment.draw_parameters(images, shell._params["noise"]))
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=0)


def test_sequential_moves_labels_replays_and_inverts():
    pipeline = AugmentationSequential(
        LearnedAffine(vivid(LIMITS, padding_mode="zeros")), data_keys=["input", "mask", "bbox_xyxy", "keypoints"]
    )
    images, points = torch.rand(2, 3, 32, 32), torch.tensor([[[10.0, 12.0]], [[20.0, 9.0]]])
    masks = torch.ones(2, 1, 32, 32)
    boxes = torch.tensor([[[8.0, 8, 20, 20]], [[5, 6, 15, 16]]])
    out = pipeline(images, masks, boxes, points)
    matrix = pipeline.transform_matrix
    expected = (matrix[:, :2, :2] @ points.transpose(1, 2) + matrix[:, :2, 2:]).transpose(1, 2)
    torch.testing.assert_close(out[3], expected, atol=1e-3, rtol=0)
    assert set(out[1].unique().tolist()) <= {0.0, 1.0}
    again = pipeline(images, masks, boxes, points, params=pipeline._params)
    assert torch.equal(again[0], out[0]) and torch.equal(again[3], out[3])
    back = pipeline.inverse(*out)
    torch.testing.assert_close(back[3], points, atol=1e-3, rtol=0)


def test_p_and_pickle():
    shell = LearnedAffine(vivid(), p=0.0)
    images = torch.rand(4, 1, 12, 12)
    assert torch.equal(shell(images), images)
    assert pickle.loads(pickle.dumps(shell)).p == 0.0


def test_arguments_are_checked():
    with pytest.raises(TypeError, match="augment must be a LearnedAffineAugment"):
        LearnedAffine(3)
    with pytest.raises(ValueError, match="dict by type"):
        LearnedAffine(vivid(padding_mode="fill", fill={"others": 1}))
