"""Boxes and key points by a matrix, and what a matrix leaves visible.

Two conventions meet here and nowhere else. A *matrix* is kornia's: source to destination in pixel indices, where
the centre of the first pixel is (0, 0). torchvision's boxes and key points are *continuous*: the image spans
``[0, W] x [0, H]`` and the centre of the first pixel is (0.5, 0.5). ``continuous`` converts the first to the second.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

from learned_affine.geometry.parameters import flips_of, moved_by
from learned_affine.geometry.warp import in_full_precision


def continuous(matrix: Tensor) -> Tensor:
    """The same map in continuous coordinates: pixel indices moved by half a pixel, ``T(.5) M T(-.5)``."""
    return moved_by(matrix, matrix.new_full((2,), 0.5))


def warp_points(points: Tensor, matrix: Tensor) -> Tensor:
    """Move ``(..., 2)`` continuous points ``(x, y)`` by one ``(2, 3)`` matrix of pixel indices, in float64.

    As in torchvision, key points may leave the canvas.
    """
    moved = continuous(matrix.to(points.device, torch.float64))
    return points.double() @ moved[:, :2].T + moved[:, 2]


def warp_boxes(boxes: tv_tensors.BoundingBoxes, matrix: Tensor) -> tv_tensors.BoundingBoxes:
    """Move ``(N, K)`` boxes of any format by one ``(2, 3)`` matrix; a box becomes the box round its moved corners.

    The corners go through torchvision's own ``perspective``, whose coefficients map destination to source, so
    rotated formats, clamping and integer boxes behave as in torchvision's transforms. A mirror goes through its own
    ``horizontal_flip`` first: ``perspective`` takes it for granted that the corners go round a rotated box clockwise.
    What is not moved is not clamped either.
    """
    if boxes.dtype in (torch.float16, torch.bfloat16):  # torchvision's corners are float32 then
        wide = warp_boxes(tv_tensors.wrap(boxes.as_subclass(Tensor).float(), like=boxes), matrix)
        return tv_tensors.wrap(wide.as_subclass(Tensor).to(boxes.dtype), like=boxes)
    moved = continuous(matrix.detach().cpu().double())
    if torch.linalg.det(moved[:, :2]) < 0:
        boxes = F.horizontal_flip(boxes)
        moved = torch.stack([-moved[:, 0], moved[:, 1], moved[:, 2] + boxes.canvas_size[1] * moved[:, 0]], dim=1)
    if boxes.numel() == 0 or torch.equal(moved, torch.eye(2, 3, dtype=moved.dtype, device="cpu")):
        return tv_tensors.wrap(boxes.as_subclass(Tensor).clone(), like=boxes)
    back = torch.linalg.inv(torch.cat([moved, moved.new_tensor([[0.0, 0.0, 1.0]])]))
    with in_full_precision(boxes):
        return F.perspective(boxes, None, None, coefficients=[*back[:2].flatten().tolist(), 0.0, 0.0])


def rearrange_boxes(boxes: tv_tensors.BoundingBoxes, code: int) -> tv_tensors.BoundingBoxes:
    """Move ``(N, K)`` boxes of any format by a symmetry alone, as :func:`~learned_affine.geometry.warp.rearrange` does.

    Nothing is rounded but the corner of XYWHR, and nothing clamped: quarter turns are torchvision's own flips of
    transposed boxes.
    """
    values = boxes.as_subclass(Tensor).clone()
    if code % 2:  # exchange x and y; corners go on to run clockwise, and widths to be along the angle
        order = [1, 0, 7, 6, 5, 4, 3, 2] if values.shape[-1] == 8 else [1, 0, 3, 2, 4][: values.shape[-1]]
        values = values[..., order]
        if values.shape[-1] == 5:
            values[..., 4].neg_()
    moved = tv_tensors.wrap(values, like=boxes)
    for dimension in flips_of(code):
        moved = F.horizontal_flip(moved) if dimension == -1 else F.vertical_flip(moved)
    return moved


def visible_area(matrix: Tensor, height: int, width: int) -> Tensor:
    """Share of the output of ``(B, 2, 3)`` that shows the input rather than padding, ``(B,)``, on 16 x 16 probes."""
    (a, b, x), (c, d, y) = (row.unbind(-1) for row in continuous(matrix.float())[..., None, :].unbind(1))  # (B, 1)
    steps = (torch.arange(16, device=matrix.device) + 0.5) / 16
    down, right = torch.meshgrid(steps * height, steps * width, indexing="ij")
    determinant = a * d - b * c
    determinant = determinant.where(determinant != 0, 1e-12)
    right, down = right.flatten() - x, down.flatten() - y  # (B, P)
    back_x, back_y = (d * right - b * down) / determinant, (a * down - c * right) / determinant
    inside = (back_x >= 0) & (back_x <= width) & (back_y >= 0) & (back_y <= height)
    return inside.float().mean(-1)
