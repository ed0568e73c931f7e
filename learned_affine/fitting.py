"""Stage 2 of the paper: ``fit`` an augmenter to a frozen classifier, pass by pass over a loader."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from learned_affine.by_values import ByValues
from learned_affine.checkpoint import find_checkpoint
from learned_affine.config import FitConfig
from learned_affine.diagnostics import check_fit, warn_all
from learned_affine.fitter import Fitter, Step
from learned_affine.frozen import frozen, logits_of, unpack
from learned_affine.history import FitHistory
from learned_affine.inputs import about_run, callback_list, check_arguments, check_pixel_range, peek, seed_cpu
from learned_affine.localization import HEADS, RawHead
from learned_affine.logs import FitLog
from learned_affine.processes import Processes, classifier_device
from learned_affine.run import Run

if TYPE_CHECKING:
    from learned_affine.transform import LearnedAffineAugment


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
        preprocess: between augmenter and classifier, for instance ``v2.Normalize(...)``.
        val_loader: images that the classifier was *not* trained on, with labels; what warps cost it on them decides how
            wide policies are. Up to 1,024 of the first 4,000 are kept in memory.
        device: where to compute; the classifier's device if None.
        seed: of weights, noise and data order; None for a random one.
        max_steps: stop after so many steps, earlier ones included.
        callbacks: called after each step with a dict of its number and measures, in the main process alone. An
            exception ends the fit, and is passed on.
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
        classify = partial(_classify, classifier, preprocess)
        players = ByValues if config.by_values else Fitter
        fitter = players(fitted, classify, config, processes, where, seed)
        if preprocess is not None and processes.is_main:
            check_pixel_range(first[0])
        log = FitLog(log_dir, progress, processes.is_main)
        run = Run(fitter, read, loader, val_loader, callbacks, checkpoint, log)
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


__all__ = ["FitConfig", "FitHistory", "fit"]
