"""A fit and an evaluation draw random numbers, and leave everybody's generators as they were."""

import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, TensorDataset

from tests.fits import IMAGES, LABELS, PAPER, quick
from tests.subjects import Halves, seeded, vivid

DATA = TensorDataset(IMAGES, LABELS)


def stop(values):
    raise KeyboardInterrupt


def fit(augment, loader):
    quick(augment=augment, data=loader, val_loader=loader)


def fit_paper(augment, loader):
    quick(augment=augment, data=loader, config=PAPER)


def interrupted_fit(augment, loader):
    with pytest.raises(KeyboardInterrupt):
        quick(augment=augment, data=loader, val_loader=loader, callbacks=stop)


def evaluate(augment, loader):
    augment.evaluate(Halves(), loader)


def broken_evaluation(augment, loader):
    with pytest.raises(ZeroDivisionError):
        augment.evaluate(lambda images: 1 / 0, loader)


class Drawn(Dataset):
    """Images to which noise is added, by a generator of the dataset's own, or by the worker's."""

    def __init__(self, generator=None):
        self.generator = generator

    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, index):
        return IMAGES[index] + 0.01 * torch.rand(1, 16, 16, generator=self.generator), LABELS[index]


LOADERS = {
    "of the loader": lambda first, second: DataLoader(DATA, 16, shuffle=True, generator=first),
    "of the sampler": lambda first, second: DataLoader(DATA, 16, sampler=RandomSampler(DATA, generator=first)),
    "of a batch sampler's": lambda first, second: DataLoader(
        DATA, batch_sampler=BatchSampler(RandomSampler(DATA, generator=first), 16, drop_last=False)
    ),
    "of the dataset": lambda first, second: DataLoader(Drawn(first), 16),
    "of both": lambda first, second: DataLoader(
        DATA, 16, sampler=RandomSampler(DATA, generator=first), generator=second
    ),
}


@pytest.mark.parametrize("whose", LOADERS)
@pytest.mark.parametrize("use", [fit, fit_paper, interrupted_fit, evaluate, broken_evaluation])
def test_generators_of_torch_of_the_loader_and_of_the_augmenter_are_left_alone(use, whose):
    first, second, augment = seeded(1), seeded(2), vivid(p=0.5, generator=seeded(7))
    loader = LOADERS[whose](first, second)
    list(loader)  # they need not stand at their seed
    augment(IMAGES)
    generators = [torch.default_generator, first, second, augment.generator]
    states = [generator.get_state() for generator in generators]
    use(augment, loader)
    assert all(torch.equal(one.get_state(), state) for one, state in zip(generators, states, strict=True))


def epoch(loader: DataLoader) -> torch.Tensor:
    return torch.cat([images for images, _ in loader])


def persistent() -> DataLoader:
    return DataLoader(Drawn(), 16, num_workers=1, persistent_workers=True)


@pytest.mark.parametrize("use", [fit, interrupted_fit, evaluate])
def test_persistent_workers_start_from_the_users_seed(use):
    """Those that a fit starts would have its seed for ever; later epochs must follow the user's."""
    epochs = {}
    for seed, before in ((1, use), (2, use), (1, None)):
        loader = persistent()
        if before is not None:
            before(vivid(), loader)
        torch.manual_seed(seed)
        epochs[seed, before] = torch.cat([epoch(loader), epoch(loader)])
    assert torch.equal(epochs[1, use], epochs[1, None])
    assert not torch.equal(epochs[1, use], epochs[2, use])


@pytest.mark.parametrize("use", [fit, evaluate])
def test_persistent_workers_that_run_go_on_as_they_were(use):
    later = []
    for before in (use, None):
        torch.manual_seed(1)
        loader = persistent()
        epoch(loader)
        own = loader._iterator
        if before is not None:
            before(vivid(), loader)
        assert loader._iterator is own
        later.append(epoch(loader))
    assert torch.equal(*later)
