"""One safetensors file that holds a fitted augmenter: tensors, constructor arguments, and how it was fitted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from learned_affine.description import ARGUMENTS, build, describe_augment, newest
from learned_affine.history import write_atomically
from learned_affine.model_card import CARD, is_ours, model_card
from learned_affine.pretrained import LearnedAffineAugment_Weights, list_weights
from learned_affine.sources import FILE, find_file
from learned_affine.weights_file import WeightsError, from_bytes, read_file, to_bytes

if TYPE_CHECKING:
    from learned_affine.transform import LearnedAffineAugment


CHANGES = (*ARGUMENTS, "limits", "generator")
OTHER_FILES = (".bin", ".ckpt", ".json", ".npz", ".onnx", ".pickle", ".pkl", ".pt", ".pth", ".zip")


def save(augment: LearnedAffineAugment, path: str | Path) -> Path:
    """Write an augmenter to a ``.safetensors`` file, or into a folder that is ready to be shared on the hub.

    The folder holds ``model.safetensors``, the same description as ``config.json``, and a model card ``README.md``; a
    card that was edited is left alone. Of ``history.info`` everything goes along, so that what should be known of a
    policy can be put there: ``augment.history.info["data"] = "..."``.

    Returns:
        The path of the weights file.

    Raises:
        WeightsError: if a weight is not finite, or the file would be one that is not loaded again.
        ValueError: if ``path`` has the ending of another kind of file.
        TypeError: if the network is one of your own, which no file of ours could describe, or ``fill`` or
            ``history.info`` hold something that is not plain.
    """
    path = Path(path)
    if path.suffix.lower() in OTHER_FILES and not path.is_dir():
        raise ValueError(f"path must end in .safetensors, or be a folder, got {str(path)!r}")
    description = describe_augment(augment)
    tensors = {
        key: value.detach().cpu().float().contiguous() for key, value in augment.localization.state_dict().items()
    }
    try:
        content = to_bytes(description, tensors)
    except TypeError as error:
        raise TypeError(f"history.info must hold plain values, as JSON knows them: {error}") from error
    build(from_bytes(content))  # what is written can be loaded
    if path.suffix == ".safetensors":
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_atomically(path, content)
    path.mkdir(parents=True, exist_ok=True)
    write_atomically(path / "config.json", json.dumps(description, indent=1).encode())
    if is_ours(path / CARD):
        write_atomically(path / CARD, model_card(description).encode())
    return write_atomically(path / FILE, content)


def load(
    kind: type[LearnedAffineAugment], source: Any, *, revision: str | None = None, **changes: Any
) -> LearnedAffineAugment:
    """Load a fitted augmenter. Strict: no code of the file's is run and nothing is left out. Draws no random number.

    Args:
        kind: the class to make.
        source: a member of ``LearnedAffineAugment_Weights`` or its name, a file, a folder that :func:`save` wrote, or
            a hub id ``"org/repo"`` (through ``huggingface_hub``, whose variables such as ``HF_HUB_OFFLINE`` hold).
        revision: branch, tag or commit, of a hub id only.
        **changes: constructor arguments to change, such as ``p`` or ``padding_mode``; nothing needs a new fit. With
            another ``padding_mode`` than ``"fill"``, the file's ``fill`` no longer counts.

    Raises:
        WeightsError: if the file is damaged, foreign, of a newer format, or asks for what is not allowed.
        FileNotFoundError: if there is no such file.
        ImportError: if the source is a hub id and ``huggingface_hub`` is not installed.
        TypeError, ValueError: if a change is no argument of the constructor, or not a valid one.
    """
    unknown = sorted(set(changes) - {*CHANGES})
    if unknown:
        raise TypeError(f"from_pretrained can change {', '.join(CHANGES)}, got {', '.join(unknown)}")
    path = find_file(source, revision)
    try:
        arguments, history = build(read_file(path))
    except WeightsError as error:
        raise WeightsError(f"weights file {str(path)!r} cannot be used: {error}") from error
    if changes.get("padding_mode", "fill") != "fill":
        arguments["fill"] = 0.0
    augment = kind(**{**arguments, **changes})
    augment.history = history
    return augment


def describe(source: Any, revision: str | None = None) -> dict[str, Any]:
    """What a weights file says of itself, in the newest format; no tensor is made. ``source`` as for :func:`load`."""
    return newest(read_file(find_file(source, revision)).description)


__all__ = [
    "LearnedAffineAugment_Weights",
    "WeightsError",
    "describe",
    "list_weights",
    "load",
    "save",
]
