"""Checks of what users hand in. Each error names the argument, the rule and what came."""

from __future__ import annotations

import difflib
import functools
import inspect
import math
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def check_type(name: str, value: Any, kind: Any, rule: str) -> Any:
    """Return ``value`` if it is of a kind, a type or a union of them; a bool is no number."""
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    came = f"{type(value).__name__}: {value!r}" if isinstance(value, bool | int | float | str) else shown(value)
    raise TypeError(f"{name} must be {rule}, got {came}")


def check_range(name: str, value: Any, low: float, high: float, rule: str | None = None) -> float:
    """Return ``value`` as a float if it is a finite number in ``[low, high]``."""
    check_type(name, value, int | float, "a number")
    if not math.isfinite(value) or not low <= value <= high:
        raise ValueError(f"{name} must be {rule or f'in [{low:g}, {high:g}]'}, got {value!r}")
    return float(value)


def check_count(name: str, value: Any) -> int:
    """Return ``value`` if it is an int of at least 1."""
    if check_type(name, value, int, "an int") < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return int(value)


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """Return ``value`` if it is one of the words."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    return str(value)


def check_batch(name: str, images: Any) -> Tensor:
    """Return ``images`` if they are a batch ``(B, C, H, W)`` of real numbers."""
    images = check_type(name, images, Tensor, "a tensor of shape (B, C, H, W)")
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise ValueError(f"{name} must have the shape (B, C, H, W) with sides of at least 1, got {tuple(images.shape)}")
    check_real(name, images)
    return images


def check_real(name: str, values: Tensor) -> None:
    """Raise a TypeError for complex numbers."""
    if values.is_complex():
        raise TypeError(f"{name} must have a real dtype, got {values.dtype}")


def check_weights(name: str, weights: Any) -> Tensor | None:
    """Weights as a floating tensor ``(m,)``; None stays None."""
    if weights is None:
        return None
    found = torch.as_tensor(weights, dtype=torch.float32, device="cpu")
    if found.ndim != 1 or not bool((found.isfinite() & (found >= 0)).all() and found.any()):
        raise ValueError(f"{name} must be finite numbers of at least 0, one per class and not all 0, got {weights!r}")
    return found


def shown(value: Any) -> str:
    """What came, for an error message: a tensor's or array's shape, a container's type, else the type."""
    shape = getattr(value, "shape", None)
    kind = type(value).__name__
    return f"{kind} of shape {tuple(shape)}" if shape is not None else kind


def warn_caller(warning: Warning) -> None:
    """Give a warning at the line outside this package, and torch's decorators, that led to it."""
    level, frame = 2, sys._getframe(1)  # 2: the caller of this function
    ours = ("learned_affine.", "torch.utils._contextlib")
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(ours):
        level, frame = level + 1, frame.f_back
    warnings.warn(warning, stacklevel=level)


def explain_keywords(name: str, gone: Mapping[str, str] | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function name itself and the nearest known keyword where it is given an unknown one, or one by place.

    ``gone`` says of keywords of earlier versions what to do instead.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        parameters = inspect.signature(function).parameters
        known = [key for key, one in parameters.items() if one.kind is one.KEYWORD_ONLY]
        by_place = [key for key in parameters if key not in known]

        @functools.wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            for key in kwargs:
                if gone and key in gone:
                    raise TypeError(f"{name} takes no keyword {key!r} any more: {gone[key]}")
                if key not in parameters:
                    near = difflib.get_close_matches(key, known, n=1)
                    hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(known)}"
                    raise TypeError(f"{name} takes no keyword {key!r}: {hint}")
            if known and len(args) > len(by_place):
                first = ", ".join(key for key in by_place if key not in ("self", "cls"))
                raise TypeError(f"{known[0]} must be given by its name: {name}({first}, {known[0]}=...)")
            return function(*args, **kwargs)

        return checked

    return decorate
