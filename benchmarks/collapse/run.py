"""Where the paper's loss leads on real images, and where the default leads.

    python -m benchmarks.collapse.run                  # the embedded images, three seeds; resumable
    python -m benchmarks.collapse.run --data fashion-mnist --root data --size 4000
    python -m benchmarks.collapse.report               # the page

Stage 1 goes on until the classifier is sure of its training images, as in the paper. Then each arm of ``ARMS`` fits an
augmenter to the same frozen classifier for as many steps; a row of ``results/collapse.jsonl`` holds what was measured
each epoch. A row carries a digest of the code that decides its numbers; rows of another digest are run anew.
"""

import argparse
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm.auto import tqdm

from benchmarks.collapse.images import images_of
from benchmarks.collapse.report import ROWS, SETTING
from benchmarks.common.digests import digest
from benchmarks.common.rows import append, has
from examples.datasets import Images
from learned_affine import AffineLimits, FitConfig, LearnedAffineAugment
from learned_affine.classifier import SmallConvNet, evaluate_classifier, train_classifier
from learned_affine.diagnostics import FitWarning
from learned_affine.diagnostics.measures import output_measures, policy_measures  # private: those of a fit's history
from learned_affine.losses import cross_entropy_nats, shannon_entropy_bits

SHOWN = 8
KEPT = ("loss", "val_loss", "discriminator_loss", "val_discriminator_loss", "displacement", "entropy")
KEPT += ("cross_entropy", "agreement", "visible_area", "dual", "kl")
ALONE = {"adversarial_weight": 0.0, "discriminator_rate": FitConfig().discriminator_rate}  # without a discriminator

ARMS: dict[str, FitConfig] = {
    "printed": FitConfig.paper(),
    "printed, no discriminator": FitConfig.paper(**ALONE),
    "adversarial term alone": FitConfig.paper(entropy_weight=0.0),
    "sign corrected": FitConfig.paper(sign="corrected"),
    "sign corrected, no discriminator": FitConfig.paper(sign="corrected", **ALONE),
    "calibrated (default), with discriminator": FitConfig(adversarial_weight=0.1),
    "calibrated (default)": FitConfig(),
}


def main() -> None:
    """Run what has no row yet."""
    options = parse()
    torch.set_num_threads(1)
    version = digest("collapse")
    for seed in options.seeds:
        run_seed(options, seed, version)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="fashion-mini", help="fashion-mini, fashion-mnist, cifar10 or folder:DIR")
    parser.add_argument("--root", default="data")
    parser.add_argument("--download", action="store_true", help="fetch the data if they are not there")
    parser.add_argument("--size", type=int, default=640, help="training images")
    parser.add_argument("--width", type=int, default=16, help="of the classifier")
    parser.add_argument("--stage-1-epochs", type=int, default=100, help="as in the paper")
    parser.add_argument("--epochs", type=int, default=50, help="of stage 2, as in the paper")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS), metavar="ARM")
    parser.add_argument("--out", type=Path, default=ROWS)
    return parser.parse_args()


def run_seed(options: argparse.Namespace, seed: int, version: str) -> None:
    """The arms of one seed that have no row yet, all from the same classifier."""
    key = {**{name: getattr(options, name) for name in SETTING}, "seed": seed, "code": version}
    missing = [arm for arm in options.arms if not has(options.out, {**key, "arm": arm})]
    if not missing:
        return
    mine, held_out = images_of(options.data, options.root, options.download, options.size, seed)
    classifier, sure = stage_1(options, mine, seed)
    for arm in tqdm(missing, desc=f"seed {seed}", unit="arm", disable=None):
        row = run(classifier, mine, held_out, configured(ARMS[arm], options, mine), seed)
        append(options.out, {**key, "arm": arm, **sure, **row})


def stage_1(options: argparse.Namespace, mine: Images, seed: int) -> tuple[nn.Module, dict[str, float]]:
    """A classifier that is sure of its training images, and how sure."""
    torch.manual_seed(seed)
    classifier = SmallConvNet(int(mine.labels.max()) + 1, mine.images.shape[1], options.width)
    classifier.to(memory_format=torch.channels_last)
    train_classifier(classifier, mine.loader(64, shuffle=True), epochs=options.stage_1_epochs, seed=seed)
    sure = evaluate_classifier(classifier, mine.loader(500))
    entropy = shannon_entropy_bits(logits_of_all(classifier, mine.images)).mean()
    return classifier, {"clean_cross_entropy": sure["cross_entropy"], "clean_entropy": float(entropy)}


@torch.no_grad()
def logits_of_all(classifier: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Logits ``(N, m)``, batch by batch."""
    return torch.cat([classifier(some) for some in images.split(500)])


def configured(config: FitConfig, options: argparse.Namespace, mine: Images) -> FitConfig:
    """The same number of steps for every arm; the default's learning rate follows from ``steps``."""
    if config.objective == "paper":
        return config.replace(epochs=options.epochs)
    return config.replace(steps=options.epochs * -(-len(mine) // 64))


def run(classifier: nn.Module, mine: Images, held_out: Images, config: FitConfig, seed: int) -> dict[str, Any]:
    """One fit: its history, and what became of all training images at its end."""
    torch.manual_seed(seed)
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FitWarning)
        augment = LearnedAffineAugment.fit(
            classifier,
            mine.loader(64, shuffle=True),
            val_loader=held_out.loader(200),
            config=config,
            seed=seed,
            progress=False,
            limits=AffineLimits.modest(),
            padding_mode="zeros" if mine.images.shape[1] == 1 else "reflection",
        )
    seconds, kinds = time.perf_counter() - start, [one.category.__name__ for one in caught]
    curves = {name: augment.history[name] for name in KEPT}
    steps = augment.history.info["steps"]
    return {**final(augment, classifier, mine), "steps": steps, "seconds": seconds, "warned": kinds, "curves": curves}


@torch.no_grad()
def final(augment: LearnedAffineAugment, classifier: nn.Module, mine: Images) -> dict[str, Any]:
    """Measures over all training images, and the warps of the first few."""
    torch.manual_seed(0)
    parameters = augment.sample_parameters(mine.images)
    clean, warped = (logits_of_all(classifier, x) for x in (mine.images, augment.warp(mine.images, parameters)))
    found = policy_measures(parameters, *mine.images.shape[-2:]) | output_measures(warped, clean)
    found["cross_entropy"] = float(cross_entropy_nats(warped, mine.labels).mean())
    found["target"] = augment.history.info["target"]
    if augment.history.info["config"]["objective"] == "paper":
        theta = augment.localization(mine.images)
        found["theta_minus_identity"] = float((theta - torch.eye(2, 3)).abs().mean())
    return {**found, "shown": parameters[:SHOWN].stacked().tolist()}


if __name__ == "__main__":
    main()
