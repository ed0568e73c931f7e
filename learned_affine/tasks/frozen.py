"""A model in evaluation mode, given back as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def frozen(classifier: Any, device: torch.device) -> Iterator[None]:
    """Evaluation mode on ``device`` and no gradient for its parameters; afterwards everything is as it was.

    Restores every module's ``training`` flag, every ``requires_grad``, every buffer bit by bit, and the device, also
    after an exception or Ctrl-C. A classifier that is no module is left alone.
    """
    if not isinstance(classifier, nn.Module):
        yield
        return
    modes = [(module, module.training) for module in classifier.modules()]
    grads = [(parameter, parameter.requires_grad) for parameter in classifier.parameters()]
    devices = {tensor.device for tensor in (*classifier.parameters(), *classifier.buffers())}
    buffers = [(buffer, buffer.detach().clone()) for buffer in classifier.buffers()]
    owned = [(module, dict(module._buffers)) for module in classifier.modules()]
    moves = len(devices) == 1 and devices != {device}
    try:
        if moves:
            classifier.to(device)
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
            module.training = training
        for parameter, needed in grads:
            parameter.requires_grad_(needed)
        with torch.no_grad():
            for buffer, saved in buffers:
                if not torch.equal(buffer, saved):
                    buffer.copy_(saved)


def classifier_device(classifier: Any) -> torch.device:
    """Where a classifier's parameters are; the CPU for one without."""
    if isinstance(classifier, nn.Module):
        tensor: Tensor | None = next(classifier.parameters(), None)
        if tensor is not None:
            return tensor.device
    return torch.device("cpu")
