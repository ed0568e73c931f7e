"""What each of the eight symmetries costs each image: judged once before the first round, and class by class.

A symmetry moves pixels without interpolation, so one judgement of each says what it costs. Where classes are known, an
image's own costs are shrunk towards the mean of its class. An image that the classifier gets wrong as it is says
nothing about its symmetries: it does not count in the mean, and takes it whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from learned_affine.fitting.judge import Judge, answers
from learned_affine.geometry.parameters import EIGHT, AffineParameters
from learned_affine.policy.costs import MOST, Costs
from learned_affine.policy.distribution import Policy
from learned_affine.policy.network import LocalizationNetwork
from learned_affine.tasks.pool import CPU

HELD_MOVED, FEWEST_MOVED = 2 / 3, 64  # held-out images among those that are moved; images
MOST_MORE = 2  # times as many held-out ones at most, where a class would have fewer than FEWEST
FREE = 0.5  # of the budget: a symmetry that costs no more is taken as free
TO_CLASS = 0.7  # how far an image's costs are shrunk towards its class's mean
PRIOR_IMAGES, KNOWN = 2.0, 10  # of the mean of all in that of a class, fewer the more images of its own, none from 10
SHOWN = 100.0  # nats at most, in the table: a class that is masked in a moved image costs 1e30
FEWEST, FEWEST_RECOGNISED = 5, 3  # held-out images of a class for a row of the table; to see what they become


@dataclass(frozen=True)
class SymmetryCosts:
    """What symmetries cost ``N`` of the ``P`` images of a pool, as judged."""

    rows: Tensor  # (N,), of the pool, the held-out images first
    held_out: int  # how many of them are held-out images
    cost: Tensor  # (N, 8), in nats
    # (P, 8), what the network is to learn: the mean of its class for an image that was not judged, NaN where unknown
    target: Tensor
    answer: Tensor  # (N, 8), the class that the classifier gives
    sure: Tensor  # (N, 8), its probability
    classes: Tensor  # (N,), -1 where an image has no class, or several
    members: Tensor  # (N, m) bool, which images are of which class; with several labels an image can be of several
    allowed: tuple[int, ...]  # the codes that were judged
    right: Tensor  # (N, 8), 1 where the answer is the label, which may follow the symmetry, or the share of the labels

    def error(self, costs: Costs, rows: Tensor) -> Tensor:
        """Mean squared error of what symmetries are predicted to cost the images of some rows."""
        assert costs.symmetries is not None and costs.gate is not None
        target = self.target[rows.cpu()].to(costs.gate)
        known = ~target[:, 0].isnan()
        left = (costs.gate * costs.symmetries - target)[known][:, self.allowed]
        return left.square().mean() if len(left) else left.sum()


def evenly(rows: Tensor, classes: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """``count`` of the rows at random, as evenly over their classes as there are images: rare ones are needed, too."""
    shuffled = rows[torch.randperm(len(rows), generator=generator, device=CPU)]
    own = classes[shuffled]
    same = own[:, None] == own  # (N, N)
    earlier = same.tril(-1).sum(1)  # of the same class
    return shuffled[earlier.argsort(stable=True)[:count]]


def try_symmetries(
    judge: Judge, network: LocalizationNetwork, images: int, generator: torch.Generator
) -> SymmetryCosts | None:
    """Judge about so many moved images, in each symmetry that all of the pool can have; None if there is none."""
    pool, limits = judge.pool, judge.augment.limits
    sizes = {tuple(image.shape[-2:]) for image in pool.images}
    allowed = [network.allowed(limits, *size) for size in sizes]
    codes = tuple(code for code in allowed[0] if all(code in one for one in allowed))
    if len(codes) == 1:
        return None
    count = max(FEWEST_MOVED, images // (len(codes) - 1))
    share, classes = round(HELD_MOVED * count), judge.classes[pool.held_out]
    wanted = FEWEST * len(classes[classes >= 0].unique())
    held_out = evenly(pool.held_out, judge.classes, max(share, min(wanted, MOST_MORE * share)), generator)
    training = evenly(pool.training, judge.classes, count - min(share, len(held_out)), generator)
    return judge_symmetries(judge, torch.cat([held_out, training]), len(held_out), codes)


def judge_symmetries(judge: Judge, rows: Tensor, held_out: int, allowed: tuple[int, ...]) -> SymmetryCosts:
    """Judge each image of some rows, ``(N,)``, in each allowed symmetry; the first ``held_out`` are held-out images."""
    cost = torch.zeros(len(rows), len(EIGHT), device=CPU)
    answer = torch.full_like(cost, -1, dtype=torch.long)
    right, sure, classes = torch.zeros_like(cost), torch.zeros_like(cost), judge.classes[rows]
    task, output = judge.model.task, judge.outputs[rows]
    labels = judge.labels[rows]
    answer[:, 0], sure[:, 0] = answers(task, output)
    right[:, 0] = task.right(output, labels).nan_to_num(1.0)  # of a loss of the user's own nobody knows
    for code in allowed[1:]:
        judged = judge(rows, AffineParameters.symmetry(code, len(rows)))
        cost[:, code] = judged.cost + judge.resampling  # nothing is resampled, so nothing was to be taken off
        answer[:, code], sure[:, code], right[:, code] = judged.answer.long(), judged.sure, judged.right
    cost = cost.nan_to_num(MOST, MOST, -MOST).clamp(-SHOWN, SHOWN)
    corrected = cost.clamp(-MOST, MOST)
    if 0 < held_out < len(rows):  # the classifier memorised training images, but not their moved copies
        parts = slice(held_out, None), slice(held_out)
        old, new = (mean_cost(corrected[part], counted(right[part, 0])) for part in parts)
        corrected[held_out:] -= (old - new).clamp_min(0)
    means = class_means(corrected, classes, held_out, right[:, 0])
    unknown = torch.full((len(EIGHT),), torch.nan, device=CPU)
    target = torch.stack([means.get(one, unknown) for one in judge.classes.tolist()])
    target[rows] = shrunk(corrected, classes, means, right[:, 0])
    members = task.members(labels, output.shape[-1])
    return SymmetryCosts(rows, held_out, cost, target, answer, sure, classes, members, allowed, right)


def counted(right: Tensor) -> Tensor:
    """How much each image counts, ``(N, 1)``: as far as it is ``right``, ``(N,)`` from 0 to 1; equally if none is."""
    return (right if bool(right.any()) else torch.ones_like(right))[:, None]


def mean_cost(cost: Tensor, weight: Tensor) -> Tensor:
    """The mean ``(8,)`` of costs ``(N, 8)`` by weights ``(N, 1)``."""
    return (weight * cost).sum(0) / weight.sum()


def class_means(cost: Tensor, classes: Tensor, held_out: int, right: Tensor) -> dict[int, Tensor]:
    """The mean cost ``(8,)`` of the images of each class that are ``right``, ``(N,)`` from 0 to 1, as they are.

    Held-out images count twice, and in classes of few images the mean of all a little.
    """
    weight = counted(right).clone()
    weight[:held_out] *= 2
    everything, means = mean_cost(cost, weight), {}
    for one in classes[classes >= 0].unique().tolist():
        own = classes == one
        prior = PRIOR_IMAGES * max(0.0, 1 - float(right[own].sum()) / KNOWN)
        total = (weight[own] * cost[own]).sum(0) + prior * everything
        means[one] = total / (weight[own].sum() + prior)
    return means


def shrunk(cost: Tensor, classes: Tensor, means: dict[int, Tensor], right: Tensor) -> Tensor:
    """Costs ``(N, 8)``, each image's shrunk towards the mean of its class ``(N,)``, where that is known."""
    toward = torch.stack([means.get(one, own) for one, own in zip(classes.tolist(), cost, strict=True)])
    return torch.lerp(toward, cost, (1 - TO_CLASS) * right[:, None])


def class_table(costs: SymmetryCosts, policy: Policy) -> list[dict[str, Any]]:
    """For each class with enough held-out images: of each symmetry its chance, cost, and share that stays right."""
    held = slice(None, costs.held_out)
    members, cost, right, chances = costs.members[held], costs.cost[held], costs.right[held], policy.chances.cpu()[held]
    measures = {"chance": chances, "cost": cost, "harm": chances * cost, "right": right}
    table = []
    for one in (members.sum(0) >= FEWEST).nonzero().flatten().tolist():
        own = members[:, one]
        means = {name: [round(mean, 4) for mean in of[own].mean(0).tolist()] for name, of in measures.items()}
        table.append({"class": one, "images": int(own.sum()), **means})
    return table


def recognised_as(costs: SymmetryCosts, code: int) -> dict[str, list[float]]:
    """What the moved held-out images of each class are mostly taken for, by which share of them, and how surely.

    The last number is the mean probability of that answer, against that of the other class's own images as they are:
    about 1 where the moved images look like those, and less where the classifier only has no better answer.
    """
    classes, answer, sure = (one[: costs.held_out] for one in (costs.classes, costs.answer, costs.sure))
    found: dict[str, list[float]] = {}
    for one in classes[classes >= 0].unique().tolist():
        own = (classes == one) & (answer[:, code] >= 0)
        if int(own.sum()) < FEWEST_RECOGNISED:
            continue
        values, counts = answer[own, code].unique(return_counts=True)
        to, share = int(values[counts.argmax()]), float(counts.max()) / int(own.sum())
        moved = (sure * (answer == to))[own, code].mean()
        still = (sure * (answer == to))[classes == to, 0].sum() / max(1, int((classes == to).sum()))
        surely = float(moved / still.clamp_min(1e-6)) if still > 0 else 0.0
        found[str(one)] = [to, round(share, 4), round(surely, 4)]
    return found
