"""The localization network: from a thumbnail of the image to what transforms cost it, and so to its policy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_affine.geometry.limits import AffineLimits
from learned_affine.geometry.parameters import EIGHT, AffineParameters
from learned_affine.geometry.warp import in_full_precision, is_one_on_cpu
from learned_affine.policy.costs import Costs
from learned_affine.policy.distribution import DIMENSIONS, FLATTEST, PRIOR_WIDTH, REACH, STEEPEST, Policy
from learned_affine.policy.moved import mean_differences, pairs_of_pixels
from learned_affine.policy.raw_head import RawHead
from learned_affine.policy.thumbnail import thumbnail

# the symmetries that a network knows of, the identity first; the others follow each other without gaps
CODES = {"all": EIGHT, "mirror": (0, 4), "none": (0,)}
NUMBERS = 2 * DIMENSIONS  # outputs of the head before those of the symmetries: centres, and logarithms of curvatures
START = math.log(1 / (0.1 * PRIOR_WIDTH) ** 2)  # of an unfitted network: a tenth of the prior's width
SYMMETRY_START = 4.0  # likewise: a chance of 2 % for each
FORBIDDEN = 1e3  # what a symmetry costs that is never drawn
DIFFERENT = 0.5  # mean difference from the moved image, in deviations of the pixels, from which on it counts whole


class LocalizationNetwork(nn.Module):
    """One hidden layer over the thumbnail, and a head that gives what transforms cost the image.

    The part that a spatial transformer calls localization network (Jaderberg et al. 2015). Convolutions led to policies
    as wide and classifiers as good, at three times the cost; a plain ReLU net was seen to die while fitting; BatchNorm
    would let one image's warp depend on its neighbours. Unfitted, it gives each image the same small random warps.

    Args:
        channels: channels that it observes.
        size: side of the thumbnail in pixels.
        width: features of the hidden layer.
        per_image: if False, the image is not observed: one learned policy for all.
        symmetries: of which symmetries it gives the costs, ``"all"``, ``"mirror"`` or ``"none"``.
    """

    deterministic = False

    def __init__(
        self, channels: int = 3, size: int = 16, width: int = 64, per_image: bool = True, symmetries: str = "all"
    ) -> None:
        super().__init__()
        self.channels, self.size, self.width, self.per_image = channels, size, width, per_image
        self.symmetries = symmetries
        hidden = nn.Linear(channels * size * size, width), nn.LayerNorm(width), nn.LeakyReLU(0.1)
        self.features = nn.Sequential(nn.Flatten(), *hidden)
        self.head = nn.Linear(width, NUMBERS + len(self.codes) - 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        nn.init.constant_(self.head.bias[DIMENSIONS:NUMBERS], START)
        nn.init.constant_(self.head.bias[NUMBERS:], SYMMETRY_START)
        self.price, self.free = 1.0, 0.0
        # no buffers, since a network is its state
        self.pairs, self.shares = pairs_of_pixels(self.codes[1:], size, channels)

    @property
    def codes(self) -> tuple[int, ...]:
        """The symmetries that it knows of, the identity first."""
        return CODES[self.symmetries]

    def arguments(self) -> dict[str, Any]:
        """What the constructor needs to build it again."""
        return {name: getattr(self, name) for name in ("channels", "size", "width", "per_image", "symmetries")}

    def noise(self, count: int, limits: AffineLimits, generator: torch.Generator | None) -> Tensor:
        """The noise of ``count`` images: with a seventh number where there may be symmetries."""
        symmetries = "none" not in (self.symmetries, limits.symmetries)
        return Policy.noise(count, symmetries=symmetries, generator=generator)

    def allowed(self, limits: AffineLimits, height: int, width: int) -> tuple[int, ...]:
        """The symmetries that it knows of and that the limits allow an image of this size."""
        return tuple(code for code in limits.allowed_symmetries(height, width) if code in self.codes)

    def forward(self, images: Tensor, limits: AffineLimits | None = None) -> Policy:
        """The policy of each of ``(B, C, H, W)`` images, over the symmetries that keep its shape and the limits."""
        allowed = self.allowed(AffineLimits() if limits is None else limits, *images.shape[-2:])
        with in_full_precision(images):
            return self.costs(self.observe(images)).at(self.price, self.free, allowed)

    def observe(self, images: Tensor) -> Tensor:
        """All that it uses of the images: thumbnails ``(B, channels, size, size)``; ones if not ``per_image``."""
        head = self.head
        if self.per_image:
            return thumbnail(images, self.size, self.channels).to(head.weight.dtype)
        return head.weight.new_ones(len(images), head.in_features)

    def costs(self, observation: Tensor) -> Costs:
        """What transforms cost the images of which :meth:`observe` gave this."""
        return self.read(self.features(observation) if self.per_image else observation, self.gate(observation))

    def read(self, features: Tensor, gate: Tensor) -> Costs:
        """The same from the features, and from the gate, which no weight changes."""
        raw = self.head(features).float()
        centre = REACH * torch.tanh(raw[:, :DIMENSIONS])
        curvature = raw[:, DIMENSIONS:NUMBERS].clamp(FLATTEST, STEEPEST).exp()
        if len(self.codes) == 1:
            return Costs(centre, curvature)
        around = self.codes[1], len(EIGHT) - 1 - self.codes[-1]  # zeros at the codes that it does not know of
        return Costs(centre, curvature, F.pad(raw[:, NUMBERS:], around), F.pad(gate, around))

    def gate(self, observation: Tensor) -> Tensor:
        """How much the image differs from each of its moved copies, ``(B, S)`` in [0, 1]; at 0 they cost nothing."""
        if not self.per_image or len(self.codes) == 1:
            return observation.new_ones(len(observation), len(self.codes) - 1)
        pairs, shares = (one.to(observation.device, non_blocking=True) for one in (self.pairs, self.shares))
        return (mean_differences(observation.float(), pairs, shares) / DIFFERENT).clamp_max(1)

    @torch.no_grad()
    def reprice(self, price: float, free: float = 0.0) -> None:
        """Take another price, and what a symmetry may cost for free, without changing any policy.

        Away from 1 and 0 only while a fit is under way: costs are in nats then.
        """
        ratio = self.price / price
        self.head.bias[DIMENSIONS:NUMBERS] += math.log(ratio)
        self.head.weight[NUMBERS:] *= ratio
        self.head.bias[NUMBERS:] = ratio * (self.head.bias[NUMBERS:] - self.free) + free
        self.price, self.free = price, free

    @torch.no_grad()
    def forbid(self, codes: Sequence[int]) -> None:
        """Make some symmetries too dear ever to be drawn."""
        rows = [NUMBERS - 1 + place for place, code in enumerate(self.codes) if code in codes and code]
        self.head.weight[rows], self.head.bias[rows] = 0.0, FORBIDDEN

    def draw(self, images: Tensor, noise: Tensor | None, limits: AffineLimits, strength: float) -> AffineParameters:
        """Parameters within ``limits``: from the images' noise, or the mode without."""
        if is_one_on_cpu(images) and type(self) is LocalizationNetwork:  # a class of the user's may change any part
            return self._draw_of_one(images, noise, limits, strength)
        return self(images, limits).draw(noise, limits, strength)

    def _draw_of_one(
        self, image: Tensor, noise: Tensor | None, limits: AffineLimits, strength: float
    ) -> AffineParameters:
        """The same in plain numbers, within float32's rounding: operators on so few would take five times as long."""
        with in_full_precision(image):
            observation = self.observe(image)
            raw = self.head(self.features(observation) if self.per_image else observation)[0].float()
        output, numbers, code = raw.tolist(), [], 0
        draw = [] if noise is None else noise[0].tolist()
        for place, most in enumerate(limits.extent()):
            curvature = math.exp(min(max(output[DIMENSIONS + place] + math.log(self.price), FLATTEST), STEEPEST))
            precision = curvature + 1 / PRIOR_WIDTH**2
            z = curvature * REACH * math.tanh(output[place]) / precision
            if draw:
                z += draw[place] / math.sqrt(precision)
            numbers.append(strength * math.tanh(z) * most)
        numbers[1], numbers[2] = math.exp(numbers[1]), math.exp(numbers[2])
        level = math.erfc(-draw[DIMENSIONS] * math.sqrt(0.5)) / 2 if len(draw) > DIMENSIONS else 1.0
        if level < strength * 7 / 8:  # else no other symmetry can reach as far, so their costs need not be known
            costs = zip(self.codes[1:], self.gate(observation)[0].tolist(), output[NUMBERS:], strict=True)
            code = self._symmetry_of_one(level, strength, costs, self.allowed(limits, *image.shape[-2:]))
        drawn = (torch.tensor([value], device="cpu") for value in (*numbers, code >= 4, code % 4))
        return AffineParameters(*drawn)

    def _symmetry_of_one(
        self, level: float, strength: float, costs: Iterable[tuple[int, float, float]], allowed: tuple[int, ...]
    ) -> int:
        # the code whose share the level falls into, the last ones first
        odds = {code: math.exp(-self.price * gate * max(cost - self.free, 0.0)) for code, gate, cost in costs}
        odds = {code: odd for code, odd in odds.items() if code in allowed}
        whole, reached = 1 + sum(odds.values()), 0.0
        for code in sorted(odds, reverse=True):
            reached += strength * odds[code] / whole
            if level < reached:
                return code
        return 0


HEADS: dict[str, type[LocalizationNetwork] | type[RawHead]] = {"bounded": LocalizationNetwork, "raw": RawHead}
