"""Images of every kind that a sample may hold, small."""

import numpy as np
import PIL.Image
import torch
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

INTEGERS = [getattr(torch, f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)]
FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
DTYPES = [*INTEGERS, torch.bool, *FLOATS]
FORMATS = [format_.name for format_ in tv_tensors.BoundingBoxFormat]


class Scan(torch.Tensor):
    """A tensor with metadata, as MONAI's."""


class Photo(tv_tensors.Image):
    """A tensor of torchvision's of the user's own type."""


def pixels(dtype: torch.dtype, *shape: int, most: int = 100, generator: torch.Generator | None = None) -> torch.Tensor:
    """Random pixels; of integers within [0, most)."""
    values = torch.rand(shape, generator=generator)
    return values > 0.5 if dtype == torch.bool else (values if dtype in FLOATS else values * most).to(dtype)


def pil(mode: str, size: tuple[int, int] = (24, 18), seed: int = 0) -> PIL.Image.Image:
    """A PIL image of any mode with smooth and with noisy parts."""
    width, height = size
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    noise = np.random.default_rng(seed).random((height, width, 4))
    planes = 255 * np.clip(np.stack([x, y, 1 - x, 0.3 + 0.7 * x * y], -1) * 0.7 + 0.3 * noise, 0, 1)
    colour = PIL.Image.fromarray(planes.astype(np.uint8), "RGBA")
    if mode.startswith("I;16"):
        order = ">u2" if mode == "I;16B" else "<u2"
        return PIL.Image.frombytes(mode, size, (planes[..., 0] * 250).astype(order).tobytes())
    if mode == "LAB":
        return PIL.Image.frombytes("LAB", size, colour.convert("RGB").tobytes())
    if mode == "PA":
        return colour.convert("RGB").quantize(16).convert("PA")
    if mode == "P":
        return colour.convert("RGB").quantize(16)
    if mode in ("La", "RGBa"):
        return colour.convert("LA" if mode == "La" else "RGBA").convert(mode)
    return colour.convert(mode) if mode in ("RGBA", "LA") else colour.convert("RGB").convert(mode)


def boxes(format_: str, canvas_size: tuple[int, int] = (18, 24)) -> tv_tensors.BoundingBoxes:
    """Two boxes well inside of their image, in a format."""
    if format_ in ("XYXY", "XYWH", "CXCYWH"):
        start = tv_tensors.BoundingBoxes([[5.0, 6, 15, 12], [9, 4, 14, 9]], format="XYXY", canvas_size=canvas_size)
    else:
        turned = [[12.0, 9, 8, 5, 30], [10, 9, 6, 3, -60]]
        start = tv_tensors.BoundingBoxes(turned, format="CXCYWHR", canvas_size=canvas_size)
    return F.convert_bounding_box_format(start, new_format=format_)
