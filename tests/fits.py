"""Short fits, and what must be the same before and after one."""

import warnings
from contextlib import contextmanager

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from learned_affine import FitConfig, LearnedAffineAugment
from learned_affine.diagnostics import FitWarning
from learned_affine.fitting import learn
from learned_affine.fitting.judge import Judge
from learned_affine.fitting.processes import Processes
from learned_affine.policy.distribution import Policy
from learned_affine.tasks.model import Model
from learned_affine.tasks.pool import Pool, Reservoir
from tests.subjects import Halves, blobs

IMAGES, LABELS = blobs(64)
SHORT = FitConfig(rounds=1, images=64, target=0.3)
PAPER = FitConfig.paper(rounds=1)
SETTLED = 3  # rounds that follow those of the configuration
ROUNDS = SHORT.rounds + SETTLED


def loader(batch: int = 16, shuffle: bool = False) -> DataLoader:
    return DataLoader(TensorDataset(IMAGES, LABELS), batch, shuffle=shuffle)


def silent(augment=LearnedAffineAugment, classifier=None, data=None, **options):
    """A fit without a bar, whose policy need not be a useful one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        options = {"progress": False, **options}
        return augment.fit(classifier or Halves(), loader() if data is None else data, **options)


@contextmanager
def few_steps():
    """Fits regress for three steps a round instead of 80."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learn, "STEPS", 3)
        yield


def quick(classifier=None, data=None, augment=LearnedAffineAugment, **options):
    """A fit of few images and few steps, with a given target: for what does not depend on how good the policy is."""
    with few_steps():
        return silent(augment, classifier=classifier, data=data, **{"config": SHORT, **options})


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    """Whether two have the same parameters, bit by bit."""
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(mine, yours) for mine, yours in pairs)


def kept(*batches: tuple, seed: int = 0, most: int = 1000) -> Reservoir:
    """What is left of some batches, all of which are passed on."""
    reservoir = Reservoir(seed, most)
    assert [len(images) for images, _ in reservoir.watch(list(batches))] == [len(images) for images, _ in batches]
    return reservoir


def judge_of(pool: Pool, model: Model, resampling: float = 0.0, processes: Processes | None = None) -> Judge:
    with torch.no_grad():
        each = zip(pool.images, pool.labels, strict=True)
        pool.outputs = torch.cat([model.output(model.answer(image[None]), label) for image, label in each])
    judge = Judge(LearnedAffineAugment(), model, pool, processes or Processes())
    judge.resampling = resampling
    return judge


def assert_same_policy(one: Policy, other: Policy) -> None:
    for name in ("mean", "width", "chances"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), atol=1e-5, rtol=1e-4)


def assert_same_fit(one: LearnedAffineAugment, other: LearnedAffineAugment) -> None:
    """The same policy bit by bit, and the same measures but for the last digits and the time."""
    assert same_weights(one, other)
    for key in set(one.history) - {"seconds"}:
        torch.testing.assert_close(one.history[key], other.history[key], equal_nan=True)
    assert one.history.info.get("target") == other.history.info.get("target")


# -- a classifier that must come back as it was -----------------------------------------------------------------------


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def snapshot(classifier: nn.Module) -> dict:
    """Everything of a classifier that a fit must leave alone: the same memory with the same bits, modes, gradients."""
    tensors = {**dict(classifier.named_parameters()), **dict(classifier.named_buffers())}
    hooks = [name for name in vars(classifier) if name.endswith("hooks")]
    return {
        "tensors": {key: (x.data_ptr(), x.dtype, x.device, x.stride(), bits(x)) for key, x in tensors.items()},
        # merged: whether an adapter is in the weights
        "training": [(getattr(x, "training", None), getattr(x, "merged", None)) for x in classifier.modules()],
        "grads": [(p.requires_grad, None if p.grad is None else bits(p.grad)) for p in classifier.parameters()],
        "hooks": [[list(getattr(module, name, None) or ()) for name in hooks] for module in classifier.modules()],
        "attributes": [sorted(vars(x)) for x in classifier.modules() if not isinstance(x, torch.jit.ScriptModule)],
    }


def assert_same(before: dict, classifier: nn.Module) -> None:
    after = snapshot(classifier)
    for part, old in before.items():
        assert old == after[part], part


def mixed_state(classifier: nn.Module) -> nn.Module:
    """A classifier in a state that a careless restore would not bring back."""
    classifier.train()
    next(classifier.children()).eval()
    next(classifier.parameters()).requires_grad_(False)
    return classifier
