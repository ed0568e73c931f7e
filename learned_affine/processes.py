"""One process or several. Several go by accelerate, under ``torchrun``; its import waits until it is needed.

The two networks of a fit are small, so gradients are averaged in one go instead of wrapping the modules: nothing has
to know about the processes but ``average_gradients``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class Processes:
    """What a fit asks of its surroundings: device, rank, averages.

    Args:
        accelerator: the user's own ``accelerate.Accelerator``; None makes one under torchrun, and none otherwise.
        device: where to compute, None for the classifier's own device.
    """

    def __init__(self, accelerator: Any = None, device: torch.device | str | None = None) -> None:
        if accelerator is None and int(os.environ.get("WORLD_SIZE", "1")) > 1:
            try:
                from accelerate import Accelerator
            except ImportError as error:
                raise ImportError("several processes need accelerate: pip install learned_affine[train]") from error
            accelerator = Accelerator(cpu=device is not None and torch.device(device).type == "cpu")
        self.accelerator = accelerator
        self.device = torch.device(device) if accelerator is None and device is not None else None
        self.rank: int = 0 if accelerator is None else accelerator.process_index
        self.count: int = 1 if accelerator is None else accelerator.num_processes
        if accelerator is not None:
            self.device = accelerator.device

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and bars."""
        return self.rank == 0

    def share(self, loader: Iterable[Any]) -> Iterable[Any]:
        """This process's part of a loader: a DataLoader is split, any other iterable is taken as split already."""
        if self.count == 1 or not isinstance(loader, torch.utils.data.DataLoader):
            return loader
        return self.accelerator.prepare_data_loader(loader)

    def autocast(self, device: torch.device) -> Any:
        """The accelerator's mixed precision; without one, none."""
        return torch.autocast(device.type, enabled=False) if self.accelerator is None else self.accelerator.autocast()

    def average_gradients(self, module: nn.Module) -> None:
        """Set each gradient to its mean over the processes, in one reduction."""
        if self.count == 1:
            return
        grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in module.parameters()]
        flat = self.accelerator.reduce(torch.cat([grad.flatten() for grad in grads]), "mean")
        for parameter, part in zip(module.parameters(), flat.split([g.numel() for g in grads]), strict=True):
            parameter.grad = part.view_as(parameter).clone()

    def average(self, value: float) -> float:
        """The mean of a number over the processes."""
        if self.count == 1:
            return value
        return float(self.accelerator.reduce(torch.tensor(value, device=self.device), "mean"))

    def equalise(self, module: nn.Module) -> None:
        """Give every process the main one's weights."""
        if self.count == 1:
            return
        from accelerate.utils import broadcast

        with torch.no_grad():
            for tensor in (*module.parameters(), *module.buffers()):
                tensor.copy_(broadcast(tensor.detach().clone(), from_process=0))

    def wait(self) -> None:
        """Until every process is here."""
        if self.count > 1:
            self.accelerator.wait_for_everyone()


def classifier_device(classifier: Any) -> torch.device:
    """Where a classifier's parameters are; the CPU for one without."""
    if isinstance(classifier, nn.Module):
        tensor: Tensor | None = next(classifier.parameters(), None)
        if tensor is not None:
            return tensor.device
    return torch.device("cpu")
