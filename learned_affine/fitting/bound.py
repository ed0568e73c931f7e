"""Stage 2 of the paper: fit a policy to a frozen classifier."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar, overload

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
from learned_affine.fitting.processes import Processes
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
CONSTRUCTOR = frozenset(inspect.signature(PolicyTransform).parameters)  # arguments that fit on the class takes, too
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
            limits, localization, p, strength, deterministic, padding_mode, fill, generator: the arguments of
                :class:`learned_affine.LearnedAffineAugment`, where ``fit`` is called on the class; None for its
                default.
            interpolation: likewise; None: ``"bilinear"``, or ``"sharp"`` where bilinear resampling alone costs the
                classifier more than a tenth of what transforms may cost. ``history.info`` has both costs.

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
        arguments = {name: value for name, value in locals().items() if name in CONSTRUCTOR and value is not None}
        config = FitConfig() if config is None else config
        listed = [callbacks] if callable(callbacks) or not isinstance(callbacks, Iterable) else [*callbacks]
        _check_arguments(config, classifier, preprocess, val_loader, seed, listed)
        seed = int(torch.randint(2**31, ())) if seed is None else seed
        processes = Processes(accelerator, device)
        where = processes.device or classifier_device(classifier)
        model = _model(classifier, preprocess, config, task_of(task, loss), label_map_of(label_map))
        read = partial(model.read, image_key=image_key, label_key=label_key)
        with torch.random.fork_rng(devices=[]), untouched(loader, val_loader), frozen(classifier, where):
            torch.default_generator.manual_seed(seed % 2**63)  # torch.manual_seed would also seed the user's GPUs
            loader, first = peek(loader, read)
            fitted = _augmenter(self.augment, first[0], config, arguments)
            if preprocess is not None and processes.is_main:
                check_pixel_range(first[0])
            show = _Show(listed, progress, processes.is_main)
            run = _Run(fitted, model, config, loader, val_loader, read, first, processes, where, seed, show)
            with _at_work(fitted.localization, where), closing(show.bar):
                if config.objective == "paper":
                    run.paper()
                else:
                    run.calibrated(chooses=isinstance(self.augment, type) and interpolation is None)
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


class _Show:
    """The progress bar and the callbacks, of the main process alone."""

    def __init__(self, callbacks: list[Callable[[Metrics], Any]], progress: bool | None, is_main: bool) -> None:
        self.callbacks, self.number = callbacks if is_main else [], 0
        hidden = True if not is_main else None if progress is None else not progress
        self.bar = tqdm(desc="fit", unit="round", disable=hidden)

    def say(self, text: str) -> None:
        """A line above the bar, where there is one."""
        if not self.bar.disable:
            self.bar.write(text)

    def __call__(self, entry: Metrics) -> None:
        self.number += 1
        shown = {name: f"{entry[name]:.3g}" for name in ("cost", "budget", "entropy") if name in entry}
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update()
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


@dataclass(frozen=True)
class _Run:
    """A fit with its checked arguments; ``first`` is the first batch of ``loader``."""

    augment: PolicyTransform
    model: Model
    config: FitConfig
    loader: Iterable[Any]
    val_loader: Iterable[Any] | None
    read: Read
    first: Batch
    processes: Processes
    device: torch.device
    seed: int
    show: _Show

    def calibrated(self, chooses: bool) -> None:
        """The default fit. ``chooses``: whether it chooses the interpolation."""
        info, model, config = self._start(through_gradient=False), self.model, self.config
        held_out = None if self.val_loader is None else self._held_out
        target, pool = self.processes.from_main(
            measure_target(model, config, self._training, held_out, self.device, self.seed)
        )
        model.temperature = target.temperature
        judge = Judge(self.augment, model, pool, self.processes, self.device)
        if config.target is None and held_out is not None:  # a target of the user's own stays as it is
            target = self._with_resampling(target, judge, chooses)
        assert isinstance(self.augment.localization, LocalizationNetwork)
        fit = Fit(judge, self.augment.localization, config, target.budget, self.seed)
        self.augment.history = fit.history
        info |= {"target": target.value, "target_source": target.source, **target.measures}
        info |= {"held_on": "training" if held_out is None else "held-out", "processes": self.processes.count}
        names = [class_names(one, info["classes"]) for one in (self.val_loader, self.loader)]
        if held_out is not None and any(names):
            info["class_names"] = names[0] or names[1]
        fit.history.info |= info
        if self.processes.is_main:
            self.show.say(f"target {target.value:.4g} from {target.source}")
            check_set_up(info, self.show.say)
        fit.run(self.show)

    def paper(self) -> None:
        """The paper's own procedure."""
        rounds, augment = self.config.rounds, self.augment
        if isinstance(self.loader, Iterator) and rounds > 1:
            raise ValueError(
                f"loader must be one that can be passed over again for the paper's objective, whose {rounds} rounds "
                "are passes over it, got an iterator"
            )
        augment.history = FitHistory(info=self._start(through_gradient=True))
        fit_as_in_the_paper(augment, self.model, self.config, self._training, self.device, self.show)
        augment.localization.load_state_dict(self.processes.from_main(augment.localization.state_dict()))

    def _training(self, number: int = 0) -> Iterable[Batch]:
        """The loader's batches in a pass, whose number samplers, datasets and loaders with ``set_epoch`` get."""
        for one in counting_in(self.loader):
            one.set_epoch(number)
        return labelled(self.loader, self.read)

    def _held_out(self) -> Iterable[Batch]:
        assert self.val_loader is not None
        return labelled(self.val_loader, self.read, "val_loader")

    def _start(self, through_gradient: bool) -> dict[str, Any]:
        """What the history says of any fit, once it is clear that one can learn from the first images."""
        (images, labels), model = self.first, self.model
        outputs = probe(model, images.to(self.device), labels, through_gradient)
        if not model.task.is_loss and self.processes.is_main:
            check_logits(outputs)
        classes, followed = 0 if model.task.is_loss else outputs.shape[1], {}
        if model.label_map is not None:
            model.label_map.check(classes)
            followed = {"label_map": model.label_map.to_dict()}
        return {
            **followed,
            "config": self.config.to_dict(),
            "localization": self.augment.localization.arguments(),
            "seed": self.seed,
            "task": model.task.name,
            "classes": classes,
            "chance": model.task.chance(outputs),
        }

    def _with_resampling(self, target: Target, judge: Judge, chooses: bool) -> Target:
        """The target with what resampling alone costs on top; the augmenter gets the interpolation chosen by it."""
        names = CANDIDATES if chooses else (str(self.augment.interpolation),)
        costs = self.processes.from_main(resampling_costs(judge, self.seed, names))
        chosen = choose_interpolation(costs, target.budget)
        self.augment.interpolation = chosen  # type: ignore[assignment]  # checked as it is set
        cost = judge.resampling = max(costs[chosen], 0.0)
        if self.processes.is_main:
            for alarm in check_resampling(cost, target.budget, chosen):
                warn_caller(alarm)
        source = f"{target.source}; resampling alone costs {cost:.3g} with {chosen} interpolation"
        measures = target.measures | {f"resampling_{name}": value for name, value in costs.items()}
        return dataclasses.replace(target, value=target.value + cost, source=source, measures=measures)


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
    paper = config.objective == "paper"
    return RawHead(channels) if paper else LocalizationNetwork(channels, symmetries=limits.symmetries)


def _check_arguments(
    config: Any, classifier: Any, preprocess: Any, val_loader: Any, seed: Any, callbacks: list[Any]
) -> None:
    """Raise a TypeError or ValueError that names the argument, the rule and what came."""
    opens = val_loader is None or isinstance(val_loader, Iterable) or hasattr(val_loader, "__getitem__")
    for name, value, is_right, rule in [
        ("config", config, isinstance(config, FitConfig), "a FitConfig"),
        ("classifier", classifier, callable(classifier), "callable"),
        ("preprocess", preprocess, preprocess is None or callable(preprocess), "callable"),
        ("seed", seed, isinstance(seed, int | None) and not isinstance(seed, bool), "an int or None"),
        ("val_loader", val_loader, opens, "iterable"),
        *(("callbacks", one, callable(one), "callable") for one in callbacks),
    ]:
        if not is_right:
            raise TypeError(f"{name} must be {rule}, got {type(value).__name__}")
    tensors = (classifier.parameters(), classifier.buffers()) if isinstance(classifier, nn.Module) else ()
    if any(tensor.is_inference() for tensor in itertools.chain(*tensors)):
        raise ValueError(
            "classifier must not be made under torch.inference_mode, whose tensors pass no gradient; got one "
            "whose weights are: make or load it outside, or copy its state_dict into one that was"
        )
