"""The target of a fit: what the objective holds the classifier to, measured on images that it has not seen."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from learned_affine.diagnostics import TargetWarning
from learned_affine.fitter import Fitter
from learned_affine.frozen import check_labels
from learned_affine.objectives import fallback_target, measured_target

TARGET_IMAGES = 4000  # unseen images that the target is measured on: its standard error is then under 2 %
Read = Callable[[Any], tuple[Tensor, Tensor | None]]


def classify_some(fitter: Fitter, batches: Iterable[tuple[Tensor, Tensor | None]]) -> tuple[Tensor, Tensor | None]:
    """Logits and labels of the first ``TARGET_IMAGES`` images; labels are None unless all images have one."""
    logits: list[Tensor] = []
    labels: list[Tensor] = []
    with torch.no_grad():
        for images, given in batches:
            logits.append(fitter.classify(images.to(fitter.device)).cpu())
            labels += [] if given is None else [given.cpu()]
            if sum(map(len, logits)) >= TARGET_IMAGES:
                break
    if not logits:
        raise ValueError("val_loader must give at least one batch, got an empty one")
    return torch.cat(logits), torch.cat(labels) if len(labels) == len(logits) else None


def find_target(
    fitter: Fitter,
    loader: Iterable[Any],
    val_loader: Iterable[Any] | None,
    read: Read,
    first: tuple[Tensor, Tensor | None],
) -> tuple[float, str]:
    """The target, and where it comes from; ``first`` is the loader's first batch."""
    config = fitter.config
    if config.objective == "paper":
        return 0.0, "none: the paper has no target"
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


def _measured(fitter: Fitter, batches: Iterable[tuple[Tensor, Tensor | None]], name: str) -> tuple[float, int]:
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
