"""Checks of a transform's attributes, in the constructor and whenever one is set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from learned_affine._checks import check_choice, check_range
from learned_affine.geometry.limits import AffineLimits
from learned_affine.geometry.warp import PADDING_MODES
from learned_affine.transforms.sampling import check_fill, check_interpolation


def _check_limits(augment: Any, limits: Any) -> AffineLimits:
    if not isinstance(limits, AffineLimits):
        raise TypeError(f"limits must be AffineLimits, got {type(limits).__name__}")
    return limits


def _check_generator(augment: Any, generator: Any) -> torch.Generator | None:
    if generator is not None and not isinstance(generator, torch.Generator):
        raise TypeError(f"generator must be a torch.Generator, got {type(generator).__name__}")
    if generator is not None and generator.device.type != "cpu":
        raise ValueError(f"generator must be on the CPU, where noise is drawn, got {generator.device}")
    return generator


def _check_deterministic(augment: Any, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"deterministic must be a bool, got {type(value).__name__}: {value!r}")
    return value


def _check_padding_mode(augment: Any, mode: Any) -> str:
    checked = check_choice("padding_mode", mode, PADDING_MODES)
    check_fill(augment.fill if hasattr(augment, "fill") else 0.0, checked)
    return checked


CHECKS: dict[str, Callable[[Any, Any], Any]] = {
    "limits": _check_limits,
    "p": lambda augment, value: check_range("p", value, 0.0, 1.0),
    "strength": lambda augment, value: check_range("strength", value, 0.0, 1.0),
    "deterministic": _check_deterministic,
    "interpolation": lambda augment, value: check_interpolation(value),
    "padding_mode": _check_padding_mode,
    "fill": lambda augment, value: check_fill(value, augment.padding_mode),
    "generator": _check_generator,
}
