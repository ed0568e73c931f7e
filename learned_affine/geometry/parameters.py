"""The six numbers of an affine map: their names, units, bounds and matrix.

Convention: ``x`` points right, ``y`` down, angles are clockwise as displayed. Everything happens about the image
centre ``((W - 1) / 2, (H - 1) / 2)`` (pixel indices): content is scaled, sheared along x, rotated, then shifted:

    linear part = R(angle) K(shear) diag(scale_x, scale_y),    K(shear) = [[1, -tan(shear)], [0, 1]]

which has the signs of ``torchvision.transforms.v2.functional.affine(angle, translate, scale, shear=[shear, 0])``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from learned_affine._checks import check_range

NAMES = ("angle", "scale_x", "scale_y", "shear", "translate_x", "translate_y")


@dataclass(frozen=True)
class AffineLimits:
    """How far an augmenter may go: the largest change of each kind, the same in both directions.

    Args:
        angle: largest rotation in degrees, in [0, 180].
        scale: largest factor, >= 1; each side is scaled by a factor within ``[1 / scale, scale]``.
        shear: largest shear in degrees, in [0, 90).
        translate: largest shift as a fraction of width and height, in [0, 1].

    Raises:
        ValueError: if a limit is outside its range or not finite.

    Example:
        >>> AffineLimits(angle=10).scale
        1.3
    """

    angle: float = 30.0
    scale: float = 1.3
    shear: float = 15.0
    translate: float = 0.15

    def __post_init__(self) -> None:
        """Check every limit."""
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
        """Limits that no fixed strength survives: any rotation, factor 2, 30 degrees of shear, 40 % shift."""
        return cls(angle=180.0, scale=2.0, shear=30.0, translate=0.4)

    def extent(self) -> list[float]:
        """The limits in the order of ``NAMES``; of the two factors, their logarithm."""
        log_scale = math.log(self.scale)
        return [self.angle, log_scale, log_scale, self.shear, self.translate, self.translate]

    def parameters(self, unit: Tensor) -> AffineParameters:
        """The parameters at a point of the unit cube.

        Args:
            unit: ``(B, 6)`` within [-1, 1]; 0 is the identity, +-1 are the limits. Factors are spread evenly in
                their logarithm. Differentiable.
        """
        angle, log_x, log_y, shear, shift_x, shift_y = (unit * unit.new_tensor(self.extent())).unbind(-1)
        return AffineParameters(angle, log_x.exp(), log_y.exp(), shear, shift_x, shift_y)


@dataclass(frozen=True, eq=False)
class AffineParameters:
    """What is done to each image of a batch: six tensors of shape ``(B,)``.

    Args:
        angle: degrees, clockwise as displayed.
        scale_x, scale_y: factors, > 1 enlarges the content.
        shear: degrees, along x.
        translate_x, translate_y: shift right and down, as fractions of width and height.

    The six numbers are the six degrees of freedom of an affine map, so each map has one description. The map keeps
    orientation unless ``scale_y`` is negative, which only an unbounded head or ``from_matrix`` can bring about.
    """

    angle: Tensor
    scale_x: Tensor
    scale_y: Tensor
    shear: Tensor
    translate_x: Tensor
    translate_y: Tensor

    @classmethod
    def identity(cls, count: int, device: torch.device | str = "cpu") -> AffineParameters:
        """Parameters that leave ``count`` images as they are."""
        zero, one = torch.zeros(count, device=device), torch.ones(count, device=device)
        return cls(zero, one, one, zero, zero, zero)

    @classmethod
    def from_matrix(cls, matrix: Tensor, height: int, width: int) -> AffineParameters:
        """Read the parameters off pixel matrices; the inverse of :meth:`matrix`.

        Args:
            matrix: ``(B, 2, 3)`` or ``(B, 3, 3)``, source to destination, pixel indices ``(x, y)``, invertible.
            height, width: size of the image in pixels.

        Raises:
            ValueError: if the shape is another one.
        """
        if matrix.ndim != 3 or tuple(matrix.shape[1:]) not in ((2, 3), (3, 3)):
            raise ValueError(f"matrix must have the shape (B, 2, 3) or (B, 3, 3), got {tuple(matrix.shape)}")
        (a, b), (c, d) = (row.unbind(-1) for row in matrix[:, :2, :2].unbind(-2))
        scale_x = torch.hypot(a, c)
        scale_y = (a * d - b * c) / scale_x
        sheared = (a * b + c * d) / scale_x  # x component of the second column, rotated back: -tan(shear) scale_y
        centre = matrix.new_tensor([(width - 1) / 2, (height - 1) / 2])
        shift = matrix[:, :2, 2] - centre + matrix[:, :2, :2] @ centre
        return cls(
            torch.rad2deg(torch.atan2(c, a)),
            scale_x,
            scale_y,
            torch.rad2deg(torch.atan(-sheared / scale_y)),
            shift[:, 0] / width,
            shift[:, 1] / height,
        )

    def linear(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The linear part R K diag, row by row, each entry ``(B,)``."""
        radians, slant = torch.deg2rad(self.angle), torch.deg2rad(self.shear).tan()
        cos, sin = radians.cos(), radians.sin()
        return (
            cos * self.scale_x,
            torch.addcmul(sin, cos, slant) * -self.scale_y,
            sin * self.scale_x,
            torch.addcmul(cos, sin, slant, value=-1) * self.scale_y,
        )

    def matrix(self, height: int, width: int) -> Tensor:
        """Source-to-destination matrices in pixel indices ``(x, y)``, kornia's convention. Differentiable.

        Args:
            height, width: size of the image in pixels.

        Returns:
            ``(B, 2, 3)``.
        """
        a, b, c, d = self.linear()
        x, y = (width - 1) / 2, (height - 1) / 2
        shift_x = (self.translate_x * width).sub(a, alpha=x).sub(b, alpha=y) + x
        shift_y = (self.translate_y * height).sub(c, alpha=x).sub(d, alpha=y) + y
        return torch.stack([a, b, shift_x, c, d, shift_y], dim=-1).view(-1, 2, 3)

    def matrix_of_one(self, height: int, width: int, dtype: torch.dtype) -> Tensor:
        """:meth:`matrix` of a single image on the CPU, without gradient, in plain numbers and rounded once.

        Twenty tensor operators on one number each take five times as long.
        """
        angle, scale_x, scale_y, shear, right, down = (value.item() for value in self.tensors())
        radians, slant = math.radians(angle), math.tan(math.radians(shear))
        cos, sin = math.cos(radians), math.sin(radians)
        a, b = cos * scale_x, -(sin + cos * slant) * scale_y
        c, d = sin * scale_x, (cos - sin * slant) * scale_y
        x, y = (width - 1) / 2, (height - 1) / 2
        rows = [[a, b, right * width + x - a * x - b * y], [c, d, down * height + y - c * x - d * y]]
        return torch.tensor([rows], dtype=dtype)

    def displacement(self, height: float = 1, width: float = 1) -> Tensor:
        """How far the image moves: mean Euclidean shift of its four corners over its mean side.

        Args:
            height, width: size of the image; only their ratio matters.

        Returns:
            ``(B,)``, 0 for the identity.
        """
        a, b, c, d = self.linear()
        total = torch.zeros_like(a)
        for side_x, side_y in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
            x, y = side_x * width / 2, side_y * height / 2
            right = (a - 1) * x + b * y + self.translate_x * width
            down = c * x + (d - 1) * y + self.translate_y * height
            total = total + torch.hypot(right, down)
        return total / 4 / ((height + width) / 2)

    def inverse(self, height: int = 1, width: int = 1) -> AffineParameters:
        """The parameters that undo these on an image of that size; only the ratio of the sides matters."""
        matrix = self.double().matrix(height, width)
        bottom = matrix.new_tensor([0.0, 0.0, 1.0]).expand(len(self), 1, 3)
        undone = torch.linalg.inv(torch.cat([matrix, bottom], dim=1))
        return AffineParameters.from_matrix(undone, height, width).map(lambda value: value.to(self.angle.dtype))

    def map(self, function: Callable[[Tensor], Tensor]) -> AffineParameters:
        """The parameters with ``function`` applied to each of the six tensors."""
        return AffineParameters(*(function(value) for value in self.tensors()))

    def tensors(self) -> tuple[Tensor, ...]:
        """The six tensors in the order of ``NAMES``."""
        return tuple(getattr(self, name) for name in NAMES)

    def stacked(self) -> Tensor:
        """``(B, 6)`` in the order of ``NAMES``."""
        return torch.stack(self.tensors(), dim=-1)

    def double(self) -> AffineParameters:
        """The same in float64."""
        return self.map(Tensor.double)

    def detach(self) -> AffineParameters:
        """The same without gradient."""
        return self.map(Tensor.detach)

    def to(self, device: torch.device | str) -> AffineParameters:
        """The same on another device."""
        return self.map(lambda value: value.to(device))

    def to_dict(self) -> dict[str, list[float]]:
        """One list of ``B`` plain numbers a parameter, ready for JSON."""
        return {name: getattr(self, name).tolist() for name in NAMES}

    def __len__(self) -> int:
        """How many images these are for."""
        return len(self.angle)

    def __getitem__(self, index: int | slice | list[int] | Tensor) -> AffineParameters:
        """The parameters of some images; an int gives those of one, still as a batch of one."""
        if isinstance(index, int):
            if not -len(self) <= index < len(self):
                raise IndexError(f"index {index} is out of range for the parameters of {len(self)} images")
            index = [index]
        return self.map(lambda value: value[index])

    def __iter__(self) -> Iterator[AffineParameters]:
        """Image by image."""
        return (self[index] for index in range(len(self)))

    def caption(self, index: int = 0) -> str:
        """One line in words of what is done to one image."""
        angle, x, y, shear, right, down = (float(value[index]) for value in self.tensors())
        return f"{angle:+.0f}°  ×{x:.2f}/{y:.2f}  shear {shear:+.0f}°  shift {right:+.0%}/{down:+.0%}"

    def __str__(self) -> str:
        """A readable table, one image a row; of many images, the first eight."""
        head = "image  angle°  scale_x  scale_y  shear°  right %   down %"
        rows = [head]
        for row, (angle, x, y, shear, right, down) in enumerate(self.stacked()[:8].tolist()):
            rows.append(
                f"{row:5d} {angle:+7.1f} {x:8.3f} {y:8.3f} {shear:+7.1f} {100 * right:+8.1f} {100 * down:+8.1f}"
            )
        if len(self) > 8:
            rows.append(f"  ... {len(self) - 8} more")
        return "\n".join(rows)
