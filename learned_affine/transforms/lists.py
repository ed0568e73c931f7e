"""Lists of images, a batch that nobody has stacked yet, and mappings that torch's pytree does not know."""

from __future__ import annotations

import copy
from collections.abc import Callable, MutableMapping
from typing import Any

from torch.utils import _pytree as pytree
from torchvision.transforms.v2 import functional as F

from learned_affine._checks import shown
from learned_affine.transforms.sample import LABELS, PICTURES, cannot_assign, dimensions_of, first_image


def each_sample(sample: Any, run: Callable[[Any, int, int], Any]) -> Any:
    """The sample with ``run(part, row, rows)`` done to each part of it: one, but where a list of images is a batch.

    Where all images are in lists of one length, a part is an image with its row of the other lists and tuples of that
    length; what cannot be assigned is a ValueError. Mappings that torch's pytree does not know, as ``UserDict``, are
    given to ``run`` as dicts.
    """
    leaves = pytree.tree_leaves(sample)
    if any(isinstance(leaf, MutableMapping) for leaf in leaves):
        return _refilled(sample, each_sample(_as_dicts(sample), run))
    images = _list_of_images(sample, leaves)
    if images is None or len(images) == 1:
        return run(sample, 0, 1)
    count = len(images)

    def has_rows(node: Any) -> bool:
        if not isinstance(node, list | tuple) or hasattr(node, "_fields") or len(node) != count:
            return False
        return node is images or not any(part is images for part in pytree.tree_leaves(node, is_leaf=_holds_images))

    leaves, spec = pytree.tree_flatten(sample, is_leaf=has_rows)
    if any(isinstance(leaf, PICTURES) for leaf in leaves):
        return run(sample, 0, 1)
    for label in leaves:
        if isinstance(label, LABELS) and label.numel():
            raise cannot_assign(label, count)
    parts = (spec.unflatten([leaf[row] if has_rows(leaf) else leaf for leaf in leaves]) for row in range(count))
    done = [spec.flatten_up_to(run(part, row, count)) for row, part in enumerate(parts)]
    pairs = zip(leaves, zip(*done, strict=True), strict=True)
    return spec.unflatten([type(leaf)(rows) if has_rows(leaf) else leaf for leaf, rows in pairs])


def _list_of_images(sample: Any, leaves: list[Any]) -> list[Any] | None:
    """The first list of images, of plain tensors the one with the image that decides; None where there is none."""
    image = first_image(leaves)
    lists = [node for node in pytree.tree_leaves(sample, is_leaf=_holds_images) if _holds_images(node)]
    if not F.is_pure_tensor(image):
        return next((one for one in lists if isinstance(one[0], PICTURES)), None)
    found = next((one for one in lists if one[0] is image), None)
    if found is None:
        _refuse_tuple(sample, image, leaves)
        return None
    if all(one.shape[:-2] == image.shape[:1] and one.dtype == image.dtype for one in found):
        return found
    if len({one.shape[-2:] for one in found}) == 1 < len(found):
        raise ValueError(
            f"a list of plain tensors must hold images (C, H, W) of one dtype and number of channels, got "
            f"{', '.join(map(shown, found))}: wrap each in tv_tensors.Image or Mask, or pass the images alone"
        )
    return None


def _refuse_tuple(sample: Any, image: Any, leaves: list[Any]) -> None:
    # of plain tensors the first alone is an image, as in torchvision, so the labels of the others would move without it
    if not any(isinstance(leaf, LABELS) for leaf in leaves):
        return
    for node in pytree.tree_leaves(sample, is_leaf=lambda node: isinstance(node, tuple) and _only_tensors(node)):
        if isinstance(node, tuple) and len(node) > 1 and node[0] is image:
            raise ValueError(
                f"a tuple of {len(node)} plain tensors is no batch, so their boxes, masks or key points cannot be "
                "assigned: give the images as a list, or wrap each in tv_tensors.Image or Mask"
            )


def _only_tensors(node: Any) -> bool:
    return all(F.is_pure_tensor(one) and one.ndim > 2 for one in node)


def _holds_images(node: Any) -> bool:
    """Whether a node is a list of single images, or of plain tensors that may be images, and of nothing else."""
    if not isinstance(node, list) or not node:
        return False
    gaps = [place for place, one in enumerate(node) if one is None]
    if gaps and sum(isinstance(one, PICTURES) for one in node) > 1:
        raise ValueError(f"a list of images must have no gaps, got None at place {gaps[0]} of {len(node)}")
    if isinstance(node[0], PICTURES):
        return all(isinstance(one, PICTURES) and getattr(one, "ndim", 3) == dimensions_of(one) for one in node)
    return _only_tensors(node)


def _as_dicts(node: Any) -> Any:
    return pytree.tree_map(lambda leaf: _as_dicts(dict(leaf)) if isinstance(leaf, MutableMapping) else leaf, node)


def _refilled(node: Any, done: Any) -> Any:
    """What was done to :func:`_as_dicts` of a node, in copies of the mappings that it held."""
    leaves, spec = pytree.tree_flatten(node)
    values = spec.flatten_up_to(done)
    for place, leaf in enumerate(leaves):
        if isinstance(leaf, MutableMapping):
            inner, values[place] = values[place], copy.copy(leaf)
            values[place].update({key: _refilled(leaf[key], inner[key]) for key in leaf})
    return spec.unflatten(values)
