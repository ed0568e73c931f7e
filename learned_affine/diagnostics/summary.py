"""What a fit learned, class by class, in words: symmetries, ranges, and labels that follow a symmetry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from learned_affine._checks import check_batch, check_type, shown
from learned_affine.diagnostics.checks import info_of
from learned_affine.diagnostics.measures import moments_by_class, variances
from learned_affine.policy.network import CODES, LocalizationNetwork
from learned_affine.tasks.batches import class_names
from learned_affine.tasks.targets import numbers_of
from learned_affine.transforms.transform import PolicyTransform

MUTUAL = 0.5  # share of the moved images of a class that must be recognised as the next one,
AS_SURE = 2 / 3  # and how surely, against its own images: a wrong answer was at most .61, a right one at least .65
# of each rule the code of its symmetry, in words, and how many of it give the image back
LABEL_MOVES = {"mirror": ("4", "mirrored", 2), "quarter_turn": ("1", "rotated by 90 degrees", 4)}
HEADS = ("as it is", "90°", "180°", "270°", "flip", "flip, 90°", "upside-down", "flip, 270°")  # by code


def summary(
    augment: PolicyTransform,
    images: Tensor | Iterable[Any] | None = None,
    labels: Any = None,
    *,
    image_key: str | None = None,
    label_key: str | None = None,
) -> str:
    """What was learned, class by class, as text.

    Args:
        augment: a fitted augmenter.
        images: ``(B, C, H, W)``, or a loader of such images with class indices, all of which are read. With them also
            the range of rotation, scale, shear and shift, as the standard deviation of what is drawn for the images of
            a class.
        labels: class indices ``(B,)`` of images that are a tensor. Without class indices all images are one row.
        image_key, label_key: as for ``fit``, of the batches of a loader.

    Returns:
        One row per class: held-out images, and for each symmetry its chance and the share of them on which the
        classifier stays right; below, which labels could follow a symmetry (see :meth:`proposed_label_map`).

    Raises:
        TypeError, ValueError: naming the argument, the rule and what came.

    Example:
        >>> from learned_affine import LearnedAffineAugment
        >>> print(LearnedAffineAugment().summary(torch.rand(4, 3, 32, 32)))
        The augmenter is not fitted.
        <BLANKLINE>
        Standard deviation of what is drawn:
             images  rotation  scale  shear  shift
        all       4     ±2.7°  ±2.3%  ±1.3°  ±1.3%
    """
    fitted = augment.history is not None
    text = symmetry_text(info_of(augment), augment.limits.symmetries) if fitted else "The augmenter is not fitted."
    if images is None:
        return text
    ranges = _range_text(augment, _as_loader(images, labels), image_key, label_key)
    return f"{text}\n\nStandard deviation of what is drawn:\n{ranges}"


def symmetry_text(info: Mapping[str, Any], symmetries: str) -> str:
    """The table of symmetries by class and the proposals, of a history's ``info``; limits may forbid some since."""
    rows, which = info.get("classes_moved", []), info.get("held_on", "held-out")  # or training images
    if not rows and were_judged(info):
        return f"Symmetries were judged on too few {which} images of each class: give more, or FitConfig(images=)."
    if not rows:
        return "Symmetries were not judged class by class."
    codes = [code for code in range(8) if any(row["chance"][code] or row["right"][code] for row in rows)]
    cells = [["", "images", *(HEADS[code] for code in codes)]]
    for row in rows:
        pairs = (f"{chance_text(row['chance'][code])} {row['right'][code]:4.0%}" for code in codes)
        cells.append([class_name(info.get("class_names"), row["class"]), str(row["images"]), *pairs])
    since = "" if set(codes) <= set(CODES[symmetries]) else f" (as fitted; now limits.symmetries is {symmetries!r})"
    head = (
        f"Chance of each symmetry{since}, and share of the moved {which} images that the classifier still gets right:"
    )
    words = proposal_words(info)
    proposed = ["", "Labels that could follow a symmetry (proposed_label_map):", *words] if words else []
    return "\n".join([head, aligned(cells), *proposed])


def were_judged(info: Mapping[str, Any]) -> bool:
    """Whether a fit to classes judged symmetries, be it on too few images of each for a row of the table."""
    return bool(info.get("classes")) and "classes_moved" in info


def aligned(cells: list[list[str]]) -> str:
    """Rows of cells as aligned text, the first column to the left."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in cells)
    return "\n".join("  ".join(line).rstrip() for line in lines)


def chance_text(chance: float) -> str:
    """A chance in two digits, and none as a dash, so that the others are easy to see."""
    return f"{chance:.2f}" if chance >= 0.005 else "   -"


def class_name(names: Sequence[str] | None, index: int) -> str:
    """The name of a class, or its number."""
    return " ".join(str(names[index]).split()) if names else f"class {index}"


def known_names(loader: Any, info: Mapping[str, Any], least: int, count: int | None = None) -> Sequence[str] | None:
    """The names of at least so many classes, ``count`` if it is known: the loader's dataset's own, else the fit's.

    Names of neither as many classes as the fit knows, nor as the labels have, may be of other classes.
    """
    known = info.get("classes") if count is None else count
    found = (class_names(loader), info.get("class_names"))
    enough = (names for names in found if names and len(names) >= least)
    return next((names for names in enough if not known or len(names) in (known, least)), None)


def class_titles(
    classes: Sequence[Any], names: Sequence[str] | None, loader: Any = None, info: Mapping[str, Any] | None = None
) -> list[str]:
    """What the classes are called: by the given names, else by those that are known, else by their numbers.

    Images without class indices are one class, None.
    """
    if None in classes:
        return ["all"]
    least = max(classes, default=-1) + 1
    if names is None:
        names = known_names(loader, info or {}, least)
    elif len(names := given_names(names)) < least:
        raise ValueError(f"names must have one for each class, at least {least}, got {len(names)}")
    return [class_name(names, one) for one in classes]


def given_names(names: Any) -> list[str]:
    """The user's names as a list; a string is none, such as a path in their place, and neither is a dict by number."""
    if isinstance(names, str | Path | Mapping) or not isinstance(names, Iterable):
        raise TypeError(f"names must be a list of names, got {names!r}")
    return [str(name) for name in names]


def _range_text(augment: PolicyTransform, loader: Any, *keys: str | None) -> str:
    found = moments_by_class(augment, loader, "images", *keys)
    cells = [["", "images", "rotation", "scale", "shear", "shift"]]
    for title, one in zip(class_titles([*found], None, loader, info_of(augment)), found.values(), strict=True):
        rotation, scale, shear, shift = ranges_of(one.mean, one.deviation).tolist()
        cells.append(
            [title, str(len(one.mean)), f"±{rotation:.1f}°", f"±{scale:.1%}", f"±{shear:.1f}°", f"±{shift:.1%}"]
        )
    return aligned(cells)


def _as_loader(images: Any, labels: Any) -> Iterable[Any]:
    """Images and labels as one batch, or the loader that they are."""
    if isinstance(images, Tensor):
        check_batch("images", images)
        return [(images, None if labels is None else given_indices(labels, len(images)))]
    check_type("images", images, Iterable, "a tensor (B, C, H, W) or a loader of them")
    if labels is not None:
        raise ValueError(f"labels must be left out where images are a loader, which gives them, got {shown(labels)}")
    return images


def given_indices(labels: Any, count: int) -> Tensor:
    """The user's labels as class indices ``(B,)`` on the CPU."""
    given = numbers_of(labels)
    if given is None or given.shape != (count,) or given.is_floating_point():
        came = shown(labels) if given is None else f"{given.dtype} of shape {tuple(given.shape)}"
        raise ValueError(f"labels must be class indices of shape ({count},), one per image, got {came}")
    return given.long().cpu()


def four_of(numbers: Tensor) -> Tensor:
    """Rotation, scale, shear and shift of six numbers: those of x and y by their mean."""
    return torch.stack([numbers[0], numbers[1:3].mean(), numbers[3], numbers[4:].mean()])


def ranges_of(mean: Tensor, deviation: Tensor) -> Tensor:
    """Standard deviation of rotation, scale, shear and shift over all draws of images with moments ``(B, 6)``."""
    within, between = variances(mean, deviation)
    return four_of(within + between).sqrt()


def usual_ranges(
    augment: PolicyTransform, mean: Tensor, deviation: Tensor, reach: float
) -> tuple[list[float], list[float]]:
    """From where to where the draws of images with moments ``(B, 6)`` are, by so many standard deviations.

    Of rotation, scale, shear and shift, within the limits; of factors it is the logarithm that is about normal.
    """
    middle, deviations = four_of(mean.mean(0)), ranges_of(mean, deviation)
    variance = (1 + (deviations[1] / middle[1]).square()).log()
    middle[1], deviations[1] = middle[1].log() - variance / 2, variance.sqrt()
    low, high = middle - reach * deviations, middle + reach * deviations
    if isinstance(augment.localization, LocalizationNetwork):  # the paper's own has no limits
        most = four_of(torch.tensor(augment.limits.extent(), device=low.device))
        low, high = low.clamp(-most, most), high.clamp(-most, most)
    low[1], high[1] = low[1].exp(), high[1].exp()
    return low.tolist(), high.tolist()


# -- labels that follow -----------------------------------------------------------------------------------------------


def proposed_label_map(augment: PolicyTransform) -> dict[str, list[int]]:
    """Which labels could follow a symmetry, by what the classifier recognises in moved held-out images.

    Proposed are pairs of classes whose flipped images are each recognised as the other one, and four classes that
    become one another by quarter turns: each by at least half of the images, and about as surely as that class's own
    images. Look at it before you use it, since it is never applied by itself. What a ``label_map`` was given for in the
    fit is not proposed again.

    Args:
        augment: an augmenter that was fitted with symmetries.

    Returns:
        In the form that ``label_map`` of ``fit`` takes: permutations for ``"mirror"`` and ``"quarter_turn"`` in which
        all other classes stay, each as far as there is something to propose.

    Example:
        >>> from learned_affine import LearnedAffineAugment
        >>> LearnedAffineAugment().proposed_label_map()  # not fitted
        {}
    """
    info = info_of(augment)
    proposed: dict[str, list[int]] = {}
    for key, circle in _proposals(info):
        order = proposed.setdefault(key, list(range(info["classes"])))
        for one, to in pairwise([*circle, circle[0]]):
            order[one] = to
    return proposed


def proposal_words(info: Mapping[str, Any]) -> list[str]:
    """The proposals in words, one line each: "a mirrored is recognised as b, 92 %, and back, 90 %"."""
    lines = []
    for key, circle in _proposals(info):
        code, words, _ = LABEL_MOVES[key]
        shares = [f"{100 * info['recognised'][code][str(one)][1]:.0f} %" for one in circle]
        names = [class_name(info.get("class_names"), one) for one in circle]
        steps = [f"{name}, {share}" for name, share in zip(names[1:], shares, strict=False)]
        lines.append(f"{names[0]} {words} is recognised as {', then as '.join(steps)}, and back, {shares[-1]}")
    return lines


def _proposals(info: Mapping[str, Any]) -> Iterator[tuple[str, list[int]]]:
    """Circles of classes, each with its rule of a label map, for which the fit had none of its own."""
    for key, (code, _, count) in LABEL_MOVES.items():
        if key not in info.get("label_map", ()):
            yield from ((key, circle) for circle in circles_in(info.get("recognised", {}).get(code, {}), count))


def circles_in(recognised: Mapping[str, Any], count: int) -> list[list[int]]:
    """Circles of ``count`` classes, each of whose moved images are mostly recognised as the next one."""
    becomes = {int(one): to for one, (to, share, surely) in recognised.items() if share >= MUTUAL and surely >= AS_SURE}
    circles = []
    for first in becomes:
        circle = [first]
        while len(circle) < count and becomes.get(circle[-1], first) not in circle:
            circle.append(becomes[circle[-1]])
        if len(circle) == count and becomes.get(circle[-1]) == first == min(circle):
            circles.append(circle)
    return circles
