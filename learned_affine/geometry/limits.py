"""How far an augmenter may go, and the parameters at a point of the unit cube."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from learned_affine._checks import check_choice, check_range, check_type
from learned_affine.geometry.parameters import EIGHT, AffineParameters, constant

Symmetries = Literal["all", "mirror", "none"]
WORDS: tuple[str, ...] = get_args(Symmetries)


@dataclass(frozen=True)
class AffineLimits:
    """How far an augmenter may go: the largest change of each kind, the same in both directions.

    Args:
        angle: largest rotation in degrees, in [0, 180].
        scale: largest factor, >= 1; each side is scaled by a factor within ``[1 / scale, scale]``.
        shear: largest shear in degrees, in [0, 90).
        translate: largest shift as a fraction of width and height, in [0, 1].
        symmetries: how images may be flipped and rotated without interpolation: ``"all"`` for quarter turns, each with
            and without a left-right mirror (of an image that is not square, the four that keep its shape),
            ``"mirror"`` for the left-right mirror alone, or ``"none"``, for labels that name a side ("arrow-left").

    Raises:
        ValueError: if a limit is outside its range or not finite, or ``symmetries`` none of the three words.
        TypeError: if a limit is no number, or ``symmetries`` no string.

    Example:
        >>> AffineLimits(angle=10).scale
        1.3
        >>> AffineLimits().allowed_symmetries(24, 32)  # the codes, quarter_turns + 4 * mirror
        (0, 2, 4, 6)
    """

    angle: float = 30.0
    scale: float = 1.3
    shear: float = 15.0
    translate: float = 0.15
    symmetries: Symmetries = "all"

    def __post_init__(self) -> None:
        check_type("limits.symmetries", self.symmetries, str, ", ".join(map(repr, WORDS)))
        check_choice("limits.symmetries", self.symmetries, WORDS)
        for name, low, high, rule in (
            ("angle", 0.0, 180.0, "in [0, 180] degrees"),
            ("scale", 1.0, 1e3, "a factor >= 1"),
            ("shear", 0.0, 89.999, "in [0, 90) degrees"),
            ("translate", 0.0, 1.0, "in [0, 1] of the side"),
        ):
            object.__setattr__(self, name, check_range(f"limits.{name}", getattr(self, name), low, high, rule))

    @classmethod
    def modest(cls) -> AffineLimits:
        """The default limits, fit for most upright photographs."""
        return cls()

    @classmethod
    def wide(cls) -> AffineLimits:
        """Limits far beyond any useful fixed strength: any rotation, factor 2, 30 degrees of shear, 40 % shift."""
        return cls(angle=180.0, scale=2.0, shear=30.0, translate=0.4)

    def extent(self) -> list[float]:
        """The limits in the order of ``NAMES``; of the two factors, their logarithm."""
        log_scale = math.log(self.scale)
        return [self.angle, log_scale, log_scale, self.shear, self.translate, self.translate]

    def allowed_symmetries(self, height: int, width: int) -> tuple[int, ...]:
        """The codes ``quarter_turns + 4 * mirror`` of the symmetries that an image of ``height x width`` may get."""
        if self.symmetries == "all":
            return EIGHT if height == width else (0, 2, 4, 6)
        return (0, 4) if self.symmetries == "mirror" else (0,)

    def parameters(self, unit: Tensor, *symmetry: Tensor) -> AffineParameters:
        """The parameters at points of the unit cube, ``(B, 6)`` within [-1, 1]: 0 is the identity, +-1 are the limits.

        Factors are spread evenly in their logarithm. A symmetry is given as ``mirror`` and ``quarter_turns``, ``(B,)``.
        Differentiable.
        """
        angle, log_x, log_y, shear, shift_x, shift_y = (unit * constant(self.extent(), unit)).unbind(-1)
        return AffineParameters(angle, log_x.exp(), log_y.exp(), shear, shift_x, shift_y, *symmetry)
