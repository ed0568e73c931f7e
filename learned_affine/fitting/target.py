"""The cost at which a fit holds augmented images, measured on held-out images.

    c* = u + min(tolerance * K, max(g, 0.03 K)),    K = log m - u,    g = u - t

``u`` is the classifier's cross entropy on held-out images, ``t`` that on training images, both at the temperature at
which it is as sure as it is right; ``K`` is what it knows about held-out images, ``g`` what it gained by memorising the
training images. A warp may cost on new images at most what memorising gained on old ones: augmentation is to make
training images as hard as new ones, not harder. A weak classifier is held to a share of what it knows; and since ``g``
is known to some hundredths of a nat alone, and can be below 0, a small share is always allowed.

What resampling alone costs comes on top (:mod:`learned_affine.fitting.resampling`).

``log m`` is what a guess costs; each task says what that is for it. For a loss of the user's own it is not known, and
``K = u``: the budget is a share of the held-out loss itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from learned_affine._checks import warn_caller
from learned_affine.config import FitConfig
from learned_affine.diagnostics.checks import FitWarning
from learned_affine.fitting.pool import Pool, Reservoir
from learned_affine.tasks.batches import Batch
from learned_affine.tasks.model import Model
from learned_affine.tasks.targets import join, on_device, unit_of

HELD_OUT_IMAGES = 4000  # that the target is measured on: its standard error is then under 2 %
TRAINING_IMAGES = 2000  # that the gap is measured on, and the fit takes
KEPT = 1024  # held-out images that the fit takes
LEAST_IMAGES, FEW_IMAGES = 20, 100  # held-out ones: with 20 a fit cost three times its budget, with 100 up to 1.5 times
LEAST_SHARE = 0.03  # of what the classifier knows: is allowed without any gap
LEAST = 1e-3  # nats: a target of 0 could not be held
SHARED = 0.005  # of the training images: that many may be among the held-out ones by chance
Batches = Callable[[], Iterable[Batch]]  # opens a loader anew


@dataclass(frozen=True)
class Target:
    """What a fit holds augmented images to.

    Args:
        value: mean cost in nats.
        source: where it comes from, in words.
        budget: how far the value is above what images cost without augmentation, in nats.
        temperature: of the classifier's logits.
        measures: what it was measured from, for the history.
    """

    value: float
    source: str
    budget: float
    temperature: float = 1.0
    measures: dict[str, float] = field(default_factory=dict)


def budget(known: float, gap: float, tolerance: float) -> float:
    """How many nats the warps may cost; see the head of this file."""
    return min(tolerance * known, max(gap, LEAST_SHARE * known))


def measure_target(
    model: Model, config: FitConfig, training: Batches, held_out: Batches | None, device: torch.device, seed: int
) -> tuple[Target, Pool]:
    """The target of a fit, and the images that it is fitted on.

    Args:
        model: the classifier; it gets its temperature.
        config: says whether the target is given or measured.
        training: the images that the classifier was trained on; read once.
        held_out: images that it was not trained on, None if there are none.
        device: of the classifier.
        seed: decides which images are kept.

    Raises:
        ValueError: if there are too few images, or their labels do not fit.
    """
    own = Reservoir(seed, TRAINING_IMAGES)
    if held_out is not None:
        return _on_held_out(model, config, own, training, held_out, device, seed)
    batches = iter(training())
    output, labels = judge_some(model, own.watch(batches), TRAINING_IMAGES, device)
    _check_order(model, output, labels, batches, "loader")
    pool, accuracies = Pool(None, own), model.accuracies(training=(output, labels))
    model.temperature = unit_of(output) if model.task.is_loss else 1.0
    output = output / model.temperature
    labels = known_labels(model, config, output, labels, "loader")
    cost = float(model.task.loss(output, labels).mean())
    if config.target is not None:
        return _given(config.target, cost, "FitConfig.target", model.temperature, accuracies), pool
    # a quarter of the way from what the classifier has on its training images to what a guess has: cautious
    extra = max(0.25 * max(model.task.guess(output, labels) - cost, 0.0), LEAST)
    warn_caller(FitWarning("target", _guess_text(cost + extra)))
    return Target(cost + extra, "guess: no val_loader", extra, model.temperature, measures=accuracies), pool


def _given(value: float, cost: float, source: str, temperature: float, measures: dict[str, float]) -> Target:
    """A target of the user's own: its budget is what it allows beyond the cost without augmentation."""
    return Target(value, source, max(value - cost, LEAST), temperature, measures=measures)


def _on_held_out(
    model: Model,
    config: FitConfig,
    own: Reservoir,
    training: Batches,
    held_out: Batches,
    device: torch.device,
    seed: int,
) -> tuple[Target, Pool]:
    """The target for augmented held-out images, of which some are kept."""
    kept = Reservoir(seed, KEPT)
    batches = iter(held_out())
    output, labels = judge_some(model, kept.watch(batches), HELD_OUT_IMAGES, device)
    _check_order(model, output, labels, batches, "val_loader")
    if config.target is None:
        _check_count(len(output))
    if config.needs_labels:
        # a classifier that is surer than right would have its errors, not its knowledge, set the scale
        labels = model.check(labels, output, "val_loader")
        model.temperature = model.find_temperature(output, labels)
    shared: list[int] = []
    batches = iter(training())
    noted = _noting(own.watch(batches), set(map(_digest, kept.images)), shared)
    trained, given = judge_some(model, noted, TRAINING_IMAGES, device)
    _check_order(model, trained, given, batches, "loader")
    return _budget(model, config, (output, labels), (trained, given), shared), Pool(kept, own)


def _budget(model: Model, config: FitConfig, held_out: Batch, training: Batch, shared: list[int]) -> Target:
    """The target from outputs and labels of both kinds of images."""
    (output, labels), (trained, given) = held_out, training
    temperature, output = model.temperature, output / model.temperature
    used = known_labels(model, config, output, labels, "val_loader")
    plain = model.task.loss(output, used)
    u, measures = float(plain.mean()), model.accuracies(training=training, held_out=(output, labels))
    if config.target is not None:
        value = config.target / temperature if model.task.is_loss else config.target
        return _given(value, u, "FitConfig.target, on held-out images (val_loader)", temperature, measures)
    memorised = model.task.loss(trained, known_labels(model, config, trained, given, "loader"))
    t = float(memorised.mean())
    gap, error = u - t, float((plain.var() / len(plain) + memorised.var() / len(memorised)).sqrt())
    known = max(model.task.guess(output, used) - u, 0.0)
    extra = max(budget(known, gap, config.tolerance), LEAST)
    _warn(u, t, error, known, len(shared), len(trained))
    source = f"held-out images (val_loader): {u:.3g}, and {extra:.3g} for warps (known {known:.3g}, gap {gap:.3g})"
    measures |= {"held_out_cost": u, "training_cost": t, "gap_error": error}
    return Target(u + extra, source, extra, temperature, measures=measures)


def _check_count(count: int) -> None:
    if count < LEAST_IMAGES:
        raise ValueError(
            f"val_loader must give at least {LEAST_IMAGES} images to measure the target on, better 400, got {count}"
        )
    if count < FEW_IMAGES:
        warn_caller(
            FitWarning(
                "target",
                f"val_loader gives {count} images: measured on fewer than {FEW_IMAGES}, the target can be half as far "
                "off again. Give 400 or more.",
            )
        )


def _check_order(model: Model, output: Tensor, labels: Any, rest: Iterator[Batch], name: str) -> None:
    """Warn where a loader gives its images class by class, and reading stopped before all classes were seen."""
    if model.task.is_loss or labels is None or labels.ndim != 1 or not model.fits(labels, output):
        return
    seen, classes = len(labels.unique()), output.shape[1]
    if seen == classes or bool((labels.diff() < 0).any()) or next(rest, None) is None:
        return
    subset = ", or give a shuffled Subset of its dataset" if name == "val_loader" else ""
    warn_caller(
        FitWarning(
            "target",
            f"{name} gives its images class by class: the first {len(labels)} that are read show {seen} of {classes} "
            f"classes. Shuffle it (shuffle=True){subset}.",
        )
    )


def _warn(u: float, t: float, error: float, known: float, shared: int, trained: int) -> None:
    """Say where the held-out images are none, and where there is little to gain."""
    if shared >= 5 and shared > SHARED * trained:
        warn_caller(
            FitWarning(
                "target",
                f"val_loader shares images with loader ({shared} of {trained} that were looked at): the target and the "
                "range of the warps need images that the classifier was not trained on.",
            )
        )
    elif u - t < max(2 * error, LEAST_SHARE * known):
        warn_caller(
            FitWarning(
                "little-to-gain",
                f"augmentation has little to give: held-out images cost the classifier {u:.3g} nats, training images "
                f"{t:.3g} (± {2 * error:.2g}), so it hardly overfits. The policy stays narrow; "
                "FitConfig(target=) widens it.",
            )
        )


def known_labels(model: Model, config: FitConfig, output: Tensor, labels: Any, name: str) -> Any:
    """The labels by which outputs are judged: the given ones, or the model's own answers."""
    if config.needs_labels:
        labels = model.check(labels, output, name)
    return model.task.predicted(output) if labels is None or config.labels == "predicted" else labels


def up_to(batches: Iterable[Batch], count: int) -> Iterator[Batch]:
    """The first batches, until so many images have passed."""
    passed = 0
    for images, labels in batches:
        yield images, labels
        passed += len(images)
        if passed >= count:
            return


@torch.no_grad()
def judge_some(model: Model, batches: Iterable[Batch], count: int, device: torch.device) -> Batch:
    """Outputs and labels of the first ``count`` images; labels are None unless all images have one."""
    outputs: list[Tensor] = []
    labels: list[Any] = []
    for images, given in up_to(batches, count):
        answer = model.answer(images.to(device))
        given = on_device(given, device)
        outputs.append(model.output(answer, given).cpu())
        labels.append(given if given is None or not model.task.is_loss else outputs[-1])  # all that a loss needs
    return torch.cat(outputs), join([on_device(one, torch.device("cpu")) for one in labels])


def _noting(batches: Iterable[Batch], known: set[int], found: list[int]) -> Iterator[Batch]:
    """The same batches; of the images that are among the known ones, the digest is added to ``found``."""
    for images, labels in batches:
        found += [digest for digest in map(_digest, images) if digest in known]
        yield images, labels


def _digest(image: Tensor) -> int:
    return hash(image.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())


def _guess_text(guess: float) -> str:
    return (
        f"without val_loader the target is a guess ({guess:.3g}: a quarter of the way from the training images' value "
        "to that of chance). Give images that the classifier was not trained on as val_loader."
    )
