"""Where a weights file is: in the package, on disk, or on the hub."""

from __future__ import annotations

import os.path
import re
from pathlib import Path
from typing import Any

from torchvision.models import WeightsEnum

from learned_affine._checks import check_type

DATA = Path(__file__).parents[1] / "data"  # of the package
DEFAULT = "CIFAR10_V3"
FILE = "model.safetensors"  # in a folder and on the hub, where one looks for that name
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


def find_file(source: Any, revision: str | None = None) -> Path:
    """The weights file that ``source`` means, as for ``from_pretrained``; what is on disk goes before the hub."""
    check_type("source", source, str | Path | WeightsEnum, "a name, a path or one of LearnedAffineAugment_Weights")
    file = None if isinstance(source, Path) else shipped(str(source))
    path = Path(str(source)) if file is None else file
    path = path / FILE if os.path.isdir(path) else path
    is_file = os.path.isfile(path)  # unlike Path's, without an error for a name that no file can have
    is_id = isinstance(source, str) and _HUB_ID.fullmatch(source) and not source.endswith(".safetensors")
    if not is_file and is_id and not os.path.exists(path.parent):  # else a path, not for a network
        return _from_hub(str(source), revision)
    if revision is not None:
        raise ValueError(f"revision is of a hub id 'org/repo'; source {str(source)!r} is none")
    if not is_file:
        raise FileNotFoundError(
            f"source must be one of {', '.join(list_weights())}, a weights file, a folder with {FILE}, or a hub id "
            f"'org/repo'; got {str(source)!r}, taken for a path, where there is none"
        )
    return path


def list_weights() -> list[str]:
    """The names that ``LearnedAffineAugment.from_pretrained`` knows."""
    return sorted(path.stem.upper() for path in DATA.glob("*.safetensors"))


def shipped(name: str) -> Path | None:
    """The file in the package of this name, which may be that of an enum's member; None if there is none."""
    name = name.removeprefix("LearnedAffineAugment_Weights.")
    name = DEFAULT if name == "DEFAULT" else name
    return DATA / f"{name.lower()}.safetensors" if name in list_weights() else None


def _from_hub(repository: str, revision: str | None) -> Path:
    """Fetch the weights file of a hub repository; the only place that uses the network, and only when asked to."""
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        text = f"{repository!r} is no path here; to load it from the hub: pip install learned_affine[hub]"
        raise ImportError(text) from error
    try:
        return Path(hf_hub_download(repository, FILE, revision=revision))
    except (OSError, ValueError) as error:  # of the network, of what is not there, and of an id that cannot be one
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        at = f" at revision {revision!r}" if revision else ""
        text = f"source {repository!r} is no path here, and {FILE} of the hub repository of that name{at}"
        raise FileNotFoundError(f"{text} could not be had: {reason}") from error
