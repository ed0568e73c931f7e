"""Held-out images: which are kept, and how they are drawn."""

import torch

from learned_affine.tasks.reservoir import KEPT, Reservoir


def numbered(count: int, side: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Images that hold their own number."""
    return torch.arange(float(count))[:, None, None, None].expand(count, 1, side, side), torch.arange(count)


def kept(batches: list, seed: int = 0) -> Reservoir:
    """What is left of some batches."""
    reservoir = Reservoir(seed)
    assert sum(len(images) for images, _ in reservoir.watch(batches)) == sum(len(images) for images, _ in batches)
    return reservoir


def test_few_images_are_all_kept_with_their_labels():
    images, labels = kept([numbered(10), numbered(3)]).draw(13, torch.Generator())
    assert sorted(labels.tolist()) == sorted([*range(10), *range(3)])
    assert torch.equal(images[:, 0, 0, 0].long(), labels)


def test_of_many_each_is_as_likely_to_be_kept():
    """Of 4 KEPT images in order, those kept are spread evenly: their mean is within 4 deviations of the middle."""
    images, labels = numbered(4 * KEPT)
    reservoir = kept(list(zip(images.split(100), labels.split(100), strict=True)))
    numbers = torch.stack(reservoir.labels).double()
    assert len(numbers) == KEPT == len(set(numbers.tolist()))
    deviation = 4 * KEPT / 12**0.5 / KEPT**0.5
    assert abs(float(numbers.mean()) - (4 * KEPT - 1) / 2) < 4 * deviation


def test_large_images_are_kept_in_smaller_number():
    assert len(kept([(torch.zeros(70, 3, 700, 700), None)]).images) == 64


def test_images_of_another_shape_are_left_out():
    reservoir = kept([numbered(4), numbered(4, side=3)])
    assert len(reservoir.images) == 4


def test_more_are_drawn_than_there_are():
    images, labels = kept([numbered(3)]).draw(7, torch.Generator().manual_seed(0))
    assert images.shape == (7, 1, 2, 2)
    assert sorted(labels[:3].tolist()) == [0, 1, 2] == sorted(labels[3:6].tolist())


def test_without_labels_there_are_none():
    assert kept([(numbered(4)[0], None)]).draw(2, torch.Generator())[1] is None
