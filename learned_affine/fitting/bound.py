"""Stage 2 of the paper: fit a policy to a frozen classifier."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar, overload

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from learned_affine._checks import explain_keywords, warn_caller
from learned_affine.config import FitConfig
from learned_affine.diagnostics.checks import check_fit, check_logits, check_pixel_range, check_set_up
from learned_affine.fitting.fit import Fit
from learned_affine.fitting.history import FitHistory, about_run
from learned_affine.fitting.judge import Judge
from learned_affine.fitting.paper import fit_as_in_the_paper
from learned_affine.fitting.processes import Processes, seed_cpu
from learned_affine.fitting.resampling import CANDIDATES, check_resampling, choose_interpolation, resampling_costs
from learned_affine.fitting.target import Target, measure_target
from learned_affine.geometry.limits import AffineLimits
from learned_affine.geometry.warp import Fill, Interpolation, PaddingMode
from learned_affine.policy.network import LocalizationNetwork
from learned_affine.policy.raw_head import RawHead
from learned_affine.tasks.batches import Batch, Read, class_names, counting_in, labelled, peek, untouched
from learned_affine.tasks.classification import MultiLabel, SingleLabel
from learned_affine.tasks.frozen import classifier_device, frozen
from learned_affine.tasks.model import Model, probe, task_of
from learned_affine.tasks.targets import GONE as RENAMED
from learned_affine.tasks.targets import LabelMap, label_map_of
from learned_affine.transforms.transform import PolicyTransform

Metrics = dict[str, float]
GONE = RENAMED | {  # keywords of version 0.2, and what to do instead
    "checkpoint": "a fit lasts seconds: fit anew, and keep the result with save_pretrained",
    "resume": "a fit lasts seconds: fit anew, and keep the result with save_pretrained",
    "log_dir": "callbacks are called after each round with what was measured; two lines write it to TensorBoard",
    "max_steps": "FitConfig(rounds=, images=) says how long a fit is",
}
T = TypeVar("T", bound=PolicyTransform)


class BoundFit(Generic[T]):
    """``fit`` of an augmenter, which it fits, or of the class, of which it makes one first."""

    def __init__(self, augment: T | type[T]) -> None:
        self.augment = augment

    @explain_keywords("fit", GONE)
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
        label_map: Mapping[str, Any] | None = None,
        device: torch.device | str | None = None,
        seed: int | None = 0,
        callbacks: Callable[[Metrics], Any] | Iterable[Callable[[Metrics], Any]] = (),
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
            label_map: what labels become in a symmetry, ``{"mirror": rule, "quarter_turn": rule}``, of an image that is
                flipped left-right or rotated by a quarter turn, clockwise. A rule is a permutation of the classes or of
                the key points, or a function of a batch's labels. None: labels stay.
            val_loader: held-out images of any sizes, which the classifier was *not* trained on, with labels; what warps
                cost it on them decides how wide policies are. At least 20, better 400; up to 1,024 of the first 4,000
                are kept in memory.
            device: where to compute; the classifier's device if None.
            seed: of weights, noise and data order; None for a random one.
            callbacks: called after each round with a dict of its number (``"round"``) and what was measured, in the
                main process alone; two lines write it to TensorBoard. An exception ends the fit, and is passed on.
            progress: a progress bar; if None, where the output is a terminal.
            accelerator: your own ``accelerate.Accelerator``; under torchrun one is made. The processes share the
                judging of warped images, and each has the same policy in the end.
            image_key, label_key: of dict batches with unusual keys.
            limits, localization, p, strength, deterministic: of the constructor, where ``fit`` is called on the class;
                None for its default.
            interpolation: likewise; None: ``"bilinear"``, or ``"sharp"`` where bilinear resampling alone costs the
                classifier more than a tenth of what transforms may cost. ``history.info`` has both costs.
            padding_mode, fill, generator: likewise.

        Returns:
            The augmenter, with ``.history``.

        Raises:
            TypeError, ValueError: naming the argument, the rule and what came.

        Warns:
            FitWarning: one of its kinds, where the fit did not lead to a useful policy, or there is little to gain.

        Example:
            >>> from learned_affine import FitConfig, LearnedAffineAugment
            >>> images, labels = torch.rand(64, 1, 8, 8), torch.arange(64) % 2
            >>> classifier = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
            >>> loader = [(images, labels)]
            >>> augment = LearnedAffineAugment.fit(classifier, loader, config=FitConfig(rounds=2), val_loader=loader)
            >>> augment.history.rounds
            5

        Source: the paper, section 3.2, for its two losses.
        """
        given: dict[str, Any] = {"limits": limits, "localization": localization, "p": p, "strength": strength}
        given |= {"deterministic": deterministic, "interpolation": interpolation, "padding_mode": padding_mode}
        given |= {"fill": fill, "generator": generator}
        arguments = {name: value for name, value in given.items() if value is not None}
        config = FitConfig() if config is None else config
        _check_arguments(config, classifier, preprocess, val_loader, seed)
        callbacks = _callback_list(callbacks)
        seed = int(torch.randint(2**31, ())) if seed is None else seed
        processes = Processes(accelerator, device)
        where = processes.device or classifier_device(classifier)
        model = _model(classifier, preprocess, config, task_of(task, loss), label_map_of(label_map))
        read = partial(model.read, image_key=image_key, label_key=label_key)
        with torch.random.fork_rng(devices=[]), untouched(loader, val_loader), frozen(classifier, where):
            seed_cpu(seed)
            loader, first = peek(loader, read)
            chooses = isinstance(self.augment, type) and interpolation is None
            fitted = _augmenter(self.augment, first[0], config, arguments)
            if preprocess is not None and processes.is_main:
                check_pixel_range(first[0])
            data = _Data(loader, val_loader, read, first)
            show = _Show(callbacks, progress, processes.is_main)
            with _at_work(fitted.localization, where), show:
                run = _run_paper if config.objective == "paper" else _run
                run(fitted, model, config, data, processes, where, seed, chooses, show)
            fitted.history.info |= about_run(classifier, loader)
            fitted.history.preprocess = preprocess
        if processes.is_main:
            for alarm in check_fit(fitted.history, isinstance(fitted.localization, RawHead)):
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


class _Data(NamedTuple):
    """Where a fit's images come from."""

    loader: Iterable[Any]
    val_loader: Iterable[Any] | None
    read: Read
    first: Batch

    def training(self, number: int = 0) -> Iterable[Batch]:
        """The loader's batches in a pass; samplers, datasets and loaders that follow the epoch are told which it is."""
        for one in counting_in(self.loader):
            one.set_epoch(number)
        return labelled(self.loader, self.read)

    def held_out(self) -> Iterable[Batch]:
        """Those of ``val_loader``."""
        assert self.val_loader is not None
        return labelled(self.val_loader, self.read, "val_loader")


class _Show:
    """The progress bar and the callbacks."""

    def __init__(self, callbacks: list[Callable[[Metrics], Any]], progress: bool | None, is_main: bool) -> None:
        self.callbacks, self.is_main, self.number = callbacks, is_main, 0
        self.bar = tqdm(
            desc="fit", unit="round", disable=True if not is_main else None if progress is None else not progress
        )

    def __enter__(self) -> _Show:
        return self

    def __exit__(self, *_: Any) -> None:
        self.bar.close()

    def say(self, text: str) -> None:
        """A line above the bar, where there is one."""
        if not self.bar.disable:
            self.bar.write(text)

    def __call__(self, entry: Metrics) -> None:
        """A round is over."""
        self.number += 1
        shown = {name: f"{entry[name]:.3g}" for name in ("cost", "budget", "entropy") if name in entry}
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update()
        if self.is_main:
            for callback in self.callbacks:
                callback({"round": self.number, **entry})


@contextmanager
def _at_work(network: nn.Module, device: torch.device) -> Iterator[None]:
    """The network on a device with gradients, and as it was afterwards."""
    home = next(network.parameters()).device
    network.to(device).train().requires_grad_(True)
    try:
        yield
    finally:
        network.to(home).eval().requires_grad_(False)


def _run(
    fitted: PolicyTransform,
    model: Model,
    config: FitConfig,
    data: _Data,
    processes: Processes,
    device: torch.device,
    seed: int,
    chooses: bool,
    show: _Show,
) -> None:
    """The default fit of an augmenter. ``chooses``: whether it chooses the interpolation."""
    outputs = _probe(model, data, device, processes.is_main)
    held_out = None if data.val_loader is None else data.held_out
    target, pool = processes.from_main(measure_target(model, config, data.training, held_out, device, seed))
    model.temperature = target.temperature
    judge = Judge(fitted, model, pool, processes, device)
    if config.target is None and held_out is not None:  # a target of the user's own stays as it is
        target = _with_resampling(target, judge, seed, chooses)
    assert isinstance(fitted.localization, LocalizationNetwork)
    fit = Fit(judge, fitted.localization, config, target.budget, seed)
    fitted.history = fit.history
    fit.history.info |= {
        **_info(fitted, model, config, seed, outputs),
        "target": target.value,
        "target_source": target.source,
        **target.measures,
        "held_on": "training" if held_out is None else "held-out",
        "processes": processes.count,
    }
    classes = fit.history.info["classes"]
    names = None if held_out is None else class_names(data.val_loader, classes) or class_names(data.loader, classes)
    if names is not None:
        fit.history.info["class_names"] = names
    if processes.is_main:
        show.say(f"target {target.value:.4g} from {target.source}")
        check_set_up(fit.history.info, show.say)
    fit.run(show)


def _run_paper(
    fitted: PolicyTransform,
    model: Model,
    config: FitConfig,
    data: _Data,
    processes: Processes,
    device: torch.device,
    seed: int,
    chooses: bool,
    show: _Show,
) -> None:
    """The paper's own procedure."""
    if isinstance(data.loader, Iterator) and config.rounds > 1:
        raise ValueError(
            f"loader must be one that can be passed over again for the paper's objective, whose {config.rounds} rounds "
            "are passes over it, got an iterator"
        )
    outputs = _probe(model, data, device, processes.is_main, through_gradient=True)
    fitted.history = FitHistory(info=_info(fitted, model, config, seed, outputs))
    fit_as_in_the_paper(fitted, model, config, data.training, device, fitted.history, show)
    fitted.localization.load_state_dict(processes.from_main(fitted.localization.state_dict()))


def _probe(model: Model, data: _Data, device: torch.device, is_main: bool, through_gradient: bool = False) -> Tensor:
    """Outputs of the first images, once it is clear that a fit can learn from them."""
    images, labels = data.first
    outputs = probe(model, images.to(device), labels, through_gradient)
    if not model.task.is_loss and is_main:
        check_logits(outputs)
    if model.label_map is not None:
        model.label_map.check(0 if model.task.is_loss else outputs.shape[1])
    return outputs


def _info(fitted: PolicyTransform, model: Model, config: FitConfig, seed: int, outputs: Tensor) -> dict[str, Any]:
    """What the history says of any fit."""
    followed = {} if model.label_map is None else {"label_map": model.label_map.to_dict()}
    return {
        **followed,
        "config": config.to_dict(),
        "localization": fitted.localization.arguments(),
        "seed": seed,
        "task": model.task.name,
        "classes": 0 if model.task.is_loss else outputs.shape[1],
        "chance": model.task.chance(outputs),
    }


def _with_resampling(target: Target, judge: Judge, seed: int, chooses: bool) -> Target:
    """The target with what resampling alone costs on top; the augmenter gets the interpolation that is chosen by it."""
    names = CANDIDATES if chooses else (str(judge.augment.interpolation),)
    costs = judge.processes.from_main(resampling_costs(judge, seed, names))
    chosen = choose_interpolation(costs, target.budget)
    judge.augment.interpolation = chosen  # type: ignore[assignment]  # checked as it is set
    cost = judge.resampling = max(costs[chosen], 0.0)
    if judge.processes.is_main:
        for alarm in check_resampling(cost, target.budget, chosen):
            warn_caller(alarm)
    source = f"{target.source}; resampling alone costs {cost:.3g} with {chosen} interpolation"
    measures = {**target.measures, **{f"resampling_{name}": value for name, value in costs.items()}}
    return dataclasses.replace(target, value=target.value + cost, source=source, resampling=cost, measures=measures)


def _model(classifier: Any, preprocess: Any, config: FitConfig, task: SingleLabel, label_map: LabelMap | None) -> Model:
    """The model, as far as its task and the dials go together."""
    if config.objective == "paper" and (task.is_loss or isinstance(task, MultiLabel)):
        raise ValueError(f"task must be one of classes for the paper's objective, got {task.name!r}")
    if config.labels == "predicted" and task.is_loss:
        raise ValueError("labels must be 'given' where loss is, since the model predicts none, got 'predicted'")
    labels: Any = config.labels if config.objective == "calibrated" else "optional"
    return Model(classifier, preprocess, labels, task, label_map)


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
    if config.objective == "paper":
        return RawHead(channels)
    return LocalizationNetwork(channels, symmetries=limits.symmetries)


def _check_arguments(config: Any, classifier: Any, preprocess: Any, val_loader: Any, seed: Any) -> None:
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
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
        raise TypeError(f"seed must be an int or None, got {type(seed).__name__}: {seed!r}")
    if val_loader is not None and not isinstance(val_loader, Iterable) and not hasattr(val_loader, "__getitem__"):
        raise TypeError(f"val_loader must be iterable, got {type(val_loader).__name__}")


def _callback_list(callbacks: Any) -> list[Callable[[dict[str, float]], Any]]:
    """One or several as a list."""
    found = [callbacks] if callable(callbacks) else list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
    for callback in found:
        if not callable(callback):
            raise TypeError(f"callbacks must be callable, got {type(callback).__name__}")
    return found
