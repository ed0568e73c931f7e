"""Stage 2 of the paper: ``fit`` an augmenter to a frozen classifier, pass by pass over a loader."""

from __future__ import annotations

import itertools
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from learned_affine.checkpoint import find_checkpoint, read_checkpoint, write_checkpoint
from learned_affine.config import FitConfig
from learned_affine.diagnostics import StoppedFitWarning, check_fit, warn_all
from learned_affine.fitter import Fitter, Step
from learned_affine.frozen import frozen, logits_of, unpack
from learned_affine.history import FitHistory
from learned_affine.inputs import (
    about_run,
    callback_list,
    check_arguments,
    check_pixel_range,
    length_of,
    order_of,
    peek,
    seed_cpu,
)
from learned_affine.localization import HEADS, RawHead
from learned_affine.logs import FitLog
from learned_affine.processes import Processes, classifier_device
from learned_affine.targets import Read, classify_some, find_target

if TYPE_CHECKING:
    from learned_affine.transform import LearnedAffineAugment

MEASURED_BATCHES = 2  # batches that an epoch's measures are taken on, so that their cost does not grow with the data
CHECKPOINT_STEPS = 200  # a checkpoint at least this often, within a long epoch too
STEP_KEYS = ("loss", "discriminator_loss", "dual", "kl", "entropy", "cross_entropy", "displacement")


def fit(
    augment: LearnedAffineAugment | type[LearnedAffineAugment],
    classifier: Any,
    loader: Iterable[Any],
    *,
    config: FitConfig | None = None,
    preprocess: Callable[[Tensor], Tensor] | None = None,
    val_loader: Iterable[Any] | None = None,
    device: torch.device | str | None = None,
    seed: int | None = 0,
    max_steps: int | None = None,
    callbacks: Callable[[Step], Any] | Iterable[Callable[[Step], Any]] = (),
    log_dir: str | Path | None = None,
    checkpoint: str | Path | None = None,
    resume: bool | str | Path = False,
    progress: bool | None = None,
    accelerator: Any = None,
    image_key: str | None = None,
    label_key: str | None = None,
    **arguments: Any,
) -> LearnedAffineAugment:
    """Learn, for each image, the range of warps that teaches ``classifier`` most. The classifier comes back untouched.

    Args:
        augment: an augmenter, which is fitted, or its class, of which one is made first.
        classifier: a module or callable from ``(B, C, H, W)`` to logits ``(B, m)``, or to something with ``.logits``.
        loader: an iterable of ``(images, labels)``, ``images``, dicts, or tuples with more fields; the images that
            the classifier was trained on.
        config: the dials, see :class:`FitConfig`; the default needs no choice.
        preprocess: differentiable, between augmenter and classifier, for instance ``v2.Normalize(...)``.
        val_loader: images that the classifier was *not* trained on; the target is measured on them.
        device: where to compute; the classifier's device if None.
        seed: of weights, noise and data order; None for a random one.
        max_steps: stop after so many steps, earlier ones included.
        callbacks: called after each step with a dict of its number and measures.
        log_dir: folder for TensorBoard.
        checkpoint: folder to write a checkpoint to, at least every epoch.
        resume: True to go on from ``checkpoint`` if there is one, or the path of one.
        progress: a progress bar; if None, where the output is a terminal.
        accelerator: your own ``accelerate.Accelerator``; under torchrun one is made.
        image_key, label_key: of dict batches with unusual keys.
        **arguments: of the constructor, where ``fit`` is called on the class.

    Returns:
        The augmenter, with ``.history``.

    Raises:
        TypeError, ValueError: naming the argument, the rule and what came.
        FileNotFoundError: if ``resume`` is a path where there is no checkpoint.

    Warns:
        FitWarning: one of its kinds, where the fit did not lead to a useful policy.

    Example:
        >>> from learned_affine import LearnedAffineAugment
        >>> images, labels = torch.rand(64, 1, 8, 8), torch.arange(64) % 2
        >>> classifier = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
        >>> loader = [(images, labels)]
        >>> augment = LearnedAffineAugment.fit(classifier, loader, max_steps=3, val_loader=loader)
        >>> augment.history.epochs
        3

    Source: the paper, section 3.2; the objective is that of :mod:`learned_affine.objectives`.
    """
    config = FitConfig() if config is None else config
    check_arguments(config, classifier, preprocess, val_loader, seed, max_steps)
    callbacks = callback_list(callbacks)
    seed = int(torch.randint(2**31, ())) if seed is None else seed
    processes = Processes(accelerator, device)
    where = processes.device or classifier_device(classifier)
    read = partial(unpack, image_key=image_key, label_key=label_key)
    with torch.random.fork_rng(devices=[]), frozen(classifier, where):
        seed_cpu(seed)
        loader, first = peek(loader, read)
        fitted = _augmenter(augment, first[0], config, arguments)
        home = fitted.localization.head.weight.device
        fitter = Fitter(fitted, partial(_classify, classifier, preprocess), config, processes, where, seed)
        if preprocess is not None:
            check_pixel_range(first[0])
        log = FitLog(log_dir, progress, processes.is_main)
        run = _Run(fitter, read, loader, val_loader, callbacks, checkpoint, log)
        try:
            run.start(find_checkpoint(resume, checkpoint), first)
            run.history.info |= about_run(classifier, loader)
            run.to_end(max_steps)
        finally:
            log.close()
            fitted.localization.to(home).eval()
    if processes.is_main:
        warn_all(check_fit(fitted.history, fitted.history.info["classes"], isinstance(fitted.localization, RawHead)))
    return fitted


class _Run:
    """A fit under way: where the batches come from and where measures, logs and checkpoints go."""

    def __init__(
        self,
        fitter: Fitter,
        read: Read,
        loader: Iterable[Any],
        val_loader: Iterable[Any] | None,
        callbacks: list[Callable[[Step], Any]],
        checkpoint: str | Path | None,
        log: FitLog,
    ) -> None:
        self.fitter, self.read, self.callbacks, self.checkpoint, self.log = fitter, read, callbacks, checkpoint, log
        self.loader, self.val_loader = fitter.processes.share(loader), val_loader
        self.history = FitHistory()
        self.sums: Step = {}  # of the epoch's steps so far
        self.order: Tensor | None = None  # the state of the loader's own generator at the start of the epoch
        self.epochs = fitter.config.epochs
        if self.epochs is not None:
            length = length_of(self.loader)
            fitter.steps = sys.maxsize if length is None else self.epochs * length

    def start(self, resume: Path | None, first: tuple[Tensor, Tensor | None]) -> None:
        """Measure the target, or go back to where a checkpoint was written."""
        fitter = self.fitter
        if resume is not None:
            state = read_checkpoint(resume, fitter.description())
            fitter.load_state(state["fitter"])
            self.history, self.sums = FitHistory.from_dict(state["history"]), dict(state["sums"])
            self.order = state["order"]
            if self.order is not None and order_of(self.loader) is not None:
                self.loader.generator.set_state(self.order)  # type: ignore[attr-defined]
        else:
            classes = classify_some(fitter, [first])[0].shape[1]
            fitter.target, source = find_target(fitter, self.loader, self.val_loader, self.read)
            self.history.info |= {
                "config": fitter.config.to_dict(),
                "seed": fitter.seed,
                "classes": classes,
                "target": fitter.target,
                "target_source": source,
                "steps": 0,
            }
            self.log.say(f"target {fitter.target:.4g} from {source}")
        fitter.augment.history = self.history

    def to_end(self, max_steps: int | None) -> None:
        """Pass over the loader until the steps are done, or a number is not finite."""
        fitter = self.fitter
        end = fitter.steps if max_steps is None else min(fitter.steps, max_steps)
        self.log.start(end if end < sys.maxsize else None, fitter.step)
        going = True
        while going and fitter.step < end and (self.epochs is None or fitter.epoch < self.epochs):
            going = self._epoch(end)
        self._write()

    def _epoch(self, end: int) -> bool:
        """One pass over the loader, or what is left of it; False if that was the end."""
        fitter, start, seen = self.fitter, time.perf_counter(), 0
        seed_cpu(fitter.seed * 100_003 + fitter.epoch)  # the order of the data follows from the epoch alone
        if fitter.step_in_epoch == 0:
            self.order = order_of(self.loader)
        skip, finite, batch = fitter.step_in_epoch, True, None
        batches = iter(self.loader)
        for number, batch in enumerate(batches):
            if number < skip:
                continue
            images, labels = self.read(batch)
            values = fitter.train_step(images, labels)
            if values is None:
                finite = False
                break
            seen += len(images)
            self._note(values)
            if fitter.step >= end:
                if self._at_epoch_end():
                    next(batches, None)  # a sampler draws once more as its pass ends
                break
            if fitter.step % CHECKPOINT_STEPS == 0:
                self._write()
        if batch is None or (seen == 0 and finite and fitter.step_in_epoch == 0):
            return False  # an iterator that gives its batches once is used up
        if not finite:
            warnings.warn(StoppedFitWarning(_stopped_text(fitter.step)), stacklevel=5)
        complete = fitter.step < end or self._at_epoch_end()
        self._record(batch, time.perf_counter() - start, seen, complete)
        return finite

    def _at_epoch_end(self) -> bool:
        length = length_of(self.loader)
        return length is not None and self.fitter.step_in_epoch >= length

    def _note(self, values: Step) -> None:
        """Take down a step: sums for the epoch, the bar, the log, the callbacks."""
        for key, value in {**values, "steps": 1.0}.items():
            self.sums[key] = self.sums.get(key, 0.0) + value
        self.history.info["steps"] = self.fitter.step
        self.log.step(self.fitter.step, values)
        for callback in self.callbacks:
            callback({"step": self.fitter.step, **values})

    def _record(self, batch: Any, seconds: float, seen: int, complete: bool) -> None:
        """Measure the policy, and add an epoch to the history; one that was cut short is kept for resuming, too."""
        means = {key: value / self.sums["steps"] for key, value in self.sums.items()} if self.sums else {}
        measured = self._measure(batch)
        entry = {key: means[key] for key in STEP_KEYS if key in means}
        entry |= {"seconds": seconds, "images_per_second": seen / max(seconds, 1e-9)}
        entry |= {
            key: measured[key] for key in ("agreement", "between_image_variance", "visible_area") if key in measured
        }
        if self.val_loader is not None:
            entry["val_loss"] = measured.get("loss", float("nan"))
            entry["val_discriminator_loss"] = measured.get("discriminator_loss", float("nan"))
        snapshot = self.history.to_dict() if not complete else None
        self.history.add(**entry)
        self.log.epoch(self.fitter, entry, batch, self.read)
        if complete:
            self.fitter.epoch, self.fitter.step_in_epoch, self.sums = self.fitter.epoch + 1, 0, {}
        self._write(snapshot)

    def _measure(self, batch: Any) -> Step:
        """Mean measures over some unseen batches, or over the last batch where there are none."""
        fitter, noise = self.fitter, torch.Generator().manual_seed((self.fitter.seed + 1) % 2**63)
        with torch.random.fork_rng(devices=[]):
            seed_cpu(fitter.seed)
            source = [batch] if self.val_loader is None else itertools.islice(self.val_loader, MEASURED_BATCHES)
            found = [fitter.measure(*self.read(one), noise) for one in source]
        keys = set.intersection(*(set(one) for one in found)) if found else set()
        return {key: sum(one[key] for one in found) / len(found) for key in keys}

    def _write(self, history: dict[str, Any] | None = None) -> None:
        """Write a checkpoint; ``history`` if the current one holds an epoch that was cut short."""
        if self.checkpoint is None or not self.fitter.processes.is_main:
            return
        if history is None and self.fitter.step_in_epoch and self._cut_short():
            return  # written a moment ago, with the history that resuming needs
        order = self.order if self.fitter.step_in_epoch else order_of(self.loader)
        state = {"fitter": self.fitter.state(), "config": self.fitter.description(), "sums": self.sums, "order": order}
        write_checkpoint(self.checkpoint, {**state, "history": history or self.history.to_dict()})

    def _cut_short(self) -> bool:
        return self.history.epochs > self.fitter.epoch


def _classify(classifier: Any, preprocess: Callable[[Tensor], Tensor] | None, images: Tensor) -> Tensor:
    """The classifier's logits of images that ``preprocess`` has not seen yet."""
    return logits_of(classifier, images if preprocess is None else preprocess(images))


def _augmenter(augment: Any, images: Tensor, config: FitConfig, arguments: dict[str, Any]) -> LearnedAffineAugment:
    """The augmenter to fit: the given one, or a new one whose network looks at the channels of ``images``."""
    head = HEADS[config.head]
    if isinstance(augment, type):
        given = arguments.get("localization")
        made: LearnedAffineAugment = augment(**{**arguments, "localization": given or head(images.shape[1])})
        return made
    if arguments:
        raise TypeError(f"fit on an instance takes no constructor arguments, got {', '.join(arguments)}")
    fitted: LearnedAffineAugment = augment
    if not isinstance(fitted.localization, head):
        fitted.localization = head(fitted.localization.channels).eval()
    return fitted


def _stopped_text(step: int) -> str:
    return (
        f"the fit stopped after step {step} since a loss, gradient or warp was not finite; the last good weights are "
        "kept. Lower learning_rate, or use a bounded head."
    )


__all__ = ["FitConfig", "FitHistory", "fit"]
