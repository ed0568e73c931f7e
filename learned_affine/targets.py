"""The target of a fit: what the objective holds the classifier to, measured on images that it has not seen."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from learned_affine.diagnostics import TargetWarning
from learned_affine.fitter import Fitter
from learned_affine.frozen import check_labels
from learned_affine.objectives import fallback_target, measured_target
from learned_affine.unseen import Batch, Unseen, temperature_of

TARGET_IMAGES = 4000  # unseen images that the target is measured on: its standard error is then under 2 %
EMPTY = "val_loader must give at least one batch, got an empty one"
Read = Callable[[Any], Batch]


def up_to(batches: Iterable[Batch], count: int) -> Iterator[Batch]:
    """The first batches, until so many images have passed."""
    passed = 0
    for images, labels in batches:
        yield images, labels
        passed += len(images)
        if passed >= count:
            return


def classify_some(fitter: Fitter, batches: Iterable[Batch]) -> Batch:
    """Logits and labels of the first ``TARGET_IMAGES`` images; labels are None unless all images have one."""
    logits: list[Tensor] = []
    labels: list[Tensor] = []
    with torch.no_grad():
        for images, given in up_to(batches, TARGET_IMAGES):
            logits.append(fitter.classify(images.to(fitter.device)).cpu())
            labels += [] if given is None else [given.cpu()]
    if not logits:
        raise ValueError(EMPTY)
    return torch.cat(logits), torch.cat(labels) if len(labels) == len(logits) else None


def keep_unseen(fitter: Fitter, val_loader: Iterable[Any], read: Read) -> Iterator[Batch]:
    """The batches of ``val_loader``, of which the fitter keeps some images for its steps."""
    fitter.unseen = Unseen(fitter.seed)
    return fitter.unseen.watch(map(read, val_loader))


def keep_again(fitter: Fitter, val_loader: Iterable[Any], read: Read) -> None:
    """Keep the same unseen images as :func:`find_target`, for a fit that goes on and has its target."""
    for _ in up_to(keep_unseen(fitter, val_loader, read), TARGET_IMAGES):
        pass
    if fitter.unseen is not None and not fitter.unseen.images:
        raise ValueError(EMPTY)


def find_target(
    fitter: Fitter,
    loader: Iterable[Any],
    val_loader: Iterable[Any] | None,
    read: Read,
    first: Batch,
) -> tuple[float, str]:
    """The target, and where it comes from; ``first`` is the loader's first batch.

    Where the target is held on unseen images, the fitter has some of them afterwards, and a temperature.
    """
    config = fitter.config
    if config.objective == "paper":
        return 0.0, "none: the paper has no target"
    if config.on_unseen and val_loader is not None:
        return _on_unseen(fitter, keep_unseen(fitter, val_loader, read))
    if config.target is not None:
        return config.target, "FitConfig.target"
    one_shot = isinstance(loader, Iterator)
    if val_loader is None and one_shot:
        raise ValueError("loader must be one that can be passed over again, or come with val_loader=, got an iterator")
    if val_loader is None:
        training, classes = _measured(fitter, map(read, loader), "loader")
        guess = fallback_target(config, training, classes)
        if fitter.processes.is_main:
            warnings.warn(TargetWarning(_guess_text(guess)), stacklevel=5)
        return guess, "guess: no val_loader"
    unseen, _ = _measured(fitter, map(read, val_loader), "val_loader")
    if config.objective != "calibrated":
        return unseen, "unseen images (val_loader)"
    # of a loader that can be passed over once, the batch that was looked at already stands for all
    training, _ = _measured(fitter, [first] if one_shot else map(read, loader), "loader")
    target = training + config.target_share * (unseen - training)
    share = f"{config.target_share:.0%} of the way from training images ({training:.3g}) to unseen ones ({unseen:.3g})"
    return max(target, 1e-3), share


def _on_unseen(fitter: Fitter, unseen: Iterator[Batch]) -> tuple[float, str]:
    """The target for augmented unseen images, and where it comes from; the fitter gets its temperature."""
    config = fitter.config
    logits, labels = classify_some(fitter, unseen)
    if config.needs_labels:
        labels = check_labels(labels, logits.shape[1], config.objective, "val_loader")
        # a classifier that is surer than right would have its errors, not its knowledge, set the scale
        fitter.temperature = fitter.processes.average(temperature_of(logits, labels))
    if config.target is not None:
        return config.target, "FitConfig.target, on unseen images (val_loader)"
    plain = fitter.processes.average(measured_target(config, logits / fitter.temperature, labels))
    known = max(math.log(logits.shape[1]) - plain, 0.0)
    source = f"unseen images (val_loader): {plain:.3g} and {config.tolerance:.0%} of the {known:.3g} known about them"
    return max(plain + config.tolerance * known, 1e-3), source


def _measured(fitter: Fitter, batches: Iterable[Batch], name: str) -> tuple[float, int]:
    """What the objective holds, on images of one loader, and the number of classes."""
    config = fitter.config
    logits, labels = classify_some(fitter, batches)
    if config.needs_labels:
        labels = check_labels(labels, logits.shape[1], config.objective, name)
    return fitter.processes.average(measured_target(config, logits, labels)), logits.shape[1]


def _guess_text(guess: float) -> str:
    return (
        f"without val_loader the target is a guess ({guess:.3g}: a quarter of the way from the training images' value "
        "to that of chance). Give images that the classifier was not trained on as val_loader."
    )
