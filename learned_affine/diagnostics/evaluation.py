"""Judge a policy before training with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from learned_affine.diagnostics.measures import output_measures, policy_measures, spread_measures
from learned_affine.losses import shannon_entropy_bits
from learned_affine.tasks.batches import unpack
from learned_affine.tasks.classification import Classification
from learned_affine.tasks.frozen import classifier_device, frozen
from learned_affine.transforms.transform import PolicyTransform


class Evaluation(dict[str, float]):
    """What a policy does to a classifier's images: a dict that prints as a table."""

    def __str__(self) -> str:
        """One measure a row."""
        return "\n".join(f"{key:<28}{value:10.4f}" for key, value in self.items())


@torch.no_grad()
def evaluate(
    augment: PolicyTransform,
    classifier: Any,
    loader: Iterable[Any],
    *,
    preprocess: Callable[[Tensor], Tensor] | None = None,
    device: torch.device | str | None = None,
    draws: int = 4,
    max_images: int = 2000,
    image_key: str | None = None,
    label_key: str | None = None,
) -> Evaluation:
    """What a policy does to a classifier's images, every image warped whatever ``p`` is. Nothing is changed.

    Args:
        augment: the augmenter.
        classifier, loader, preprocess, device, image_key, label_key: as for ``fit``.
        draws: draws an image for the spread within images, at least 2.
        max_images: stop after so many.

    Returns:
        A dict that prints as a table: ``entropy`` and ``clean_entropy`` (bits), ``agreement`` with the clean
        prediction, ``accuracy`` and ``clean_accuracy`` where there are labels, ``displacement`` (share of the side),
        ``visible_area``, and for each parameter its spread ``within_`` and ``between_`` images (in its own unit).

    Raises:
        TypeError, ValueError: naming the argument, the rule and what came.
    """
    if draws < 2:
        raise ValueError(f"draws must be at least 2, got {draws}")
    where = torch.device(device) if device is not None else classifier_device(classifier)
    home = augment.localization.head.weight.device
    totals: dict[str, float] = {}
    weights: dict[str, int] = {}
    seen = 0
    try:
        with frozen(classifier, where):
            task = Classification(classifier, preprocess)
            for batch in loader:
                images, labels = unpack(batch, image_key, label_key)
                for key, value in _measure(augment, task, images.to(where), labels, draws).items():
                    totals[key] = totals.get(key, 0.0) + value * len(images)
                    weights[key] = weights.get(key, 0) + len(images)
                seen += len(images)
                if seen >= max_images:
                    break
    finally:
        augment.localization.to(home)
    if not seen:
        raise ValueError(f"loader must give at least one batch, got an empty {type(loader).__name__}")
    return Evaluation({key: totals[key] / weights[key] for key in totals})


def _measure(
    augment: PolicyTransform,
    task: Classification,
    images: Tensor,
    labels: Tensor | None,
    draws: int,
) -> dict[str, float]:
    """The measures of one batch."""
    drawn = [augment.sample_parameters(images) for _ in range(draws)]
    clean, augmented = task.logits(images), task.logits(augment.warp(images, drawn[0]))
    found = output_measures(augmented, clean)
    found["clean_entropy"] = float(shannon_entropy_bits(clean).mean())
    if labels is not None:
        labels = labels.to(images.device)
        found["accuracy"] = float((augmented.argmax(-1) == labels).float().mean())
        found["clean_accuracy"] = float((clean.argmax(-1) == labels).float().mean())
    found |= policy_measures(drawn[0], *images.shape[-2:])
    return found | spread_measures(drawn) if len(images) > 1 else found
