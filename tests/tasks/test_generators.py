"""A fit and an evaluation draw random numbers, and leave everybody's generators as they were."""

import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, TensorDataset, WeightedRandomSampler

from learned_affine import LearnedAffineAugment
from tests.fits import IMAGES, LABELS, PAPER, quick
from tests.subjects import Halves, blobs, vivid

DATA = TensorDataset(IMAGES, LABELS)
AUGMENT = vivid()


def seeded(seed: int = 7) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fit(loader):
    quick(data=loader, val_loader=loader)


def fit_paper(loader):
    quick(data=loader, config=PAPER)


def stop(values):
    raise KeyboardInterrupt


def interrupted_fit(loader):
    with pytest.raises(KeyboardInterrupt):
        quick(data=loader, val_loader=loader, callbacks=stop)


def evaluate(loader):
    AUGMENT.evaluate(Halves(), loader)


def broken_evaluation(loader):
    with pytest.raises(ZeroDivisionError):
        AUGMENT.evaluate(lambda images: 1 / 0, loader)


USES = [fit, fit_paper, interrupted_fit, evaluate, broken_evaluation]
every_use = pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)


@every_use
def test_torchs_own_generator_is_left_alone(use):
    state = torch.get_rng_state()
    use(DataLoader(DATA, 16, shuffle=True))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("use", ["fit", "evaluate", "interrupted"])
def test_the_augmenters_generator_is_left_alone(use):
    augment = LearnedAffineAugment(p=0.5, generator=seeded())
    augment(IMAGES)
    state = augment.generator.get_state()
    if use == "evaluate":
        augment.evaluate(Halves(), DataLoader(DATA, 16))
    elif use == "fit":
        quick(augment=augment)
    else:
        with pytest.raises(KeyboardInterrupt):
            quick(augment=augment, callbacks=stop)
    assert torch.equal(augment.generator.get_state(), state)


LOADERS = {
    "of the loader": lambda first, second: DataLoader(DATA, 16, shuffle=True, generator=first),
    "of the sampler": lambda first, second: DataLoader(DATA, 16, sampler=RandomSampler(DATA, generator=first)),
    "of a weighted sampler": lambda first, second: DataLoader(
        DATA, 16, sampler=WeightedRandomSampler([1.0] * 64, 64, generator=first)
    ),
    "of a batch sampler's": lambda first, second: DataLoader(
        DATA, batch_sampler=BatchSampler(RandomSampler(DATA, generator=first), 16, drop_last=False)
    ),
    "of both": lambda first, second: DataLoader(
        DATA, 16, sampler=RandomSampler(DATA, generator=first), generator=second
    ),
}


@every_use
@pytest.mark.parametrize("whose", LOADERS)
def test_a_generator_of_the_loaders_is_left_alone(use, whose):
    generators = seeded(1), seeded(2)
    loader = LOADERS[whose](*generators)
    list(loader)  # they need not stand at their seed
    states = [generator.get_state() for generator in generators]
    use(loader)
    assert all(torch.equal(one.get_state(), state) for one, state in zip(generators, states, strict=True))


# -- workers ----------------------------------------------------------------------------------------------------------


class Noisy(Dataset):
    """Noise that the worker draws, on images of two classes."""

    images, labels = blobs(8)

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.images[index] + 0.1 * torch.rand(1, 16, 16), int(self.labels[index])


def epoch(loader: DataLoader) -> torch.Tensor:
    return torch.cat([images for images, _ in loader])


def persistent() -> DataLoader:
    return DataLoader(Noisy(), 4, num_workers=1, persistent_workers=True)


@pytest.mark.parametrize("use", [fit, interrupted_fit, evaluate], ids=lambda use: use.__name__)
def test_persistent_workers_start_from_the_users_seed(use):
    """Those that a fit starts would have its seed for ever; later epochs must follow the user's."""
    epochs = {}
    for seed, before in ((1, use), (2, use), (1, None)):
        loader = persistent()
        if before is not None:
            before(loader)
        torch.manual_seed(seed)
        epochs[seed, before] = torch.cat([epoch(loader), epoch(loader)])
    assert torch.equal(epochs[1, use], epochs[1, None])
    assert not torch.equal(epochs[1, use], epochs[2, use])


@pytest.mark.parametrize("use", [fit, evaluate], ids=lambda use: use.__name__)
def test_persistent_workers_that_run_go_on_as_they_were(use):
    later = []
    for before in (use, None):
        torch.manual_seed(1)
        loader = persistent()
        epoch(loader)
        own = loader._iterator
        if before is not None:
            before(loader)
        assert loader._iterator is own
        later.append(epoch(loader))
    assert torch.equal(*later)
