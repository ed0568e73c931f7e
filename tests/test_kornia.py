"""The shell for kornia: the same pixels as the shell for torchvision, and labels that follow."""

import pytest
import torch
from kornia.augmentation import AugmentationSequential, RandomHorizontalFlip

from learned_affine import AffineLimits, AffineParameters
from learned_affine.kornia import LearnedAffine
from tests.subjects import flipping, symmetric, vivid

LIMITS = AffineLimits(20, 1.2, 5, 0.05)
KEYS = ["input", "mask", "bbox_xyxy", "keypoints"]


def test_both_shells_give_the_same_pixels():
    augment, images = symmetric(LIMITS), torch.rand(16, 3, 20, 20)
    torch.manual_seed(0)
    shell = LearnedAffine(augment)
    shell.forward_parameters(images.shape)
    out = shell(images)
    expected = augment.warp(images, augment.draw_parameters(images, shell._params["noise"]))
    torch.testing.assert_close(out, expected, atol=1e-4, rtol=0)


def test_sequential_moves_labels_replays_and_inverts():
    pipeline = AugmentationSequential(LearnedAffine(symmetric(LIMITS, padding_mode="zeros")), data_keys=KEYS)
    images, points = torch.rand(16, 3, 32, 32), torch.tensor([[[10.0, 12.0]], [[20.0, 9.0]]]).repeat(8, 1, 1)
    masks = torch.ones(16, 1, 32, 32)
    boxes = torch.tensor([[[8.0, 8, 20, 20]], [[5, 6, 15, 16]]]).repeat(8, 1, 1)
    out = pipeline(images, masks, boxes, points)
    matrix = pipeline.transform_matrix
    expected = (matrix[:, :2, :2] @ points.transpose(1, 2) + matrix[:, :2, 2:]).transpose(1, 2)
    torch.testing.assert_close(out[3], expected, atol=1e-3, rtol=0)
    assert set(out[1].unique().tolist()) <= {0.0, 1.0}
    again = pipeline(images, masks, boxes, points, params=pipeline._params)
    assert torch.equal(again[0], out[0]) and torch.equal(again[3], out[3])
    pipeline(images.flip(0), masks, boxes, points, params=pipeline._params)  # what was drawn, not drawn anew
    assert torch.equal(pipeline.transform_matrix, matrix)
    back = pipeline.inverse(*out)
    torch.testing.assert_close(back[3], points, atol=1e-3, rtol=0)
    pipeline(images, masks, boxes, points)
    assert not torch.equal(pipeline.transform_matrix, matrix)


def test_arguments_are_checked():
    with pytest.raises(TypeError, match="augment must be a LearnedAffineAugment"):
        LearnedAffine(3)
    with pytest.raises(ValueError, match="dict by type"):
        LearnedAffine(vivid(padding_mode="fill", fill={"others": 1}))


def test_everything_follows_kornias_own_flip():
    """Half of the images are mirrored, and nothing else is done."""
    low, masks = torch.rand(16, 2, 2) * 6, (torch.rand(16, 1, 10, 14) > 0.5).float()
    boxes = torch.cat([low, low + 2 + 4 * torch.rand(16, 2, 2)], 2)
    sample, shell = (torch.rand(16, 3, 10, 14), masks, boxes, torch.rand(16, 3, 2) * 8), LearnedAffine(flipping())
    out = AugmentationSequential(shell, data_keys=KEYS)(*sample)
    flipped = AugmentationSequential(RandomHorizontalFlip(p=1.0), data_keys=KEYS)(*sample)
    mirror = AffineParameters.from_matrix(shell.transform_matrix, 10, 14).mirror
    assert 3 < mirror.sum() < 13
    for got, start, there in zip(out, sample, flipped, strict=True):
        choose = mirror.view(-1, *[1] * (start.ndim - 1))
        torch.testing.assert_close(got, torch.where(choose, there, start), atol=1e-4, rtol=0)


def test_one_draw_for_all_images_of_a_batch():
    images = torch.rand(6, 3, 10, 12)
    shell = LearnedAffine(vivid(LIMITS), same_on_batch=True)
    seen = []
    for _ in range(4):
        out = shell(images)
        matrix = shell.transform_matrix
        assert torch.equal(matrix, matrix[:1].expand_as(matrix))
        drawn = shell.augment.draw_parameters(images[:1], shell._params["noise"][:1])  # the first image's policy
        torch.testing.assert_close(matrix[:1, :2], drawn.matrix(10, 12), atol=1e-4, rtol=0)
        alone = [shell.augment.warp(image[None], drawn) for image in images]
        torch.testing.assert_close(out, torch.cat(alone), atol=1e-4, rtol=0)
        seen.append(matrix[0])
    assert len(torch.unique(torch.stack(seen), dim=0)) == 4
    apart = LearnedAffine(vivid(LIMITS))
    apart(images)
    assert len(torch.unique(apart.transform_matrix, dim=0)) == 6


@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("p", [0.0, 0.5])
def test_images_that_are_left_alone_are_bit_identical(p, same):
    images, found = torch.rand(16, 3, 8, 8), set()
    shell = LearnedAffine(vivid(LIMITS), p=p, same_on_batch=same)
    for _ in range(6):
        out = shell(images)
        chosen = shell._params["batch_prob"] > 0.5
        assert torch.equal(out[~chosen], images[~chosen])
        assert not (out[chosen] == images[chosen]).flatten(1).all(1).any()
        found.add(int(chosen.sum()))
    assert found == {0} if p == 0 else (found == {0, 16} if same else len(found - {0, 16}) > 1)
