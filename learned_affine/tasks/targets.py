"""Targets of any structure, row by row, and what labels become in a symmetry."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torchvision import tv_tensors

from learned_affine._checks import shown

MOVABLE = (tv_tensors.Mask, tv_tensors.BoundingBoxes, tv_tensors.KeyPoints)


def count_of(targets: Any, name: str = "loader") -> int:
    """How many images targets are of: rows of a tensor, entries of a list, or those of each value of a dict."""
    came = shown(targets)
    if isinstance(targets, dict):
        counts = {count_of(value, name): None for value in targets.values() if value is not None}
        if len(counts) == 1:
            return next(iter(counts))
        came = f"a dict of values for {' and '.join(map(str, counts)) or 'no'} images"
    elif isinstance(targets, list) or (isinstance(targets, Tensor) and targets.ndim > 0):
        return len(targets)
    rule = "tensors with a row for each image, lists with an entry for each, or dicts of these"
    raise TypeError(f"{name} must give targets as {rule}, got {came}")


def numbers_of(labels: Any) -> Tensor | None:
    """Labels as a tensor of numbers, which tensors, arrays and lists of numbers are; None for anything else."""
    if isinstance(labels, list | tuple | range):
        single = Tensor | np.ndarray | np.generic
        try:
            plain = [one.tolist() if isinstance(one, single) else one for one in labels]
            labels = torch.tensor(plain, device="cpu")
        except (TypeError, ValueError, RuntimeError):  # of words, or of rows of different lengths
            return None
    if isinstance(labels, np.ndarray) and labels.dtype.kind in "iufb":
        return torch.from_numpy(labels.astype(np.int64 if labels.dtype.kind in "iu" else labels.dtype))
    return labels if isinstance(labels, Tensor) and not labels.is_complex() else None


def unit_of(losses: Tensor) -> float:
    """The mean of losses ``(N,)``, in whose unit a fit counts: it must be above 0."""
    mean = float(losses.mean())
    if not math.isfinite(mean):
        raise ValueError("loss must return finite numbers, got NaN or infinity")
    if mean <= 0:
        text = f"loss must be above 0 in the mean, since what warps may cost is a share of it, got {mean:.3g} on images"
        raise ValueError(f"{text} without augmentation: add a constant")
    return mean


def with_type_of(like: Tensor, values: Tensor) -> Tensor:
    """Values in the ``tv_tensors`` type of another tensor."""
    return tv_tensors.wrap(values, like=like) if isinstance(like, tv_tensors.TVTensor) else values


def each_tensor(targets: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """New containers, in which each tensor is changed and keeps its type."""
    return pytree.tree_map_only(Tensor, lambda one: with_type_of(one, change(one.as_subclass(Tensor))), targets)


def on_device(targets: Any, device: torch.device) -> Any:
    """All tensors in them on a device."""
    return each_tensor(targets, lambda one: one.to(device))


def take(targets: Any, rows: list[int]) -> Any:
    """The targets of some of the images; None stays None."""
    if isinstance(targets, Tensor):
        return with_type_of(targets, targets.as_subclass(Tensor)[rows])
    if isinstance(targets, dict):
        return {key: take(value, rows) for key, value in targets.items()}
    return None if targets is None else [targets[row] for row in rows]


def form_of(targets: Any) -> Any:
    """What the targets of two images have in common if they can be joined."""
    if isinstance(targets, Tensor):
        return targets.shape[1:]
    if isinstance(targets, dict):
        return frozenset((key, form_of(value)) for key, value in targets.items())
    return type(targets)


def join(parts: list[Any]) -> Any:
    """The targets of several batches as those of one; None unless all have some."""
    first = parts[0] if parts else None
    if first is None or any(part is None for part in parts):
        return None
    if isinstance(first, Tensor):
        return with_type_of(first, torch.cat(_in_one_form([part.as_subclass(Tensor) for part in parts])))
    if isinstance(first, dict):
        return {key: join([part[key] for part in parts]) for key in first}
    return [one for part in parts for one in part]


def _in_one_form(parts: list[Tensor]) -> list[Tensor]:
    """Class indices ``(B,)`` beside class probabilities ``(B, m)`` as such; a row of zeros where there is no class."""
    counts = {part.shape[1] for part in parts if part.ndim == 2 and part.is_floating_point()}
    if len(counts) == 1:
        classes = torch.arange(counts.pop(), device=parts[0].device)
        hard = [part.ndim == 1 and not part.is_floating_point() for part in parts]
        parts = [(one[:, None] == classes).float() if index else one for one, index in zip(parts, hard, strict=True)]
    return parts


def choose(which: Tensor, one: Any, other: Any) -> Any:
    """Row by row ``one`` where ``which``, ``(B,)`` bool, is true, else ``other``."""
    if isinstance(one, Tensor):
        chosen = which.to(one.device).view(-1, *[1] * (one.ndim - 1))
        return with_type_of(other, torch.where(chosen, one.as_subclass(Tensor), other.as_subclass(Tensor)))
    if isinstance(one, np.ndarray):
        return np.where(which.cpu().numpy().reshape(-1, *[1] * (one.ndim - 1)), one, other)
    if isinstance(one, dict):
        return {key: choose(which, one[key], other[key]) for key in one}
    if one is None:
        return None
    return type(other)(mine if here else yours for here, mine, yours in zip(which.tolist(), one, other, strict=True))


def moved(targets: Any, move: Callable[[Any], Any]) -> Any:
    """Targets whose masks, boxes and key points ``move`` has moved; it gets the targets with None for all others."""
    leaves, spec = pytree.tree_flatten(targets)
    if not any(isinstance(leaf, MOVABLE) for leaf in leaves):
        return targets
    there = move(pytree.tree_unflatten([leaf if isinstance(leaf, MOVABLE) else None for leaf in leaves], spec))
    pairs = zip(leaves, pytree.tree_leaves(there), strict=True)
    return pytree.tree_unflatten([new if isinstance(leaf, MOVABLE) else leaf for leaf, new in pairs], spec)


# -- in a symmetry ----------------------------------------------------------------------------------------------------

GONE = {"label_mirror": 'use label_map={"mirror": ...}, which takes the same rules'}  # a keyword of version 0.2
GENERATORS = {"mirror": 2, "quarter_turn": 4}  # and how many of each give the image back
Permute = Callable[[Any, Tensor], Any]  # labels, and what each class becomes


def holds_points(targets: Any) -> bool:
    """Whether there are key points among them."""
    return any(isinstance(leaf, tv_tensors.KeyPoints) for leaf in pytree.tree_leaves(targets))


def permuted_points(targets: Any, order: Tensor) -> Any:
    """Targets whose ``KeyPoints`` ``(..., n, 2)`` are named anew: the ``c``-th point has become the ``order[c]``-th."""
    if not holds_points(targets):
        raise ValueError("label_map must be of functions where the targets hold no key points, got a permutation")

    def in_order(one: Tensor) -> Tensor:
        if one.shape[-2] != len(order):
            raise ValueError(f"label_map must be a permutation of {one.shape[-2]} key points, got one of {len(order)}")
        return with_type_of(one, one.as_subclass(Tensor)[..., order.argsort().to(one.device), :])

    return pytree.tree_map_only(tv_tensors.KeyPoints, in_order, targets)


def permuted(labels: Any, order: Tensor) -> Any:
    """Labels where class ``c`` has become ``order[c]``: class indices, rows of numbers, chances of the second of two
    classes (floating ``(B,)`` or ``(B, 1)``), or what holds key points.
    """
    if not isinstance(labels, Tensor) or isinstance(labels, tv_tensors.TVTensor):
        return permuted_points(labels, order)
    order = order.to(labels.device)
    in_rows = labels.ndim > 1 and labels.shape[1] > 1
    classes = labels.shape[1] if in_rows else 2 if labels.is_floating_point() else len(order)
    if len(order) != classes:
        rule = f"a permutation of {classes} classes for labels {shown(labels)}"
        raise ValueError(f"label_map must be {rule}, got one of {len(order)}")
    if in_rows:
        return labels[:, order.argsort()]
    if labels.is_floating_point():
        swaps = (labels >= 0) & (labels <= 1) & (order[0] == 1)  # others stay, such as an ignored one
        return torch.where(swaps, 1 - labels, labels)
    index = labels.long()  # of uint8 or bool it would be a mask
    is_class = (index >= 0) & (index < len(order))
    return torch.where(is_class, order[index.clamp(0, len(order) - 1)], index).to(labels.dtype)


class LabelMap:
    """What labels become where their image is flipped left-right or rotated by a quarter turn, clockwise as displayed.

    Both rules together say what it becomes in all eight symmetries: a label follows the flip first, then each quarter
    turn. One rule alone only says so for its own move, and in the other symmetries labels stay, as without a map: an
    arrow that points left still does so when it is turned upside down. The rules are those of ``label_map`` in
    ``LearnedAffineAugment.fit``. A permutation is refused of which two flips or four quarter turns do not give the
    first label back.
    """

    def __init__(self, rules: Any) -> None:
        if not isinstance(rules, Mapping):
            raise TypeError(f'label_map must be a dict such as {{"mirror": [1, 0]}}, got {rules!r}')
        if set(rules) - set(GENERATORS):  # there may be none, as in a proposal of nothing
            keys = " and ".join(map(repr, GENERATORS))
            raise ValueError(f"label_map must have no other keys than {keys}, got {list(rules)!r}")
        self.rules = {key: _rule(key, rules[key], count) for key, count in GENERATORS.items() if key in rules}
        self.has_functions = not all(isinstance(rule, Tensor) for rule in self.rules.values())

    def __call__(self, labels: Any, mirror: Tensor, quarter_turns: Tensor, permute: Permute = permuted) -> Any:
        """The labels of a batch whose images got these symmetries, ``(B,)`` each."""
        for key, which in self.steps(mirror, quarter_turns):
            if bool(which.any()):
                labels = choose(which, self.renamed(key, labels, permute), labels)
        return labels

    def steps(self, mirror: Tensor, quarter_turns: Tensor) -> list[tuple[str, Tensor]]:
        """The rules in the order in which labels follow them, each with the images, ``(B,)`` bool, whose labels do."""
        if len(self.rules) < len(GENERATORS):
            mirror, quarter_turns = mirror & (quarter_turns == 0), quarter_turns * ~mirror
        steps = [("mirror", mirror), *(("quarter_turn", quarter_turns > turn) for turn in range(3))]
        return [(key, which) for key, which in steps if key in self.rules]

    def renamed(self, key: str, labels: Any, permute: Permute = permuted) -> Any:
        """What labels become by one flip or quarter turn."""
        rule = self.rules[key]
        if isinstance(rule, Tensor):
            return permute(labels, rule)
        new = rule(each_tensor(labels, torch.clone))  # a function may change what it is given
        given, came = pytree.tree_map(_kind, labels), pytree.tree_map(_kind, new)
        if came != given:
            text = f"label_map[{key!r}] must return labels of the form that it is given, {reprlib.repr(given)}"
            raise ValueError(f"{text}, got {reprlib.repr(came)}")
        return new

    def check(self, classes: int) -> None:
        """Raise a ValueError if a rule permutes another number of classes."""
        for key, rule in self.rules.items():
            if isinstance(rule, Tensor) and classes and len(rule) != classes:
                text = f"label_map[{key!r}] must be a permutation of {classes} classes, got one of {len(rule)}"
                raise ValueError(text)

    def check_permutations(self) -> None:
        """Raise a TypeError if a rule is a function: of that the order of the classes is not known."""
        if self.has_functions:
            raise TypeError("label_map must be of permutations here, got a function")

    def orders(self, classes: int) -> Tensor:
        """What each class becomes in each symmetry, ``(8, classes)`` by its code ``quarter_turns + 4 * mirror``."""
        self.check(classes)
        return self.in_each_symmetry(classes)

    def in_each_symmetry(self, classes: int) -> Tensor:
        """The same where a rule may be a function of class indices."""
        code = torch.arange(8, device="cpu").repeat_interleave(classes)
        labels = torch.arange(classes, device="cpu").repeat(8)
        return self(labels, code >= 4, code % 4).view(8, classes)

    def to_dict(self) -> dict[str, Any]:
        """The permutations as lists, and of functions their names, for the history."""
        names = {key: getattr(rule, "__name__", type(rule).__name__) for key, rule in self.rules.items()}
        return names | {key: rule.tolist() for key, rule in self.rules.items() if isinstance(rule, Tensor)}


def _kind(leaf: Any) -> str:
    is_array = isinstance(leaf, Tensor | np.ndarray)
    return f"{leaf.dtype} {tuple(leaf.shape)}" if is_array else type(leaf).__name__


def label_map_of(label_map: Any, info: Mapping[str, Any] | None = None) -> LabelMap | None:
    """The argument of a user's; in its place that of the fit, of a history's ``info``, as far as it is known."""
    fitted = (info or {}).get("label_map")
    if label_map is None and fitted is not None and not all(isinstance(rule, list) for rule in fitted.values()):
        raise ValueError(f"label_map must be that of the fit, which had the functions {fitted}, got None")
    label_map = fitted if label_map is None else label_map
    return None if label_map is None else LabelMap(label_map)


def _rule(key: str, rule: Any, count: int) -> Any:
    """A function as it is, or a permutation ``(n,)`` that gives every label back when it is used ``count`` times."""
    if callable(rule) and not isinstance(rule, Tensor):
        return rule
    name, found = f"label_map[{key!r}]", numbers_of(rule)
    if found is None or found.ndim != 1 or found.is_floating_point() or found.dtype == torch.bool:
        raise TypeError(f"{name} must be a permutation of class indices or a function, got {rule!r}")
    found, places = found.long().cpu(), torch.arange(len(found), device="cpu")
    if not torch.equal(found.sort().values, places):
        raise ValueError(f"{name} must be a permutation of 0 to {len(found) - 1}, got {found.tolist()}")
    steps = [places]
    for _ in range(count):
        steps.append(found[steps[-1]])
    if not torch.equal(steps[-1], places):
        wrong = int((steps[-1] != places).nonzero()[0])
        path = " to ".join(str(int(step[wrong])) for step in steps)
        times = {2: "twice", 4: "four times"}[count]
        raise ValueError(f"{name} must give every class back when it is used {times}, got {path}")
    return found
