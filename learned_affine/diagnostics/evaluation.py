"""Judge a policy before training with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from learned_affine.diagnostics.measures import mirror_measures, spread_measures
from learned_affine.geometry.coordinates import visible_area
from learned_affine.losses import shannon_entropy_bits
from learned_affine.policy.distribution import Policy
from learned_affine.tasks.batches import unpack, untouched
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
    classifier: Callable[..., Any],
    loader: Iterable[Any],
    *,
    preprocess: Callable[[Tensor], Tensor] | None = None,
    device: torch.device | str | None = None,
    draws: int = 4,
    max_images: int = 2000,
    image_key: str | None = None,
    label_key: str | None = None,
) -> Evaluation:
    """Measure what the policy does to a classifier. Every image is augmented, whatever ``p`` is. Nothing is changed.

    Args:
        augment: the augmenter.
        classifier, loader, preprocess, device, image_key, label_key: as for ``fit``.
        draws: draws an image, over which the measures of the classifier are averaged.
        max_images: stop after so many.

    Returns:
        A dict that prints as a table: ``entropy`` and ``clean_entropy`` (bits), ``agreement`` with the clean
        prediction; where there are labels ``accuracy``, ``clean_accuracy``, and of the class whose cross entropy grows
        most ``worst_class``, its ``worst_class_accuracy`` and ``worst_class_loss`` (by how many nats it grows), and
        ``own_gain``: how many nats more a draw from another image's policy costs, with its standard error
        ``own_gain_error``; within twice that, the policy tells images no better apart than chance.
        ``displacement`` (share of the side, mirrors left aside), ``visible_area``, ``mirror_chance``, its standard
        deviation between images ``mirror_spread`` and its divergence from 1/2 ``mirror_kl``, and for each parameter its
        spread ``within_`` and ``between_`` images (in its own unit, without sampling noise).

    Raises:
        TypeError, ValueError: naming the argument, the rule and what came.
    """
    if draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws}")
    where = torch.device(device) if device is not None else classifier_device(classifier)
    found: list[dict[str, Tensor]] = []
    policies: list[tuple[Tensor, Tensor, Tensor]] = []
    with torch.random.fork_rng(devices=[]), untouched(loader), frozen(classifier, where), _at_home(augment):
        task = Classification(classifier, preprocess)
        for batch in loader:
            images, labels = unpack(batch, image_key, label_key)
            found.append(_measure(augment, task, images.to(where), labels, draws))
            policies.append(_moments(augment, images.to(where)))
            if sum(len(one["entropy"]) for one in found) >= max_images:
                break
    if not found:
        raise ValueError(f"loader must give at least one batch, got an empty {type(loader).__name__}")
    columns = {key: torch.cat([one[key] for one in found]) for key in found[0] if all(key in one for one in found)}
    result = {key: float(values.float().mean()) for key, values in columns.items() if key not in ("label", "added")}
    if "label" in columns:
        gain = columns["own_gain"]
        error = float(gain.std() / len(gain) ** 0.5) if len(gain) > 1 else math.nan
        result |= {"own_gain_error": error, **_worst_class(columns)}
    mean, deviation, chance = map(torch.cat, zip(*policies, strict=True))
    result |= mirror_measures(chance) | spread_measures(mean, deviation)
    return Evaluation(result)


@contextmanager
def _at_home(augment: PolicyTransform) -> Iterator[None]:
    """The augmenter's network back on its device afterwards, and its generator as it was."""
    home, generator = augment.localization.head.weight.device, augment.generator
    state = None if generator is None else generator.get_state()
    try:
        yield
    finally:
        augment.localization.to(home)
        if generator is not None and state is not None:
            generator.set_state(state)


def _moments(augment: PolicyTransform, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and standard deviation of each image's draws, ``(B, 6)`` each, and its chance of a mirror, ``(B,)``."""
    policy = None if augment.deterministic else augment.localization(images)
    if isinstance(policy, Policy):
        chance = augment.strength * policy.mirror_chance * augment.limits.mirror
        return (*policy.moments(augment.limits, augment.strength), chance)
    mean = augment.sample_parameters(images).stacked()
    return mean, torch.zeros_like(mean), torch.zeros_like(mean[:, 0])


def _measure(
    augment: PolicyTransform, task: Classification, images: Tensor, labels: Tensor | None, draws: int
) -> dict[str, Tensor]:
    """The measures of each image of a batch, ``(B,)`` each, means over the draws."""
    drawn = [augment.sample_parameters(images) for _ in range(draws)]
    clean, outputs = task.logits(images), [task.logits(augment.warp(images, one)) for one in drawn]
    every = torch.stack(outputs)  # (K, B, m)
    size = images.shape[-2:]
    found = {
        "entropy": shannon_entropy_bits(every).mean(0),
        "clean_entropy": shannon_entropy_bits(clean),
        "agreement": (every.argmax(-1) == clean.argmax(-1)).float().mean(0),
        "displacement": torch.stack([one.unmirrored().displacement(*size) for one in drawn]).mean(0),
        "visible_area": torch.stack([visible_area(one.matrix(*size), *size) for one in drawn]).mean(0),
    }
    if labels is not None and int(labels.min()) >= 0 and int(labels.max()) < clean.shape[1]:
        labels = labels.to(images.device)
        costs = torch.stack([task.cost(one, labels) for one in outputs])
        found["accuracy"] = (every.argmax(-1) == labels).float().mean(0)
        found["clean_accuracy"] = (clean.argmax(-1) == labels).float()
        found |= {"added": costs.mean(0) - task.cost(clean, labels), "label": labels}
        dealt = torch.arange(len(images)).roll(1).to(images.device)
        others = [task.cost(task.logits(augment.warp(images, one[dealt])), labels) for one in drawn]
        found["own_gain"] = torch.stack(others).mean(0) - costs.mean(0)
    return {key: values.cpu() for key, values in found.items()}


def _worst_class(columns: dict[str, Tensor]) -> dict[str, float]:
    """The class whose cross entropy grows most."""
    labels, added = columns["label"], columns["added"]
    worst = max(labels.unique().tolist(), key=lambda one: float(added[labels == one].mean()))
    own = labels == worst
    accuracy, loss = float(columns["accuracy"][own].mean()), float(added[own].mean())
    return {"worst_class": float(worst), "worst_class_accuracy": accuracy, "worst_class_loss": loss}
