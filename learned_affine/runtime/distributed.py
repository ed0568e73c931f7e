"""One process or several. Several go by accelerate, under ``torchrun``; its import waits until it is needed.

The two networks of a fit are small, so gradients are averaged in one go instead of wrapping the modules: nothing has
to know about the processes but ``average_gradients``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler

KEPT = (  # of a DataLoader that is split; the batch sampler stands for what is not named here
    "num_workers",
    "collate_fn",
    "pin_memory",
    "timeout",
    "worker_init_fn",
    "multiprocessing_context",
    "generator",
    "prefetch_factor",
    "persistent_workers",
)


class Distributed:
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
            # without cpu=True accelerate takes each process without a GPU for one that is alone
            on_cpu = not torch.cuda.is_available() if device is None else torch.device(device).type == "cpu"
            accelerator = Accelerator(cpu=on_cpu)
        self.accelerator = accelerator
        self.device = torch.device(device) if accelerator is None and device is not None else None
        self.rank: int = 0 if accelerator is None else accelerator.process_index
        self.count: int = 1 if accelerator is None else accelerator.num_processes
        if accelerator is not None:
            self.device = accelerator.device

    @property
    def is_main(self) -> bool:
        """Whether this process writes files, bars and warnings."""
        return self.rank == 0

    def local_slice(self, count: int) -> slice:
        """This process's rows of what has ``count`` for each of them, by rank."""
        return slice(self.rank * count, (self.rank + 1) * count)

    def some_rows(self, count: int, share: float, generator: torch.Generator) -> Tensor:
        """A share of all rows, of which each process has ``count``, drawn alike by all; this one's, perhaps none."""
        size, start = count * self.count, count * self.rank
        rows = torch.randperm(size, generator=generator)[: math.ceil(share * size)]
        return rows[(start <= rows) & (rows < start + count)] - start

    def shard(self, loader: Iterable[Any]) -> Iterable[Any]:
        """This process's part of a loader.

        A DataLoader with torch's own batch sampler is split batch by batch, so that step k of N processes sees the
        same images as step k of one process at N times the batch size. Anything else is taken as split already: an
        iterable dataset, a ``DistributedSampler``, a loader that the accelerator has prepared.
        """
        if self.count == 1 or not isinstance(loader, DataLoader):
            return loader
        batches = loader.batch_sampler
        if type(batches) is not BatchSampler or isinstance(batches.sampler, DistributedSampler):
            return loader
        shared: Any = ShardedBatchSampler(batches, self.rank, self.count)
        return DataLoader(loader.dataset, batch_sampler=shared, **{name: getattr(loader, name) for name in KEPT})

    def autocast(self, device: torch.device) -> Any:
        """The accelerator's mixed precision; without one, none."""
        return torch.autocast(device.type, enabled=False) if self.accelerator is None else self.accelerator.autocast()

    def average_gradients(self, parameters: list[nn.Parameter]) -> None:
        """Set each gradient to its mean over the processes, in one reduction."""
        if self.count == 1:
            return
        grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
        flat = self.accelerator.reduce(torch.cat([grad.flatten() for grad in grads]), "mean")
        for parameter, part in zip(parameters, flat.split([g.numel() for g in grads]), strict=True):
            parameter.grad = part.view_as(parameter).clone()

    def average(self, value: float) -> float:
        """The mean of a number over the processes."""
        return value if self.count == 1 else self.averages({"": value})[""]

    def averages(self, values: dict[str, float]) -> dict[str, float]:
        """The mean of each number over the processes, which must have the same keys; one reduction for all."""
        if self.count == 1:
            return values
        numbers = self.accelerator.reduce(torch.tensor(list(values.values()), device=self.device), "mean")
        return dict(zip(values, numbers.tolist(), strict=True))

    def gather(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Each tensor with the rows of all processes, which may have different numbers, by rank; in one exchange."""
        if self.count == 1:
            return tensors
        from accelerate.utils import gather_object

        parts = gather_object([[tensor.cpu() for tensor in tensors]])
        pairs = zip(tensors, zip(*parts, strict=True), strict=True)
        return tuple(torch.cat(rows).to(tensor.device) for tensor, rows in pairs)

    def all(self, yes: bool) -> bool:
        """Whether it is so in every process: all go on or none, or some would wait for the others for ever."""
        return yes if self.count == 1 else self.average(float(yes)) > 1 - 0.5 / self.count

    def min(self, count: int) -> int:
        """The smallest of the processes' counts."""
        if self.count == 1:
            return count
        return int(self.accelerator.gather(torch.tensor([count], device=self.device)).min())

    def broadcast_parameters(self, module: nn.Module) -> None:
        """Give every process the main one's weights."""
        if self.count == 1:
            return
        with torch.no_grad():
            for tensor in (*module.parameters(), *module.buffers()):
                tensor.copy_(self.broadcast_tensor(tensor.detach().clone()))

    def broadcast_tensor(self, tensor: Tensor) -> Tensor:
        """The main process's values of a tensor of the same shape everywhere."""
        if self.count == 1:
            return tensor
        from accelerate.utils import broadcast

        return broadcast(tensor.to(self.device), from_process=0).to(tensor.device)


class ShardedBatchSampler(BatchSampler):
    """Of the batches of indices every ``count``-th, from ``rank`` on; the first ones once more where some are missing.

    Args:
        batches: the batch sampler of one process, in the same order in all of them.
        rank: which of the processes this is.
        count: how many there are.
    """

    def __init__(self, batches: BatchSampler, rank: int, count: int) -> None:
        super().__init__(batches.sampler, batches.batch_size, batches.drop_last)
        self.batches, self.rank, self.count = batches, rank, count

    def __iter__(self) -> Iterator[list[int]]:
        """This process's batches."""
        first: list[list[int]] = []
        group: list[list[int]] = []
        for batch in self.batches:
            group.append(batch)
            if len(group) == self.count:
                first = first or group
                yield group[self.rank]
                group = []
        if group:
            filled = group + (first or group) * self.count
            yield filled[self.rank]

    def __len__(self) -> int:
        """Batches of each process, the same for all."""
        return -(-len(self.batches) // self.count)


def seed_cpu(seed: int) -> None:
    """Seed torch's CPU generator alone; ``torch.manual_seed`` would also reset those of the user's GPUs."""
    torch.default_generator.manual_seed(seed % 2**63)
