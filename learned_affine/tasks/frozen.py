"""A model in evaluation mode, given back as it was."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn

ALONE = threading.RLock()  # a fit or an evaluation at a time: threads share torch's generator, and a model's mode


@contextmanager
def frozen(classifier: Any, device: torch.device) -> Iterator[None]:
    """Evaluation mode on ``device`` and no gradient for its parameters; afterwards everything is as it was.

    Restores ``training`` of every module, ``requires_grad``, parameters and buffers bit by bit, and the device, also
    after an exception or Ctrl-C. An exported module keeps the mode that it was exported in; what is no module is left
    alone.
    """
    if not isinstance(classifier, nn.Module):
        yield
        return
    modes = [(module, getattr(module, "training", None)) for module in classifier.modules()]  # frozen scripts have none
    tensors = [*classifier.parameters(), *classifier.buffers()]
    devices = {tensor.device for tensor in tensors}
    grads = [(parameter, parameter.requires_grad) for parameter in classifier.parameters()]
    saved = [(tensor, tensor.data, tensor.detach().to("cpu", copy=True)) for tensor in tensors]
    eager = [module for module in classifier.modules() if not isinstance(module, torch.jit.ScriptModule)]
    owned: list[Any] = [(own, dict(own)) for module in eager for own in (module._parameters, module._buffers)]
    moves = len(devices) == 1 and devices != {device}
    try:
        if moves:
            classifier.to(device)
        with suppress(NotImplementedError):  # of an exported module, whose mode cannot be changed
            classifier.eval()
        for parameter, _ in grads:
            parameter.requires_grad_(False)
        yield
    finally:
        for now, before in owned:  # what was replaced or added, by .to() or the classifier
            now.clear()
            now.update(before)
        if moves:
            classifier.to(devices.pop())
        _restore_modes(modes)
        for parameter, needed in grads:
            parameter.requires_grad_(needed)
        for tensor, memory, values in saved:
            _restore(tensor, tensor.data if moves else memory, values)


def _restore_modes(modes: list[tuple[nn.Module, bool | None]]) -> None:
    # by train(), since adapters such as LoRA's merge their weights in it; the outer modules first, as it goes inwards
    for module, training in modes:
        if training is not None and module.training != training:
            module.train(training)
    for module, training in modes:
        module.__dict__.pop("training", None)
        if training is not None:
            module.training = training


@torch.no_grad()
def _restore(tensor: Tensor, memory: Tensor, values: Tensor) -> None:
    """A tensor with its own memory and values, whatever was written to it."""
    if tensor.layout != torch.strided:  # a sparse one has no memory to compare
        tensor.data = values.to(tensor.device)
        return
    if tensor.data_ptr() != memory.data_ptr() or tensor.shape != memory.shape:
        tensor.data = memory
    now = tensor.cpu()
    if now.shape == values.shape and (torch.equal(now, values) or _only_nan(now, values)):
        return
    try:
        tensor.copy_(values)
    except RuntimeError:  # of another shape, or an expanded one, whose values share memory
        tensor.data = values.to(tensor.device)


def _only_nan(one: Tensor, other: Tensor) -> bool:
    """Whether floats are the same but for NaN, which is not equal to itself."""
    return one.is_floating_point() and torch.allclose(one, other, 0, 0, equal_nan=True)


def classifier_device(classifier: Any, wanted: torch.device | str | None = None) -> torch.device:
    """The device that is wanted, else where a classifier's parameters are; the CPU for one without."""
    if wanted is not None:
        return torch.device(wanted)
    first = next(classifier.parameters(), None) if isinstance(classifier, nn.Module) else None
    return torch.device("cpu") if first is None else first.device
