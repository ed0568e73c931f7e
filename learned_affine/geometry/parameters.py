"""The symmetry and the six numbers of an affine map: their names, units, bounds and matrix.

Convention: ``x`` points right, ``y`` down, angles are clockwise as displayed. Everything happens about the image
centre ``((W - 1) / 2, (H - 1) / 2)`` (pixel indices): content is mirrored left-right, rotated by quarter turns,
scaled, sheared along x, rotated, then shifted:

    linear part = R(angle) K(shear) diag(scale_x, scale_y) R(90 quarter_turns) diag(-1 if mirror else 1, 1)
    K(shear)    = [[1, -tan(shear)], [0, 1]]

which has the signs of ``torchvision.transforms.v2.functional.affine(angle, translate, scale, shear=[shear, 0])``.

The mirror and the quarter turns together are the *symmetry*, one of the eight maps of a square onto itself. As one
number it is its *code*, ``quarter_turns + 4 * mirror``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import cast

import torch
from torch import Tensor

from learned_affine._checks import check_type, shown

NAMES = ("angle", "scale_x", "scale_y", "shear", "translate_x", "translate_y")
INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint64, torch.uint32, torch.uint16, torch.uint8)
# what each field is, and its dtypes, of which the first is the one that it is kept in; any for the numbers
FIELDS = (
    *((name, "a", ()) for name in NAMES),
    ("mirror", "a bool", (torch.bool,)),
    ("quarter_turns", "an integer", INTEGERS),
)
EIGHT = tuple(range(8))  # the codes of the symmetries
# cosine and sine of 0 to 3 quarter turns, exactly: rounded, the cosine of 90 degrees is not 0
QUARTERS = ((1, 0), (0, 1), (-1, 0), (0, -1))
MATRICES = [((sign * cos, -sin), (sign * sin, cos)) for sign in (1, -1) for cos, sin in QUARTERS]  # their matrices
SYMMETRIES = torch.tensor(MATRICES, dtype=torch.float32, device="cpu").permute(1, 2, 0).reshape(2, 1, 2, 8)


@dataclass(frozen=True, eq=False)
class AffineParameters:
    """What is done to each image of a batch: six numbers and a symmetry, in tensors of shape ``(B,)``.

    Args:
        angle: degrees, clockwise as displayed.
        scale_x, scale_y: factors, > 1 enlarges the content.
        shear: degrees, along x.
        translate_x, translate_y: shift right and down, as fractions of width and height.
        mirror: whether the image is flipped left-right first; False for all if None.
        quarter_turns: by how many quarter turns, 0 to 3, clockwise as displayed, it is rotated next; 0 for all if
            None. Odd ones need square images.

    Raises:
        TypeError: if a field is no tensor, ``mirror`` is not bool or ``quarter_turns`` are no integers.
        ValueError: if the fields are not ``(B,)``, all of the same length, or ``quarter_turns`` are outside 0 to 3.

    Example:
        >>> zero, one = torch.zeros(2), torch.ones(2)
        >>> turned = AffineParameters(zero, one, one, zero, zero, zero, quarter_turns=torch.tensor([0, 1]))
        >>> turned.matrix(5, 5)[1].tolist()  # a quarter turn about the pixel (2, 2)
        [[0.0, -1.0, 4.0], [1.0, 0.0, 0.0]]
    """

    angle: Tensor
    scale_x: Tensor
    scale_y: Tensor
    shear: Tensor
    translate_x: Tensor
    translate_y: Tensor
    mirror: Tensor = cast(Tensor, None)  # noqa: RUF009  # a tensor as soon as __post_init__ is through
    quarter_turns: Tensor = cast(Tensor, None)  # noqa: RUF009  # likewise

    def __post_init__(self) -> None:
        given = self.quarter_turns
        for name, kind, dtypes in FIELDS:
            value = getattr(self, name)
            if value is None and dtypes:
                value = torch.zeros_like(self.angle, dtype=dtypes[0], requires_grad=False)
            if not isinstance(value, Tensor) or (dtypes and value.dtype not in dtypes):
                came = value.dtype if isinstance(value, Tensor) else shown(value)
                raise TypeError(f"{name} must be {kind} tensor of shape (B,), got {came}")
            if value.ndim != 1 or value.shape != self.angle.shape:
                shape = "(B,)" if name == "angle" else f"({len(self.angle)},) of angle"
                raise ValueError(f"{name} must have the shape {shape}, got {tuple(value.shape)}")
            kept = dtypes[0] if dtypes else value.dtype if value.is_floating_point() else torch.float32
            if value.dtype != kept or dtypes:
                object.__setattr__(self, name, value.to(kept))
        known = given is not None and given.device.type == "cpu" and not is_traced()  # to ask a GPU is to wait for it
        wrong = set(given.tolist()) - {0, 1, 2, 3} if known else None
        if wrong:
            raise ValueError(f"quarter_turns must be 0, 1, 2 or 3, got {min(wrong)}")

    @classmethod
    def identity(cls, count: int, device: torch.device | str = "cpu") -> AffineParameters:
        """Parameters that leave ``count`` images as they are."""
        zero, one = torch.zeros(count, device=device), torch.ones(count, device=device)
        return cls(zero, one, one, zero, zero, zero)

    @classmethod
    def symmetry(cls, code: int, count: int, device: torch.device | str = "cpu") -> AffineParameters:
        """Parameters of ``count`` images that do nothing but the symmetry ``quarter_turns + 4 * mirror``."""
        if code not in EIGHT:
            raise ValueError(f"code must be one of {', '.join(map(str, EIGHT))}, got {code}")
        mirror, turns = (torch.full((count,), value, device=device) for value in (code >= 4, code % 4))
        return replace(cls.identity(count, device), mirror=mirror, quarter_turns=turns)

    @classmethod
    def from_matrix(cls, matrix: Tensor, height: int, width: int) -> AffineParameters:
        """Read the parameters off pixel matrices: the inverse of :meth:`matrix` where there are no quarter turns.

        A negative determinant is read as a mirror, and all the rest of a rotation as ``angle``.

        Args:
            matrix: ``(B, 2, 3)`` or ``(B, 3, 3)``, source to destination, pixel indices ``(x, y)``. Other shapes are
                a ValueError, and so is a matrix without an inverse.
            height, width: size of the image in pixels.
        """
        check_type("matrix", matrix, Tensor, "a tensor of shape (B, 2, 3) or (B, 3, 3)")
        if matrix.ndim != 3 or tuple(matrix.shape[1:]) not in ((2, 3), (3, 3)):
            raise ValueError(f"matrix must have the shape (B, 2, 3) or (B, 3, 3), got {tuple(matrix.shape)}")
        matrix = matrix[:, :2] if matrix.is_floating_point() else matrix[:, :2].float()
        (a, b), (c, d) = (row.unbind(-1) for row in matrix[..., :2].unbind(-2))
        determinant = a * d - b * c
        if matrix.device.type == "cpu" and not is_traced() and bool((determinant == 0).any()):
            image = int((determinant == 0).nonzero()[0])
            raise ValueError(f"matrix must be invertible, got a determinant of 0 for image {image}")
        mirror = determinant < 0
        a, c = torch.where(mirror, -a, a), torch.where(mirror, -c, c)
        scale_x = torch.hypot(a, c)
        scale_y = (a * d - b * c) / scale_x
        sheared = (a * b + c * d) / scale_x  # x component of the second column, rotated back: -tan(shear) scale_y
        right, down = moved_by(matrix, constant([(1 - width) / 2, (1 - height) / 2], matrix))[..., 2].unbind(-1)
        angle, shear = torch.atan2(c, a).rad2deg(), torch.atan(-sheared / scale_y).rad2deg()
        return cls(angle, scale_x, scale_y, shear, right / width, down / height, mirror)

    def linear(self) -> tuple[Tensor, ...]:
        """The linear part R K diag R diag, row by row, each entry ``(B,)``."""
        radians, slant = torch.deg2rad(self.angle), torch.deg2rad(self.shear).tan()
        cos, sin = radians.cos(), radians.sin()
        columns = (
            cos * self.scale_x,
            sin * self.scale_x,
            torch.addcmul(sin, cos, slant) * -self.scale_y,
            torch.addcmul(cos, sin, slant, value=-1) * self.scale_y,
        )
        product = (torch.stack(columns).view(2, 2, 1, -1) * self.symmetry_matrix(radians.dtype)).sum(0)
        return product.view(4, -1).unbind()

    def codes(self) -> Tensor:
        """The symmetry of each image as one number, ``quarter_turns + 4 * mirror``: ``(B,)``, int64."""
        return torch.add(self.quarter_turns, self.mirror, alpha=4)

    def symmetry_matrix(self, dtype: torch.dtype) -> Tensor:
        """The linear part R diag of the symmetry alone with exact entries, ``(2, 1, 2, B)``: by row and column."""
        return SYMMETRIES.to(self.angle.device, dtype, non_blocking=True).index_select(3, self.codes())

    def matrix(self, height: int, width: int) -> Tensor:
        """Source-to-destination matrices ``(B, 2, 3)`` in pixel indices ``(x, y)``, as kornia's. Differentiable."""
        a, b, c, d = self.linear()
        x, y = (width - 1) / 2, (height - 1) / 2
        shift_x = (self.translate_x * width).sub(a, alpha=x).sub(b, alpha=y) + x
        shift_y = (self.translate_y * height).sub(c, alpha=x).sub(d, alpha=y) + y
        return torch.stack([a, b, shift_x, c, d, shift_y], dim=-1).view(-1, 2, 3)

    def is_still(self) -> Tensor:
        """Whether an image stays where it is but for its symmetry, ``(B,)``: then no pixel needs to be resampled."""
        rest = (self.angle == 0) & (self.shear == 0) & (self.translate_x == 0) & (self.translate_y == 0)
        return rest & (self.scale_x == 1) & (self.scale_y == 1)

    def displacement(self, height: float = 1, width: float = 1) -> Tensor:
        """How far each image moves, ``(B,)``: mean Euclidean shift of its four corners over its mean side.

        Of ``height`` and ``width`` only the ratio matters.
        """
        a, b, c, d = self.linear()
        total = torch.zeros_like(a)
        for x, y in itertools.product((-width / 2, width / 2), (-height / 2, height / 2)):
            right = (a - 1) * x + b * y + self.translate_x * width
            down = c * x + (d - 1) * y + self.translate_y * height
            total = total + torch.hypot(right, down)
        return total / 4 / ((height + width) / 2)

    def inverse(self, height: int = 1, width: int = 1) -> AffineParameters:
        """The parameters that undo these, a symmetry alone by a symmetry; only the ratio of the sides matters."""
        matrix = self.double().matrix(height, width)
        bottom = constant([0.0, 0.0, 1.0], matrix).expand(len(self), 1, 3)
        undone = AffineParameters.from_matrix(torch.linalg.inv(torch.cat([matrix, bottom], dim=1)), height, width)
        back = torch.where(self.mirror, self.quarter_turns, -self.quarter_turns % 4)
        still, exact = self.is_still(), AffineParameters.identity(len(self), matrix.device)
        exact = replace(exact, mirror=self.mirror, quarter_turns=back)
        merged = exact.map_all(lambda one, other: torch.where(still, one, other), undone)
        return merged.map(lambda value: value.to(self.angle.dtype))

    def map(self, function: Callable[[Tensor], Tensor]) -> AffineParameters:
        """The parameters with ``function`` applied to each of the six numbers; the symmetry stays."""
        return replace(self, **{name: function(getattr(self, name)) for name in NAMES})

    def map_all(self, function: Callable[..., Tensor], *others: AffineParameters) -> AffineParameters:
        """The parameters with ``function`` applied to each of the eight tensors, and to those of others beside them."""
        return AffineParameters(*map(function, self.leaves(), *(other.leaves() for other in others)))

    @classmethod
    def cat(cls, parts: Sequence[AffineParameters]) -> AffineParameters:
        """The parameters of several batches as those of one."""
        return cls(*map(torch.cat, zip(*(part.leaves() for part in parts), strict=True)))

    def without_symmetry(self) -> AffineParameters:
        """The same without the mirror and without quarter turns."""
        return AffineParameters(*self.tensors())

    def leaves(self) -> tuple[Tensor, ...]:
        """All eight tensors, in the order of the constructor."""
        return *self.tensors(), self.mirror, self.quarter_turns

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
        """The same on a device."""
        if torch.device(device) == self.angle.device:
            return self
        waits = torch.device(device).type == "cpu"  # what comes from a GPU must be there before it is read
        return self.map_all(lambda value: value.to(device, non_blocking=not waits))

    def to_dict(self) -> dict[str, list[float]]:
        """One list of ``B`` plain numbers a parameter, of bools for ``"mirror"``, ready for JSON."""
        return {name: getattr(self, name).tolist() for name in (*NAMES, "mirror", "quarter_turns")}

    def __len__(self) -> int:
        return self.angle.shape[0]

    def __getitem__(self, index: int | slice | list[int] | Tensor) -> AffineParameters:
        """The parameters of some images; an int gives those of one, still as a batch of one."""
        if isinstance(index, Integral):  # Python's, or numpy's
            if not -len(self) <= index < len(self):
                raise IndexError(f"index {index} is out of range for the parameters of {len(self)} images")
            index = [index]
        return self.map_all(lambda value: value[index])

    def __iter__(self) -> Iterator[AffineParameters]:
        return (self[index] for index in range(len(self)))

    def caption(self, index: int = 0) -> str:
        """One line in words of what is done to one image."""
        angle, x, y, shear, right, down = (float(value[index]) for value in self.tensors())
        turns = int(self.quarter_turns[index])
        symmetry = "mirrored  " if bool(self.mirror[index]) else ""
        symmetry += f"{turns} quarter turn{'s' * (turns > 1)}  " if turns else ""
        shift = f"shift {signed(100 * right)}%/{signed(100 * down)}%"
        return f"{symmetry}rotation {signed(angle)}°  scale {x:.2f}/{y:.2f}  shear {signed(shear)}°  {shift}"

    def __str__(self) -> str:
        """A readable table, one image a row; of many images, the first eight."""
        rows = ["image  mirror  quarter turns  angle°  scale_x  scale_y  shear°  right %   down %"]
        several = zip(*(part[:8].tolist() for part in self.leaves()), strict=True)
        for row, (angle, x, y, shear, right, down, flip, turns) in enumerate(several):
            angle, shear, right, down = (round(value, 1) + 0.0 for value in (angle, shear, 100 * right, 100 * down))
            rows.append(
                f"{row:5d} {'yes' if flip else 'no':>7} {turns:14d} {angle:+7.1f} {x:8.3f} {y:8.3f} {shear:+7.1f} "
                f"{right:+8.1f} {down:+8.1f}"
            )
        if len(self) > 8:
            rows.append(f"  ... {len(self) - 8} more")
        return "\n".join(rows)


def constant(values: Sequence[float], like: Tensor) -> Tensor:
    """Some numbers on the device of a tensor, in its dtype. It does not wait for a GPU, as ``new_tensor`` does."""
    return torch.tensor(values, dtype=like.dtype, device="cpu").to(like.device, non_blocking=True)


def moved_by(matrix: Tensor, shift: Tensor) -> Tensor:
    """The map of ``(..., 2, 3)`` matrices in coordinates whose numbers are larger by a ``shift``, ``(2,)``."""
    offset = matrix[..., 2] + shift - (matrix[..., :2] * shift).sum(-1)  # autocast would round a product of matrices
    return torch.cat([matrix[..., :2], offset[..., None]], dim=-1)


def flips_of(code: int) -> tuple[int, ...]:
    """The dimensions that a symmetry flips, of an image that is transposed first if the code is odd."""
    turns, mirror = code % 4, code // 4
    return ((), (-1,), (-2, -1), (-2,))[(turns + mirror) % 4]


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
