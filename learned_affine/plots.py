"""Pictures of a policy and of a fit. Needs matplotlib (``pip install learned_affine[plot]``).

Colours are those of Okabe and Ito, which the colour-blind can tell apart; line styles differ, too, for print.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from learned_affine.geometry import continuous
from learned_affine.history import FitHistory
from learned_affine.parameters import NAMES, AffineParameters
from learned_affine.transform import LearnedAffineAugment

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"


def _figure(rows: int, columns: int, size: tuple[float, float], **options: Any) -> tuple[Any, Any]:
    """A figure that no screen is needed for, on a white ground so that it reads on dark pages too."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install learned_affine[plot]") from error
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def _finish(figure: Any, path: str | Path | None) -> Any:
    if path is not None:
        figure.savefig(str(path), dpi=120)
    return figure


def _show(axis: Any, image: Tensor, low: float, high: float) -> None:
    """Draw ``(C, H, W)`` pixels, stretched from [low, high]."""
    pixels = ((image.float() - low) / max(high - low, 1e-12)).clamp(0, 1)
    pixels = pixels[:3] if len(pixels) >= 3 else pixels[:1].expand(3, -1, -1)
    axis.imshow(
        pixels.permute(1, 2, 0).cpu().numpy(), interpolation="nearest", extent=(0, image.shape[2], image.shape[1], 0)
    )
    axis.set_xticks([])
    axis.set_yticks([])


def caption_lines(parameters: AffineParameters, index: int) -> str:
    """What is done to one image, in four short lines."""
    angle, x, y, shear, right, down = (float(value[index]) for value in parameters.tensors())
    return f"turn {angle:+.0f}°\nscale {x:.2f} × {y:.2f}\nshear {shear:+.0f}°\nshift {right:+.0%}, {down:+.0%}"


@torch.no_grad()
def plot_before_after(
    augment: LearnedAffineAugment, images: Tensor, path: str | Path | None = None, seed: int = 0
) -> Any:
    """Images above, what one draw of the policy makes of them below, captioned (the paper's Figure 3).

    Args:
        augment: the augmenter; its ``p`` is left aside, every image is warped.
        images: ``(B, C, H, W)``, at most a dozen fit a page.
        path: where to write a PNG; None for none.
        seed: of the draw.

    Returns:
        The matplotlib figure.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parameters = augment.sample_parameters(images)
    source = images if images.is_floating_point() else images.float()
    warped = augment.warp(source, parameters)
    figure, axes = _figure(2, len(images), (1.15 * len(images), 3.1))
    low, high = float(source.min()), float(source.max())
    for column in range(len(images)):
        _show(axes[0, column], source[column], low, high)
        _show(axes[1, column], warped[column], low, high)
        axes[1, column].set_xlabel(caption_lines(parameters, column), fontsize=7)
    axes[0, 0].set_ylabel("before", fontsize=9)
    axes[1, 0].set_ylabel("after", fontsize=9)
    return _finish(figure, path)


def plot_history(history: FitHistory, path: str | Path | None = None) -> Any:
    """Loss curves of both players (the paper's Figure 2), and what the policy did meanwhile.

    Args:
        history: of a fit.
        path: where to write a PNG; None for none.

    Returns:
        The matplotlib figure.
    """
    figure, axes = _figure(1, 3, (10.5, 3.0))
    epochs = range(1, history.epochs + 1)
    panels: tuple[tuple[str, str, tuple[tuple[str, str, str, str], ...]], ...] = (
        ("losses", "nats", (
            ("loss", "augmenter", BLUE, "-"),
            ("val_loss", "augmenter, unseen", BLUE, ":"),
            ("discriminator_loss", "discriminator", ORANGE, "--"),
            ("val_discriminator_loss", "discriminator, unseen", ORANGE, ":"),
        )),
        ("classifier on augmented images", "nats, bits, share", (
            ("cross_entropy", "cross entropy (nats)", PURPLE, "-"),
            ("entropy", "entropy (bits)", GREEN, "--"),
            ("agreement", "agreement with clean", BLUE, ":"),
        )),
        ("what is done to the images", "share of the side or area", (
            ("displacement", "mean displacement", ORANGE, "-"),
            ("visible_area", "visible area", BLUE, "--"),
        )),
    )  # fmt: skip
    for axis, (title, unit, lines) in zip(axes[0], panels, strict=True):
        for key, label, colour, style in lines:
            if any(value == value for value in history[key]):
                axis.plot(
                    epochs, history[key], style, color=colour, label=label, marker="." if history.epochs < 3 else ""
                )
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("epoch")
        axis.set_ylabel(unit, fontsize=8)
        axis.legend(fontsize=7)
        axis.grid(alpha=0.3)
    target = history.info.get("target")
    if target and history.info.get("config", {}).get("objective") == "calibrated":
        axes[0, 1].axhline(target, color="black", linewidth=0.8)
        axes[0, 1].text(1, target, " target", fontsize=7, va="bottom")
    return _finish(figure, path)


@torch.no_grad()
def plot_fan(
    augment: LearnedAffineAugment, images: Tensor, path: str | Path | None = None, draws: int = 24, seed: int = 0
) -> Any:
    """Each image's distribution: the outlines that its draws turn the image's frame into, over the image.

    Args:
        augment: the augmenter.
        images: ``(B, C, H, W)``.
        path: where to write a PNG; None for none.
        draws: outlines an image.
        seed: of the draws.

    Returns:
        The matplotlib figure.
    """
    height, width = images.shape[-2:]
    source = images if images.is_floating_point() else images.float()
    figure, axes = _figure(1, len(images), (1.6 * len(images), 1.8))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        matrices = torch.stack([augment.sample_parameters(images).matrix(height, width) for _ in range(draws)])
    frame = torch.tensor([[0, 0], [width, 0], [width, height], [0, height], [0, 0]], dtype=torch.float32)
    for column, axis in enumerate(axes[0]):
        _show(axis, source[column], float(source.min()), float(source.max()))
        moved = continuous(matrices[:, column].cpu())
        for matrix in moved:
            outline = frame @ matrix[:, :2].T + matrix[:, 2]
            axis.plot(outline[:, 0], outline[:, 1], color=ORANGE, linewidth=0.7, alpha=0.6)
        axis.set_xlim(-0.3 * width, 1.3 * width)
        axis.set_ylim(1.3 * height, -0.3 * height)
    return _finish(figure, path)


@torch.no_grad()
def plot_parameters(
    augment: LearnedAffineAugment,
    images: Tensor,
    labels: Tensor,
    path: str | Path | None = None,
    names: Sequence[str] | None = None,
    draws: int = 16,
    seed: int = 0,
) -> Any:
    """Histograms of each parameter, one line a class.

    Args:
        augment: the augmenter.
        images: ``(B, C, H, W)``.
        labels: ``(B,)`` class indices.
        path: where to write a PNG; None for none.
        names: of the classes.
        draws: draws an image.
        seed: of the draws.

    Returns:
        The matplotlib figure.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        drawn = torch.stack([augment.sample_parameters(images).stacked().cpu() for _ in range(draws)])
    figure, axes = _figure(2, 3, (9.5, 5.0))
    styles = [(colour, style) for style in ("-", "--", ":") for colour in (BLUE, ORANGE, GREEN, PURPLE)]
    units = ("degrees", "factor", "factor", "degrees", "share of width", "share of height")
    for index, (axis, name, unit) in enumerate(zip(axes.flat, NAMES, units, strict=True)):
        values = drawn[..., index]
        low, high = float(values.min()), float(values.max())
        pad = max(0.02 * (high - low), 1e-6)
        for label in labels.unique().tolist():
            chosen = values[:, labels.cpu() == label].flatten()
            counts = torch.histc(chosen, 30, low - pad, high + pad) / len(chosen)
            centres = torch.linspace(low - pad, high + pad, 30)
            colour, style = styles[label % len(styles)]
            axis.plot(centres, counts, style, color=colour, label=names[label] if names else str(label), linewidth=1.2)
        axis.set_title(name, fontsize=10)
        axis.set_xlabel(unit, fontsize=8)
    axes[0, 2].legend(fontsize=7, title="class", title_fontsize=7, bbox_to_anchor=(1.02, 1), loc="upper left")
    return _finish(figure, path)


__all__ = ["caption_lines", "plot_before_after", "plot_fan", "plot_history", "plot_parameters"]
