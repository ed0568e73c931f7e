"""Images and labels out of any batch, what labels and logits must be, and what a loader tells of itself."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from learned_affine._checks import shown
from learned_affine.geometry.parameters import is_traced

INTEGERS = (torch.uint8, torch.uint16, torch.int16, torch.int32)
IMAGE_KEYS = ("image", "images", "pixel_values", "img", "x", "input", "inputs")
LABEL_KEYS = ("label", "labels", "target", "targets", "y", "class", "fine_label")
MASKED = -1e30  # a logit in place of minus infinity: finite at every temperature, and 0 of it is 0
ROUNDING = 1e-2  # of probabilities that add up to 1, in half precision too
Batch = tuple[Tensor, Any]  # images and what is known of them, None if nothing is
Read = Callable[[Any], Batch]


def class_indices(labels: Any, count: int) -> Tensor | None:
    """Labels as ``(B,)`` class indices; None if they are none. Takes tensors, arrays, and lists of any numbers."""
    numbers = numbers_of(labels)
    if numbers is None or numbers.is_floating_point() or numbers.dtype == torch.bool:
        return None
    if numbers.numel() != count:
        raise ValueError(f"loader must give one class index an image ({count}), got {shown(labels)}")
    return numbers.reshape(count).long()


def unpack(
    batch: Any,
    image_key: str | None = None,
    label_key: str | None = None,
    as_labels: Callable[[Any, int], Any] = class_indices,
) -> Batch:
    """Images and labels (None if there are none) of a batch: a tensor, a tuple ``(x, y, ...)`` or a dict.

    ``as_labels`` makes of what the loader gives for so many images what the task calls labels.

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
    return _checked(images), as_labels(labels, len(images))


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


def numbers_of(labels: Any) -> Tensor | None:
    """Labels as a tensor of numbers, which tensors, arrays and lists of numbers are; None for anything else."""
    if isinstance(labels, list | tuple):
        found = [_plain_number(label) for label in labels]
        single = bool(found) and all(type(one) in (int, float, bool) for one in found) and len({*map(type, found)}) == 1
        return torch.tensor(found) if single else _rows_of_numbers(found)
    if isinstance(labels, np.ndarray) and labels.dtype.kind in "iufb":
        return torch.from_numpy(labels.astype(np.int64 if labels.dtype.kind in "iu" else labels.dtype))
    return labels if isinstance(labels, Tensor) and not labels.is_complex() else None


def _rows_of_numbers(rows: list[Any]) -> Tensor | None:
    """Lists, tensors or arrays of as many numbers each, one a row."""
    found = [numbers_of(row) for row in rows if not isinstance(row, str)]
    shapes = {None if row is None else (row.shape, row.dtype) for row in found}
    return torch.stack(found) if found and len(shapes) == 1 and None not in shapes else None  # type: ignore[arg-type]


def _plain_number(label: Any) -> Any:
    """A number of torch's or numpy's as one of Python's; anything else as it is."""
    single = isinstance(label, Tensor | np.ndarray | np.generic) and label.ndim == 0
    return label.item() if single else label


def as_many(labels: Tensor, count: int) -> Tensor:
    """Labels with a row for each of ``count`` images."""
    if len(labels) != count:
        raise ValueError(f"loader must give as many labels as images ({count}), got {shown(labels)}")
    return labels


def check_labels(labels: Tensor | None, classes: int, objective: str, name: str = "loader") -> Tensor:
    """Return labels that the objective can use; ``name`` is the argument that they come from.

    Raises:
        ValueError: if there are none, or one is outside ``[0, classes)``.
    """
    if labels is None:
        raise ValueError(
            f"{name} must give labels (class indices) for the objective {objective!r}, got none or no integers; "
            "use FitConfig(labels='predicted') to go without"
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise ValueError(f"{name}'s labels must be within [0, {classes}), the classifier's, got {low} to {high}")
    return labels


def check_probabilities(labels: Tensor, classes: int, name: str) -> Tensor:
    """Return class probabilities ``(B, classes)``.

    Raises:
        ValueError: if the shape is another one, one is below 0, or an image's do not add up to 1.
    """
    if labels.shape[1] != classes:
        raise ValueError(f"{name}'s labels must be of {classes} classes, the classifier's, got {shown(labels)}")
    totals = labels.sum(1)
    if bool((labels < 0).any()) or not bool(((totals - 1).abs() < ROUNDING).all()):
        raise ValueError(
            f"{name}'s labels of shape (B, m) must be probabilities that add up to 1 for each image, got sums from "
            f"{float(totals.min()):.3g} to {float(totals.max()):.3g}: several labels an image are task='multi-label', "
            f"and class indices beside them within [0, {classes})"
        )
    return labels


def bounded(logits: Tensor) -> Tensor:
    """Logits as float32; masked classes, which have minus infinity or nearly that, get a number for it."""
    return logits.float().clamp_min(MASKED)


def check_finite(logits: Tensor) -> None:
    """Raise a ValueError where a row of :func:`bounded` logits has no number for its best class."""
    best = logits.detach().amax(-1)  # NaN if there is one
    if not is_traced() and not bool(((best > MASKED) & (best < math.inf)).all()):
        raise ValueError(
            "classifier must return finite logits, or minus infinity for some classes, got NaN or another infinity: "
            "look at its weights and its input"
        )


def masked(logits: Tensor) -> Tensor:
    """Where a class is masked, at any temperature: ``(B, m)`` bool."""
    return logits < MASKED / 1e3


def smoothed(logits: Tensor, labels: Tensor, share: float) -> Tensor:
    """Labels ``(B,)`` or ``(B, m)`` as probabilities, a share of which is dealt to all classes but the masked ones."""
    given = F.one_hot(labels, logits.shape[1]) if labels.ndim == 1 else labels
    allowed = (~masked(logits)).float()
    return given.float().lerp(allowed / allowed.sum(-1, keepdim=True), share)


def check_allowed(labels: Tensor, output: Tensor, name: str) -> None:
    """Raise a ValueError where a label is of a class that the output masks: what it costs has no bound."""
    labels = labels.to(output.device)
    wanted = F.one_hot(labels, output.shape[1]) if labels.ndim == 1 else (labels > 0) & (labels <= 1)
    wrong = (wanted * masked(output)).nonzero()
    if len(wrong) > 0:
        raise ValueError(
            f"{name}'s labels must be of classes that the classifier does not mask, got class {int(wrong[0, 1])}, "
            "whose logit is minus infinity"
        )


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


def peek(loader: Iterable[Any], read: Read) -> tuple[Iterable[Any], Batch]:
    """The loader with nothing lost, and its first batch in which an image has a label.

    Raises:
        TypeError: if it is not iterable.
        ValueError: if there is no such batch.
    """
    try:
        batches = iter(loader)
    except TypeError as error:
        raise TypeError(f"loader must be iterable, got {type(loader).__name__}") from error
    count = 0
    for batch in batches:
        count, found = count + 1, read(batch)
        if len(found[0]) > 0:
            return (itertools.chain([batch], batches) if batches is loader else loader), found
    raise ValueError(_nothing_in(loader, count, "loader"))


def labelled(loader: Iterable[Any], read: Read, name: str = "loader") -> Iterator[Batch]:
    """The batches as they are read, but for those in which no image has a label.

    Raises:
        ValueError: at the end, if there was none; ``name`` is the argument that they come from.
    """
    count, found = 0, False
    for batch in loader:
        count, (images, labels) = count + 1, read(batch)
        if len(images) > 0:
            found = True
            yield images, labels
    if not found:
        raise ValueError(_nothing_in(loader, count, name))


def _nothing_in(loader: Iterable[Any], count: int, name: str) -> str:
    if count == 0:
        return f"{name} must give at least one batch, got an empty {type(loader).__name__}"
    return f"{name} must give at least one image that has a label, got none in {count} batches"


def length_of(loader: Iterable[Any]) -> int | None:
    """Batches of a pass, None if the loader does not know."""
    try:
        return len(loader)  # type: ignore[arg-type]
    except TypeError:  # an iterable, or a DataLoader of an iterable dataset
        return None


def class_names(loader: Any, count: int) -> list[str] | None:
    """The names of the classes, where the dataset that the loader reads, or a part of, names so many ``classes``."""
    dataset: Any = getattr(loader, "dataset", None)
    while not hasattr(dataset, "classes") and hasattr(dataset, "dataset"):
        dataset = dataset.dataset
    names = getattr(dataset, "classes", None)
    return list(map(str, names)) if isinstance(names, list | tuple) and len(names) == count else None


def generators_of(loader: Any) -> list[torch.Generator]:
    """A loader's own generators, and those of its samplers, which its shuffling and its workers follow."""
    batches = getattr(loader, "batch_sampler", None)
    owners = (loader, getattr(loader, "sampler", None), batches, getattr(batches, "sampler", None))
    found = [getattr(owner, "generator", None) for owner in owners]
    return list({id(one): one for one in found if isinstance(one, torch.Generator)}.values())


def counting_in(loader: Any) -> list[Any]:
    """What has a ``set_epoch`` of a loader, its samplers and its dataset; the outermost first."""
    found: dict[int, Any] = {}
    level = [loader]
    for _ in range(4):  # a sampler may stand in a batch sampler in another one
        found |= {id(one): one for one in level if callable(getattr(one, "set_epoch", None))}
        level = [getattr(one, name, None) for one in level for name in ("batch_sampler", "sampler", "dataset")]
    return list(found.values())


@contextmanager
def untouched(*loaders: Any) -> Iterator[None]:
    """Use loaders, and leave their generators, the numbers of their passes and persistent workers as they were.

    Persistent workers are seeded when they start. Those that start in here are let go, so that the next ones follow
    the user's own seeds.
    """
    generators = [generator for loader in loaders for generator in generators_of(loader)]
    states = [generator.get_state() for generator in generators]
    counting = [one for loader in loaders for one in counting_in(loader)]
    epochs = [getattr(one, "epoch", getattr(one, "iteration", None)) for one in counting]  # as torch, and accelerate
    persistent = [one for one in loaders if isinstance(one, DataLoader) and one.persistent_workers]
    own = [loader._iterator for loader in persistent]
    for loader in persistent:
        loader._iterator = None
    try:
        yield
    finally:
        for loader, iterator in zip(persistent, own, strict=True):
            loader._iterator = iterator
        for one, epoch in zip(counting, epochs, strict=True):  # the outermost first, since it may set the others
            if isinstance(epoch, int):
                one.set_epoch(epoch)
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
