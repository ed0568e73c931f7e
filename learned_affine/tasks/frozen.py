"""A model in evaluation mode, given back as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import nn


@contextmanager
def frozen(classifier: Any, device: torch.device) -> Iterator[None]:
    """Evaluation mode on ``device`` and no gradient for its parameters; afterwards everything is as it was.

    Restores ``training`` of every module, ``requires_grad``, buffers bit by bit, and the device, also after an
    exception or Ctrl-C. An exported module keeps the mode that it was exported in; what is no module is left alone.
    """
    if not isinstance(classifier, nn.Module):
        yield
        return
    modes = [(module, getattr(module, "training", None)) for module in classifier.modules()]  # frozen scripts have none
    grads = [(parameter, parameter.requires_grad) for parameter in classifier.parameters()]
    devices = {tensor.device for tensor in (*classifier.parameters(), *classifier.buffers())}
    buffers = [(buffer, buffer.detach().clone()) for buffer in classifier.buffers()]
    eager = [module for module in classifier.modules() if not isinstance(module, torch.jit.ScriptModule)]
    owned = [(module, dict(module._buffers)) for module in eager]
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
        for module, own in owned:  # buffers that were replaced or added, by .to() or the classifier
            module._buffers.clear()
            module._buffers.update(own)
        if moves:
            classifier.to(devices.pop())
        for module, training in modes:
            module.__dict__.pop("training", None)
            if training is not None:
                module.training = training
        for parameter, needed in grads:
            parameter.requires_grad_(needed)
        with torch.no_grad():
            for buffer, saved in buffers:
                if not torch.equal(buffer, saved):
                    buffer.copy_(saved)


def classifier_device(classifier: Any, wanted: torch.device | str | None = None) -> torch.device:
    """The device that is wanted, else where a classifier's parameters are; the CPU for one without."""
    if wanted is not None:
        return torch.device(wanted)
    first = next(classifier.parameters(), None) if isinstance(classifier, nn.Module) else None
    return torch.device("cpu") if first is None else first.device
