"""What a fit shows while it runs: one progress bar, and TensorBoard where a folder is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

Metrics = dict[str, float]
SHOWN = {"entropy": "entropy", "displacement": "moved", "discriminator_loss": "D"}


class FitLog:
    """A bar on a terminal, and TensorBoard; neither on processes that are not the main one.

    Args:
        log_dir: TensorBoard's folder, None for none.
        progress: whether to show a bar; None: where the output is a terminal.
        is_main: whether this process shows anything.
    """

    def __init__(self, log_dir: str | Path | None, progress: bool | None, is_main: bool) -> None:
        self.disable: bool | None = True if not is_main else (None if progress is None else not progress)
        self.bar: Any = None
        self.writer: Any = None
        self.shown_after = 0
        if log_dir is not None and is_main:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise ImportError("log_dir needs TensorBoard: pip install learned_affine[train]") from error
            self.writer = SummaryWriter(str(log_dir))

    def start(self, total: int | None, done: int) -> None:
        """Show a bar of ``total`` steps, ``done`` of which are."""
        self.bar = tqdm(total=total, initial=done, desc="fit", unit="step", disable=self.disable)

    def say(self, text: str) -> None:
        """A line above the bar, where there is one."""
        if self.disable is False:
            tqdm.write(text)
        if self.writer is not None:
            self.writer.add_text("fit", text)

    def step(self, number: int, values: Metrics) -> None:
        """Move the bar, and write the step's scalars."""
        shown = {short: f"{values[key]:.3g}" for key, short in SHOWN.items() if key in values}
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update()
        if self.writer is not None and number % 10 == 0:
            for key, value in values.items():
                self.writer.add_scalar(f"step/{key}", value, number)

    def epoch_is_due(self, step: int) -> bool:
        """Whether an epoch's scalars and pictures are to be written: at most every 20 steps."""
        return self.writer is not None and step >= self.shown_after

    def epoch(
        self, step: int, entry: Metrics, images: Tensor, warped: Tensor, parameters: dict[str, list[float]]
    ) -> None:
        """Write an epoch's scalars, a grid of images before and after, and histograms of the parameters."""
        self.shown_after = step + 20
        for key, value in entry.items():
            self.writer.add_scalar(f"epoch/{key}", value, step)
        if not bool(torch.isfinite(warped.sum())):
            return  # a histogram of what is not finite is an error in TensorBoard
        images, warped = images.float(), warped.float()
        low, high = images.amin(), images.amax()
        pair = (torch.cat([images, warped]) - low) / (high - low).clamp_min(1e-12)
        shown = pair[:, :3] if pair.shape[1] >= 3 else pair[:, :1]
        self.writer.add_images("before (first half) and after", shown, step)
        for name, values in parameters.items():
            self.writer.add_histogram(f"parameters/{name}", torch.tensor(values), step)

    def close(self) -> None:
        """Finish the bar and the files."""
        if self.bar is not None:
            self.bar.close()
        if self.writer is not None:
            self.writer.close()
