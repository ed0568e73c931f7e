"""Stages 1 and 3 of the paper: train a classifier, and train it further on augmented images."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from learned_affine._checks import check_count, check_type
from learned_affine.tasks.batches import labelled
from learned_affine.tasks.classification import SingleLabel
from learned_affine.tasks.frozen import classifier_device, frozen
from learned_affine.tasks.model import Model

RIGHT = SingleLabel().right  # of class indices, and of class probabilities


class SmallConvNet(nn.Sequential):
    """Three convolutions with BatchNorm, for images of 28 to 64 pixels. Fast on a CPU in channels_last.

    Args:
        classes: number of classes.
        channels: channels of the images.
        width: channels of the first convolution.
    """

    def __init__(self, classes: int = 10, channels: int = 1, width: int = 32) -> None:
        blocks: list[nn.Module] = []
        for before, after in itertools.pairwise((channels, width, 2 * width, 4 * width)):
            convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
            blocks += [convolution, nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
        super().__init__(*blocks[:-1], nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16 * width, classes))


def train_classifier(
    classifier: nn.Module,
    loader: Iterable[Any],
    *,
    augment: Callable[[Tensor], Tensor] | None = None,
    epochs: int = 10,
    learning_rate: float = 1e-3,
    weight_decay: float = 5e-4,
    preprocess: Callable[[Tensor], Tensor] | None = None,
    device: torch.device | str | None = None,
    seed: int | None = None,
    progress: bool | None = None,
    title: str = "train",
    on_epoch: Callable[[int], Any] | None = None,
) -> dict[str, list[float]]:
    """Train a classifier with cross entropy, AdamW and a rate that falls to 0 along a cosine.

    Args:
        classifier: a module from images ``(B, C, H, W)`` to logits ``(B, m)``; trained in place.
        loader: as for ``LearnedAffineAugment.fit``, with labels.
        augment: applied to each batch of images, for instance a fitted ``LearnedAffineAugment``.
        epochs: passes over the loader.
        learning_rate, weight_decay: of AdamW.
        preprocess: applied after ``augment``, for instance ``v2.Normalize(...)``.
        device: where to train; where the classifier is if None.
        seed: of the data order and the augmenter's draws; None leaves torch's generator as it is.
        progress: a progress bar; if None, where the output is a terminal.
        title: of the bar.
        on_epoch: called with the number of each epoch before it starts.

    Returns:
        ``{"loss": [...], "accuracy": [...], "seconds": [...]}``, a number an epoch, on the (augmented) training images.

    Raises:
        TypeError, ValueError: naming the argument, the rule and what came.
    """
    check_type("classifier", classifier, nn.Module, "a torch.nn.Module")
    check_count("epochs", epochs)
    where = classifier_device(classifier, device)
    classifier.to(where)
    optimizer = torch.optim.AdamW(classifier.parameters(), learning_rate, weight_decay=weight_decay)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    history: dict[str, list[float]] = {"loss": [], "accuracy": [], "seconds": []}
    if seed is not None:
        torch.manual_seed(seed)
    model = Model(classifier, preprocess)
    try:
        bar = tqdm(range(epochs), title, unit="epoch", disable=None if progress is None else not progress)
        for epoch in bar:
            if on_epoch is not None:
                on_epoch(epoch)
            start = time.perf_counter()
            classifier.train()
            loss, accuracy = _train_epoch(_answers(model, loader, augment, where), optimizer)
            for name, value in zip(history, (loss, accuracy, time.perf_counter() - start), strict=True):
                history[name].append(value)
            scheduler.step()
            bar.set_postfix(loss=f"{loss:.3f}", accuracy=f"{accuracy:.3f}", refresh=False)
    finally:
        classifier.eval()
    return history


def _answers(
    model: Model, loader: Iterable[Any], warp: Callable[[Tensor], Tensor] | None, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Logits and labels, batch by batch."""
    for images, labels in labelled(loader, model.read):
        images = images.to(device)
        logits = model.answer(images if warp is None else warp(images))
        if labels is None:
            raise ValueError("loader must give class indices or class probabilities with its images, got none")
        yield logits, model.task.check(labels, logits).to(device)


def _train_epoch(answers: Iterable[tuple[Tensor, Tensor]], optimizer: torch.optim.Optimizer) -> tuple[float, float]:
    """Mean loss and accuracy of one pass."""
    total, correct, seen = 0.0, 0, 0
    for logits, labels in answers:
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        total += float(loss.detach()) * len(logits)
        correct += int(RIGHT(logits, labels).sum())
        seen += len(logits)
    return total / seen, correct / seen


@torch.no_grad()
def evaluate_classifier(
    classifier: Any,
    loader: Iterable[Any],
    *,
    warp: Callable[[Tensor], Tensor] | None = None,
    preprocess: Callable[[Tensor], Tensor] | None = None,
    device: torch.device | str | None = None,
    progress: bool | None = None,
) -> dict[str, float]:
    """How good a classifier is on a loader, which it leaves as it was.

    Args:
        classifier: a module or callable to logits.
        loader, preprocess, device, progress: as for :func:`train_classifier`.
        warp: applied to the images first.

    Returns:
        ``accuracy``, ``cross_entropy`` (nats) and ``calibration_error`` (Guo et al. 2017, 15 bins of equal width).
    """
    where = classifier_device(classifier, device)
    with frozen(classifier, where), frozen(preprocess, where):
        hidden = None if progress is None else not progress
        batches = tqdm(loader, "evaluate", unit="batch", leave=False, disable=hidden)
        answers = _answers(Model(classifier, preprocess), batches, warp, where)
        logits, labels = (torch.cat(parts).cpu() for parts in zip(*answers, strict=True))
    return {
        "accuracy": float(RIGHT(logits, labels).mean()),
        "cross_entropy": float(F.cross_entropy(logits, labels)),
        "calibration_error": calibration_error(logits, labels),
    }


def calibration_error(logits: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Expected calibration error: mean gap between confidence and accuracy over bins of confidence."""
    confidence = logits.softmax(-1).amax(-1)
    place = (confidence * bins).long().clamp_max(bins - 1)
    gap = RIGHT(logits, labels) - confidence
    gaps = gap.new_zeros(bins).index_add_(0, place, gap)
    return float(gaps.abs().sum() / len(labels))
