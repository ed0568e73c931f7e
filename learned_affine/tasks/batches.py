"""Images and labels out of any batch, and what a loader tells of itself."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from learned_affine._checks import shown

INTEGERS = (torch.uint8, torch.uint16, torch.int16, torch.int32)
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
    return _checked(images), _class_indices(labels, len(images))


def _checked(images: Tensor) -> Tensor:
    """Images of a dtype and with pixels that a fit can use; they stay as they are, for the classifier.

    A finite value that stands for "no data" is allowed, however large.
    """
    if not images.is_floating_point() and images.dtype not in INTEGERS:
        kinds = ", ".join(str(dtype).removeprefix("torch.") for dtype in INTEGERS)
        raise TypeError(f"loader must give floating images, or one of {kinds}, got {images.dtype}")
    # a sum is one fast pass, but that of large pixels overflows
    if images.is_floating_point() and not bool(torch.isfinite(images.sum())) and not bool(images.isfinite().all()):
        raise ValueError("loader must give finite images, got NaN or infinity among their pixels")
    return images


def _class_indices(labels: Any, count: int) -> Tensor | None:
    """Labels as ``(B,)`` class indices; None if they are none. Takes tensors, arrays, and lists of any numbers."""
    if isinstance(labels, list | tuple):
        numbers = [_plain_number(label) for label in labels]
        labels = torch.tensor(numbers) if numbers and all(type(number) is int for number in numbers) else None
    if isinstance(labels, np.ndarray) and np.issubdtype(labels.dtype, np.integer):
        labels = torch.from_numpy(labels.astype(np.int64))
    if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.dtype == torch.bool:
        return None
    if labels.numel() != count:
        raise ValueError(f"loader must give one class index an image ({count}), got {shown(labels)}")
    return labels.reshape(count).long()


def _plain_number(label: Any) -> Any:
    """A number of torch's or numpy's as one of Python's; anything else as it is."""
    single = isinstance(label, Tensor | np.ndarray | np.generic) and label.ndim == 0
    return label.item() if single else label


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


def generators_of(loader: Any) -> list[torch.Generator]:
    """A loader's own generators, and those of its samplers, which its shuffling and its workers follow."""
    batches = getattr(loader, "batch_sampler", None)
    owners = (loader, getattr(loader, "sampler", None), batches, getattr(batches, "sampler", None))
    found = [getattr(owner, "generator", None) for owner in owners]
    return list({id(one): one for one in found if isinstance(one, torch.Generator)}.values())


@contextmanager
def untouched(*loaders: Any) -> Iterator[None]:
    """Use loaders, and leave their generators and persistent workers as they were.

    Persistent workers are seeded when they start. Those that start in here are let go, so that the next ones follow
    the user's own seeds.
    """
    generators = [generator for loader in loaders for generator in generators_of(loader)]
    states = [generator.get_state() for generator in generators]
    persistent = [one for one in loaders if isinstance(one, DataLoader) and one.persistent_workers]
    own = [loader._iterator for loader in persistent]
    for loader in persistent:
        loader._iterator = None
    try:
        yield
    finally:
        for loader, iterator in zip(persistent, own, strict=True):
            loader._iterator = iterator
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
