"""The paper's own localization network, without bounds and without randomness."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from learned_affine.geometry.limits import AffineLimits
from learned_affine.geometry.parameters import AffineParameters, constant, moved_by
from learned_affine.policy.thumbnail import thumbnail


class RawHead(nn.Module):
    """The paper's own head: one unbounded 2x3 matrix an image, no randomness, the identity at the start.

    As in a spatial transformer, the matrix maps output to input in coordinates that run from -1 to 1. Only for
    reproducing the paper: nothing keeps it from destroying the image.
    """

    deterministic = True

    def __init__(self, channels: int = 3, size: int = 16, width: int = 16) -> None:
        super().__init__()
        self.channels, self.size, self.width = channels, size, width
        side = -(-size // 4)
        convolutions = nn.Conv2d(channels, width, 3, 2, 1), nn.ReLU(), nn.Conv2d(width, 2 * width, 3, 2, 1), nn.ReLU()
        self.features = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(2 * width * side * side, 64), nn.ReLU())
        self.head = nn.Linear(64, 6)
        nn.init.zeros_(self.head.weight)
        with torch.no_grad():
            self.head.bias.copy_(self.head.bias.new_tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]))

    def arguments(self) -> dict[str, Any]:
        """What the constructor needs to build it again."""
        return {name: getattr(self, name) for name in ("channels", "size", "width")}

    def forward(self, images: Tensor) -> Tensor:
        """``(B, 2, 3)`` output-to-input matrices in normalised coordinates."""
        small = thumbnail(images, self.size, self.channels).to(self.head.weight.dtype)
        return self.head(self.features(small)).float().unflatten(-1, (2, 3))

    def draw(self, images: Tensor, noise: Tensor | None, limits: AffineLimits, strength: float) -> AffineParameters:
        """The parameters of the matrix; ``noise`` and ``limits`` play no part."""
        theta = self(images)
        theta = theta * strength + (1 - strength) * torch.eye(2, 3, dtype=theta.dtype, device=theta.device)
        (a, b, x), (c, d, y) = (row.unbind(-1) for row in theta.unbind(-2))
        height, width = images.shape[-2:]
        aspect = width / height  # normalised to pixel units: x by half the width, y by half the height
        right, down = -(d * x - b * y) * width / 2, -(a * y - c * x) * height / 2
        rows = torch.stack([d, -b * aspect, right, -c / aspect, a, down], -1).unflatten(-1, (2, 3))
        about_centre = rows / (a * d - b * c)[:, None, None]
        matrix = moved_by(about_centre, constant([(width - 1) / 2, (height - 1) / 2], theta))
        return AffineParameters.from_matrix(matrix, height, width)
