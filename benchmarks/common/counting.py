"""What a call does, by every operator that torch dispatches in it: how many, whether it waits, and what it holds."""

from __future__ import annotations

import weakref
from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

WAITING = ("_local_scalar_dense", "nonzero", "is_nonzero", "item", "equal", "_unique2", "masked_select")


class Counting(TorchDispatchMode):
    """Counts operators, views among them, notes copies from one device to another, and the largest number of bytes.

    ``most`` is how many bytes of results were held at once; what an operator holds inside itself does not count.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operators: Counter[str] = Counter()
        self.waiting: Counter[str] = Counter()  # of each device, how often Python needs what is there
        self.copies: list[tuple[str, str, bool]] = []  # from, to, and whether it was waited for
        self.held, self.most = 0, 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the operator and take notes."""
        kwargs = kwargs or {}
        name = str(function.overloadpacket).removeprefix("aten.")
        result = function(*args, **kwargs)
        self.operators[name] += 1
        if name in WAITING:
            self.waiting[args[0].device.type] += 1
        if name == "_to_copy" and args[0].device != result.device:
            self.copies.append((args[0].device.type, result.device.type, not kwargs.get("non_blocking", False)))
        for value in pytree.tree_leaves((args, kwargs)):
            self._note(value, 0)
        for value in pytree.tree_leaves(result):
            self._note(value, 1)
        return result

    def _note(self, value: Any, counts: int) -> None:
        """Hold the bytes of a storage that was not seen before until it is freed."""
        if not isinstance(value, Tensor) or value.device.type == "meta":
            return
        storage = value.untyped_storage()
        if storage._cdata in self._known:
            return
        self._known.add(storage._cdata)
        size = counts * storage.nbytes()
        self.held += size
        self.most = max(self.most, self.held)
        weakref.finalize(storage, self._free, storage._cdata, size)

    def _free(self, place: int, size: int) -> None:
        self._known.discard(place)
        self.held -= size

    @property
    def total(self) -> int:
        """All operators."""
        return sum(self.operators.values())


def counted(call: Any, *args: Any, seed: int = 0) -> Counting:
    """What a call does at its second time, with that seed."""
    call(*args)
    torch.manual_seed(seed)
    with Counting() as counting:
        call(*args)
    return counting
