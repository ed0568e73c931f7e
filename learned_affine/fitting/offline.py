"""Stage 2 of the paper: fit a policy to a frozen classifier."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

import torch
from torch import Tensor, nn

from learned_affine._checks import explain_keywords, warn_caller
from learned_affine.config import FitConfig
from learned_affine.diagnostics.checks import check_fit, check_logits, check_pixel_range, check_set_up
from learned_affine.fitting.history import about_run
from learned_affine.fitting.loop import FitLoop
from learned_affine.fitting.trainer import Metrics, PolicyTrainer
from learned_affine.geometry.limits import AffineLimits
from learned_affine.geometry.warp import Fill, Interpolation, PaddingMode
from learned_affine.objectives.adversary import Adversary
from learned_affine.objectives.resampling import CANDIDATES, check_resampling, choose_interpolation, resampling_costs
from learned_affine.objectives.target import Batches, Target, judge_some, keep_held_out, measure_target
from learned_affine.policy.network import LocalizationNetwork
from learned_affine.policy.raw_head import RawHead
from learned_affine.runtime.checkpoint import find_checkpoint, read_checkpoint
from learned_affine.runtime.distributed import Distributed, seed_cpu
from learned_affine.runtime.progress import FitLog
from learned_affine.tasks.batches import Batch, Read, labelled, peek, untouched
from learned_affine.tasks.classification import MultiLabel, SingleLabel
from learned_affine.tasks.frozen import classifier_device, frozen
from learned_affine.tasks.model import Model, probe, task_of
from learned_affine.tasks.targets import LabelMirror
from learned_affine.transforms.transform import PolicyTransform

T = TypeVar("T", bound=PolicyTransform)


class BoundFit(Generic[T]):
    """``fit`` of an augmenter, which it fits, or of the class, of which it makes one first."""

    def __init__(self, augment: T | type[T]) -> None:
        self.augment = augment

    @explain_keywords("fit")
    def __call__(
        self,
        classifier: Callable[..., Any],
        loader: Iterable[Any],
        *,
        val_loader: Iterable[Any] | None = None,
        config: FitConfig | None = None,
        preprocess: Callable[[Tensor], Tensor] | None = None,
        task: str | SingleLabel | None = None,
        loss: Callable[[Any, Any], Tensor] | None = None,
        label_mirror: Any = None,
        device: torch.device | str | None = None,
        seed: int | None = 0,
        max_steps: int | None = None,
        callbacks: Callable[[Metrics], Any] | Iterable[Callable[[Metrics], Any]] = (),
        log_dir: str | Path | None = None,
        checkpoint: str | Path | None = None,
        resume: bool | str | Path = False,
        progress: bool | None = None,
        accelerator: Any = None,
        image_key: str | None = None,
        label_key: str | None = None,
        limits: AffineLimits | None = None,
        localization: LocalizationNetwork | RawHead | None = None,
        p: float | None = None,
        strength: float | None = None,
        deterministic: bool | None = None,
        interpolation: Interpolation | None = None,
        padding_mode: PaddingMode | None = None,
        fill: Fill | Mapping[Any, Fill] | None = None,
        generator: torch.Generator | None = None,
    ) -> T:
        """Learn what may be done to each image. The classifier comes back untouched.

        On the class it makes a new augmenter, on an instance it fits that one.

        Args:
            classifier: a module or callable from ``(B, C, H, W)`` to logits ``(B, m)``, to something with ``.logits``,
                or to a dict with ``"logits"``. It sees images in the dtype and range that the loader gives.
            loader: an iterable of ``(images, labels)``, ``images``, dicts, or tuples with more fields; the images that
                the classifier was trained on, best without random augmentation.
            config: the dials, see :class:`learned_affine.FitConfig`; the default needs no choice.
            preprocess: between augmenter and classifier, for instance ``v2.Normalize(...)``.
            task: ``"single-label"`` (the default), ``"binary"``, ``"multi-label"``, or one of
                :mod:`learned_affine.tasks` with its options.
            loss: your own, ``function(output, targets) -> (B,)``, instead of a task; masks, boxes and key points that
                are ``tv_tensors`` move with their images first.
            label_mirror: what a mirrored image's label becomes: a permutation of the classes or of the key points, or a
                function of a batch's labels; None: it stays.
            val_loader: held-out images of any sizes, which the classifier was *not* trained on, with labels; what warps
                cost it on them decides how wide policies are. At least 20, better 400; up to 1,024 of the first 4,000
                are kept in memory.
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
            limits, localization, p, strength, deterministic: of the constructor, where ``fit`` is called on the class;
                None for its default.
            interpolation: likewise; None: the first of ``"bilinear"``, ``"sharp"`` and ``"bicubic"`` whose resampling
                alone costs the classifier at most a tenth of what warps may cost. ``history.info`` has the costs.
            padding_mode, fill, generator: likewise.

        Returns:
            The augmenter, with ``.history``.

        Raises:
            TypeError, ValueError: naming the argument, the rule and what came.
            FileNotFoundError: if ``resume`` is a path where there is no checkpoint.

        Warns:
            FitWarning: one of its kinds, where the fit did not lead to a useful policy, or there is little to gain.

        Example:
            >>> from learned_affine import LearnedAffineAugment
            >>> images, labels = torch.rand(64, 1, 8, 8), torch.arange(64) % 2
            >>> classifier = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
            >>> loader = [(images, labels)]
            >>> augment = LearnedAffineAugment.fit(classifier, loader, max_steps=3, val_loader=loader)
            >>> augment.history.epochs
            3

        Source: the paper, section 3.2; the objective is that of :mod:`learned_affine.objectives.objective`.
        """
        given: dict[str, Any] = {"limits": limits, "localization": localization, "p": p, "strength": strength}
        given |= {"deterministic": deterministic, "interpolation": interpolation, "padding_mode": padding_mode}
        given |= {"fill": fill, "generator": generator}
        arguments = {name: value for name, value in given.items() if value is not None}
        config = FitConfig() if config is None else config
        _check_arguments(config, classifier, preprocess, val_loader, seed, max_steps)
        callbacks = _callback_list(callbacks)
        seed = int(torch.randint(2**31, ())) if seed is None else seed
        processes = Distributed(accelerator, device)
        where = processes.device or classifier_device(classifier)
        model = _model(classifier, preprocess, config, task_of(task, loss), label_mirror)
        read = partial(model.read, image_key=image_key, label_key=label_key)
        with torch.random.fork_rng(devices=[]), untouched(loader, val_loader), frozen(classifier, where):
            seed_cpu(seed)
            loader, first = peek(loader, read)
            fitted = _augmenter(self.augment, first[0], config, arguments)
            home = fitted.localization.head.weight.device
            if preprocess is not None and processes.is_main:
                check_pixel_range(first[0])
            log = FitLog(log_dir, progress, processes.is_main)
            try:
                source = find_checkpoint(resume, checkpoint)
                chooses = isinstance(self.augment, type) and interpolation is None
                trainer, info = _prepare(
                    fitted, model, config, loader, val_loader, read, first, processes, where, seed, source, chooses
                )
                wanted = trainer.description()
                if chooses:
                    del wanted["interpolation"]  # the fit that is gone on with has chosen
                loop = FitLoop(trainer, read, loader, val_loader, callbacks, checkpoint, log)
                loop.begin(info, None if source is None else read_checkpoint(source, wanted))
                loop.history.info |= about_run(classifier, loader)
                loop.history.preprocess = preprocess
                if processes.is_main:
                    check_set_up(loop.history.info, log.say)
                loop.to_end(max_steps)
            finally:
                log.close()
                if isinstance(fitted.localization, LocalizationNetwork) and fitted.localization.mirrors:
                    fitted.localization.set_price(1.0)
                fitted.localization.to(home).eval().requires_grad_(False)
        if processes.is_main:
            history, is_raw = fitted.history, isinstance(fitted.localization, RawHead)
            for alarm in check_fit(history, history.info["classes"], is_raw):
                warn_caller(alarm)
        return fitted


class FitMethod:
    """Makes ``fit`` work on the class and on an instance, with the same signature."""

    @overload
    def __get__(self, instance: None, owner: type[T]) -> BoundFit[T]: ...

    @overload
    def __get__(self, instance: T, owner: type[T]) -> BoundFit[T]: ...

    def __get__(self, instance: T | None, owner: type[T]) -> BoundFit[T]:
        return BoundFit(owner if instance is None else instance)


def _prepare(
    fitted: PolicyTransform,
    model: Model,
    config: FitConfig,
    loader: Iterable[Any],
    val_loader: Iterable[Any] | None,
    read: Read,
    first: Batch,
    processes: Distributed,
    device: torch.device,
    seed: int,
    resume: Path | None,
    chooses: bool,
) -> tuple[PolicyTrainer, dict[str, Any]]:
    """The trainer, with its target measured, and what the history says of the fit.

    ``first`` is the first batch; ``chooses``: whether the fit chooses the interpolation.
    """
    network = fitted.localization.to(device).requires_grad_(True)
    adversary = Adversary(network.channels, config, processes, device) if config.adversarial_weight > 0 else None
    processes.broadcast_parameters(network)
    outputs = probe(model, first[0].to(device), first[1], config.objective == "paper")
    classes = 0 if model.task.is_loss else outputs.shape[1]
    if classes and processes.is_main:
        check_logits(outputs)
    if model.label_mirror is not None:
        model.label_mirror.check(classes)
    held_out = (
        None if val_loader is None or config.objective == "paper" else partial(labelled, val_loader, read, "val_loader")
    )
    if resume is None:
        training: Batches | None = partial(labelled, loader, read)
        if isinstance(loader, Iterator):  # that gives its batches once: the first stands for all, where it may
            training = None if held_out is None else lambda: [first]
        target = measure_target(model, config, training, held_out, processes, device, seed)
        target = _with_resampling(target, model, fitted, processes, device, seed, chooses)
    else:  # whose checkpoint has the target; the same held-out images are kept again
        target = Target(0.0, "checkpoint", held_out=None if held_out is None else keep_held_out(held_out, seed))
    trainer = PolicyTrainer(fitted, model, config, target, adversary, processes, device, seed)
    info = {
        "config": config.to_dict(),
        "localization": network.arguments(),
        "seed": seed,
        "task": model.task.name,
        "classes": classes,
        "chance": model.task.chance(outputs),
        "target": target.value,
        "target_source": target.source,
        **model.accuracies(training=judge_some(model, [first], len(first[0]), device)),  # of one batch, if of no more
        **target.measures,
        "held_on": "training" if target.held_out is None else "held-out",
        "processes": processes.count,
        "steps": 0,
    }
    return trainer, info


def _with_resampling(
    target: Target,
    model: Model,
    fitted: PolicyTransform,
    processes: Distributed,
    device: torch.device,
    seed: int,
    chooses: bool,
) -> Target:
    """The target with what resampling alone costs on top; the augmenter gets the interpolation that is chosen by it."""
    if target.held_out is None or target.budget is None:
        return target  # a target of the user's own stays as it is
    model.temperature = target.temperature
    names = CANDIDATES if chooses else (str(fitted.interpolation),)
    costs = processes.averages(resampling_costs(model, fitted, target.held_out, device, seed, names))
    chosen = choose_interpolation(costs, target.budget)
    fitted.interpolation = chosen  # type: ignore[assignment]  # checked as it is set
    cost = max(costs[chosen], 0.0)
    if processes.is_main:
        for alarm in check_resampling(cost, target.budget, chosen):
            warn_caller(alarm)
    source = f"{target.source}; resampling alone costs {cost:.3g} with {chosen} interpolation"
    measures = {**target.measures, **{f"resampling_{name}": value for name, value in costs.items()}}
    return dataclasses.replace(target, value=target.value + cost, source=source, measures=measures)


def _model(classifier: Any, preprocess: Any, config: FitConfig, task: SingleLabel, label_mirror: Any) -> Model:
    """The model, as far as its task and the dials go together."""
    if config.objective == "paper" and (task.is_loss or isinstance(task, MultiLabel)):
        raise ValueError(f"task must be one of classes for the paper's objective, got {task.name!r}")
    if config.labels == "predicted" and task.is_loss:
        raise ValueError("labels must be 'given' where loss is, since the model predicts none, got 'predicted'")
    labels: Any = config.labels if config.objective == "calibrated" else "optional"
    return Model(classifier, preprocess, labels, task, None if label_mirror is None else LabelMirror(label_mirror))


def _augmenter(augment: T | type[T], images: Tensor, config: FitConfig, arguments: Mapping[str, Any]) -> T:
    """The transform to fit: the given one, or a new one whose network observes the channels of ``images``."""
    if isinstance(augment, type):
        limits = arguments.get("limits") or AffineLimits()
        given = arguments.get("localization") or _network(images.shape[1], limits, config)
        return augment(**{**arguments, "localization": given})
    if arguments:
        raise TypeError(f"fit on an instance takes no constructor arguments, got {', '.join(arguments)}")
    if isinstance(augment.localization, RawHead) != (config.objective == "paper"):
        augment.localization = _network(augment.localization.channels, augment.limits, config).eval()
    return augment


def _network(channels: int, limits: AffineLimits, config: FitConfig) -> LocalizationNetwork | RawHead:
    return RawHead(channels) if config.objective == "paper" else LocalizationNetwork(channels, mirrors=limits.mirror)


def _check_arguments(config: Any, classifier: Any, preprocess: Any, val_loader: Any, seed: Any, max_steps: Any) -> None:
    """Raise a TypeError or ValueError that names the argument, the rule and what came."""
    if not isinstance(config, FitConfig):
        raise TypeError(f"config must be a FitConfig, got {type(config).__name__}")
    if not callable(classifier):
        raise TypeError(f"classifier must be callable, got {type(classifier).__name__}")
    if isinstance(classifier, nn.Module):
        for tensor in itertools.chain(classifier.parameters(), classifier.buffers()):
            if tensor.is_inference():
                raise ValueError(
                    "classifier must not be made under torch.inference_mode, whose tensors pass no gradient; got one "
                    "whose weights are: make or load it outside, or copy its state_dict into one that was"
                )
    if preprocess is not None and not callable(preprocess):
        raise TypeError(f"preprocess must be callable, got {type(preprocess).__name__}")
    for name, value in (("seed", seed), ("max_steps", max_steps)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise TypeError(f"{name} must be an int or None, got {type(value).__name__}: {value!r}")
    if max_steps is not None and max_steps < 1:
        raise ValueError(f"max_steps must be at least 1, got {max_steps}")
    if val_loader is not None and not isinstance(val_loader, Iterable) and not hasattr(val_loader, "__getitem__"):
        raise TypeError(f"val_loader must be iterable, got {type(val_loader).__name__}")
    if isinstance(val_loader, Iterator):
        raise ValueError("val_loader must be one that can be passed over again, got an iterator: give a list of it")


def _callback_list(callbacks: Any) -> list[Callable[[dict[str, float]], Any]]:
    """One or several as a list."""
    found = [callbacks] if callable(callbacks) else list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
    for callback in found:
        if not callable(callback):
            raise TypeError(f"callbacks must be callable, got {type(callback).__name__}")
    return found
