"""An augmenter as plain values, and back: what a weights file says besides its tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, fields
from functools import partial
from typing import Any

import PIL.Image
import torch
from torch import Tensor
from torchvision import tv_tensors

from learned_affine._version import __version__
from learned_affine.fitting.history import KEYS, FitHistory
from learned_affine.geometry.limits import WORDS, AffineLimits
from learned_affine.policy.network import HEADS, LocalizationNetwork
from learned_affine.policy.raw_head import RawHead
from learned_affine.transforms.transform import PolicyTransform
from learned_affine.weights.container import FORMAT, Table, WeightsError, WeightsFile, short

ARGUMENTS = ("p", "strength", "deterministic", "interpolation", "padding_mode", "fill")
PARTS = ("format", "written_by", "limits", "arguments", "localization", "history")
CLOCKS = ("seconds",)  # of a machine, not of a policy: the same fit gives the same file
MOST_ROUNDS = 100  # of a history in a file, which stays small however long the fit was
TYPES = {
    "tv_tensors.Image": tv_tensors.Image,
    "tv_tensors.Video": tv_tensors.Video,
    "tv_tensors.Mask": tv_tensors.Mask,
    "torch.Tensor": Tensor,
    "PIL.Image.Image": PIL.Image.Image,
}
BARE_NAMES = ("Image", "Video", "Mask", "Tensor", "others")


# -- from an augmenter to a description -------------------------------------------------------------------------------


def describe_augment(augment: PolicyTransform) -> dict[str, Any]:
    """Everything but the tensors, ready for JSON."""
    network = augment.localization
    head = next((name for name, kind in HEADS.items() if type(network) is kind), None)
    if head is None:
        raise TypeError(
            f"localization must be one of this package's networks to be saved, got {type(network).__name__}"
        )
    arguments = {name: getattr(augment, name) for name in ARGUMENTS} | {"fill": _named(augment.fill)}
    return {
        "format": FORMAT,
        "written_by": f"learned_affine {__version__}, torch {torch.__version__}",
        "limits": asdict(augment.limits),
        "arguments": arguments,
        "localization": {"head": head, **network.arguments()},
        "history": None if augment.history is None else _summary(augment.history),
    }


def _summary(history: FitHistory) -> dict[str, Any]:
    """A history without the clock, and thinned if it is long; the last round always stays."""
    whole = history.to_dict()
    step = math.ceil(max(history.rounds, 1) / MOST_ROUNDS)
    rounds = {key: values[::-1][::step][::-1] for key, values in whole["rounds"].items() if key not in CLOCKS}
    return {"info": _plain(whole["info"]), "rounds": rounds}


def _plain(value: Any) -> Any:
    # JSON has no NaN and no infinity
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _named(fill: Any) -> Any:
    if not isinstance(fill, dict):
        return fill
    names = {kind: name for name, kind in TYPES.items()} | {name: name for name in BARE_NAMES}
    unknown = [key for key in fill if key not in names]
    if unknown:
        raise TypeError(f"fill must be by {', '.join(map(str, names.values()))} to be saved, got {unknown}")
    return {names[key]: value for key, value in fill.items()}


# -- from a file to an augmenter --------------------------------------------------------------------------------------


def parse(file: WeightsFile) -> tuple[dict[str, Any], FitHistory | None]:
    """The constructor's arguments, the network among them, and the history.

    Raises:
        WeightsError: naming the part, the rule and what came.
    """
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
            raise ValueError(
                f"limits.symmetries must be those of the network or fewer, {known!r}, got {own.symmetries!r}"
            )
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
    missing, extra = sorted(wanted - set(found)), sorted(set(found) - wanted)
    if missing or extra:
        raise WeightsError(f"its {name} is damaged: missing {_listed(missing)}, unexpected {_listed(extra)}")
    return dict(found)


def _listed(names: list[str]) -> str:
    return ", ".join(map(short, names[:8])) or "none"


def _typed(fill: Any) -> Any:
    """A ``fill`` with types instead of names; numbers, one or one a channel, are all it may hold."""
    if isinstance(fill, dict):
        unknown = [key for key in fill if key not in (*TYPES, *BARE_NAMES)]
        if unknown:
            raise WeightsError(f"arguments.fill must be by {', '.join([*TYPES, *BARE_NAMES])}, got {_listed(unknown)}")
        return {TYPES.get(key, key): _numbers(value) for key, value in fill.items()}
    return _numbers(fill)


def _numbers(fill: Any) -> Any:
    values = fill if isinstance(fill, list) else [fill]
    if not values or not all(_is_number(value) for value in values):
        raise WeightsError(f"arguments.fill must hold finite numbers, got {short(fill)}")
    return fill


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e30


def _history(described: Any) -> FitHistory | None:
    """The history: lists of equal length, of numbers and gaps."""
    if described is None:
        return None
    rounds = _exactly("history", described, ("info", "rounds"))["rounds"]
    if not isinstance(rounds, dict) or not isinstance(described["info"], dict) or set(rounds) - set(KEYS):
        raise WeightsError("its history must hold info and, by round, numbers of this package's keys")
    rows = [values for values in rounds.values() if values != []]
    if not all(isinstance(values, list) and len(values) == len(rows[0]) for values in rows):
        raise WeightsError("its history must hold lists of equal length")
    if not all(value is None or _is_number(value) for values in rows for value in values):
        raise WeightsError("its history must hold finite numbers")
    return FitHistory.from_dict(described)


def _is_size(most: int, value: Any) -> bool:
    return type(value) is int and 1 <= value <= most


SIZES = {"channels": 1024, "size": 256, "width": 1024}
RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {  # of a network's arguments
    **{name: (f"an int in [1, {most}]", partial(_is_size, most)) for name, most in SIZES.items()},
    "per_image": ("a bool", lambda value: type(value) is bool),
    "symmetries": (f"one of {', '.join(WORDS)}", lambda value: value in WORDS),
}


def _network(described: Any, file: WeightsFile) -> LocalizationNetwork | RawHead:
    """The network of a description, if the tensors are its own; nothing is made before the header says so."""
    head = described.get("head") if isinstance(described, dict) else None
    _demand(isinstance(head, str) and head in HEADS, "localization.head", f"one of {', '.join(HEADS)}", head)
    kind: Callable[..., LocalizationNetwork | RawHead] = HEADS[str(head)]
    names = RULES if head == "bounded" else SIZES
    arguments = _exactly("localization", described, ("head", *names))
    arguments.pop("head")
    for name, value in arguments.items():
        rule, holds = RULES[name]
        _demand(holds(value), f"localization.{name}", rule, value)
    with torch.device("meta"):  # a description can ask for gigabytes
        _check_table(kind(**arguments).state_dict(), file.table)
    tensors = file.tensors()
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise WeightsError(f"weights must be finite, got NaN or infinity in {name}")
    with torch.random.fork_rng(devices=[]):  # a new network draws its first weights; loading one should draw nothing
        network = kind(**arguments)
    network.load_state_dict(tensors)
    return network.eval()


def _check_table(own: dict[str, Tensor], table: Table) -> None:
    missing, extra = sorted(set(own) - set(table)), sorted(set(table) - set(own))
    if missing or extra:
        raise WeightsError(f"missing tensors {_listed(missing)}, unexpected ones {_listed(extra)}")
    for name, (dtype, shape) in table.items():
        wanted = tuple(own[name].shape)
        if dtype != "F32" or shape != wanted:
            raise WeightsError(f"{name} must be F32 of shape {wanted}, got {short(dtype)} of shape {short(shape)}")
