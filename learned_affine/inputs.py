"""What a fit is given: its arguments checked, the loader's first batch, and the generators that its order follows."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor, nn

from learned_affine._version import __version__
from learned_affine.config import FitConfig
from learned_affine.diagnostics import PixelRangeWarning

Read = Callable[[Any], tuple[Tensor, Tensor | None]]


def check_arguments(config: Any, classifier: Any, preprocess: Any, val_loader: Any, seed: Any, max_steps: Any) -> None:
    """Raise a TypeError or ValueError that names the argument, the rule and what came."""
    if not isinstance(config, FitConfig):
        raise TypeError(f"config must be a FitConfig, got {type(config).__name__}")
    if not callable(classifier):
        raise TypeError(f"classifier must be callable, got {type(classifier).__name__}")
    if isinstance(classifier, nn.Module):
        for tensor in itertools.chain(classifier.parameters(), classifier.buffers()):
            if tensor.is_inference():
                raise ValueError(
                    "classifier must not be made under torch.inference_mode, whose tensors pass no gradient; got one "
                    "whose weights are: make or load it outside, or copy its state_dict into one that was"
                )
    if preprocess is not None and not callable(preprocess):
        raise TypeError(f"preprocess must be callable, got {type(preprocess).__name__}")
    for name, value in (("seed", seed), ("max_steps", max_steps)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise TypeError(f"{name} must be an int or None, got {type(value).__name__}: {value!r}")
    if max_steps is not None and max_steps < 1:
        raise ValueError(f"max_steps must be at least 1, got {max_steps}")
    if val_loader is not None and not isinstance(val_loader, Iterable) and not hasattr(val_loader, "__getitem__"):
        raise TypeError(f"val_loader must be iterable, got {type(val_loader).__name__}")
    if isinstance(val_loader, Iterator):
        raise ValueError("val_loader must be one that can be passed over again, got an iterator: give a list of it")


def callback_list(callbacks: Any) -> list[Callable[[dict[str, float]], Any]]:
    """One or several as a list."""
    found = [callbacks] if callable(callbacks) else list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
    for callback in found:
        if not callable(callback):
            raise TypeError(f"callbacks must be callable, got {type(callback).__name__}")
    return found


def peek(loader: Iterable[Any], read: Read) -> tuple[Iterable[Any], tuple[Tensor, Tensor | None]]:
    """The loader with nothing lost, and its first batch.

    Raises:
        TypeError: if it is not iterable.
        ValueError: if it is empty.
    """
    try:
        batches = iter(loader)
    except TypeError as error:
        raise TypeError(f"loader must be iterable, got {type(loader).__name__}") from error
    first = next(batches, None)
    if first is None:
        raise ValueError(f"loader must give at least one batch, got an empty {type(loader).__name__}")
    return (itertools.chain([first], batches) if batches is loader else loader), read(first)


def length_of(loader: Iterable[Any]) -> int | None:
    """Batches of a pass, None if the loader does not know."""
    try:
        return len(loader)  # type: ignore[arg-type]
    except TypeError:  # an iterable, or a DataLoader of an iterable dataset
        return None


def check_pixel_range(images: Tensor) -> None:
    """Warn where the pixels are not spread over [0, 1], as ``preprocess`` expects them."""
    low, high = float(images.min()), float(images.max())
    if low < -0.01 or high > 1.01:
        why = "are they normalised already, or 0 to 255 as floats?"
    elif low >= 0 and high <= 1.01 / 255:
        why = "are they divided by 255 twice?"
    else:
        return
    text = f"preprocess expects pixels within [0, 1], got [{low:.3g}, {high:.3g}]: {why} Change the loader's transform."
    warnings.warn(PixelRangeWarning(text), stacklevel=4)


def about_run(classifier: Any, loader: Any) -> dict[str, Any]:
    """What a policy was fitted to and by what, for its weights file: kinds, counts and versions."""
    count = length_of(getattr(loader, "dataset", ()))
    counted = {"images": count} if count else {}
    versions = {"learned_affine": __version__} | {name: _version(name) for name in ("torch", "torchvision", "kornia")}
    return {"classifier": type(classifier).__name__, **counted, "versions": versions}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # built from source, and not installed
        return "unknown"


def seed_cpu(seed: int) -> None:
    """Seed torch's CPU generator alone; ``torch.manual_seed`` would also reset those of the user's GPUs."""
    torch.default_generator.manual_seed(seed % 2**63)


def generator_of(loader: Any) -> torch.Generator | None:
    """A loader's own generator, or its sampler's, which its shuffling follows; None where it has none."""
    for owner in (loader, getattr(loader, "sampler", None)):
        generator = getattr(owner, "generator", None)
        if isinstance(generator, torch.Generator):
            return generator
    return None
