"""Stage 2 of the paper: fit a policy to a frozen classifier."""

from __future__ import annotations

import inspect
import secrets
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext, suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from operator import length_hint
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from learned_affine._checks import check_type, explain_keywords, shown, warn_caller
from learned_affine._version import __version__
from learned_affine.config import FitConfig
from learned_affine.diagnostics.checks import FitWarning, check_fit, check_logits, check_names, check_pixel_range
from learned_affine.fitting.fit import SETTLING, fit_to_budget
from learned_affine.fitting.history import FitHistory, Progress, Round
from learned_affine.fitting.paper import fit_as_in_the_paper
from learned_affine.fitting.processes import Processes
from learned_affine.fitting.resampling import CANDIDATES
from learned_affine.geometry.limits import AffineLimits
from learned_affine.geometry.warp import Fill, Interpolation, PaddingMode
from learned_affine.policy.network import CODES, LocalizationNetwork
from learned_affine.policy.raw_head import RawHead
from learned_affine.tasks.batches import Batch, Read, class_names, counting_in, labelled, peek, untouched
from learned_affine.tasks.classification import MultiLabel, SingleLabel
from learned_affine.tasks.frozen import ALONE, frozen
from learned_affine.tasks.model import Model, probe, task_of
from learned_affine.tasks.pool import CPU
from learned_affine.tasks.targets import GONE as RENAMED
from learned_affine.tasks.targets import LabelMap, label_map_of
from learned_affine.transforms.transform import PolicyTransform

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
        callbacks: Callable[[Round], Any] | Iterable[Callable[[Round], Any]] = (),
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
                the key points, or a function of a batch's labels. With one rule alone, labels stay in every symmetry
                but its own. None: labels stay.
            val_loader: held-out images of any sizes, which the classifier was *not* trained on, with labels; what warps
                cost it on them decides how wide policies are. At least 20, better 400; up to 1,024 of the first 4,000
                are kept in memory.
            device: where to compute; the classifier's device if None.
            seed: of weights, noise and data order; None for a random one.
            callbacks: called after each round with a dict of its number (``"round"``) and what was measured, in the
                main process alone; two lines write it to TensorBoard. An exception ends the fit, and is passed on.
            progress: a bar with cost, budget and time left; if None, where the output is a terminal.
            accelerator: your own ``accelerate.Accelerator``; under torchrun one is made. The processes share the
                judging of warped images, and each has the same policy in the end.
            image_key, label_key: of dict batches with unusual keys.
            limits, localization, p, strength, deterministic, padding_mode, fill, generator: the arguments of
                :class:`learned_affine.LearnedAffineAugment`, where ``fit`` is called on the class; None for its
                default.
            interpolation: likewise; None: ``"bilinear"`` if resampling by it costs at most a tenth of what transforms
                may cost, else the one of it and ``"sharp"`` that costs less. ``history.info`` has both costs.

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
        _check_arguments(config, classifier, loader, preprocess, val_loader, seed, listed)
        _check_memory(classifier=classifier, augment=self.augment)
        processes = Processes(accelerator, device, classifier)
        if not processes.is_main:  # which shows everything
            listed, progress = [], False
        seed = processes.from_main(secrets.randbelow(2**31) if seed is None else seed)
        model = _model(classifier, preprocess, config, task_of(task, loss), label_map_of(label_map))
        read = partial(model.read, image_key=image_key, label_key=label_key)
        history, kind = FitHistory(info={"config": config.to_dict(), "seed": seed}), processes.device.type
        model.autocast = torch.autocast(kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind))
        with (
            ALONE,
            torch.random.fork_rng(devices=[]),
            untouched(loader, val_loader),
            frozen(classifier, processes.device),
            frozen(preprocess, processes.device),
            _undone_unless_begun(self.augment, history),
            torch.autocast(kind, enabled=False),
            nullcontext() if processes.is_main else _without_our_warnings(),
        ):
            torch.default_generator.manual_seed(seed % 2**63)  # torch.manual_seed would also seed the user's GPUs
            opened, first = peek(loader, read)
            with CPU:  # the same weights whatever the default device
                augment = _augmenter(self.augment, first[0], config, arguments)
            if preprocess is not None:
                check_pixel_range(first[0])
                history.preprocess = preprocess  # its name goes into files, where it cannot go itself
                history.info["preprocess"] = getattr(preprocess, "__name__", type(preprocess).__name__)
            training = partial(_one_pass, loader, opened, read)
            held_out = None if val_loader is None else partial(labelled, val_loader, read, "val_loader")
            chooses = isinstance(self.augment, type) and interpolation is None
            candidates = CANDIDATES if chooses else (str(augment.interpolation),)
            rounds = config.rounds + (SETTLING + 1 if config.objective == "calibrated" else 0)
            under_way = Progress(history, listed, progress, rounds)
            with _at_work(augment.localization, processes.device), closing(under_way.bar):
                history.info |= _about(model, first, loader, val_loader, config, processes)
                history.info["localization"] = augment.localization.arguments()
                if config.objective == "paper":
                    fit_as_in_the_paper(augment, model, config, training, processes.device, under_way)
                    augment.localization.load_state_dict(processes.from_main(augment.localization.state_dict()))
                else:
                    fit_to_budget(augment, model, config, training, held_out, candidates, processes, seed, under_way)
            for alarm in check_fit(history):
                warn_caller(alarm)
        return augment


class FitMethod:
    """Makes ``fit`` work on the class and on an instance, with the same signature."""

    def __get__(self, instance: T | None, owner: type[T]) -> BoundFit[T]:
        return BoundFit(owner if instance is None else instance)


@contextmanager
def _undone_unless_begun(augment: PolicyTransform | type, history: FitHistory) -> Iterator[None]:
    """An instance as it was, if its fit ends before a round is finished."""
    if isinstance(augment, type):
        yield
        return
    network, before = augment.localization, augment.history
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    try:
        yield
    except BaseException:
        if history.rounds == 0:
            augment.localization, augment.history = network, before
            network.load_state_dict(state)
        raise


@contextmanager
def _without_our_warnings() -> Iterator[None]:
    """For processes other than the main one, which gives them all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        yield


@contextmanager
def _at_work(network: nn.Module, device: torch.device) -> Iterator[None]:
    """The network on a device in float32 with gradients, and as it was afterwards."""
    first = next(network.parameters())
    home, dtype = first.device, first.dtype
    network.to(device, torch.float32).train().requires_grad_(True)
    try:
        yield
    finally:
        network.to(home, dtype).eval().requires_grad_(False)


def _one_pass(loader: Iterable[Any], opened: Iterable[Any], read: Read, number: int = 0) -> Iterator[Batch]:
    """The loader's batches in a pass, whose number samplers, datasets and loaders with ``set_epoch`` get."""
    for one in counting_in(loader) if number else ():  # the first pass has it since it was opened
        one.set_epoch(number)
    return labelled(loader if number else opened, read)


def _about(
    model: Model, first: Batch, loader: Any, val_loader: Any, config: FitConfig, processes: Processes
) -> dict[str, Any]:
    """What the history says of model and data, once it is clear that one can learn from the first images."""
    (images, labels), task, versions = first, model.task, {"learned_affine": __version__}
    outputs = probe(model, images.to(processes.device), labels, through_gradient=config.objective == "paper")
    if not task.is_loss:
        check_logits(outputs)
    for name in ("torch", "torchvision", "kornia"):
        with suppress(PackageNotFoundError):  # built from source, and not installed
            versions[name] = version(name)
    about: dict[str, Any] = {"classifier": type(model.model).__name__, "versions": versions}
    classes = 0 if task.is_loss else outputs.shape[1]
    about |= {"task": task.name, "classes": classes, "chance": task.chance(outputs)}
    if task.ignore_index is not None and not isinstance(task, MultiLabel):
        about["ignore_index"] = int(task.ignore_index)
    if model.label_map is not None:
        model.label_map.check(classes)
        about["label_map"] = model.label_map.to_dict()
    if not task.is_loss:
        known, others = class_names(loader), class_names(val_loader)
        check_names(known, others)
        if names := next((one for one in (others, known) if one and len(one) == classes), None):
            about["class_names"] = names
    with suppress(NotImplementedError):  # some datasets have a length that says so
        if count := length_hint(getattr(loader, "dataset", ())):
            about["images"] = count
    return about


def _model(classifier: Any, preprocess: Any, config: FitConfig, task: SingleLabel, label_map: LabelMap | None) -> Model:
    """The model, as far as its task and the dials go together."""
    if config.objective == "paper" and (task.is_loss or isinstance(task, MultiLabel)):
        raise ValueError(f"task must be one of classes for the paper's objective, got {task.name!r}")
    if config.labels == "predicted" and task.is_loss:
        raise ValueError("labels must be 'given' where loss is, since the model predicts none, got 'predicted'")
    return Model(classifier, preprocess, config.labels, task, label_map)


def _augmenter(augment: T | type[T], images: Tensor, config: FitConfig, arguments: Mapping[str, Any]) -> T:
    """The transform to fit: the given one, or a new one whose network observes the channels of ``images``."""
    if isinstance(augment, type):
        limits = arguments.get("limits") or AffineLimits()
        given = arguments.get("localization") or _network(images.shape[1], limits, config)
        made = augment(**{**arguments, "localization": given})
    elif arguments:
        raise TypeError(f"fit on an instance takes no constructor arguments, got {', '.join(arguments)}")
    else:
        made, own = augment, augment.localization
        if type(own) is LocalizationNetwork and not {*CODES[made.limits.symmetries]} <= {*own.codes}:
            # that of an earlier fit, within narrower limits, has no place for what these allow
            wider = LocalizationNetwork(**{**own.arguments(), "symmetries": made.limits.symmetries})
            made.localization = wider.to(own.head.weight).eval()
    if isinstance(made.localization, RawHead) != (config.objective == "paper"):
        if "localization" in arguments:
            wanted = LocalizationNetwork if config.objective == "calibrated" else RawHead
            rule = f"a {wanted.__name__} for the objective {config.objective!r}"
            raise TypeError(f"localization must be {rule}, got {shown(made.localization)}")
        made.localization = _network(made.localization.channels, made.limits, config).eval()
    if config.objective != "paper" and not any(made.limits.extent()) and made.limits.symmetries == "none":
        raise ValueError(f"limits must leave something to learn, got {made.limits}")
    return made


def _network(channels: int, limits: AffineLimits, config: FitConfig) -> LocalizationNetwork | RawHead:
    paper = config.objective == "paper"
    return RawHead(channels) if paper else LocalizationNetwork(channels, symmetries=limits.symmetries)


def _check_arguments(
    config: Any, classifier: Any, loader: Any, preprocess: Any, val_loader: Any, seed: Any, callbacks: list[Any]
) -> None:
    check_type("config", config, FitConfig, "a FitConfig")
    check_type("classifier", classifier, Callable, "callable")
    check_type("preprocess", preprocess, Callable | None, "callable")
    check_type("seed", seed, int | None, "an int or None")
    if not hasattr(val_loader, "__getitem__"):
        check_type("val_loader", val_loader, Iterable | None, "iterable")
    for one in callbacks:
        check_type("callbacks", one, Callable, "callable")
    if config.objective == "paper" and config.rounds > 1 and isinstance(loader, Iterator):
        raise ValueError(
            f"loader must be one that can be passed over again for the paper's objective, whose {config.rounds} rounds "
            "are passes over it, got an iterator"
        )


def _check_memory(**modules: Any) -> None:
    for name, module in modules.items():
        tensors = [*module.parameters(), *module.buffers()] if isinstance(module, nn.Module) else []
        if any(map(is_lazy, tensors)):
            raise ValueError(f"{name} must have its weights, got some of lazy modules: give it an image first")
        if any(tensor.is_inference() for tensor in tensors):
            raise ValueError(
                f"{name} must not be made under torch.inference_mode, whose tensors pass no gradient; got one "
                "whose weights are: make or load it outside, or copy its state_dict into one that was"
            )
        if any(tensor.is_meta for tensor in tensors):
            raise ValueError(f"{name} must have its weights in memory, got some on the device meta")
