"""``FitHistory``: what was measured during a fit, one number an epoch and key."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from learned_affine._files import write_atomically
from learned_affine._version import __version__
from learned_affine.plots.curves import plot_history
from learned_affine.tasks.batches import length_of

KEYS = (
    "loss",
    "discriminator_loss",
    "val_loss",
    "val_discriminator_loss",
    "entropy",
    "cross_entropy",
    "accuracy",
    "dual",
    "agreement",
    "displacement",
    "kl",
    "between_image_variance",
    "visible_area",
    "mirror_chance",
    "mirror_spread",
    "mirror_kl",
    "seconds",
    "images_per_second",
)


class FitHistory(Mapping[str, list[float]]):
    """Lists of one number an epoch, by the names in ``KEYS``; a dict in all but writing.

    ``cross_entropy`` is the task's loss, and a loss of your own as a multiple of its mean on held-out images. Entropy
    is in bits, cross entropy and KL in nats, displacement a share of the image side, without flips. Cross
    entropy, accuracy, entropy, KL and displacement are of augmented held-out images, if there are any. They, the losses
    and ``dual`` are means over the epoch's steps. Agreement, variance, visible area, ``mirror_chance`` (the mean chance
    of a flip), ``mirror_spread`` (its standard deviation between images), ``mirror_kl`` (its divergence from 1/2) and
    what is named ``val_`` are measured at the end of an epoch, at most every 50 steps; in between, the newest value
    stands.

    Args:
        records: what to start from, as ``to_dict()["epochs"]`` gives it.
        info: what holds for the whole fit: configuration, target and where it comes from, steps, versions.
    """

    preprocess: Callable[..., Any] | None = None  # that of the fit, for ``evaluate``; no part of what is written

    def __init__(self, records: Mapping[str, list[float]] | None = None, info: Mapping[str, Any] | None = None) -> None:
        self._records: dict[str, list[float]] = {key: list((records or {}).get(key, [])) for key in KEYS}
        self.info: dict[str, Any] = dict(info or {})

    def add(self, **values: float) -> FitHistory:
        """Append an epoch; a key that was not measured becomes NaN. Returns itself."""
        unknown = sorted(set(values) - set(KEYS))
        if unknown:
            raise ValueError(f"history keys must be among {', '.join(KEYS)}, got {', '.join(unknown)}")
        for key in KEYS:
            self._records[key].append(float(values.get(key, float("nan"))))
        return self

    def __getitem__(self, key: str) -> list[float]:
        """The numbers of one key."""
        return self._records[key]

    def __iter__(self) -> Iterator[str]:
        """The keys."""
        return iter(self._records)

    def __len__(self) -> int:
        """The number of keys."""
        return len(self._records)

    @property
    def epochs(self) -> int:
        """How many epochs were measured."""
        return len(self._records["loss"])

    def last(self) -> dict[str, float]:
        """The numbers of the last epoch."""
        return {key: values[-1] for key, values in self._records.items() if values}

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON; what was not measured, or not finite, is None."""
        clean = {key: [value if math.isfinite(value) else None for value in values] for key, values in self.items()}
        return {"info": self.info, "epochs": clean}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FitHistory:
        """The inverse of ``to_dict``."""
        number = {key: [float("nan") if v is None else v for v in values] for key, values in data["epochs"].items()}
        return cls(number, data["info"])

    def save(self, path: str | Path) -> Path:
        """Write it as JSON, atomically."""
        return write_atomically(path, json.dumps(self.to_dict(), indent=1).encode())

    def plot(self, path: str | Path | None = None) -> Any:
        """The loss curves of augmenter and discriminator; see :func:`learned_affine.plots.plot_history`."""
        return plot_history(self, path)

    def __getstate__(self) -> dict[str, Any]:
        """A ``preprocess`` that does not pickle, as a lambda, stays behind."""
        try:
            pickle.dumps(self.preprocess)
        except Exception:  # a user's class may raise anything
            return {**vars(self), "preprocess": None}
        return dict(vars(self))

    def __repr__(self) -> str:
        """The last epoch in a line."""
        shown = ", ".join(f"{k}={self._records[k][-1]:.3g}" for k in ("entropy", "displacement") if self._records[k])
        return f"FitHistory({self.epochs} epochs{', ' + shown if shown else ''})"


def about_run(classifier: Any, loader: Any) -> dict[str, Any]:
    """What a policy was fitted to and by what, for its weights file: kinds, counts and versions."""
    count = length_of(getattr(loader, "dataset", ()))
    counted = {"images": count} if count else {}
    versions = {"learned_affine": __version__} | {name: _version(name) for name in ("torch", "torchvision", "kornia")}
    return {"classifier": type(classifier).__name__, **counted, "versions": versions}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # built from source, and not installed
        return "unknown"
