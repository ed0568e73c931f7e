"""The images of a fit: which are kept, and how they are drawn and put into batches."""

import torch
from torchvision.transforms import v2

from learned_affine.tasks import pool as pools
from learned_affine.tasks.pool import Pool
from tests.fits import IMAGES, LABELS, SHORT, kept, quick
from tests.subjects import Halves, seeded

KEPT = 100


def numbered(count: int, side: int = 2, start: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Images that hold their own number."""
    numbers = torch.arange(start, start + count)
    return numbers.float()[:, None, None, None].expand(count, 1, side, side), numbers


def test_of_many_each_is_as_likely_to_be_kept():
    """Of four times as many in order, those kept are spread evenly: their mean is within 4 deviations of the middle."""
    batches = list(zip(*(part.split(30) for part in numbered(4 * KEPT)), strict=True))
    found = [torch.cat(kept(*batches, seed=seed, most=KEPT).labels) for seed in range(9)]
    assert all(len(set(numbers.tolist())) == KEPT for numbers in found)
    deviation = 4 * KEPT / 12**0.5 / (9 * KEPT) ** 0.5
    assert abs(float(torch.cat(found).double().mean()) - (4 * KEPT - 1) / 2) < 4 * deviation


def pool() -> Pool:
    """Held-out images of two sizes, and training images of one of them."""
    return Pool(kept(numbered(5), numbered(4, 3, 5)), kept(numbered(6, start=9)))


def test_held_out_images_stand_before_training_images():
    one = pool()
    assert one.held_out.tolist() == [*range(9)] and one.training.tolist() == [*range(9, 15)]
    alone = Pool(None, kept(numbered(6)))  # which are priced on, too, then
    assert alone.held_out.tolist() == alone.training.tolist() == [*range(6)]


def test_batches_are_of_one_size_and_say_where_their_images_stand(monkeypatch):
    monkeypatch.setattr(pools, "AT_ONCE", 4)
    rows, seen = torch.tensor([14, 3, 7, 3, 0, 8, 12, 1, 5]), []
    for places, images, labels in pool().batches(rows):
        assert images.shape[1:] in ((1, 2, 2), (1, 3, 3)) and len(images) <= 4
        assert rows[places].tolist() == labels.tolist() == images[:, 0, 0, 0].tolist()
        seen += places.tolist()
    assert sorted(seen) == [*range(9)]
    assert list(pool().batches(rows[:0])) == []


def test_all_are_drawn_before_any_is_drawn_again():
    one = pool()
    drawn = one.some(one.training, 15, seeded(0))
    assert len(drawn) == 15
    assert sorted(drawn[:6].tolist()) == sorted(drawn[6:12].tolist()) == one.training.tolist() != drawn[:6].tolist()
    assert sorted(one.some(one.training, 15, seeded(0), again=False).tolist()) == one.training.tolist()
    assert one.some(one.training[:0], 15, seeded(0)).tolist() == []


def test_images_of_two_dtypes_are_judged_apart():
    """Stacked together, bytes became floats of up to 255."""
    whole = (255 * IMAGES).round().to(torch.uint8)
    highest = []

    def classifier(images):
        highest.append(float(images.max()))
        return Halves()(images)

    options = {"preprocess": v2.ToDtype(torch.float32, scale=True), "config": SHORT}
    quick(classifier, [(whole, LABELS)], val_loader=[(IMAGES, LABELS)], **options)
    assert max(highest) < 1.1
