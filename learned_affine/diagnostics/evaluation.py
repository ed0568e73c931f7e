"""Judge a policy before training with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from learned_affine._checks import explain_keywords
from learned_affine.diagnostics.measures import policy_moments, spread_measures, symmetry_measures
from learned_affine.diagnostics.summary import HEADS, aligned, chance_text, class_name, proposal_words
from learned_affine.geometry.coordinates import visible_area
from learned_affine.geometry.parameters import AffineParameters
from learned_affine.tasks.batches import class_names, labelled, untouched
from learned_affine.tasks.classification import SingleLabel
from learned_affine.tasks.frozen import classifier_device, frozen
from learned_affine.tasks.model import Model, task_of
from learned_affine.tasks.targets import GONE, label_map_of, on_device
from learned_affine.transforms.transform import PolicyTransform

MOST_ROWS = 100  # of classes that are printed


class Evaluation(dict[str, float]):
    """What a policy does to a classifier's images: a dict that prints as a table.

    ``chances`` has by class the mean chance of each symmetry, by its code ``quarter_turns + 4 * mirror``.
    """

    worst_class_name: str | None = None
    chances: Mapping[str, list[float]] = MappingProxyType({})
    proposals: Sequence[str] = ()

    def __str__(self) -> str:
        """One measure a row, the chances of symmetries by class, and which labels could follow them."""
        names = {"worst_class": f"  {self.worst_class_name}"} if self.worst_class_name else {}
        lines = [f"{key:<28}{value:10.4f}{names.get(key, '')}" for key, value in self.items()]
        if 0 < len(self.chances) <= MOST_ROWS and self["symmetry_chance"] > 0:
            rows = [[name, *map(chance_text, chances)] for name, chances in self.chances.items()]
            lines += ["", aligned([["chance", *HEADS], *rows])]
        return "\n".join([*lines, *([""] if self.proposals else []), *self.proposals])


@explain_keywords("evaluate", GONE)
@torch.no_grad()
def evaluate(
    augment: PolicyTransform,
    classifier: Callable[..., Any],
    loader: Iterable[Any],
    *,
    preprocess: Callable[[Tensor], Tensor] | None = None,
    task: str | SingleLabel | None = None,
    loss: Callable[[Any, Any], Tensor] | None = None,
    label_map: Mapping[str, Any] | None = None,
    device: torch.device | str | None = None,
    draws: int = 4,
    max_images: int = 2000,
    image_key: str | None = None,
    label_key: str | None = None,
) -> Evaluation:
    """Measure what the policy does to a classifier. Every image is augmented, whatever ``p`` is. Nothing is changed.

    Args:
        augment: the augmenter.
        classifier, loader, task, loss, label_map, device, image_key, label_key: as for ``fit``.
        preprocess: as for ``fit``; if None, that of the fit, as long as the augmenter is not saved and loaded.
            ``torch.nn.Identity()`` for none.
        draws: draws an image, over which the measures of the classifier are averaged.
        max_images: stop after so many.

    Returns:
        A dict that prints as a table, with the chances of symmetries by class and which labels could follow them (see
        :meth:`proposed_label_map`): ``entropy`` and ``clean_entropy`` (bits), ``agreement`` with the clean
        prediction; where there are labels ``accuracy``, ``clean_accuracy``, and of the class whose cross entropy grows
        most ``worst_class``, its ``worst_class_accuracy`` and ``worst_class_loss`` (by how many nats it grows), and
        ``own_gain``: how many nats more a draw from another image's policy costs, with its standard error
        ``own_gain_error``; within twice that, the policy tells images no better apart than chance. Of several labels
        an image, accuracy and agreement are shares of its labels. With ``loss`` there are ``loss`` and ``clean_loss``
        instead of what is told of classes.
        ``displacement`` (share of the side, symmetries left aside), ``visible_area``, ``symmetry_chance`` (of another
        symmetry than the identity), its standard deviation between images ``symmetry_spread``, and for each parameter
        its spread ``within_`` and ``between_`` images (in its own unit, without sampling noise).

    Raises:
        TypeError, ValueError: naming the argument, the rule and what came.
    """
    if draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws}")
    preprocess = getattr(augment.history, "preprocess", None) if preprocess is None else preprocess
    where = torch.device(device) if device is not None else classifier_device(classifier)
    model = Model(classifier, preprocess, task=task_of(task, loss), label_map=label_map_of(label_map))
    read = partial(model.read, image_key=image_key, label_key=label_key)
    found: list[dict[str, Tensor]] = []
    policies: list[tuple[Tensor, Tensor, Tensor]] = []
    with torch.random.fork_rng(devices=[]), untouched(loader), frozen(classifier, where), _at_home(augment):
        for images, labels in labelled(loader, read):
            found.append(_measure(augment, model, images.to(where), labels, draws))
            policies.append(policy_moments(augment, images.to(where)))
            if sum(len(one["displacement"]) for one in found) >= max_images:
                break
    columns = {key: torch.cat([one[key] for one in found]) for key in found[0] if all(key in one for one in found)}
    result = {key: float(values.float().mean()) for key, values in columns.items() if key not in ("label", "added")}
    if "own_gain" in columns:
        gain = columns["own_gain"]
        result["own_gain_error"] = float(gain.std() / len(gain) ** 0.5) if len(gain) > 1 else math.nan
    if "label" in columns and bool(columns["label"].any()):
        result |= _worst_class(columns)
    mean, deviation, chances = map(torch.cat, zip(*policies, strict=True))
    result |= symmetry_measures(chances) | spread_measures(mean, deviation)
    table = Evaluation(result)
    info = {} if augment.history is None else augment.history.info
    table.proposals = proposal_words(info)
    if "worst_class" in result:
        members = columns["label"]
        names = class_names(loader, members.shape[1])
        table.worst_class_name = None if names is None else names[int(result["worst_class"])]
        named = info if names is None else {"class_names": names}
        there = members.any(0).nonzero().flatten().tolist()
        table.chances = {class_name(named, one): chances[members[:, one]].mean(0).tolist() for one in there}
    return table


@contextmanager
def _at_home(augment: PolicyTransform) -> Iterator[None]:
    """The augmenter's network back on its device afterwards, and its generator as it was."""
    home, generator = augment.localization.head.weight.device, augment.generator
    state = None if generator is None else generator.get_state()
    try:
        yield
    finally:
        augment.localization.to(home)
        if generator is not None and state is not None:
            generator.set_state(state)


def _measure(augment: PolicyTransform, model: Model, images: Tensor, labels: Any, draws: int) -> dict[str, Tensor]:
    """The measures of each image of a batch, ``(B,)`` each, means over the draws."""
    drawn = [augment.sample_parameters(images) for _ in range(draws)]
    size = images.shape[-2:]
    found = {
        "displacement": torch.stack([one.without_symmetry().displacement(*size) for one in drawn]).mean(0),
        "visible_area": torch.stack([visible_area(one.matrix(*size), *size) for one in drawn]).mean(0),
    }
    found = _outcome(augment, model, images, labels, drawn) | found
    return {key: values.cpu() for key, values in found.items()}


def _outcome(
    augment: PolicyTransform, model: Model, images: Tensor, labels: Any, drawn: list[AffineParameters]
) -> dict[str, Tensor]:
    """What the model makes of the draws, as far as it is known."""
    task, answer = model.task, model.answer(images)
    labels = on_device(labels, images.device) if task.is_loss or model.fits(labels, answer) else None
    clean = model.output(answer, labels)
    if model.label_map is not None and not task.is_loss:
        model.label_map.check(clean.shape[1])
    every = torch.stack([_output(augment, model, images, labels, one) for one in drawn])  # (K, B, m), of a loss (K, B)
    found: dict[str, Tensor] = {}
    if not task.is_loss:
        found |= {"entropy": task.entropy_bits(every).mean(0), "clean_entropy": task.entropy_bits(clean)}
        found["agreement"] = task.agrees(every, task.predicted(clean)).mean(0)
    if labels is None:
        return found
    followed = [model.follow(labels, one, augment.apply) for one in drawn]
    costs = torch.stack([task.loss(one, own) for one, own in zip(every, followed, strict=True)])
    if task.is_loss:
        found |= {"loss": costs.mean(0), "clean_loss": task.loss(clean, labels)}
    else:
        right = torch.stack([task.right(one, own) for one, own in zip(every, followed, strict=True)])
        found |= {"accuracy": right.mean(0), "clean_accuracy": task.right(clean, labels)}
        found |= {"added": costs.mean(0) - task.loss(clean, labels), "label": task.members(labels, clean.shape[1])}
    dealt = [one[torch.arange(len(images)).roll(1).to(images.device)] for one in drawn]
    others = [
        task.loss(_output(augment, model, images, labels, one), model.follow(labels, one, augment.apply))
        for one in dealt
    ]
    found["own_gain"] = torch.stack(others).mean(0) - costs.mean(0)
    return found


def _output(augment: PolicyTransform, model: Model, images: Tensor, labels: Any, drawn: AffineParameters) -> Tensor:
    """The output of images that are warped by what was drawn."""
    return model.output(model.answer(augment.warp(images, drawn)), model.follow(labels, drawn, augment.apply))


def _worst_class(columns: dict[str, Tensor]) -> dict[str, float]:
    """The class, or the label, whose images' cost grows most."""
    members, added = columns["label"], columns["added"]
    there = members.any(0).nonzero().flatten().tolist()
    worst = max(there, key=lambda one: float(added[members[:, one]].mean()))
    own = members[:, worst]
    accuracy, loss = float(columns["accuracy"][own].mean()), float(added[own].mean())
    return {"worst_class": float(worst), "worst_class_accuracy": accuracy, "worst_class_loss": loss}
