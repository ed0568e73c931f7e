"""The cost at which a fit holds augmented images, measured on held-out images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from learned_affine._checks import warn_caller
from learned_affine.config import FitConfig
from learned_affine.diagnostics.checks import TargetWarning
from learned_affine.runtime.distributed import Distributed
from learned_affine.tasks.batches import Batch
from learned_affine.tasks.classification import Classification
from learned_affine.tasks.reservoir import Reservoir

TARGET_IMAGES = 4000  # held-out images that the target is measured on: its standard error is then under 2 %
LEAST = 1e-3  # nats: a target of 0 could not be held
EMPTY = "val_loader must give at least one batch, got an empty one"
Batches = Callable[[], Iterable[Batch]]  # opens a loader anew


@dataclass(frozen=True)
class Target:
    """What a fit holds augmented images to.

    Args:
        value: mean cost in nats.
        source: where it comes from, in words.
        temperature: of the classifier's logits.
        held_out: images that it is held on; None: the training images.
    """

    value: float
    source: str
    temperature: float = 1.0
    held_out: Reservoir | None = None


def measure_target(
    task: Classification,
    config: FitConfig,
    training: Batches | None,
    held_out: Batches | None,
    processes: Distributed,
    device: torch.device,
    seed: int,
) -> Target:
    """The target of a fit.

    Args:
        task: the classifier; its temperature stays as it is.
        config: says whether a target is needed, given, or measured.
        training: the images that the classifier was trained on; None if they can be read only once.
        held_out: images that it was not trained on, None if there are none.
        processes: one or several, which measure together.
        device: of the classifier.
        seed: decides which held-out images are kept for the steps.
    """
    if config.objective == "paper":
        return Target(0.0, "none: the paper has no target")
    if held_out is not None:
        return _on_held_out(task, config, held_out, processes, device, seed)
    if config.target is not None:
        return Target(config.target, "FitConfig.target")
    if training is None:
        raise ValueError("loader must be one that can be passed over again, or come with val_loader=, got an iterator")
    output, labels = classify_some(task, training(), device)
    cost = processes.average(mean_cost(task, config, output, labels, "loader"))
    # a quarter of the way from what the classifier has on its training images to what a guess has: cautious
    guess = cost + 0.25 * max(task.cost_of_guess(output) - cost, 0.0)
    if processes.is_main:
        warn_caller(TargetWarning(_guess_text(guess)))
    return Target(guess, "guess: no val_loader")


def _on_held_out(
    task: Classification,
    config: FitConfig,
    held_out: Batches,
    processes: Distributed,
    device: torch.device,
    seed: int,
) -> Target:
    """The target for augmented held-out images, of which some are kept for the steps."""
    kept = Reservoir(seed)
    logits, labels = classify_some(task, kept.watch(held_out()), device)
    temperature = 1.0
    if config.needs_labels:
        # of an overconfident classifier the errors would set the scale, not what it knows
        known_labels = task.check(labels, logits, "val_loader")
        temperature = processes.average(task.find_temperature(logits, known_labels))
    if config.target is not None:
        return Target(config.target, "FitConfig.target, on held-out images (val_loader)", temperature, kept)
    output = logits / temperature
    plain = processes.average(mean_cost(task, config, output, labels, "val_loader"))
    known = max(task.cost_of_guess(output) - plain, 0.0)
    source = f"held-out images (val_loader): {plain:.3g} and {config.tolerance:.0%} of the {known:.3g} known about them"
    return Target(max(plain + config.tolerance * known, LEAST), source, temperature, kept)


def keep_held_out(held_out: Batches, seed: int) -> Reservoir:
    """The held-out images that :func:`measure_target` keeps, for a fit that goes on and has its target."""
    kept = Reservoir(seed)
    for _ in up_to(kept.watch(held_out()), TARGET_IMAGES):
        pass
    if not kept.images:
        raise ValueError(EMPTY)
    return kept


def mean_cost(task: Classification, config: FitConfig, output: Tensor, labels: Tensor | None, name: str) -> float:
    """Mean cost of images in nats; with predicted labels, what the classifier's own answers cost."""
    if config.needs_labels:
        labels = task.check(labels, output, name)
    if labels is None or config.labels == "predicted":
        labels = output.argmax(-1)
    return float(task.cost(output, labels).mean().clamp_min(LEAST))


def up_to(batches: Iterable[Batch], count: int) -> Iterator[Batch]:
    """The first batches, until so many images have passed."""
    passed = 0
    for images, labels in batches:
        yield images, labels
        passed += len(images)
        if passed >= count:
            return


@torch.no_grad()
def classify_some(task: Classification, batches: Iterable[Batch], device: torch.device) -> Batch:
    """Logits and labels of the first ``TARGET_IMAGES`` images; labels are None unless all images have one."""
    logits: list[Tensor] = []
    labels: list[Tensor] = []
    for images, given in up_to(batches, TARGET_IMAGES):
        logits.append(task.logits(images.to(device)).cpu())
        labels += [] if given is None else [given.cpu()]
    if not logits:
        raise ValueError(EMPTY)
    return torch.cat(logits), torch.cat(labels) if len(labels) == len(logits) else None


def _guess_text(guess: float) -> str:
    return (
        f"without val_loader the target is a guess ({guess:.3g}: a quarter of the way from the training images' value "
        "to that of chance). Give images that the classifier was not trained on as val_loader."
    )
