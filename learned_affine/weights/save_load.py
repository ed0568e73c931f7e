"""One safetensors file that holds a fitted augmenter: tensors, constructor arguments, and how it was fitted."""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from learned_affine._checks import check_type, warn_caller
from learned_affine._files import write_atomically
from learned_affine.policy.network import LocalizationNetwork
from learned_affine.transforms.transform import PolicyTransform
from learned_affine.weights.container import MAX_HEADER, WeightsError, WeightsFile, from_bytes, read_file, to_bytes
from learned_affine.weights.locate import FILE, find_file, shipped
from learned_affine.weights.model_card import CARD, MARK, model_card
from learned_affine.weights.schema import describe_augment, parse

T = TypeVar("T", bound=PolicyTransform)
WRITTEN_BY_US = re.compile(rb'"written_by\\?": \\?"learned_affine ')  # in a header its quotes are escaped
OTHER_FILES = (  # what a file may end in, but hardly a folder
    *(".bin", ".ckpt", ".gz", ".h5", ".json", ".npz", ".onnx", ".pickle", ".pkl", ".pt", ".pth"),
    *(".safetensor", ".tar", ".txt", ".zip"),
)


def save(augment: PolicyTransform, path: str | Path) -> Path:
    """Write an augmenter to a ``.safetensors`` file, or into a folder that is ready to be shared on the hub.

    The folder holds ``model.safetensors``, the same description as ``config.json``, and a model card ``README.md``; a
    card that was edited is left alone. Of ``history.info`` everything goes along, so that what should be known of a
    policy can be put there: ``augment.history.info["data"] = "..."``.

    Returns:
        The path of the weights file.

    Raises:
        WeightsError: if a weight is not finite, or the file would be one that is not loaded again.
        ValueError: if ``path`` has the ending of another kind of file.
        FileExistsError: if the folder holds another model.
        TypeError: if the network is one of your own, which no file of ours could describe, or ``fill`` or
            ``history.info`` hold something that is not plain.

    Warns:
        UserWarning: if the augmenter is not fitted.
    """
    path = Path(check_type("path", path, str | os.PathLike, "a path"))
    if path.suffix.lower() in OTHER_FILES and not path.is_dir():
        raise ValueError(f"path must end in .safetensors, or be a folder, got {str(path)!r}")
    if shipped(str(path)) is not None:
        raise ValueError(
            f"path must not be the name of shipped weights, which would be loaded in its place, got {path}"
        )
    description = describe_augment(augment)
    network = copy.deepcopy(augment.localization)
    if isinstance(network, LocalizationNetwork):
        network.reprice(1.0)  # while a fit is under way it is another one
    tensors = {key: value.cpu().float().contiguous() for key, value in network.state_dict().items()}
    try:
        content = to_bytes(description, tensors)
    except TypeError as error:
        raise TypeError(f"history.info must hold plain values, as JSON knows them: {error}") from error
    parse(from_bytes(content))  # what is written can be loaded
    if augment.history is None:
        text = "augment is not fitted: what is saved makes the same small random warps of every image"
        warn_caller(UserWarning(text))
    if path.suffix.lower() == ".safetensors" and not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_atomically(path, content)
    _refuse_others(path)
    # all is made before anything is written; a class whose name is not UTF-8 is no obstacle
    config, card = json.dumps(description, indent=1), model_card(description).encode(errors="replace")
    path.mkdir(parents=True, exist_ok=True)
    write_atomically(path / "config.json", config.encode())
    if not (path / CARD).exists() or MARK in (path / CARD).read_text(encoding="utf-8", errors="replace"):
        write_atomically(path / CARD, card)
    return write_atomically(path / FILE, content)


def _refuse_others(folder: Path) -> None:
    """Another model's files in a folder are not to be lost; each of ours says what wrote it."""
    if folder.is_file():
        raise FileExistsError(f"path must end in .safetensors, or be a folder, got the file {str(folder)!r}")
    for name in (FILE, "config.json"):
        if (folder / name).exists() and not _is_ours(folder / name):
            raise FileExistsError(f"path must be a folder without another model's {name}, got {str(folder)!r}")


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return WRITTEN_BY_US.search(file.read(MAX_HEADER)) is not None


def load(kind: type[T], source: Any, revision: str | None, changes: dict[str, Any]) -> T:
    """What ``LearnedAffineAugment.from_pretrained`` does, on the class to make."""
    with _opened(source, revision) as file:
        arguments, history = parse(file)
    if changes.get("padding_mode", "fill") != "fill":
        arguments["fill"] = 0.0
    augment = kind(**{**arguments, **changes})
    augment.history = history
    return augment


def describe(source: Any, revision: str | None = None) -> dict[str, Any]:
    """What a weights file says of itself; no tensor is made. ``source`` as for :func:`load`."""
    with _opened(source, revision) as file:
        return file.description


@contextmanager
def _opened(source: Any, revision: str | None) -> Iterator[WeightsFile]:
    """The file of a source, which errors name."""
    path = find_file(source, revision)
    try:
        yield read_file(path)
    except WeightsError as error:
        raise WeightsError(f"weights file {str(path)!r} cannot be used: {error}") from error
