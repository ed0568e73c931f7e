"""The cost at which a fit holds augmented images, measured on held-out images.

    c* = u + min(tolerance * K, max(g, 0.03 K)),    K = log m - u,    g = u - t

``u`` is the classifier's cross entropy on held-out images, ``t`` that on training images, both at the temperature at
which it is as sure as it is right; ``K`` is what it knows about held-out images, ``g`` what it gained by memorising the
training images. A warp may cost on new images at most what memorising gained on old ones: augmentation is to make
training images as hard as new ones, not harder. A weak classifier is held to a share of what it knows; and since ``g``
is known to some hundredths of a nat alone, and can be below 0, a small share is always allowed.

What resampling alone costs comes on top (:mod:`learned_affine.fitting.resampling`).

``log m`` is what a guess costs among the ``m`` classes that labels name; each task says what that is for it. For a
loss of the user's own it is not known, and ``K = u``: the budget is a share of the held-out loss itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from learned_affine._checks import warn_caller
from learned_affine.config import FitConfig
from learned_affine.diagnostics.checks import FitWarning
from learned_affine.tasks.batches import Batch
from learned_affine.tasks.model import Model, temperature_of
from learned_affine.tasks.pool import CPU, Pool, Reservoir
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
    """What a fit holds augmented images to."""

    value: float  # mean cost in nats
    source: str  # in words
    budget: float  # nats above what images cost without augmentation
    measures: dict[str, float]  # from which it follows, for the history


def budget(known: float, gap: float, tolerance: float) -> float:
    """How many nats the warps may cost; see the head of this file."""
    return min(tolerance * known, max(gap, LEAST_SHARE * known))


def measure_target(
    model: Model, config: FitConfig, training: Batches, held_out: Batches | None, device: torch.device, seed: int
) -> tuple[Target, Pool]:
    """The target of a fit, and the images that it is fitted on; the model gets its temperature.

    ``training`` are images that the classifier was trained on, ``held_out`` others, None if there are none. Each is
    read once, and ``seed`` decides which images are kept. Too few images, or labels that do not fit, are a ValueError.
    """
    own, kept = Reservoir(seed, TRAINING_IMAGES), Reservoir(seed, KEPT)
    if held_out is None:
        output, labels = _read(model, training, own, TRAINING_IMAGES, device, "loader")
        target = _guessed(model, config, output, labels)
        own.outputs /= model.temperature
        return target, Pool(None, own)
    output, labels = _read(model, held_out, kept, HELD_OUT_IMAGES, device, "val_loader")
    if config.target is None and len(output) < LEAST_IMAGES:
        raise ValueError(
            f"val_loader must give at least {LEAST_IMAGES} images to measure the target on, better 400, "
            f"got {len(output)}"
        )
    if config.target is None and len(output) < FEW_IMAGES:
        _warn(
            f"val_loader gives {len(output)} images: measured on fewer than {FEW_IMAGES}, the target can be half as "
            "far off again. Give 400 or more."
        )
    if model.labels == "given":
        # a classifier that is surer than right would have its errors, not its knowledge, set the scale
        task = model.task
        model.temperature = unit_of(output) if task.is_loss else temperature_of(output, labels, task.loss)
        kept.outputs /= model.temperature
    trained = _read(model, training, own, TRAINING_IMAGES, device, "loader")
    pool = Pool(kept, own)
    return _measured(model, config, (output / model.temperature, labels), trained, pool), pool


def _guessed(model: Model, config: FitConfig, output: Tensor, labels: Any) -> Target:
    """The target without held-out images: a quarter of the way from what training images cost to what a guess costs."""
    measures, task = model.accuracies(training=(output, labels)), model.task
    if task.is_loss:
        model.temperature = unit_of(output)
    output, used = output / model.temperature, _used(model, output, labels)
    cost = float(task.loss(output, used).mean())
    if config.target is not None:
        return _given(model, config.target, cost, "FitConfig.target", measures)
    extra = max(0.25 * _known(model, output, used), LEAST)
    _warn(
        f"without val_loader the target is a guess ({cost + extra:.3g}: a quarter of the way from the training images' "
        "value to that of chance). Give images that the classifier was not trained on as val_loader."
    )
    return Target(cost + extra, "guess: no val_loader", extra, measures)


def _measured(model: Model, config: FitConfig, held_out: Batch, training: Batch, pool: Pool) -> Target:
    """The target from outputs and labels of held-out and of training images, at the model's temperature."""
    output, used = held_out[0], _used(model, *held_out)
    plain, measures = model.task.loss(output, used), model.accuracies(training=training, held_out=held_out)
    u = float(plain.mean())
    if config.target is not None:
        return _given(model, config.target, u, "FitConfig.target, on held-out images (val_loader)", measures)
    used_in_training = _used(model, *training)
    memorised = model.task.loss(training[0], used_in_training)
    t = float(memorised.mean())
    gap, error = u - t, float((plain.var() / len(plain) + memorised.var() / len(memorised)).sqrt())
    known = _known(model, output, used, used_in_training)
    extra = max(budget(known, gap, config.tolerance), LEAST)
    digests = [hash(image.contiguous().view(torch.uint8).numpy().tobytes()) for image in pool.images]
    kept, looked_at = set(digests[: len(pool.held_out)]), digests[len(pool.held_out) :]
    shared = sum(one in kept for one in looked_at)
    if shared >= 5 and shared > SHARED * len(looked_at):
        _warn(
            f"val_loader shares images with loader ({shared} of {len(looked_at)} that were looked at): the target "
            "and the range of the warps need images that the classifier was not trained on."
        )
    elif gap < max(2 * error, LEAST_SHARE * known):
        _warn(
            f"augmentation has little to give: held-out images cost the classifier {u:.3g} nats, training images "
            f"{t:.3g} (± {2 * error:.2g}), so it hardly overfits. The policy stays narrow; FitConfig(target=) widens "
            "it.",
            "little-to-gain",
        )
    source = f"held-out images (val_loader): {u:.3g}, and {extra:.3g} for warps (known {known:.3g}, gap {gap:.3g})"
    measures |= {"held_out_cost": u, "training_cost": t, "gap_error": error}
    return Target(u + extra, source, extra, measures)


def _known(model: Model, output: Tensor, used: Any, *others: Any) -> float:
    """How far outputs are better than a guess among the classes that labels, theirs or ``others``, name; in nats."""
    task, narrow = model.task, model.task.narrowed(output, used, *others)
    if narrow is not output and others and model.labels == "given":
        narrow = narrow / temperature_of(narrow, used, task.loss)  # what the other outputs got says nothing of these
    return max(task.guess(narrow, used) - float(task.loss(narrow, used).mean()), 0.0)


def _given(model: Model, value: float, cost: float, source: str, measures: dict[str, float]) -> Target:
    """A target of the user's own: its budget is what it allows beyond the cost without augmentation."""
    value = value / model.temperature if model.task.is_loss else value  # a loss counts in its unit
    return Target(value, source, max(value - cost, LEAST), measures)


def _used(model: Model, output: Tensor, labels: Any) -> Any:
    """The labels by which outputs are judged: the given ones, or the model's own answers."""
    return model.task.predicted(output) if labels is None or model.labels == "predicted" else labels


@torch.no_grad()
def _read(model: Model, opened: Batches, kept: Reservoir, count: int, device: torch.device, name: str) -> Batch:
    """Outputs and labels of the first ``count`` images, of which some are kept; None for labels unless all have one."""
    outputs: list[Tensor] = []
    labels: list[Any] = []
    batches, passed = iter(opened()), 0
    for images, given in kept.watch(batches):
        answer = model.answer(images.to(device))
        given = on_device(given, device)
        outputs.append(model.output(answer, given).cpu())
        labels.append(given if given is None or not model.task.is_loss else outputs[-1])  # all that a loss needs
        passed += len(images)
        if passed >= count:
            break
    output, joined = torch.cat(outputs), join([on_device(one, CPU) for one in labels])
    kept.outputs = output[kept.numbers].float()
    if joined is not None and joined.ndim == 1 and not model.task.is_loss and model.fits(joined, output):
        seen, classes = len(joined.unique()), output.shape[1]
        if seen < classes and bool((joined.diff() >= 0).all()) and next(batches, None) is not None:
            subset = ", or give a shuffled Subset of its dataset" if name == "val_loader" else ""
            _warn(
                f"{name} gives its images class by class: the first {passed} that are read show {seen} of {classes} "
                f"classes. Shuffle it (shuffle=True){subset}."
            )
    return output, model.check(joined, output, name) if model.labels == "given" else joined


def _warn(text: str, kind: str = "target") -> None:
    warn_caller(FitWarning(kind, text))
