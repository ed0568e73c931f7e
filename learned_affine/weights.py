"""One safetensors file that holds a fitted augmenter: tensors, constructor arguments, and how it was fitted."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torchvision import tv_tensors

from learned_affine.history import FitHistory, write_atomically
from learned_affine.localization import HEADS, LocalizationNetwork, RawHead
from learned_affine.parameters import AffineLimits
from learned_affine.pretrained import LearnedAffineAugment_Weights, list_weights, package_file

if TYPE_CHECKING:
    from learned_affine.transform import LearnedAffineAugment

FORMAT = 1
FILE = "model.safetensors"
ARGUMENTS = ("p", "strength", "deterministic", "interpolation", "padding_mode", "fill")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
MAX_BYTES = 64 * 1024 * 1024  # a file of ours is under 1 MB; what is far larger is not one
MAX_CHANNELS, MAX_SIZE, MAX_WIDTH = 1024, 256, 1024


def save(augment: LearnedAffineAugment, path: str | Path) -> Path:
    """Write an augmenter to a ``.safetensors`` file, or as ``model.safetensors`` and ``config.json`` into a folder.

    Returns:
        The path of the weights file.

    Raises:
        ValueError: if a weight is not finite.
        TypeError: if the network is one of your own, which no file of ours could describe.
    """
    network = augment.localization
    kind = next((name for name, head in HEADS.items() if type(network) is head), None)
    if kind is None:
        raise TypeError(
            f"localization must be one of this package's networks to be saved, got {type(network).__name__}"
        )
    tensors = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    _check_finite(tensors)
    fill = augment.fill
    if isinstance(fill, dict):
        fill = {key if isinstance(key, str) else key.__name__: value for key, value in fill.items()}
    arguments = {name: getattr(augment, name) for name in ARGUMENTS} | {"fill": fill}
    config = {
        "format": FORMAT,
        "limits": asdict(augment.limits),
        "arguments": arguments,
        "localization": {"head": kind, **network.arguments()},
        "history": None if augment.history is None else augment.history.to_dict(),
        "torch": torch.__version__,
    }
    content = to_bytes(tensors, {"learned_affine": json.dumps(config)})
    path = Path(path)
    if path.suffix == ".safetensors":
        return write_atomically(path, content)
    path.mkdir(parents=True, exist_ok=True)
    write_atomically(path / "config.json", json.dumps(config, indent=1).encode())
    return write_atomically(path / FILE, content)


def load(kind: type[LearnedAffineAugment], source: Any, **changes: Any) -> LearnedAffineAugment:
    """Load a fitted augmenter. Strict: no code of the file's is run and nothing is left out.

    Args:
        kind: the class to make.
        source: a member of ``LearnedAffineAugment_Weights`` or its name, a file, a folder that :func:`save` wrote, or
            a hub id ``"org/repo"``.
        **changes: constructor arguments to change, such as ``p`` or ``padding_mode``.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged, foreign, of a newer format, or holds a weight that is not finite.
        TypeError: if a change is no argument of the constructor.
    """
    unknown = sorted(set(changes) - {*ARGUMENTS, "limits", "generator"})
    if unknown:
        raise TypeError(f"from_pretrained can change {', '.join(ARGUMENTS)} and limits, got {', '.join(unknown)}")
    path = _find(source)
    config, tensors = _read(path)
    try:
        network = _network(config["localization"], tensors)
        arguments = {name: config["arguments"][name] for name in ARGUMENTS}
        arguments["fill"] = _fill(arguments["fill"])
        limits = AffineLimits(**config["limits"])
        kind(limits, **arguments)  # what the file says must be valid, whatever is changed
        history = None if config["history"] is None else FitHistory.from_dict(config["history"])
    except (KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"weights file {str(path)!r} has a damaged description: {error}") from error
    network.load_state_dict(tensors)
    augment = kind(changes.pop("limits", limits), localization=network, **{**arguments, **changes})
    augment.history = history
    return augment


def _find(source: Any) -> Path:
    """The weights file that ``source`` means: of a member or name of the package's own, of a path, or of the hub's."""
    if isinstance(source, LearnedAffineAugment_Weights):
        return Path(str(package_file(source.url)))
    if isinstance(source, str) and source.upper() == "DEFAULT":
        return _find(LearnedAffineAugment_Weights.DEFAULT)
    if isinstance(source, str) and source in list_weights():
        return _find(LearnedAffineAugment_Weights.verify(source))
    if not isinstance(source, str | Path):
        raise TypeError(f"source must be the path of a weights file or folder, got {type(source).__name__}")
    path = Path(source)
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        if isinstance(source, str) and _HUB_ID.fullmatch(source) and not Path(source).parent.exists():
            return _from_hub(source)
        raise FileNotFoundError(
            f"source must be one of {', '.join(list_weights())}, a weights file, a folder with {FILE}, or a hub id "
            f"'org/repo'; got {str(source)!r}, taken for a path, where there is none"
        )
    return path


def _from_hub(repository: str) -> Path:
    """Fetch the weights file of a hub repository; the only place that uses the network, and only when asked to."""
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise ImportError(
            f"{repository!r} is no path here; to load it from the hub: pip install learned_affine[hub]"
        ) from error
    return Path(hf_hub_download(repository, FILE))


def _read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The description and the tensors of a file."""
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(
            f"weights file must be smaller than {MAX_BYTES} bytes, got {path.stat().st_size}: {str(path)!r}"
        )
    try:
        with safe_open(path, framework="pt") as file:
            described = (file.metadata() or {}).get("learned_affine")
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a dict)
    except (SafetensorError, OSError, AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"weights file {str(path)!r} is damaged or no safetensors file ({error})") from error
    if described is None:
        raise ValueError(f"weights file {str(path)!r} is not one of learned_affine: it has no description of ours")
    try:
        config = json.loads(described)
        found = int(config["format"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"weights file {str(path)!r} has a damaged description ({type(error).__name__})") from error
    if found > FORMAT:
        raise ValueError(
            f"weights file {str(path)!r} has the format {found}; this version reads up to {FORMAT}: update"
        )
    return config, tensors


def _network(described: dict[str, Any], tensors: dict[str, torch.Tensor]) -> LocalizationNetwork | RawHead:
    """The network of a description, if the tensors are its own."""
    arguments = dict(described)
    head = arguments.pop("head")
    for name, most in (("channels", MAX_CHANNELS), ("size", MAX_SIZE), ("width", MAX_WIDTH)):
        value = arguments.get(name)
        if not isinstance(value, int) or not 1 <= value <= most:
            raise ValueError(f"weights file: localization.{name} must be an int in [1, {most}], got {value!r}")
    if head not in HEADS:
        raise ValueError(f"weights file: localization.head must be one of {', '.join(HEADS)}, got {head!r}")
    with torch.device("meta"):  # a description can ask for gigabytes, so nothing is made before the shapes agree
        _check_tensors(HEADS[head](**arguments), tensors)
    return HEADS[head](**arguments)


def _check_tensors(network: torch.nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    """Name what is missing, unexpected, of another shape, or not finite."""
    own = network.state_dict()
    missing, extra = sorted(set(own) - set(tensors)), sorted(set(tensors) - set(own))
    if missing or extra:
        raise ValueError(f"weights file: missing tensors {missing or 'none'}, unexpected ones {extra or 'none'}")
    for key, tensor in tensors.items():
        if tensor.shape != own[key].shape or tensor.dtype != own[key].dtype:
            raise ValueError(
                f"weights file: {key} must be {own[key].dtype} of shape {tuple(own[key].shape)}, "
                f"got {tensor.dtype} of shape {tuple(tensor.shape)}"
            )
    _check_finite(tensors)


def _check_finite(tensors: dict[str, torch.Tensor]) -> None:
    for key, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"weights must be finite, got NaN or infinity in {key}")


def _fill(fill: Any) -> Any:
    """A dict by type names back to one by types."""
    if not isinstance(fill, dict):
        return fill
    return {getattr(tv_tensors, key, key): value for key, value in fill.items()}
