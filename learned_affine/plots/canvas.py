"""What every picture is made of: a figure without a screen, colours that print, pixels, and repeatable draws."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from learned_affine._checks import check_count
from learned_affine._files import write_atomically
from learned_affine.geometry.parameters import AffineParameters
from learned_affine.policy.thumbnail import has_alpha, on_a_ground
from learned_affine.transforms.transform import PolicyTransform

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Figure
else:
    Figure = Any  # it is optional

# Okabe and Ito's colours, which the colour-blind can distinguish; line styles and markers differ too, for print
BLUE, ORANGE, GREEN, PURPLE, SKY, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#666666"
DPI = 120


def blank_figure(rows: int, columns: int, size: tuple[float, float], **options: Any) -> tuple[Figure, Any]:
    """A figure of ``size`` inches that needs no screen, and its axes as an array ``(rows, columns)``."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install learned_affine[plot]") from error
    figure = Figure(figsize=size, layout="constrained", facecolor="white")  # white on dark pages, too
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def finish(figure: Figure, path: str | Path | None) -> Figure:
    """The figure, written where there is a path. Its texts are drawn as they are: a name may have dollar signs."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
    if path is not None:
        ending, content = Path(path).suffix.lower().removeprefix("."), io.BytesIO()
        if Path(path).is_dir() or ending not in figure.canvas.get_supported_filetypes():
            raise ValueError(f"path must be a file that ends in .png, .svg or .pdf, got {str(path)!r}")
        figure.savefig(content, dpi=DPI, format=ending)
        write_atomically(path, content.getvalue())
    return figure


def pixel_range(images: Tensor) -> tuple[float, float]:
    """Least and largest finite pixel, which are drawn black and white."""
    images = images.float()  # torch knows no least uint16
    finite = images[torch.isfinite(images)]
    return (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)


def as_seen(augment: PolicyTransform, images: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Images ``(B, C, H, W)`` with an alpha as the network sees them, on a plain ground; others as they are.

    ``dtype`` is that which their pixels came in, if they were converted since.
    """
    return on_a_ground(images, dtype) if has_alpha(images, augment.localization.channels) else images


def show_image(axis: Any, image: Tensor, limits: tuple[float, float]) -> None:
    """Draw ``(C, H, W)`` pixels, stretched from ``limits``, in continuous coordinates ``[0, W] x [0, H]``."""
    extent = (0, image.shape[2], image.shape[1], 0)
    pixels = as_pixels(image, limits).permute(1, 2, 0).cpu().numpy()
    axis.imshow(pixels, interpolation="nearest", extent=extent)
    axis.set_xticks([])
    axis.set_yticks([])


def as_pixels(images: Tensor, limits: tuple[float, float]) -> Tensor:
    """Images ``(..., C, H, W)`` as RGB in [0, 1], stretched from ``limits``."""
    low, high = limits
    pixels = ((images.float() - low) / max(high - low, 1e-12)).nan_to_num().clamp(0, 1)
    channels = pixels.shape[-3]
    return pixels[..., :3, :, :] if channels >= 3 else pixels[..., :1, :, :].expand(*pixels.shape[:-3], 3, -1, -1)


def draw(augment: PolicyTransform, images: Tensor, draws: int, seed: int) -> list[AffineParameters]:
    """``draws`` times the parameters of images, the same for the same seed; no generator is touched."""
    generator, count = torch.Generator().manual_seed(seed), len(images)
    noise = [augment.noise(count, generator) for _ in range(check_count("draws", draws))]
    return [augment.draw_parameters(images, one).to("cpu") for one in noise]
