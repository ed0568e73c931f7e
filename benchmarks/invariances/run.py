"""Are known invariances recovered? Drawn glyphs, whose labels tolerate rotations, shifts or sizes to a known extent.

    python -m benchmarks.invariances.run                             # three tasks, five seeds; resumable
    python -m benchmarks.invariances.run --tasks turn --rounds 16    # a longer fit
    python -m benchmarks.invariances.report                          # the page

The extent differs from image to image (``glyphs.py``). A classifier is trained on images that show it; the default
objective, with wide limits, is fitted to it; each image's fitted range is held against the truth. The control deals the
same parameters to other images: what a policy gains by looking at the image is what it is better than that.
"""

import argparse
import copy
import time
import warnings
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from tqdm.auto import tqdm

from benchmarks.common.digests import digest
from benchmarks.common.rows import append, has, rows_file
from benchmarks.invariances.glyphs import TASKS, Glyphs, Task, draw
from benchmarks.invariances.report import ROWS, SETTINGS
from examples.datasets import count
from learned_affine import AffineLimits, AffineParameters, FitConfig, LearnedAffineAugment
from learned_affine.classifier import SmallConvNet, evaluate_classifier, train_classifier
from learned_affine.diagnostics import FitWarning
from learned_affine.policy.network import LocalizationNetwork  # private: --thumbnail and --hidden change its size

DRAWS = 64
SHOWN = 300  # images whose range and truth a row keeps, for the figure


def main() -> None:
    """Run what has no row yet."""
    options = parse()
    torch.set_num_threads(1)
    common = {name: getattr(options, name) for name in SETTINGS} | {"code": digest("invariances")}
    keys = [{**common, "task": task, "seed": seed} for seed in options.seeds for task in options.tasks]
    for key in tqdm(keys, unit="run", disable=None):
        if not has(options.out, key):
            append(options.out, {**key, **run(TASKS[key["task"]], key["seed"], options)})


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--size", type=count, default=1500, help="training images")
    parser.add_argument("--epochs", type=count, default=40, help="of stage 1, and of stage 3")
    parser.add_argument("--width", type=count, default=12, help="of the classifier")
    parser.add_argument("--rounds", type=count, default=FitConfig().rounds, help="of the fit")
    parser.add_argument("--images", type=count, help="judged in the fit; by default as many as the data ask for")
    parser.add_argument("--thumbnail", type=count, default=16, help="side in pixels that the network sees")
    parser.add_argument("--hidden", type=count, default=64, help="features of the network")
    parser.add_argument("--out", type=rows_file, default=ROWS)
    return parser.parse_args()


def loader(glyphs: Glyphs, batch: int = 64, shuffle: bool = False) -> DataLoader:
    """Batches of images and labels."""
    return DataLoader(TensorDataset(glyphs.images, glyphs.labels), batch, shuffle=shuffle)


def run(task: Task, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """The three stages of one seed, with the learned policy and with the same one shuffled."""
    train, held_out, test = (draw(task, count, 3 * seed + part) for part, count in enumerate((options.size, 400, 1200)))
    torch.manual_seed(seed)
    classifier = SmallConvNet(task.classes, 1, options.width).to(memory_format=torch.channels_last)
    train_classifier(classifier, loader(train, shuffle=True), epochs=options.epochs, seed=seed, progress=False)
    row = {"accuracy_stage_1": evaluate_classifier(classifier, loader(test, 400))["accuracy"]}
    start = time.perf_counter()
    augment = fit(classifier, train, held_out, seed, options)
    row |= {"fit_seconds": time.perf_counter() - start}
    row |= {key: augment.history.last()[key] for key in ("cost", "budget", "price", "kl", "displacement")}
    row |= {"target": augment.history.info["target"], **judge(task, augment, classifier, train, seed)}
    for name, warp in (("none", None), ("learned", augment), ("shuffled", Shuffled(augment))):
        tuned = copy.deepcopy(classifier)
        train_classifier(
            tuned, loader(train, shuffle=True), augment=warp, epochs=options.epochs, seed=seed, progress=False
        )
        row[f"accuracy_{name}"] = evaluate_classifier(tuned, loader(test, 400))["accuracy"]
    return row


def fit(
    classifier: nn.Module, train: Glyphs, held_out: Glyphs, seed: int, options: argparse.Namespace
) -> LearnedAffineAugment:
    """The default objective within wide limits."""
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # what came out is in the row
        return LearnedAffineAugment.fit(
            classifier,
            loader(train, shuffle=True),
            val_loader=loader(held_out, 200),
            config=FitConfig(rounds=options.rounds, images=options.images),
            seed=seed,
            progress=False,
            limits=replace(AffineLimits.wide(), symmetries="none"),
            padding_mode="zeros",
            localization=LocalizationNetwork(1, options.thumbnail, options.hidden, symmetries="none"),
        )


class Shuffled:
    """The policy's own marginal: its parameters dealt to other images of the batch."""

    def __init__(self, augment: LearnedAffineAugment) -> None:
        self.augment = augment

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Images by chance ``p`` warped with another one's parameters."""
        parameters = self.augment.sample_parameters(images)[torch.randperm(len(images))]
        chosen = (torch.rand(len(images)) < self.augment.p).nonzero()[:, 0]
        if len(chosen) == 0:
            return images
        return images.index_copy(0, chosen, self.augment.warp(images[chosen], parameters[chosen]))


@torch.no_grad()
def judge(
    task: Task, augment: LearnedAffineAugment, classifier: nn.Module, glyphs: Glyphs, seed: int
) -> dict[str, Any]:
    """Fitted ranges against the truth, and labels kept: by the policy, and by the same one shuffled."""
    torch.manual_seed(seed)
    drawn = [augment.sample_parameters(glyphs.images) for _ in range(DRAWS)]
    changes = torch.stack([pose_change(task, parameters) for parameters in drawn])  # (K, N)
    low, high = changes.quantile(torch.tensor([0.1, 0.9]), 0)
    fitted, truth = high - low, glyphs.high - glyphs.low
    inside = glyphs.labels < len(task.tolerances)
    order = torch.randperm(len(truth))
    agree = [
        float((classifier(augment.warp(glyphs.images, one)).argmax(-1) == glyphs.labels).float().mean())
        for one in (drawn[0], drawn[0][order])
    ]
    return {
        "rank_correlation": spearman(fitted, truth),
        "rank_correlation_within_tolerance": spearman(fitted[inside], truth[inside]),
        "rank_correlation_of_centre": spearman(changes.median(0).values, (glyphs.low + glyphs.high) / 2),
        "label_kept": float(glyphs.keeps(changes).float().mean()),
        "label_kept_shuffled": float(glyphs.keeps(changes[:, order]).float().mean()),
        "label_agreement": agree[0],
        "label_agreement_shuffled": agree[1],
        "fitted_by_label": [float(fitted[glyphs.labels == label].mean()) for label in range(task.classes)],
        "truth_by_label": [float(truth[glyphs.labels == label].mean()) for label in range(task.classes)],
        "shown": [fitted[:SHOWN].tolist(), truth[:SHOWN].tolist()],
    }


def pose_change(task: Task, parameters: AffineParameters) -> Tensor:
    """What the parameters do to the pose that decides the label, in its unit: ``(N,)``."""
    if task.name == "turn":
        return parameters.angle
    if task.name == "shift":
        return parameters.translate_x
    return (parameters.scale_x.log() + parameters.scale_y.log()) / 2


def spearman(first: Tensor, second: Tensor) -> float:
    """Rank correlation; equal values share their mean rank."""
    return float(torch.corrcoef(torch.stack([ranks(first), ranks(second)]))[0, 1])


def ranks(values: Tensor) -> Tensor:
    """Mean ranks, from 1."""
    _, place, counts = torch.unique(values, return_inverse=True, return_counts=True)
    return (counts.cumsum(0) - (counts - 1) / 2)[place]


if __name__ == "__main__":
    main()
