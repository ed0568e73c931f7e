"""Measures of a policy: functions of draws, and of their moments."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from learned_affine._checks import check_type
from learned_affine.diagnostics.checks import info_of
from learned_affine.geometry.coordinates import visible_area
from learned_affine.geometry.limits import AffineLimits
from learned_affine.geometry.parameters import EIGHT, AffineParameters
from learned_affine.policy.distribution import Policy
from learned_affine.tasks.batches import Batch, class_indices, labelled, unpack, untouched
from learned_affine.tasks.targets import numbers_of
from learned_affine.transforms.transform import PolicyTransform


@torch.no_grad()
def image_measures(parameters: AffineParameters, height: int, width: int) -> dict[str, Tensor]:
    """Displacement, symmetries left aside, and visible area of each image, ``(B,)``."""
    return {
        "displacement": parameters.without_symmetry().displacement(height, width),
        "visible_area": visible_area(parameters.matrix(height, width), height, width),
    }


def policy_measures(parameters: AffineParameters, sizes: Sequence[Sequence[int]]) -> dict[str, float]:
    """Their means over images of these heights and widths."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for row, size in enumerate(sizes):
        groups.setdefault(tuple(size), []).append(row)
    parts = [image_measures(parameters[rows], *size) for size, rows in groups.items()]
    names = ("displacement", "visible_area")
    return {name: float(torch.cat([part[name] for part in parts]).mean()) if parts else math.nan for name in names}


@torch.no_grad()
def policy_moments(augment: PolicyTransform, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and standard deviation of each image's draws, ``(B, 6)`` each, and its symmetries' chances, ``(B, 8)``."""
    policy = None if augment.deterministic else augment.policy(images)
    if policy is not None:
        return (*policy.moments(augment.limits, augment.strength), policy.chances_at(augment.strength))
    mean = augment.sample_parameters(images).stacked()
    return mean, torch.zeros_like(mean), torch.eye(1, len(EIGHT), device=mean.device).expand(len(mean), -1)


class Moments(NamedTuple):
    """The first image of a class, and the moments of all of its images, on the CPU."""

    first: Tensor  # (C, H, W)
    mean: Tensor  # (B, 6)
    deviation: Tensor  # (B, 6)
    chances: Tensor  # (B, 8)


def moments_by_class(
    augment: PolicyTransform,
    loader: Iterable[Any],
    name: str = "loader",
    image_key: str | None = None,
    label_key: str | None = None,
) -> dict[Any, Moments]:
    """Of each class what the loader's images get; all images as the class None where some have no class index.

    Images without a label are left out: theirs is negative, or the one that the fit left out.
    """
    check_type(name, loader, Iterable, "a loader of images")
    ignored = info_of(augment).get("ignore_index", -1)

    def read(batch: Any, name: str) -> Batch:
        images, given = unpack(batch, image_key, label_key, _indices, name)
        if given is None:
            return images, None
        there = (given >= 0) & (given != ignored)
        return images[there.to(images.device)], given[there]

    firsts: dict[Any, Tensor] = {}
    labels: list[Any] = []
    parts = []
    with untouched(loader), torch.random.fork_rng(devices=[]):
        for images, given in labelled(loader, read, name):
            parts.append([one.cpu() for one in policy_moments(augment, images)])
            own = [None] * len(images) if given is None else given.tolist()
            firsts |= {label: images[own.index(label)].cpu() for label in set(own) - set(firsts)}
            labels += own
    if None in firsts:
        firsts, labels = {None: firsts[None]}, [None] * len(labels)
    moments = [torch.cat(one) for one in zip(*parts, strict=True)]
    rows = {label: [row for row, own in enumerate(labels) if own == label] for label in firsts}
    return {label: Moments(firsts[label], *(one[rows[label]] for one in moments)) for label in sorted(firsts)}


def _indices(labels: Any, count: int, name: str) -> Tensor | None:
    """Class indices ``(B,)``; None for labels of another kind, such as integers of which an image has several."""
    numbers = numbers_of(labels)
    several = numbers is not None and numbers.shape[:1] == (count,) and numbers.numel() > count
    return None if several else class_indices(labels, count, name)


def variances(mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of each parameter's variance within an image, ``(6,)``, and the variance of the images' means."""
    return deviation.square().mean(0), mean.var(0, correction=0)


@torch.no_grad()
def variance_between_images(policy: Policy, limits: AffineLimits) -> float:
    """Share of the parameters' variance that lies between the images rather than within each, mean of six."""
    # by quadrature: a finite number of draws would fake a share where all images have the same policy
    within, between = variances(*policy.moments(limits))
    return float((between / (between + within).clamp_min(1e-20)).mean())


def symmetry_measures(chances: Tensor) -> dict[str, float]:
    """Of the images' probabilities of the symmetries, ``(B, 8)``: of another one than the identity, mean and spread."""
    changed = 1 - chances[:, 0]
    return {"symmetry_chance": float(changed.mean()), "symmetry_spread": float(spread(changed))}


def spread(values: Tensor) -> Tensor:
    """The standard deviation of rows; torch warns of one alone."""
    return values.std(0) if len(values) > 1 else torch.full_like(values[0], math.nan)
