"""The bytes of a weights file: a safetensors container whose header is judged before a tensor is made of it.

    8 bytes        length of the header, little endian
    header         JSON: {"__metadata__": {"learned_affine": description, "sha256": digest}, name: {dtype, shape, ...}}
    the rest       the tensors

The description is JSON in a string, as the container's metadata holds strings only. The digest is of the description
and the tensors: it finds damage; it is no signature.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as short  # what a file says, for a message: however long it is, only its beginning
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

FORMAT = 4  # 1 to 3: written by versions 0.1 and 0.2, which read them
MAX_FILE = 32 * 1024 * 1024  # bytes; a file of ours is under 1 MB
MAX_HEADER = 1024 * 1024  # bytes; a header of ours is some 5 kB
MAX_DEPTH = 32  # of lists and dicts in each other: what walks over them later may recurse
KEY, DIGEST = "learned_affine", "sha256"


class WeightsError(ValueError):
    """A weights file that cannot be used: damaged, foreign, of another format, or asking for what is not allowed."""


@dataclass(frozen=True)
class WeightsFile:
    """A file whose description is in order."""

    description: dict[str, Any]
    table: dict[str, Any]  # what the header says of each tensor, as it is written
    text: str  # of the description, as it was written
    digest: str | None
    content: bytes

    def tensors(self) -> dict[str, Tensor]:
        """Make the tensors, which must fit the header and the digest."""
        try:
            tensors = load(self.content)
        except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise WeightsError(f"its tensors are damaged ({error})") from error
        if self.digest != digest_of(self.text, tensors):
            raise WeightsError(f"it is damaged: its {DIGEST} is not that of its content")
        return tensors


def to_bytes(description: dict[str, Any], tensors: dict[str, Tensor]) -> bytes:
    """The content of a file; the same arguments give the same bytes."""
    text = json.dumps(description, allow_nan=False, sort_keys=True)
    content = save(tensors, {KEY: text, DIGEST: digest_of(text, tensors)})
    came = header_in(content)
    header = json.dumps(json.loads(came), separators=(",", ":"), sort_keys=True).encode()  # came in any order
    header += b" " * (-len(header) % 8)  # the tensors begin at a multiple of 8, as in the container's own files
    return len(header).to_bytes(8, "little") + header + content[8 + len(came) :]


def header_in(content: bytes) -> bytes:
    """The header of a file's content, as far as that goes."""
    return content[8 : 8 + int.from_bytes(content[:8], "little")]


def digest_of(text: str, tensors: dict[str, Tensor]) -> str:
    """SHA-256 of the description and of every tensor's name, dtype, shape and bytes."""
    total = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.numpy().tobytes())
    return total.hexdigest()


def read_file(path: Path) -> WeightsFile:
    """Read a file and judge its header; no tensor is made yet."""
    with path.open("rb") as file:
        return from_bytes(file.read(MAX_FILE + 1))


def from_bytes(content: bytes) -> WeightsFile:
    """Judge the header of a file's content."""
    length = int.from_bytes(content[:8], "little")
    if len(content) > MAX_FILE:
        raise WeightsError(f"it must be smaller than {MAX_FILE} bytes")
    if len(content) < 10 or content[8:9] != b"{":
        raise WeightsError("it is no safetensors file, or cut off in its header")
    if length > MAX_HEADER:
        raise WeightsError(f"its header must be smaller than {MAX_HEADER} bytes, got {length}")
    if 8 + length > len(content):
        raise WeightsError(f"it is cut off: its header has {length} bytes, the whole file {len(content)}")
    header = _json(header_in(content), "header")
    metadata = header.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise WeightsError("its metadata must be a dict of strings")
    if KEY not in metadata:
        raise WeightsError("it is not one of learned_affine: it has no description of ours")
    description = _json(metadata[KEY], "description")
    format_, reads = description.get("format"), f"this version reads the format {FORMAT}"
    if type(format_) is not int or format_ < 1:
        raise WeightsError(f"its format must be a positive int, got {short(format_)}")
    if format_ > FORMAT:
        raise WeightsError(f"it has the format {format_}, and {reads}: update learned_affine")
    if format_ < FORMAT:
        earlier = 'version 0.2 of learned_affine reads (pip install "learned_affine<0.3")'
        raise WeightsError(f"it has the format {format_}, which {earlier}; {reads}: fit the augmenter anew")
    return WeightsFile(description, header, metadata[KEY], metadata.get(DIGEST), content)


def _json(text: str | bytes, name: str) -> dict[str, Any]:
    """A JSON object without keys that come twice, on which JSON's readers disagree, and without deep nesting."""
    try:
        found = json.loads(text, object_pairs_hook=_pairs)
    except RecursionError as error:
        raise WeightsError(f"its {name} is nested too deeply") from error
    except ValueError as error:  # of json, of UTF-8, of an int with too many digits, and our own
        raise WeightsError(f"its {name} is damaged ({error})") from error
    if not isinstance(found, dict):
        raise WeightsError(f"its {name} must be a JSON object, got {type(found).__name__}")
    level: list[Any] = [found]
    for _ in range(MAX_DEPTH):
        inner = [value for one in level for value in (one.values() if isinstance(one, dict) else one)]
        level = [value for value in inner if isinstance(value, list | dict)]
    if level:
        raise WeightsError(f"its {name} is nested too deeply")
    return found


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key comes twice")
    return dict(pairs)
