"""A fit counts the passes for whoever follows them, as ``DistributedSampler`` does, and leaves the count as it was."""

import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler, IterableDataset, TensorDataset

from tests.fits import IMAGES, LABELS, PAPER, quick
from tests.subjects import Halves

DATA = TensorDataset(IMAGES, LABELS)


class Counting:
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.epoch, self.calls = 7, []

    def set_epoch(self, epoch):
        self.epoch = epoch
        self.calls.append(epoch)


Batches, Sampler, Loader = (type("", (Counting, base), {}) for base in (BatchSampler, DistributedSampler, DataLoader))


class Stream(Counting, IterableDataset):
    def __iter__(self):
        return zip(IMAGES, LABELS, strict=True)


class Pass(Counting):
    """A loader that is none of torch's."""

    def __iter__(self):
        return zip(IMAGES.split(16), LABELS.split(16), strict=True)


def sampler(kind=DistributedSampler, **options):
    return kind(DATA, num_replicas=1, rank=0, **options)


KINDS = {
    "sampler": lambda: DataLoader(DATA, 16, sampler=sampler(Sampler)),
    "batch sampler": lambda: DataLoader(DATA, batch_sampler=Batches(sampler(), 16, False)),
    "sampler of a batch sampler": lambda: DataLoader(DATA, batch_sampler=BatchSampler(sampler(Sampler), 16, False)),
    "dataset": lambda: DataLoader(Stream(), 16),
    "loader": lambda: Loader(DATA, 16),
    "iterable": Pass,
}


def counting(loader):
    """What counts in a loader."""
    batches = getattr(loader, "batch_sampler", None)
    owners = (loader, getattr(loader, "dataset", None), batches, getattr(batches, "sampler", None))
    (found,) = {id(one): one for one in owners if isinstance(one, Counting)}.values()
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_each_pass_has_its_number_and_afterwards_it_is_as_it_was(kind):
    loader = KINDS[kind]()
    quick(data=loader, config=PAPER.replace(rounds=3))
    assert counting(loader).calls == [0, 1, 2, 7] and counting(loader).epoch == 7


@pytest.mark.parametrize("size", [16, 64])
def test_a_stream_in_a_data_loader_is_read_to_its_end(size):
    """It was opened twice, and its first batch was lost."""
    labels = torch.cat([1 - LABELS[:16], LABELS[16:]])  # the classifier is wrong on the first batch
    stream = iter(zip(IMAGES, labels, strict=True))

    class ReadOnce(IterableDataset):
        def __iter__(self):
            return stream

    streamed = quick(Halves(), DataLoader(ReadOnce(), size))
    assert streamed.history.info["training_accuracy"] == 0.75
