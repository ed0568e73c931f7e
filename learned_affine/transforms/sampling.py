"""How pixels are sampled, with the fill of each type of item; and what a transform's attributes may be."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode

from learned_affine._checks import check_choice, check_range, check_type
from learned_affine.geometry.limits import AffineLimits
from learned_affine.geometry.warp import INTERPOLATIONS, PADDING_MODES

# of types in a ``fill``, and torchvision's word for the rest
FILL_NAMES = ("Image", "Video", "Mask", "Tensor", "others")


class Sampling(NamedTuple):
    """How pixels are sampled, as ``LearnedAffineAugment`` takes it."""

    interpolation: str
    padding_mode: str
    fill: Any

    def of(self, kind: type) -> Sampling:
        """With the fill of one type of item: by its type or its name, then ``"others"``, then 0."""
        if not isinstance(self.fill, Mapping):
            return self._replace(fill=0.0) if kind is tv_tensors.Mask else self
        fills = (self.fill[key] for key in (kind, kind.__name__, "others") if key in self.fill)
        return self._replace(fill=next(fills, 0.0))


def check_fill(fill: Any, padding_mode: str) -> Any:
    """Return a valid ``fill``, which is not 0 only where the padding mode fills."""
    if isinstance(fill, Mapping):
        unknown = [kind for kind in fill if not isinstance(kind, type) and kind not in FILL_NAMES]
        if unknown:
            raise ValueError(f"fill must be by types, or by {', '.join(FILL_NAMES)}, got {unknown[0]!r}")
    fills = dict(fill) if isinstance(fill, Mapping) else {"others": fill}
    for kind, value in fills.items():
        numbers = [value] if isinstance(value, int | float) else value
        is_numbers = isinstance(numbers, Sequence) and all(isinstance(number, int | float) for number in numbers)
        if not is_numbers or any(isinstance(number, bool) for number in numbers):
            raise TypeError(f"fill must be a number, a sequence of numbers, or a dict of those by type, got {fill!r}")
        if not all(map(math.isfinite, numbers)):
            raise ValueError(f"fill must be finite, got {value!r}")
        if len(numbers) == 0:
            raise ValueError("fill must have one value or one per channel, got an empty sequence")
        if padding_mode != "fill" and any(numbers) and kind not in (tv_tensors.Mask, "Mask"):
            raise ValueError(f"fill must be 0 unless padding_mode is 'fill', got {fill=!r}, {padding_mode=}")
    return fills if isinstance(fill, Mapping) else fill


def _check_padding_mode(augment: Any, mode: Any) -> str:
    checked = check_choice("padding_mode", mode, PADDING_MODES)
    check_fill(augment.fill, checked)
    return checked


def _check_generator(augment: Any, generator: Any) -> Any:
    if generator is None:
        return None
    if check_type("generator", generator, torch.Generator, "a torch.Generator").device.type != "cpu":
        raise ValueError(f"generator must be on the CPU, where noise is drawn, got {generator.device}")
    return generator


# of attributes, in the constructor and whenever one is set
CHECKS: dict[str, Callable[[Any, Any], Any]] = {
    "limits": lambda augment, value: check_type("limits", value, AffineLimits, "AffineLimits"),
    "p": lambda augment, value: check_range("p", value, 0.0, 1.0),
    "strength": lambda augment, value: check_range("strength", value, 0.0, 1.0),
    "deterministic": lambda augment, value: check_type("deterministic", value, bool, "a bool"),
    "interpolation": lambda augment, value: check_choice(
        "interpolation", value.value if isinstance(value, InterpolationMode) else value, INTERPOLATIONS
    ),
    "padding_mode": _check_padding_mode,
    # in the constructor the fill is set first, and the padding mode is checked against it
    "fill": lambda augment, value: check_fill(value, getattr(augment, "padding_mode", "fill")),
    "generator": _check_generator,
}
