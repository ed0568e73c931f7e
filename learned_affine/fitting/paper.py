"""The paper's own procedure: its loss, by its gradient through warp and classifier, epoch by epoch.

    augmenter:      log(1 - D(I')) + lambda L_ME(I'),    equation 4
    discriminator:  -[log D(I) + log(1 - D(I'))]

For comparison alone: as printed its optimum is the identity, and with the sign corrected nothing bounds it
(docs/evidence/paper.md).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from learned_affine import losses
from learned_affine._checks import warn_caller
from learned_affine.config import FitConfig
from learned_affine.diagnostics.checks import FitWarning
from learned_affine.diagnostics.measures import policy_measures
from learned_affine.fitting.adversary import Adversary
from learned_affine.fitting.history import Progress
from learned_affine.tasks.batches import Batch
from learned_affine.tasks.model import Model
from learned_affine.transforms.transform import PolicyTransform

SEEN_BY_DISCRIMINATOR, DISCRIMINATOR_RATE = 32, 1e-4  # pixels; of its SGD


def fit_as_in_the_paper(
    augment: PolicyTransform,
    model: Model,
    config: FitConfig,
    training: Callable[..., Iterable[Batch]],
    device: torch.device,
    progress: Progress,
) -> None:
    """Fit the augmenter's network, whose head is raw, for ``config.rounds`` passes over the training images."""
    augment.history = progress.history
    network, adversary = augment.localization, None
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    if config.adversarial_weight > 0:
        adversary = Adversary(network.channels, device, SEEN_BY_DISCRIMINATOR)
        adversary.optimizer = torch.optim.SGD(adversary.layers.parameters(), lr=DISCRIMINATOR_RATE)
    for number in range(config.rounds):
        began, steps = time.perf_counter(), []
        for images, _ in training(number):
            good = {name: tensor.clone() for name, tensor in network.state_dict().items()}
            measured = _step(augment, model, config, images.to(device), optimizer, adversary)
            if not math.isfinite(measured["loss"]):
                network.load_state_dict(good)
                text = (
                    f"the fit stopped in round {number + 1} since a loss, gradient or warp was not finite; the last "
                    "good weights are kept. Lower learning_rate, or use the default objective."
                )
                return warn_caller(FitWarning("stopped-fit", text))
            steps.append(measured)
        entry = {name: sum(step[name] for step in steps) / len(steps) for name in steps[0]}
        entry["seconds"] = time.perf_counter() - began
        progress.add(entry)


def _step(
    augment: PolicyTransform,
    model: Model,
    config: FitConfig,
    images: Tensor,
    optimizer: torch.optim.Optimizer,
    adversary: Adversary | None,
) -> dict[str, float]:
    """One step of the augmenter, then one of the discriminator; what was measured in it."""
    drawn = augment.draw_parameters(images, None)
    if not bool(drawn.stacked().isfinite().all()):  # of a matrix without an inverse
        return {"loss": math.nan}
    warped = augment.warp(images, drawn)
    output = model.output(model.answer(warped, strict=False))
    loss = config.entropy_weight * losses.max_entropy_gap_nats(output, config.sign).mean()
    if adversary is not None:
        scores = adversary.score(warped)
        loss = loss + config.adversarial_weight * losses.adversarial_nats(scores, saturating=True).mean()
    weights = list(augment.localization.parameters())
    # of these alone: a function round a classifier would gather gradients in it
    for weight, gradient in zip(weights, torch.autograd.grad(loss, weights, allow_unused=True), strict=True):
        weight.grad = gradient
    optimizer.step()
    measured: dict[str, Any] = {"loss": loss.detach(), "discriminator_loss": math.nan}
    if adversary is not None and bool(measured["loss"].isfinite()):
        measured["discriminator_loss"] = adversary.learn(images, warped.detach())
    with torch.no_grad():
        clean = model.output(model.answer(images))
        measured["agreement"] = model.task.right(output, model.task.predicted(clean)).mean()
        measured["entropy"] = model.task.entropy_bits(output).mean()
        measured |= policy_measures(drawn.detach(), [images.shape[-2:]] * len(images))
    finite = all(bool(tensor.isfinite().all()) for tensor in weights)
    return {name: float(value) for name, value in measured.items()} | ({} if finite else {"loss": math.nan})
