"""An augmenter as plain values, and back: what a weights file says besides its tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, fields
from reprlib import repr as short
from typing import Any

import PIL.Image
import torch
from torch import Tensor
from torchvision.tv_tensors import Image, Mask, Video

from learned_affine._checks import shown
from learned_affine._version import __version__
from learned_affine.fitting.history import KEYS, FitHistory, without_nan
from learned_affine.geometry.limits import WORDS, AffineLimits
from learned_affine.policy.network import HEADS, LocalizationNetwork
from learned_affine.policy.raw_head import RawHead
from learned_affine.transforms.sampling import FILL_NAMES
from learned_affine.transforms.transform import PolicyTransform
from learned_affine.weights.container import FORMAT, WeightsError, WeightsFile

ARGUMENTS = ("p", "strength", "deterministic", "interpolation", "padding_mode", "fill")
PARTS = ("format", "written_by", "limits", "arguments", "localization", "history")
MOST_ROUNDS = 100  # of a history in a file, which stays small however long the fit was
FILLS: dict[str, Any] = {f"tv_tensors.{kind.__name__}": kind for kind in (Image, Video, Mask)}
FILLS |= {"torch.Tensor": Tensor, "PIL.Image.Image": PIL.Image.Image}
FILLS |= {name: name for name in FILL_NAMES}
SIZES = {"channels": 1024, "size": 256, "width": 1024}  # of a network, at most


# -- from an augmenter to a description -------------------------------------------------------------------------------


def describe_augment(augment: PolicyTransform) -> dict[str, Any]:
    """Everything but the tensors, ready for JSON."""
    network = augment.localization
    head = next((name for name, kind in HEADS.items() if type(network) is kind), None)
    if head is None:
        raise TypeError(f"localization must be one of this package's networks to be saved, got {shown(network)}")
    words = augment.limits.symmetries, getattr(network, "symmetries", augment.limits.symmetries)
    return {
        "format": FORMAT,
        "written_by": f"learned_affine {__version__}, torch {torch.__version__}",
        "limits": asdict(augment.limits) | {"symmetries": max(words, key=WORDS.index)},  # of the two the narrower one
        "arguments": {name: getattr(augment, name) for name in ARGUMENTS} | {"fill": _named(augment.fill)},
        "localization": {"head": head, **network.arguments()},
        "history": None if augment.history is None else _summary(augment.history),
    }


def _summary(history: FitHistory) -> dict[str, Any]:
    """A history without the clock, so that the same fit gives the same file; a long one thinned from its last round."""
    step = max(1, math.ceil(history.rounds / MOST_ROUNDS))
    rounds = {key: values[::-step][::-1] for key, values in history.items() if key != "seconds"}
    return without_nan({"info": history.info, "rounds": rounds})


def _named(fill: Any) -> Any:
    if not isinstance(fill, dict):
        return fill
    names = {key: name for name, key in FILLS.items()}
    unknown = [key for key in fill if key not in names]
    if unknown:
        raise TypeError(f"fill must be by {', '.join(FILLS)} to be saved, got {unknown}")
    return {names[key]: value for key, value in fill.items()}


# -- from a file to an augmenter --------------------------------------------------------------------------------------


def parse(file: WeightsFile) -> tuple[dict[str, Any], FitHistory | None]:
    """The constructor's arguments, the network among them, and the history."""
    described = _exactly("description", file.description, PARTS)
    limits = _exactly("limits", described["limits"], (field.name for field in fields(AffineLimits)))
    arguments = _exactly("arguments", described["arguments"], ARGUMENTS)
    _demand(type(arguments["deterministic"]) is bool, "arguments.deterministic", "a bool", arguments["deterministic"])
    arguments["fill"] = _typed(arguments["fill"])
    history = _history(described["history"])
    arguments["localization"] = network = _network(described["localization"], file)
    try:
        arguments["limits"] = own = AffineLimits(**limits)
        known = getattr(network, "symmetries", own.symmetries)
        if WORDS.index(own.symmetries) < WORDS.index(known):
            raise ValueError(f"limits.symmetries must be the network's or fewer, {known!r}, got {own.symmetries!r}")
        PolicyTransform(**arguments)  # judges the others
    except (TypeError, ValueError, OverflowError) as error:
        raise WeightsError(f"its description is damaged: {error}") from error
    return arguments, history


def _demand(holds: bool, name: str, rule: str, found: Any) -> None:
    if not holds:
        raise WeightsError(f"{name} must be {rule}, got {short(found)}")


def _exactly(name: str, found: Any, keys: Iterable[str]) -> dict[str, Any]:
    """A dict with these keys, no fewer and no more."""
    _demand(isinstance(found, dict), f"its {name}", "a JSON object", found)
    wanted = set(keys)
    missing, extra = (", ".join(map(short, sorted(some)[:8])) for some in (wanted - set(found), set(found) - wanted))
    if missing or extra:
        raise WeightsError(f"its {name} is damaged: missing {missing or 'none'}, unexpected {extra or 'none'}")
    return dict(found)


def _typed(fill: Any) -> Any:
    """A ``fill`` with types instead of names; numbers, one or one per channel, are all it may hold."""
    given = fill if isinstance(fill, dict) else {"others": fill}
    unknown = [key for key in given if key not in FILLS]
    _demand(not unknown, "arguments.fill", f"by {', '.join(FILLS)}", unknown)
    numbers = [one for value in given.values() for one in (value if isinstance(value, list) and value else [value])]
    _demand(all(map(_is_number, numbers)), "arguments.fill", "finite numbers", fill)
    return {FILLS[key]: value for key, value in fill.items()} if isinstance(fill, dict) else fill


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e30


def _history(described: Any) -> FitHistory | None:
    """The history: lists of equal length, of numbers and gaps."""
    if described is None:
        return None
    parts = _exactly("history", described, ("info", "rounds"))
    rounds = parts["rounds"]
    lists: list[Any] = list(rounds.values()) if isinstance(rounds, dict) and set(rounds) <= set(KEYS) else [None]
    right = isinstance(parts["info"], dict) and all(isinstance(values, list) for values in lists)
    if not right or len({len(values) for values in lists if values}) > 1:
        raise WeightsError("its history must hold info and, by this package's keys, lists of equal length")
    if not all(value is None or _is_number(value) for values in lists for value in values):
        raise WeightsError("its history must hold finite numbers")
    return FitHistory.from_dict(described)


def _network(described: Any, file: WeightsFile) -> LocalizationNetwork | RawHead:
    """The network of a description, if the tensors are its own; nothing is made before the header says so."""
    head = described.get("head") if isinstance(described, dict) else None
    _demand(head in tuple(HEADS), "localization.head", f"one of {', '.join(HEADS)}", head)
    kind: Callable[..., LocalizationNetwork | RawHead] = HEADS[str(head)]
    names = ("per_image", "symmetries") if head == "bounded" else ()
    arguments = _exactly("localization", described, ("head", *SIZES, *names))
    del arguments["head"]
    for name, most in SIZES.items():
        size = arguments[name]
        _demand(type(size) is int and 1 <= size <= most, f"localization.{name}", f"an int in [1, {most}]", size)
    if names:
        per_image, word = arguments["per_image"], arguments["symmetries"]
        _demand(type(per_image) is bool, "localization.per_image", "a bool", per_image)
        _demand(word in WORDS, "localization.symmetries", f"one of {', '.join(WORDS)}", word)
    with torch.device("meta"):  # a description can ask for gigabytes, and no first weights are to be drawn
        network = kind(**arguments)
    own = network.state_dict()
    for name, entry in _exactly("table of tensors", file.table, own).items():
        shape = list(own[name].shape)
        right = isinstance(entry, dict) and entry.get("dtype") == "F32" and entry.get("shape") == shape
        _demand(right, name, f"F32 of shape {tuple(shape)}", entry)
    tensors = file.tensors()
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise WeightsError(f"weights must be finite, got NaN or infinity in {name}")
    network.to_empty(device="cpu").load_state_dict(tensors)
    return network
