"""``FitHistory``: what was measured during a fit, one number per round and key."""

from __future__ import annotations

import copy
import json
import math
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from learned_affine._files import write_atomically
from learned_affine.plots.curves import plot_history

Round = dict[str, float]  # what was measured in it
KEYS = (
    *("loss", "discriminator_loss", "cost", "budget", "price"),
    *("kl", "symmetry_kl", "symmetry_chance", "symmetry_spread", "between_image_variance"),
    *("accuracy", "agreement", "entropy", "displacement", "visible_area", "seconds"),
)


class FitHistory(dict[str, list[float]]):
    """Lists of one number per round, a dict by the names in ``KEYS``.

    Of held-out images, where there are any: ``cost``, how many nats more an augmented image costs the classifier than
    the same image resampled (in the last round, estimated from three), with the ``budget`` that it should come to and
    the ``price`` of a nat by which it does;
    ``accuracy`` and ``agreement`` with the clean prediction on augmented images; ``entropy``, by which share of its
    maximum the output's entropy rises; ``displacement`` (a share of the image side, without symmetries) and
    ``visible_area``.
    Of their policies: ``kl``, the divergence from the prior in nats, ``symmetry_kl`` the symmetries' part of it;
    ``symmetry_chance``, the mean chance of another symmetry than the identity, and its standard deviation between
    images ``symmetry_spread``; ``between_image_variance``, the share of the parameters' variance that lies between
    images. ``loss`` is the error of the regressed costs in nats, in the paper's objective the augmenter's loss.

    Args:
        records: what to start from, as ``to_dict()["rounds"]`` gives it.
        info: what holds for the whole fit: configuration, target and where it comes from, versions, and class by class
            what symmetries cost (``classes_moved``).
    """

    preprocess: Callable[..., Any] | None = None  # that of the fit, for ``evaluate``; no part of what is written

    def __init__(self, records: Mapping[str, list[float]] | None = None, info: Mapping[str, Any] | None = None) -> None:
        records = records or {}
        _check_keys(records)
        super().__init__({key: list(records.get(key, [])) for key in KEYS})
        lengths = {len(values) for values in self.values() if values}
        if len(lengths) > 1:
            raise ValueError(f"records must be lists of one length, got {min(lengths)} and {max(lengths)} numbers")
        self.info = dict(info or {})

    def add(self, **values: float) -> FitHistory:
        """Append a round; a key that was not measured becomes NaN. Returns itself."""
        _check_keys(values)
        rounds = self.rounds
        for key, found in self.items():
            found += [math.nan] * (rounds - len(found))  # a file has no "seconds"
            found.append(float(values.get(key, math.nan)))
        return self

    @property
    def rounds(self) -> int:
        """How many rounds were measured."""
        return max(map(len, self.values()))

    def last(self) -> dict[str, float]:
        """The numbers of the last round."""
        return {key: values[-1] for key, values in self.items() if values}

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON; what was not measured, or not finite, is None."""
        return {"info": without_nan(self.info), "rounds": without_nan(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FitHistory:
        """The inverse of ``to_dict``."""
        number = {key: [float("nan") if v is None else v for v in values] for key, values in data["rounds"].items()}
        return cls(number, data["info"])

    def save(self, path: str | Path) -> Path:
        """Write it as JSON, atomically."""
        return write_atomically(path, json.dumps(self.to_dict(), indent=1).encode())

    def plot(self, path: str | Path | None = None) -> Any:
        """What was measured, round by round; see :func:`learned_affine.plots.plot_history`."""
        return plot_history(self, path)

    def __deepcopy__(self, memo: dict[int, Any]) -> FitHistory:
        twin = FitHistory(self, copy.deepcopy(self.info, memo))
        twin.preprocess = self.preprocess  # a copy of it would be another function, or a second model
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """A ``preprocess`` that does not pickle, as a lambda, stays behind."""
        try:
            pickle.dumps(self.preprocess)
        except Exception:  # a user's class may raise anything
            return {**vars(self), "preprocess": None}
        return dict(vars(self))

    def __repr__(self) -> str:
        """The last round in a line."""
        shown = ", ".join(f"{k}={self[k][-1]:.3g}" for k in ("cost", "displacement") if self[k])
        return f"FitHistory({self.rounds} rounds{', ' + shown if shown else ''})"


def _check_keys(keys: Iterable[str]) -> None:
    unknown = sorted(set(keys) - set(KEYS))
    if unknown:
        raise ValueError(f"history keys must be among {', '.join(KEYS)}, got {', '.join(unknown)}")


def without_nan(value: Any) -> Any:
    """Plain values with None for what is not finite, since JSON has no NaN and no infinity."""
    if isinstance(value, dict):
        if wrong := [key for key in value if not isinstance(key, str)]:
            raise TypeError(f"history.info must have strings as keys, as JSON has, got {wrong[0]!r}")
        return {key: without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Progress:
    """The history of a fit under way, a progress bar, and the callbacks."""

    def __init__(
        self, history: FitHistory, callbacks: Sequence[Callable[[Round], Any]], progress: bool | None, rounds: int
    ) -> None:
        self.history, self.callbacks = history, callbacks
        self.bar = tqdm(desc="fit", unit="round", total=rounds, disable=None if progress is None else not progress)

    def say(self, text: str) -> None:
        """A line above the bar, where there is one."""
        if not self.bar.disable:
            self.bar.write(text)

    def add(self, entry: Round) -> None:
        """A round was measured."""
        self.history.add(**entry)
        shown = {name: f"{entry[name]:.3g}" for name in ("cost", "budget", "entropy") if name in entry}
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update()
        for callback in self.callbacks:
            callback({"round": self.history.rounds, **entry})
