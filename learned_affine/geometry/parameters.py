"""The six numbers and the mirror bit of an affine map: their names, units, bounds and matrix.

Convention: ``x`` points right, ``y`` down, angles are clockwise as displayed. Everything happens about the image
centre ``((W - 1) / 2, (H - 1) / 2)`` (pixel indices): content is mirrored left-right, scaled, sheared along x,
rotated, then shifted:

    linear part = R(angle) K(shear) diag(scale_x, scale_y) diag(-1 if mirror else 1, 1)
    K(shear)    = [[1, -tan(shear)], [0, 1]]

which has the signs of ``torchvision.transforms.v2.functional.affine(angle, translate, scale, shear=[shear, 0])``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from learned_affine._checks import shown

NAMES = ("angle", "scale_x", "scale_y", "shear", "translate_x", "translate_y")


@dataclass(frozen=True, eq=False)
class AffineParameters:
    """What is done to each image of a batch: six tensors of shape ``(B,)``, and a bool one.

    Args:
        angle: degrees, clockwise as displayed.
        scale_x, scale_y: factors, > 1 enlarges the content.
        shear: degrees, along x.
        translate_x, translate_y: shift right and down, as fractions of width and height.
        mirror: whether the image is flipped left-right first; False for all if None.

    Each invertible affine map has one description.

    Raises:
        TypeError: if a field is no tensor, or ``mirror`` is not bool.
        ValueError: if the fields are not ``(B,)``, all of the same length.
    """

    angle: Tensor
    scale_x: Tensor
    scale_y: Tensor
    shear: Tensor
    translate_x: Tensor
    translate_y: Tensor
    mirror: Tensor = cast(Tensor, None)  # noqa: RUF009  # a tensor as soon as __post_init__ is through

    def __post_init__(self) -> None:
        """Check the fields against each other."""
        for name, value in zip(NAMES, self.tensors(), strict=True):
            if not isinstance(value, Tensor):
                raise TypeError(f"{name} must be a tensor of shape (B,), got {shown(value)}")
            if value.ndim != 1 or value.shape != self.angle.shape:
                raise ValueError(f"{name} must have the shape ({self._length()},) of angle, got {tuple(value.shape)}")
        if self.mirror is None:
            object.__setattr__(self, "mirror", torch.zeros_like(self.angle, dtype=torch.bool, requires_grad=False))
        elif not isinstance(self.mirror, Tensor) or self.mirror.dtype != torch.bool:
            kind = getattr(self.mirror, "dtype", type(self.mirror).__name__)
            raise TypeError(f"mirror must be a bool tensor of shape ({self._length()},), got {kind}")
        elif self.mirror.shape != self.angle.shape:
            raise ValueError(f"mirror must have the shape ({self._length()},) of angle, got {tuple(self.mirror.shape)}")

    def _length(self) -> str:
        return str(len(self.angle)) if self.angle.ndim else "B"

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
            TypeError: if it is no tensor.
            ValueError: if the shape is another one.
        """
        if not isinstance(matrix, Tensor):
            raise TypeError(f"matrix must be a tensor of shape (B, 2, 3) or (B, 3, 3), got {shown(matrix)}")
        if matrix.ndim != 3 or tuple(matrix.shape[1:]) not in ((2, 3), (3, 3)):
            raise ValueError(f"matrix must have the shape (B, 2, 3) or (B, 3, 3), got {tuple(matrix.shape)}")
        (a, b), (c, d) = (row.unbind(-1) for row in matrix[:, :2, :2].unbind(-2))
        mirror = a * d - b * c < 0
        a, c = torch.where(mirror, -a, a), torch.where(mirror, -c, c)
        scale_x = torch.hypot(a, c)
        scale_y = (a * d - b * c) / scale_x
        sheared = (a * b + c * d) / scale_x  # x component of the second column, rotated back: -tan(shear) scale_y
        centre = constant([(width - 1) / 2, (height - 1) / 2], matrix)
        shift = matrix[:, :2, 2] - centre + matrix[:, :2, :2] @ centre
        return cls(
            torch.rad2deg(torch.atan2(c, a)),
            scale_x,
            scale_y,
            torch.rad2deg(torch.atan(-sheared / scale_y)),
            shift[:, 0] / width,
            shift[:, 1] / height,
            mirror,
        )

    def linear(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The linear part R K diag diag, row by row, each entry ``(B,)``."""
        radians, slant = torch.deg2rad(self.angle), torch.deg2rad(self.shear).tan()
        cos, sin = radians.cos(), radians.sin()
        scale_x = torch.where(self.mirror, -self.scale_x, self.scale_x)
        return (
            cos * scale_x,
            torch.addcmul(sin, cos, slant) * -self.scale_y,
            sin * scale_x,
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

    def is_still(self) -> Tensor:
        """Whether an image stays where it is but for its mirror, ``(B,)``: then no pixel needs to be resampled."""
        rest = (self.angle == 0) & (self.shear == 0) & (self.translate_x == 0) & (self.translate_y == 0)
        return rest & (self.scale_x == 1) & (self.scale_y == 1)

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
        bottom = constant([0.0, 0.0, 1.0], matrix).expand(len(self), 1, 3)
        undone = torch.linalg.inv(torch.cat([matrix, bottom], dim=1))
        return AffineParameters.from_matrix(undone, height, width).map(lambda value: value.to(self.angle.dtype))

    def map(self, function: Callable[[Tensor], Tensor]) -> AffineParameters:
        """The parameters with ``function`` applied to each of the six numbers; the mirror stays."""
        return dataclasses.replace(self, **{name: function(getattr(self, name)) for name in NAMES})

    def map_all(self, function: Callable[[Tensor], Tensor]) -> AffineParameters:
        """The parameters with ``function`` applied to each of the seven tensors."""
        return AffineParameters(*(function(value) for value in (*self.tensors(), self.mirror)))

    @classmethod
    def cat(cls, parts: Sequence[AffineParameters]) -> AffineParameters:
        """The parameters of several batches as those of one."""
        return cls(*map(torch.cat, zip(*((*part.tensors(), part.mirror) for part in parts), strict=True)))

    def unmirrored(self) -> AffineParameters:
        """The same without the mirror."""
        return AffineParameters(*self.tensors())

    def tensors(self) -> tuple[Tensor, ...]:
        """The six tensors in the order of ``NAMES``."""
        return self.angle, self.scale_x, self.scale_y, self.shear, self.translate_x, self.translate_y

    def stacked(self) -> Tensor:
        """``(B, 6)`` in the order of ``NAMES``."""
        return torch.stack(self.tensors(), dim=-1)

    def double(self) -> AffineParameters:
        """The same in float64."""
        return self.map(Tensor.double)

    def detach(self) -> AffineParameters:
        """The same without gradient."""
        return self.map_all(Tensor.detach)

    def to(self, device: torch.device | str) -> AffineParameters:
        """The same on another device."""
        waits = torch.device(device).type == "cpu"  # what comes from a GPU must be there before it is read
        return self.map_all(lambda value: value.to(device, non_blocking=not waits))

    def to_dict(self) -> dict[str, list[float]]:
        """One list of ``B`` plain numbers a parameter, and of bools for ``"mirror"``, ready for JSON."""
        return {name: getattr(self, name).tolist() for name in (*NAMES, "mirror")}

    def __len__(self) -> int:
        """How many images these are for."""
        return self.angle.shape[0]

    def __getitem__(self, index: int | slice | list[int] | Tensor) -> AffineParameters:
        """The parameters of some images; an int gives those of one, still as a batch of one."""
        if isinstance(index, int):
            if not -len(self) <= index < len(self):
                raise IndexError(f"index {index} is out of range for the parameters of {len(self)} images")
            index = [index]
        return self.map_all(lambda value: value[index])

    def __iter__(self) -> Iterator[AffineParameters]:
        """Image by image."""
        return (self[index] for index in range(len(self)))

    def caption(self, index: int = 0) -> str:
        """One line in words of what is done to one image."""
        angle, x, y, shear, right, down = (float(value[index]) for value in self.tensors())
        mirrored = "mirrored  " if bool(self.mirror[index]) else ""
        shift = f"shift {signed(100 * right)}%/{signed(100 * down)}%"
        return f"{mirrored}{signed(angle)}°  ×{x:.2f}/{y:.2f}  shear {signed(shear)}°  {shift}"

    def __str__(self) -> str:
        """A readable table, one image a row; of many images, the first eight."""
        rows = ["image  mirror  angle°  scale_x  scale_y  shear°  right %   down %"]
        numbers, mirror = self.stacked()[:8].tolist(), self.mirror[:8].tolist()
        for row, ((angle, x, y, shear, right, down), flip) in enumerate(zip(numbers, mirror, strict=True)):
            angle, shear, right, down = (round(value, 1) + 0.0 for value in (angle, shear, 100 * right, 100 * down))
            rows.append(
                f"{row:5d} {'yes' if flip else 'no':>7} {angle:+7.1f} {x:8.3f} {y:8.3f} {shear:+7.1f} "
                f"{right:+8.1f} {down:+8.1f}"
            )
        if len(self) > 8:
            rows.append(f"  ... {len(self) - 8} more")
        return "\n".join(rows)


def constant(values: Sequence[float], like: Tensor) -> Tensor:
    """Some numbers on the device of a tensor, in its dtype. It does not wait for a GPU, as ``new_tensor`` does."""
    return torch.tensor(values, dtype=like.dtype).to(like.device, non_blocking=True)


def is_traced() -> bool:
    """Whether no number may be read from a tensor: where a graph is captured, and inside of ``torch.func``."""
    return torch.compiler.is_compiling() or torch._C._is_tracing() or in_torch_func()


def in_torch_func() -> bool:
    """Whether this runs inside of ``torch.func``, as ``vmap``."""
    return torch._C._functorch.maybe_current_level() is not None


def signed(value: float) -> str:
    """A whole number with its sign, 0 without one: a caption should not say "-0"."""
    rounded = round(value)
    return f"{rounded:+d}" if rounded else "0"
