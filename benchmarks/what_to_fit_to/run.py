"""Which icons may be rotated? Asked of a classifier that saw rotations, and of one that did not.

    python -m benchmarks.what_to_fit_to.run        # five seeds, four fits each; resumable
    python -m benchmarks.what_to_fit_to.report     # the page

Two classifiers are trained on icons: *plain*, without augmentation, and *generous*, with any rotation and wide shifts
and scales on half of the images, and without flips. To each a policy is fitted within wide limits, by default and with
more rounds and images. A row has the standard deviation of the angle that each class of test icons is rotated by, and
the accuracy of a final classifier that was trained from scratch with the policy.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode, v2
from tqdm.auto import tqdm

from benchmarks.common.digests import digest
from benchmarks.common.rotated import each_rotated
from benchmarks.common.rows import RESULTS, append, has, rows_file
from benchmarks.pipelines.run import BATCH, HELD_OUT_ICONS, Batches, trained
from examples.datasets import Images, count, load
from learned_affine import AffineLimits, FitConfig, LearnedAffineAugment
from learned_affine.classifier import evaluate_classifier
from learned_affine.diagnostics import FitWarning

ROWS = RESULTS / "what_to_fit_to.jsonl"
TEACHERS = ("plain", "generous")
FITS = {"default": FitConfig(), "long": FitConfig(rounds=16, images=40_000)}


def main() -> None:
    """Run what has no row yet."""
    options = parse()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", FitWarning)  # what came out is in the row
    train, test = load("icons", "data", False)
    views = views_of(test)
    common = {"epochs": options.epochs, "code": digest("what to fit to")}
    keys = [{**common, "seed": seed, "teacher": teacher} for seed in options.seeds for teacher in options.teachers]
    for key in tqdm(keys, unit="classifier", disable=None):
        missing = [fit for fit in options.fits if not has(options.out, {**key, "fit": fit})]
        if missing:
            run(key, missing, train, test, views, options)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--teachers", nargs="+", default=list(TEACHERS), choices=TEACHERS)
    parser.add_argument("--fits", nargs="+", default=list(FITS), choices=list(FITS))
    parser.add_argument("--epochs", type=count, default=28, help="of each classifier")
    parser.add_argument("--out", type=rows_file, default=ROWS)
    parser.set_defaults(model="small", device="cpu")  # as ``trained`` asks for them
    return parser.parse_args()


def run(
    key: dict[str, Any],
    fits: list[str],
    train: Images,
    test: Images,
    views: dict[str, Batches],
    options: argparse.Namespace,
) -> None:
    """One teacher, its fits, and a final classifier for each; a row as each ends."""
    seed = key["seed"]
    mine, held_out = train.hold_out(HELD_OUT_ICONS, 1000 + seed)
    loader = Batches(mine, BATCH, shuffle=True)
    augment = generous() if key["teacher"] == "generous" else None
    teacher = trained(options, mine, loader, options.epochs, seed, augment)
    accuracy = {f"teacher_{name}": value for name, value in measured(teacher, views).items()}
    for fit in fits:
        start = time.process_time()
        policy = LearnedAffineAugment.fit(
            teacher,
            loader,
            val_loader=Batches(held_out, BATCH),
            config=FITS[fit],
            limits=AffineLimits.wide(),
            padding_mode="border",
            seed=seed,
            progress=False,
        )
        row = {**key, "fit": fit, **accuracy, "fit_seconds": time.process_time() - start, **described(policy, test)}
        final = trained(options, mine, loader, options.epochs, seed, policy)
        append(options.out, {**row, **measured(final, views)})


def generous() -> Callable[[Tensor], Tensor]:
    """Any rotation, and wide scales and shifts, on half of the images; no flips."""
    affine = v2.RandomAffine(180, (0.2, 0.2), (0.7, 1.4), interpolation=InterpolationMode.BILINEAR, fill=1.0)
    one = v2.RandomApply([affine], p=0.5)
    return lambda images: torch.stack([one(image) for image in images])


def views_of(test: Images) -> dict[str, Batches]:
    """Test icons as they are, and each rotated by an angle of its own; by the name of the accuracy on them."""
    views = {"accuracy": test, "accuracy_rotated": each_rotated(test, fill=1.0)}
    return {name: Batches(images, 500) for name, images in views.items()}


def measured(classifier: nn.Module, views: dict[str, Batches]) -> dict[str, float]:
    """Accuracy on each view."""
    return {name: evaluate_classifier(classifier, batches)["accuracy"] for name, batches in views.items()}


@torch.no_grad()
def described(policy: LearnedAffineAugment, test: Images) -> dict[str, Any]:
    """The end of a fit, and how far each class of test icons is rotated: the standard deviation in degrees."""
    last, info = policy.history.last(), policy.history.info
    found = {name: last[name] for name in ("cost", "budget", "price", "kl")}
    found |= {name: info[name] for name in ("target", "held_out_accuracy")}
    fitted = policy.localization(test.images, policy.limits)
    _, deviation = fitted.moments(policy.limits)
    by_class = {"angle_by_class": deviation[:, 0], "symmetry_by_class": 1 - fitted.chances[:, 0]}
    of_class = [test.labels == label for label in range(len(test.classes))]
    return found | {name: [float(values[rows].mean()) for rows in of_class] for name, values in by_class.items()}


if __name__ == "__main__":
    main()
