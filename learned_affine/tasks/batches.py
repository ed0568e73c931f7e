"""Images and labels out of any batch, what labels and logits must be, and a loader that is left as it was."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset

from learned_affine._checks import check_real, shown
from learned_affine.geometry.parameters import is_traced
from learned_affine.tasks.targets import count_of, numbers_of

INTEGERS = (torch.uint8, torch.uint16, torch.int16, torch.int32)
IMAGE_KEYS = ("image", "images", "pixel_values", "img", "x", "input", "inputs")
LABEL_KEYS = ("label", "labels", "target", "targets", "y", "class", "fine_label")
MASKED = -1e30  # a logit in place of minus infinity: finite at every temperature, and 0 of it is 0
Batch = tuple[Tensor, Any]  # images and what is known of them, None if nothing is
Read = Callable[..., Batch]  # of a batch, and the ``name`` of the argument that it comes from


def class_indices(labels: Any, count: int, name: str = "loader") -> Tensor | None:
    """Labels as ``(B,)`` class indices; None if they are none."""
    numbers = numbers_of(labels)
    if numbers is None or numbers.is_floating_point() or numbers.dtype == torch.bool:
        return None
    if numbers.numel() != count:
        raise ValueError(f"{name} must give one class index an image ({count}), got {shown(labels)}")
    return numbers.reshape(count).long()


def unpack(
    batch: Any,
    image_key: str | None = None,
    label_key: str | None = None,
    as_labels: Callable[[Any, int, str], Any] = class_indices,
    name: str = "loader",
) -> Batch:
    """Images and labels (None if there are none) of a batch: a tensor, a tuple ``(x, y, ...)`` or a dict."""
    if hasattr(batch, "keys"):
        images = _entry(batch, "image_key", image_key, IMAGE_KEYS)
        given = _entry(batch, "label_key", label_key, LABEL_KEYS)
    elif isinstance(batch, tuple | list) and len(batch) > 0:
        images, given = batch[0], batch[1] if len(batch) > 1 else None
    else:
        images, given = batch, None
    _check_images(images, name)
    labels = as_labels(given, len(images), name)
    if labels is not None and count_of(labels, name) != len(images):
        count = f"{count_of(labels)}, {shown(labels)}"
        raise ValueError(f"{name} must give as many labels as images ({len(images)}), got {count}")
    return images, labels


def _entry(batch: Any, name: str, given: str | None, usual: tuple[str, ...]) -> Any:
    """What a dict has under the given key, else under the first of the usual ones; None where it has no labels."""
    keys = list(batch.keys())
    for key in usual if given is None else (given,):
        if key in keys:
            return batch[key]
    if given is None and usual is LABEL_KEYS:
        return None
    wanted = repr(given) if given is not None else f"one of {', '.join(usual)} (or name it by {name}=)"
    raise ValueError(f"{name} must be {wanted}, got a batch with the keys {', '.join(map(str, keys))}")


def _check_images(images: Any, name: str) -> None:
    """Of pixels what is not finite is refused; a finite value that means "no data" is allowed, however large."""
    if not isinstance(images, Tensor):
        raise TypeError(f"{name} must give images as a tensor (B, C, H, W), got {shown(images)}")
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(f"{name} must give images of shape (B, C, H, W), none of them empty, got {shown(images)}")
    if not images.is_floating_point() and images.dtype not in INTEGERS:
        kinds = ", ".join(str(dtype).removeprefix("torch.") for dtype in INTEGERS)
        raise TypeError(f"{name} must give floating images, or one of {kinds}, got {images.dtype}")
    # a sum is one fast pass, but that of large pixels overflows
    if images.is_floating_point() and not bool(torch.isfinite(images.sum())) and not bool(images.isfinite().all()):
        raise ValueError(f"{name} must give finite images, got NaN or infinity among their pixels")


# -- labels and logits ------------------------------------------------------------------------------------------------


def check_allowed(labels: Tensor, output: Tensor, name: str) -> None:
    """Raise a ValueError where a label is of a class that the output masks: what it costs has no bound."""
    labels = labels.to(output.device)
    wanted = F.one_hot(labels, output.shape[1]) if labels.ndim == 1 else (labels > 0) & (labels <= 1)
    wrong = (wanted * masked(output)).nonzero()
    if len(wrong) > 0:
        text = f"{name}'s labels must be of classes that the classifier does not mask, got class {int(wrong[0, 1])}"
        raise ValueError(f"{text}, whose logit is minus infinity")


def logits_in(output: Any) -> Tensor:
    """The logits in what a classifier returned, as float32; a masked class has a number for minus infinity."""
    logits = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", output)
    if not isinstance(logits, Tensor):
        rule = "logits, something with .logits, or a dict with 'logits'"
        raise TypeError(f"classifier must return {rule}, got {shown(output)}")
    check_real("classifier's logits", logits)
    return logits.float().clamp_min(MASKED)


def check_finite(logits: Tensor) -> None:
    """A row of :func:`logits_in` an output must have a number for its best class."""
    best = logits.detach().amax(-1)  # NaN if there is one
    if not is_traced() and not bool(((best > MASKED) & (best < math.inf)).all()):
        text = "classifier must return finite logits, or minus infinity for some classes, got NaN or another infinity"
        raise ValueError(f"{text}: look at its weights and its input")


def masked(logits: Tensor) -> Tensor:
    """Where a class is masked, at any temperature: ``(B, m)`` bool."""
    return logits < MASKED / 1e3


# -- a loader ---------------------------------------------------------------------------------------------------------


def peek(loader: Iterable[Any], read: Read) -> tuple[Iterable[Any], Batch]:
    """A loader for the first pass, with nothing lost, and its first batch in which an image has a label.

    What can be read only once, an iterator or a DataLoader of a stream, goes on where it was opened; others are opened
    anew.
    """
    for one in counting_in(loader):
        one.set_epoch(0)  # of the first pass
    try:
        batches = iter(loader)
    except TypeError as error:
        raise TypeError(f"loader must be iterable, got {type(loader).__name__}") from error
    ahead, again = itertools.tee(batches)
    first = next(labelled(ahead, read))
    is_stream = isinstance(getattr(loader, "dataset", None), IterableDataset)
    return (again if is_stream or batches is loader else loader), first


def labelled(loader: Iterable[Any], read: Read, name: str = "loader") -> Iterator[Batch]:
    """The batches as they are read, but for those in which no image has a label; an error at the end if that is all."""
    count = known = 0
    for batch in loader:
        images, labels = read(batch, name=name)
        count, known = count + 1, known + len(images)
        if len(images) > 0:
            yield images, labels
    if known == 0:
        what = f"image that has a label, got none in {count} batches" if count else "batch, got none"
        raise ValueError(f"{name} must give at least one {what}")


def class_names(loader: Any, count: int | None = None) -> list[str] | None:
    """The names of the classes, where the dataset that the loader reads, or a part of, has ``count`` ``classes``."""
    dataset: Any = getattr(loader, "dataset", None)
    while not hasattr(dataset, "classes") and hasattr(dataset, "dataset"):
        dataset = dataset.dataset
    names = getattr(dataset, "classes", None)
    return list(map(str, names)) if isinstance(names, list | tuple) and count in (None, len(names)) else None


def counting_in(loader: Any) -> list[Any]:
    """What has a ``set_epoch`` of a loader, its samplers and its dataset; the outermost first."""
    return [one for one in _parts_of(loader) if callable(getattr(one, "set_epoch", None))]


def _parts_of(loader: Any) -> list[Any]:
    """A loader, its dataset and its samplers, level by level: a sampler may be in a batch sampler in another one."""
    found, level = {id(loader): loader}, [loader]
    for _ in range(3):
        level = [getattr(one, name, None) for one in level for name in ("batch_sampler", "sampler", "dataset")]
        found |= {id(one): one for one in level if id(one) not in found and one is not None}
    return list(found.values())


@contextmanager
def untouched(*loaders: Any) -> Iterator[None]:
    """Use loaders, and leave their generators, the numbers of their passes and persistent workers as they were."""
    owned = [getattr(part, "generator", None) for loader in loaders for part in _parts_of(loader)]
    states = [(one, one.get_state()) for one in owned if isinstance(one, torch.Generator)]
    counting = [one for loader in loaders for one in counting_in(loader)]
    epochs = [getattr(one, "epoch", getattr(one, "iteration", None)) for one in counting]  # as torch, and accelerate
    persistent = [one for one in loaders if isinstance(one, DataLoader) and one.persistent_workers]
    own = [loader._iterator for loader in persistent]  # workers are seeded when they start: those of here are let go
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
        for generator, state in states:
            generator.set_state(state)
