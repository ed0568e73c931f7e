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


def drawn(reservoir: Reservoir, count: int, seed: int = 0) -> list[tuple[list[int], torch.Tensor, torch.Tensor | None]]:
    """The batches of a step."""
    return list(reservoir.batches(reservoir.draw(count, torch.Generator().manual_seed(seed))))


def test_few_images_are_all_kept_with_their_labels():
    ((places, images, labels),) = drawn(kept([numbered(10), numbered(3)]), 13)
    assert places == list(range(13)) and sorted(labels.tolist()) == sorted([*range(10), *range(3)])
    assert torch.equal(images[:, 0, 0, 0].long(), labels)


def test_of_many_each_is_as_likely_to_be_kept():
    """Of 4 KEPT images in order, those kept are spread evenly: their mean is within 4 deviations of the middle."""
    images, labels = numbered(4 * KEPT)
    reservoir = kept(list(zip(images.split(100), labels.split(100), strict=True)))
    numbers = torch.cat(reservoir.labels).double()
    assert len(numbers) == KEPT == len(set(numbers.tolist()))
    deviation = 4 * KEPT / 12**0.5 / KEPT**0.5
    assert abs(float(numbers.mean()) - (4 * KEPT - 1) / 2) < 4 * deviation


def test_large_images_are_kept_in_smaller_number():
    assert len(kept([(torch.zeros(70, 3, 700, 700), None)]).images) == 64


def test_images_of_every_size_are_kept_and_drawn_alike():
    """Of as many of each of three sizes, each is drawn a third of the time, batch by batch of one size."""
    reservoir = kept([numbered(30, side) for side in (2, 3, 5)])
    assert len(reservoir.images) == 90
    counts = {2: 0, 3: 0, 5: 0}
    for seed in range(100):
        batches = drawn(reservoir, 30, seed)
        assert sorted(place for places, _, _ in batches for place in places) == list(range(30))
        for _, images, labels in batches:
            assert torch.equal(images[:, 0, 0, 0].long(), labels)
            counts[images.shape[-1]] += len(images)
    assert all(abs(count - 1000) < 4 * (3000 * 2 / 9) ** 0.5 for count in counts.values())


def test_one_odd_first_image_does_not_decide():
    reservoir = kept([numbered(1, side=9), numbered(40)])
    assert sorted(image.shape[-1] for image in reservoir.images) == [2] * 40 + [9]


def test_noise_follows_the_place_of_an_image():
    """The places that batches of one size tell are those of the drawn order."""
    reservoir = kept([numbered(5), numbered(5, side=3)])
    order = reservoir.draw(10, torch.Generator().manual_seed(1))
    for places, images, _ in reservoir.batches(order):
        numbers = [int(reservoir.images[row][0, 0, 0]) for row in order[places].tolist()]
        assert images[:, 0, 0, 0].tolist() == numbers


def test_more_are_drawn_than_there_are():
    ((_, images, labels),) = drawn(kept([numbered(3)]), 7)
    assert images.shape == (7, 1, 2, 2)
    assert sorted(labels[:3].tolist()) == [0, 1, 2] == sorted(labels[3:6].tolist())


def test_without_labels_there_are_none():
    assert drawn(kept([(numbered(4)[0], None)]), 2)[0][2] is None
