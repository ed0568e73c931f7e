"""Judge a policy before training with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from learned_affine._checks import check_count, explain_keywords
from learned_affine.diagnostics.checks import info_of, preprocess_of
from learned_affine.diagnostics.measures import image_measures, policy_moments, spread, symmetry_measures
from learned_affine.diagnostics.summary import HEADS, aligned, chance_text, class_name, known_names, proposal_words
from learned_affine.geometry.parameters import NAMES, AffineParameters
from learned_affine.tasks.batches import labelled, untouched
from learned_affine.tasks.classification import SingleLabel
from learned_affine.tasks.frozen import ALONE, classifier_device, frozen
from learned_affine.tasks.model import Model, task_of
from learned_affine.tasks.pool import CPU, Pool, Reservoir
from learned_affine.tasks.targets import GONE, label_map_of, on_device
from learned_affine.transforms.transform import PolicyTransform

MOST_ROWS = 100  # of classes that are printed
NO_MEANS = ("label", "cost", "added", "mean", "deviation", "chances")


class Evaluation(dict[str, float]):
    """What a policy does to a classifier's images: a dict that prints as a table.

    ``chances`` has by class the mean chance of each symmetry, by its code ``quarter_turns + 4 * mirror``.
    """

    worst_class_name: str | None = None
    chances: Mapping[str, list[float]] = MappingProxyType({})
    proposals: Sequence[str] = ()

    def __str__(self) -> str:
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
        classifier, loader, task, loss, device, image_key, label_key: as for ``fit``.
        label_map: as for ``fit``; if None, that of the fit.
        preprocess: as for ``fit``; if None, that of the fit, or a warning where that stayed behind when the augmenter
            was saved. ``torch.nn.Identity()`` for none.
        draws: draws per image, over which the measures of the classifier are averaged.
        max_images: stop after so many.

    Returns:
        A dict that prints as a table, with the chances of symmetries by class and which labels could follow them (see
        :meth:`proposed_label_map`): ``entropy`` and ``clean_entropy`` (bits), ``agreement`` with the clean
        prediction; where there are labels ``accuracy``, ``clean_accuracy``, and of the class whose cross entropy grows
        most ``worst_class``, its ``worst_class_accuracy`` and ``worst_class_loss`` (by how many nats it grows), and
        ``own_gain``: how many nats more a draw from another image's policy costs, with its standard error
        ``own_gain_error``; within twice that, the policy distinguishes images no better than chance. Of several labels
        an image, accuracy and agreement are shares of its labels. With ``loss`` there are ``loss`` and ``clean_loss``
        instead of the classes' numbers.
        ``displacement`` (share of the side, symmetries left aside), ``visible_area``, ``symmetry_chance`` (of another
        symmetry than the identity), its standard deviation between images ``symmetry_spread``, and for each parameter
        its spread ``within_`` and ``between_`` images (in its own unit, without sampling noise).

    Raises:
        TypeError, ValueError: naming the argument, the rule and what came.

    Example:
        >>> from learned_affine import LearnedAffineAugment
        >>> classifier = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
        >>> found = LearnedAffineAugment().evaluate(classifier, [(torch.rand(8, 1, 8, 8), torch.arange(8) % 2)])
        >>> 0 <= found["accuracy"] <= 1
        True
    """
    check_count("draws", draws)
    check_count("max_images", max_images)
    preprocess = preprocess_of(preprocess, augment)
    where, info = classifier_device(classifier, device), info_of(augment)
    model = Model(classifier, preprocess, task=task_of(task, loss), label_map=label_map_of(label_map, info))
    read = partial(model.read, image_key=image_key, label_key=label_key)
    found: list[dict[str, Tensor]] = []
    drawn: list[list[AffineParameters]] = []
    kept = Reservoir(0, max_images)
    home = augment.localization.head.weight.device
    # of the augmenter, as of a loader, that is its generator
    with ALONE, torch.random.fork_rng(devices=[]), untouched(loader, augment), ExitStack() as last:
        last.enter_context(frozen(classifier, where))
        last.enter_context(frozen(preprocess, where))
        last.callback(augment.localization.to, home)
        for images, labels in kept.watch(labelled(loader, read)):
            images = images.to(where)
            drawn.append([augment.sample_parameters(images) for _ in range(draws)])
            found.append(_measure(augment, model, images, labels, drawn[-1]))
            if kept.passed >= max_images:
                break
        columns = {key: torch.cat([one[key] for one in found]) for key in found[0] if all(key in one for one in found)}
        each = [AffineParameters.cat(one) for one in zip(*drawn, strict=True)]
        if "cost" in columns:
            columns["own_gain"] = _own_gain(augment, model, kept, each, columns["cost"])
    table = Evaluation({key: float(one.float().mean()) for key, one in columns.items() if key not in NO_MEANS})
    if "own_gain" in columns:
        table["own_gain_error"] = float(spread(columns["own_gain"]) / len(columns["own_gain"]) ** 0.5)
    if "label" in columns and bool(columns["label"].any()):
        count = columns["label"].shape[1]
        _add_classes(table, columns, known_names(loader, info, count, count))
    table.update(symmetry_measures(columns["chances"]))
    for key, row in (("within", columns["deviation"].mean(0)), ("between", spread(columns["mean"]))):
        table.update({f"{key}_{name}": value for name, value in zip(NAMES, row.tolist(), strict=True)})
    table.proposals = proposal_words(info)
    return table


def _judged(
    augment: PolicyTransform, model: Model, images: Tensor, labels: Any, parameters: AffineParameters
) -> tuple[Tensor, Any]:
    """What the model makes of warped images, and their labels."""
    followed = model.follow(labels, parameters, augment.apply)
    return model.output(model.answer(augment.warp(images, parameters)), followed), followed


def _measure(
    augment: PolicyTransform, model: Model, images: Tensor, labels: Any, drawn: list[AffineParameters]
) -> dict[str, Tensor]:
    """The measures of each image of a batch, ``(B,)`` each, means over the draws, as far as they are known."""
    moved = [image_measures(one, *images.shape[-2:]) for one in drawn]
    task, answer = model.task, model.answer(images)
    labels = None if labels is None else on_device(task.check(labels, answer), images.device)
    clean = model.output(answer, labels)
    if model.label_map is not None and not task.is_loss:
        model.label_map.check(clean.shape[1])
    own = [_judged(augment, model, images, labels, one) for one in drawn]
    found: dict[str, Tensor] = {}
    if not task.is_loss:
        every = torch.stack([output for output, _ in own])  # (K, B, m)
        found |= {"entropy": task.entropy_bits(every).mean(0), "clean_entropy": task.entropy_bits(clean)}
        same = [model.expected(clean, labels, one, augment.apply) for one in drawn]
        found["agreement"] = torch.stack([task.right(*pair) for pair in zip(every, same, strict=True)]).mean(0)
    if labels is not None:
        cost, clean_cost = torch.stack([task.loss(*one) for one in own]).mean(0), task.loss(clean, labels)
        found["cost"] = cost
        if task.is_loss:
            found |= {"loss": cost, "clean_loss": clean_cost}
        else:
            right = torch.stack([task.right(*one) for one in own]).mean(0)
            found |= {"accuracy": right, "clean_accuracy": task.right(clean, labels)}
            found |= {"added": cost - clean_cost, "label": task.members(labels, clean.shape[1])}
    found |= {key: torch.stack([one[key] for one in moved]).mean(0) for key in moved[0]}
    found |= zip(("mean", "deviation", "chances"), policy_moments(augment, images), strict=True)
    return {key: values.cpu() for key, values in found.items()}


def _own_gain(
    augment: PolicyTransform, model: Model, kept: Reservoir, drawn: list[AffineParameters], cost: Tensor
) -> Tensor:
    """How much more each image that was kept costs with another one's draws than with its own, ``(B,)``.

    The others are chosen from all images, since those nearby are often of the same class. Images that are square are
    left among themselves: an odd quarter turn does not keep the shape of the rest.
    """
    pool, numbers = Pool(kept, None), torch.tensor(kept.numbers, device=CPU)
    order = torch.randperm(len(numbers), generator=torch.Generator().manual_seed(0), device=CPU)
    square = torch.tensor([image.shape[-2] == image.shape[-1] for image in kept.images], device=CPU)[order]
    other = torch.empty_like(order)
    for group in (order[square], order[~square]):
        other[group] = numbers[group.roll(1)]
    gain, device = -cost[numbers], drawn[0].angle.device
    for places, images, labels in pool.batches(pool.held_out):
        images, labels = images.to(device), on_device(labels, device)
        given = [one[other[places].to(device)] for one in drawn]
        costs = [model.task.loss(*_judged(augment, model, images, labels, one)) for one in given]
        gain[places] += torch.stack(costs).mean(0).to(CPU)
    return gain


def _add_classes(table: Evaluation, columns: dict[str, Tensor], names: Sequence[str] | None) -> None:
    """Add the class, or the label, whose images' cost grows most, and the chances of each."""
    label = columns["label"]
    members = {one: label[:, one] for one in label.any(0).nonzero().flatten().tolist()}
    added = {one: float(columns["added"][own].mean()) for one, own in members.items()}
    worst = max(added, key=lambda one: added[one])
    accuracy = float(columns["accuracy"][members[worst]].mean())
    table.update(worst_class=float(worst), worst_class_accuracy=accuracy, worst_class_loss=added[worst])
    table.worst_class_name = None if names is None else names[worst]
    titles = {one: class_name(names, one) for one in members}
    shared = Counter(titles.values())
    titles |= {one: f"{title} (class {one})" for one, title in titles.items() if shared[title] > 1}
    table.chances = {titles[one]: columns["chances"][own].mean(0).tolist() for one, own in members.items()}
