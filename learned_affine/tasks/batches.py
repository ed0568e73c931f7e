"""Images and labels out of any batch, and what a loader tells of itself."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from learned_affine._checks import shown

IMAGE_KEYS = ("image", "images", "pixel_values", "img", "x", "input", "inputs")
LABEL_KEYS = ("label", "labels", "target", "targets", "y", "class", "fine_label")
Batch = tuple[Tensor, Tensor | None]
Read = Callable[[Any], Batch]


def unpack(batch: Any, image_key: str | None = None, label_key: str | None = None) -> tuple[Tensor, Tensor | None]:
    """Images and labels (None if there are none) of a batch: a tensor, a tuple ``(x, y, ...)`` or a dict.

    Raises:
        TypeError: if there are no images in it.
        ValueError: if the images are no ``(B, C, H, W)``, not finite, or as many labels do not come along.
    """
    if isinstance(batch, Mapping) or (hasattr(batch, "keys") and hasattr(batch, "__getitem__")):
        images = batch[_find_key(batch, "image_key", image_key, IMAGE_KEYS)]
        found = _find_key(batch, "label_key", label_key, LABEL_KEYS, required=label_key is not None)
        labels = None if found is None else batch[found]
    elif isinstance(batch, tuple | list) and len(batch) > 0:
        images, labels = batch[0], batch[1] if len(batch) > 1 else None
    else:
        images, labels = batch, None
    if not isinstance(images, Tensor):
        raise TypeError(f"loader must give images as a tensor (B, C, H, W), got {shown(images)}")
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(f"loader must give images of shape (B, C, H, W), none of them empty, got {shown(images)}")
    return _floating(images), _class_indices(labels, len(images))


def _floating(images: Tensor) -> Tensor:
    """Images as float32 or float64; 8-bit ones as [0, 1]."""
    if images.dtype == torch.uint8:
        return images.float() / 255
    if not images.is_floating_point():
        raise TypeError(f"loader must give floating or uint8 images, got {images.dtype}")
    images = images if images.dtype == torch.float64 else images.float()
    if not bool(torch.isfinite(images.sum())):
        raise ValueError("loader must give finite images, got NaN or infinity among their pixels")
    return images


def _class_indices(labels: Any, count: int) -> Tensor | None:
    """Labels as ``(B,)`` class indices; None if they are none."""
    if isinstance(labels, list | tuple) and all(isinstance(label, int) for label in labels):
        labels = torch.tensor(labels)
    if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.dtype == torch.bool:
        return None
    if labels.numel() != count:
        raise ValueError(f"loader must give one class index an image ({count}), got {shown(labels)}")
    return labels.reshape(count).long()


def _find_key(batch: Any, name: str, given: str | None, usual: tuple[str, ...], required: bool = True) -> str | None:
    """The key to use: the given one, else the first usual name that is there."""
    keys = list(batch.keys())
    for key in (given,) if given is not None else usual:
        if key in keys:
            return key
    if not required:
        return None
    wanted = repr(given) if given is not None else f"one of {', '.join(usual)} (or name it by {name}=)"
    raise ValueError(f"{name} must be {wanted}, got a batch with the keys {', '.join(map(str, keys))}")


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


def generator_of(loader: Any) -> torch.Generator | None:
    """A loader's own generator, or its sampler's, which its shuffling follows; None where it has none."""
    for owner in (loader, getattr(loader, "sampler", None)):
        generator = getattr(owner, "generator", None)
        if isinstance(generator, torch.Generator):
            return generator
    return None
