"""One process or several. Several go by accelerate, under ``torchrun``; its import waits until it is needed.

They share the judging of warped images and nothing else: each learns the same policy from all that was judged.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor

from learned_affine.tasks.frozen import classifier_device


class Processes:
    """Device, rank, and what the other processes have.

    Where the user gives no ``accelerate.Accelerator``, one is made under torchrun. The device is its own; without one
    it is the given one, or else the classifier's.
    """

    def __init__(
        self, accelerator: Any = None, device: torch.device | str | None = None, classifier: Any = None
    ) -> None:
        self.device = classifier_device(classifier, device)
        self.rank, self.count = 0, 1
        if accelerator is None and int(os.environ.get("WORLD_SIZE", "1")) > 1:
            accelerator = _new_accelerator(device)
        if accelerator is not None:
            self.device, self.rank = accelerator.device, accelerator.process_index
            self.count = accelerator.num_processes

    @property
    def is_main(self) -> bool:
        """Whether this process shows bars and warnings."""
        return self.rank == 0

    def own(self, count: int) -> slice:
        """This process's part of ``count`` rows, by rank."""
        size = -(-count // self.count)
        return slice(self.rank * size, (self.rank + 1) * size)

    def gather(self, *parts: Tensor) -> tuple[Tensor, ...]:
        """Each tensor, on the CPU, with the rows of all processes, by rank; in one exchange."""
        if self.count == 1:
            return parts
        from accelerate.utils import gather_object

        return tuple(torch.cat(rows) for rows in zip(*gather_object([parts]), strict=True))

    def from_main(self, value: Any) -> Any:
        """What the main process has for a value; it must pickle."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value], from_process=0)[0]


def _new_accelerator(device: torch.device | str | None) -> Any:
    try:
        from accelerate import Accelerator
    except ImportError as error:
        raise ImportError("several processes need accelerate: pip install learned_affine[train]") from error
    # without cpu=True accelerate takes each process without a GPU for one that is alone
    on_cpu = not torch.cuda.is_available() if device is None else torch.device(device).type == "cpu"
    return Accelerator(cpu=on_cpu)
