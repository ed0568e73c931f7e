"""Drawn glyphs whose labels tolerate a known range of poses, in the manner of "Mario and Iggy" (Benton et al. 2020).

A glyph in a pose within its tolerance belongs to one class; beyond it, to another. So each image has its own interval
of changes that keep its label, known exactly: it depends on the glyph and on the pose that the image shows already.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

SIDE = 24
# three strokes each, (x, y) pairs with y down, within the unit circle; none looks the same after a turn
STROKES = torch.tensor(
    [
        [[-0.4, -0.8, -0.4, 0.8], [-0.4, -0.8, 0.6, -0.8], [-0.4, -0.1, 0.3, -0.1]],  # F
        [[0.3, -0.8, 0.3, 0.5], [0.3, 0.5, -0.1, 0.8], [-0.1, 0.8, -0.5, 0.4]],  # hook
        [[0.0, 0.8, 0.0, -0.8], [0.0, -0.8, -0.5, -0.2], [0.0, -0.8, 0.5, -0.2]],  # arrow
        [[-0.4, -0.8, -0.4, 0.8], [-0.4, -0.8, 0.6, -0.4], [0.6, -0.4, -0.4, 0.0]],  # flag
        [[-0.4, -0.8, -0.4, 0.8], [-0.4, 0.1, 0.4, 0.1], [0.4, 0.1, 0.4, 0.8]],  # chair
        [[0.3, 0.8, 0.3, -0.8], [0.3, -0.8, -0.6, 0.2], [-0.6, 0.2, 0.7, 0.2]],  # 4
    ]
).unflatten(-1, (2, 2))


@dataclass(frozen=True)
class Task:
    """One kind of pose that decides labels; the others vary a little and decide nothing.

    Args:
        name: ``"turn"`` (degrees), ``"shift"`` (to the side, share of it) or ``"size"`` (logarithm of the factor).
        tolerances: of each glyph; poses beyond it make another class. The last one tolerates all that is shown.
        reach: poses lie within plus and minus this.
        limit: of the augmenter, in the same unit.
        radius: of the glyphs, share of the side.
    """

    name: str
    tolerances: tuple[float, ...]
    reach: float
    limit: float
    radius: float

    @property
    def classes(self) -> int:
        """Each glyph within its tolerance, and beyond it; nothing is beyond the last one."""
        return 2 * len(self.tolerances) - 1


TASKS = {
    "turn": Task("turn", (15.0, 30.0, 60.0, 90.0, 135.0, 180.0), 180.0, 180.0, 0.30),
    "shift": Task("shift", (0.05, 0.08, 0.11, 0.14, 0.18, 0.22), 0.22, 0.4, 0.22),
    "size": Task("size", (0.10, 0.16, 0.22, 0.29, 0.37, 0.47), 0.47, math.log(2), 0.25),
}


@dataclass
class Glyphs:
    """``(N, 1, 24, 24)`` images, their labels, and the changes of pose ``low`` to ``high`` that keep these."""

    images: Tensor
    labels: Tensor
    low: Tensor
    high: Tensor

    def keeps(self, change: Tensor) -> Tensor:
        """Whether changes ``(N,)`` or ``(K, N)`` of the pose keep the label."""
        return (change >= self.low) & (change <= self.high)


def draw(task: Task, count: int, seed: int) -> Glyphs:
    """Images of all glyphs as often, half of them within their tolerance."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return 2 * torch.rand(*shape, generator=generator) - 1

    kinds = len(task.tolerances)
    glyph = torch.arange(count) % kinds
    tolerance = torch.tensor(task.tolerances)[glyph]
    beyond = (torch.arange(count) // kinds % 2 == 1) & (glyph < kinds - 1)
    where = uniform(count)
    outside = where.sign() * (tolerance + where.abs() * (task.reach - tolerance))
    pose = torch.where(beyond, outside, where * tolerance)
    low, high = intervals(task, pose, tolerance, beyond)
    small = uniform(count, 5) * torch.tensor([12.0, 0.2, 0.15, 0.08, 0.08])  # what every label tolerates
    turn, size, aspect, right, down = small.unbind(-1)
    if task.name == "turn":
        turn = pose
    elif task.name == "shift":
        right = pose
    else:
        size = pose
    points = STROKES[glyph] + 0.08 * uniform(count, 3, 2, 2)
    images = render(points, turn, task.radius * size.exp(), aspect, torch.stack([right, down], -1))
    contrast = 0.8 + 0.2 * uniform(count)
    noise = 0.02 * torch.randn(images.shape, generator=generator)
    images = (images * contrast[:, None, None, None] + noise).clamp(0, 1)
    return Glyphs(images, glyph + kinds * beyond, low, high)


def intervals(task: Task, pose: Tensor, tolerance: Tensor, beyond: Tensor) -> tuple[Tensor, Tensor]:
    """The changes of pose round 0 that keep the label, within the augmenter's limit."""
    end = 2 * task.reach - tolerance if task.name == "turn" else torch.full_like(pose, task.reach)  # a turn goes on
    low = torch.where(beyond, torch.where(pose > 0, tolerance, -end), -tolerance) - pose
    high = torch.where(beyond, torch.where(pose > 0, end, -tolerance), tolerance) - pose
    if task.name == "turn":
        free = tolerance >= task.reach
        low, high = low.masked_fill(free, -task.limit), high.masked_fill(free, task.limit)
    return low.clamp_min(-task.limit), high.clamp_max(task.limit)


def render(points: Tensor, turn: Tensor, radius: Tensor, aspect: Tensor, shift: Tensor) -> Tensor:
    """Strokes with soft edges.

    Args:
        points: ``(N, S, 2, 2)``, the two ends of each stroke in the glyph's own unit.
        turn: ``(N,)`` degrees, clockwise as displayed.
        radius: ``(N,)`` share of the side.
        aspect: ``(N,)`` logarithm of width over height.
        shift: ``(N, 2)`` right and down, shares of the side.
    """
    cos, sin = torch.deg2rad(turn).cos(), torch.deg2rad(turn).sin()
    stretch = torch.stack([(aspect / 2).exp(), (-aspect / 2).exp()], -1) * radius[:, None]
    x, y = (points * stretch[:, None, None]).unbind(-1)
    cos, sin = cos[:, None, None], sin[:, None, None]
    ends = torch.stack([cos * x - sin * y, sin * x + cos * y], -1) + shift[:, None, None]  # (N, S, 2, 2)
    steps = (torch.arange(SIDE) + 0.5) / SIDE - 0.5
    pixels = torch.stack([steps.repeat(SIDE), steps.repeat_interleave(SIDE)], -1)  # (P, 2)
    start, along = ends[:, :, None, 0], (ends[:, :, 1] - ends[:, :, 0])[:, :, None]  # (N, S, 1, 2)
    share = ((pixels - start) * along).sum(-1) / along.square().sum(-1)
    nearest = start + share.clamp(0, 1)[..., None] * along
    distance = (pixels - nearest).norm(dim=-1).amin(1)  # (N, P)
    ink = torch.sigmoid((0.13 * radius[:, None] - distance) * SIDE * 2.5)
    return ink.unflatten(-1, (1, SIDE, SIDE))
