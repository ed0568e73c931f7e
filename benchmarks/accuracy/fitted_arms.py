"""The arms with a stage 2: the learned default, its ablations, and the paper's own loss."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.accuracy.arms import WIDE, Augment, Setting, chosen
from learned_affine import AffineLimits, FitConfig, LearnedAffineAugment
from learned_affine.policy.network import LocalizationNetwork  # private: arms change its size, and what it observes


def fitted(
    setting: Setting,
    p: float = 0.5,
    config: FitConfig | None = None,
    limits: AffineLimits | None = None,
    **network: Any,
) -> LearnedAffineAugment:
    """Stage 2: an augmenter fitted to the setting's classifier; ``network`` goes to the ``LocalizationNetwork``."""
    config = config or FitConfig()
    arguments: dict[str, Any] = {"limits": limits or AffineLimits.modest(), "padding_mode": setting.padding, "p": p}
    if config.objective != "paper":
        arguments["localization"] = LocalizationNetwork(setting.channels, **network)
    augment = LearnedAffineAugment.fit(
        setting.classifier,
        setting.loader,
        val_loader=setting.held_out,
        config=config,
        seed=setting.seed,
        progress=False,
        **arguments,
    )
    last = augment.history.last()
    setting.notes |= {key: last[key] for key in ("displacement", "kl", "cross_entropy", "visible_area") if key in last}
    setting.notes["target"] = augment.history.info["target"]
    return augment


def shuffled(setting: Setting, **arguments: Any) -> Augment:
    """The learned policy, with its parameters dealt to other images of the batch."""
    augment = fitted(setting, **arguments)

    @torch.no_grad()
    def draw(images: Tensor) -> Tensor:
        rows = chosen(images, augment.p)
        parameters = augment.sample_parameters(images)[torch.randperm(len(images))][rows]
        return images if len(rows) == 0 else images.index_copy(0, rows, augment.warp(images[rows], parameters))

    return draw


def refitted(setting: Setting, every: int = 8) -> Augment:
    """The learned policy, fitted again to the classifier of the moment, with fewer steps after the first time."""
    augment = fitted(setting)

    def follow(classifier: nn.Module, epoch: int) -> None:
        if epoch and epoch % every == 0:
            quick = FitConfig(steps=40)
            augment.fit(
                classifier, setting.loader, val_loader=setting.held_out, config=quick, seed=setting.seed, progress=False
            )

    setting.on_epoch = follow
    return augment


FITTED: dict[str, Callable[[Setting], Augment | None]] = {
    "learned": fitted,
    "learned wide": partial(fitted, limits=WIDE),
    "learned, shuffled": shuffled,
    "learned wide, shuffled": partial(shuffled, limits=WIDE),
    "learned, with discriminator": partial(fitted, config=FitConfig(adversarial_weight=0.1)),
    "learned, no entropy term": partial(fitted, config=FitConfig(entropy_weight=0.0)),
    "learned, one for all": partial(fitted, per_image=False),
    "learned p 1": partial(fitted, p=1.0),
    "learned wide p 1": partial(fitted, p=1.0, limits=WIDE),
    "learned, predicted labels": partial(fitted, config=FitConfig(labels="predicted")),
    "learned wide, predicted labels": partial(fitted, limits=WIDE, config=FitConfig(labels="predicted")),
    "learned, tolerance 0.05": partial(fitted, config=FitConfig(tolerance=0.05)),
    "learned, tolerance 0.3": partial(fitted, config=FitConfig(tolerance=0.3)),
    "learned wide, tolerance 0.05": partial(fitted, limits=WIDE, config=FitConfig(tolerance=0.05)),
    "learned wide, tolerance 0.3": partial(fitted, limits=WIDE, config=FitConfig(tolerance=0.3)),
    "learned, refitted": refitted,
}
PAPERS: dict[str, Callable[[Setting], Augment | None]] = {  # whose third stage trains on the augmented images alone
    "paper as printed": partial(fitted, p=1.0, config=FitConfig.paper()),
    "paper, sign turned": partial(fitted, p=1.0, config=FitConfig.paper(sign="corrected")),
}
