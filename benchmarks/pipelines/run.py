"""Does the learned policy beat the pipelines that people have? One row a run, over seeds, paired.

    python -m benchmarks.pipelines.run --data icons --epochs 14 --arms none learned
    python -m benchmarks.pipelines.run --data fashion-mnist --root data --size 1000
    python -m benchmarks.pipelines.run --data folder:DIR --name cifar10 --model resnet
    python -m benchmarks.pipelines.plan                                                  # all of them, in processes
    python -m benchmarks.pipelines.report                                                # the page

A classifier is trained without augmentation, the policy fitted to it once, and a new classifier trained with each
arm from the beginning, for twice the epochs. 400 images are held out for the fit; of icons some 600, of design sets of
their own, as test icons are. A run that has a row of this version of the code is not run again. Accuracy is that of the
last epoch on the whole test set.
"""

import argparse
import functools
import time
import warnings
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from tqdm.auto import tqdm

from benchmarks.common.digests import digest
from benchmarks.common.rows import RESULTS, append, has, rows_file
from benchmarks.pipelines.arms import ARMS, DEFAULT, FITS, Setting
from benchmarks.pipelines.measures import measure
from benchmarks.pipelines.resnet import SmallResNet
from examples.datasets import Images, count, load
from learned_affine import LearnedAffineAugment
from learned_affine.classifier import SmallConvNet, train_classifier
from learned_affine.diagnostics import FitWarning
from learned_affine.label_map import MappedLabels

ROWS = RESULTS / "pipelines.jsonl"
HELD_OUT, HELD_OUT_ICONS = 400, 600
BATCH, LARGE_BATCH, LARGE = 64, 128, 10_000  # images; the larger batch from so many training images on
AVERAGED = ("none", "flip + crop", "learned", "learned + colour")  # arms whose classifiers are averaged at test time
MODELS = {"small": SmallConvNet, "resnet": SmallResNet}
PADDING = {"icons": "border", "fashion-mnist": "zeros"}


class Batches:
    """Batches of images in memory, on any device; in a new order each time if ``shuffle``."""

    def __init__(self, images: Images, size: int, shuffle: bool = False) -> None:
        self.images, self.size, self.shuffle = images, size, shuffle

    def __len__(self) -> int:
        """How many batches."""
        return -(-len(self.images) // self.size)

    def __iter__(self) -> Any:
        """Pairs of images and labels."""
        count = len(self.images)
        order = torch.randperm(count) if self.shuffle else torch.arange(count)
        for rows in order.split(self.size):
            yield self.images.images[rows.to(self.images.images.device)], self.images.labels[rows]


class Mapped:
    """Batches that an augmenter of images and labels has changed."""

    def __init__(self, batches: Batches, augment: MappedLabels) -> None:
        self.batches, self.augment = batches, augment

    def __iter__(self) -> Any:
        """Pairs of images and labels."""
        return map(self.augment, self.batches)


def main() -> None:
    """Run what has no row yet."""
    options = parse()
    torch.set_num_threads(options.threads)
    todo = missing(options)
    with tqdm(total=len(todo), unit="run", disable=None) as bar:
        for seed in options.seeds:
            run_seed(options, [run for run in todo if run["seed"] == seed], bar)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="icons", help="icons, fashion-mini, fashion-mnist, cifar10 or folder:DIR")
    parser.add_argument("--name", help="what the rows call the data; --data by default")
    parser.add_argument("--root", default="data", help="where torchvision's datasets are")
    parser.add_argument("--download", action="store_true", help="fetch them if they are not there")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS), metavar="ARM")
    parser.add_argument("--size", type=count, help="training images, all but the held-out ones by default")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--model", default="small", choices=tuple(MODELS), help="resnet has 8 layers")
    parser.add_argument("--epochs", type=count, default=40, help="of the classifier to fit to; half of an arm's")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=count, default=1)
    parser.add_argument("--out", type=rows_file, default=ROWS)
    return parser.parse_args(arguments)


def missing(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The runs that have no row of this version of the code."""
    key = {name: getattr(options, name) for name in ("model", "size", "epochs")}
    key |= {"data": options.name or options.data}
    runs = [{**key, "code": code_of(arm), "seed": seed, "arm": arm} for seed in options.seeds for arm in options.arms]
    return [run for run in runs if not has(options.out, run)]


def fits(arm: str) -> bool:
    """Whether an arm needs a fitted policy."""
    return "learned" in arm


def code_of(arm: str) -> str:
    """The digest of the code that decides an arm's numbers; most arms depend on nothing that fits a policy."""
    return digest("pipelines, fitted" if fits(arm) else "pipelines")


@functools.cache  # a plan of many settings reads each data set once
def images_of(data: str, root: str, download: bool) -> tuple[Images, Images]:
    """Training and test images."""
    return load(data, root, download)


def run_seed(options: argparse.Namespace, runs: list[dict], bar: tqdm) -> None:
    """The missing arms of one seed; a row as each ends."""
    if not runs:
        return
    warnings.simplefilter("ignore", FitWarning)
    seed = runs[0]["seed"]
    train, test = images_of(options.data, options.root, options.download)
    held_out, mine = split(options.data, train, options.size, seed)
    held_out, mine, test = (replace(part, images=part.images.to(options.device)) for part in (held_out, mine, test))
    batches = Batches(mine, LARGE_BATCH if len(mine) >= LARGE else BATCH, shuffle=True)

    @functools.cache
    def classifier() -> nn.Module:
        return trained(options, mine, batches, options.epochs, seed)

    channels, side = mine.images.shape[1], mine.images.shape[-1]
    padding = PADDING.get(runs[0]["data"], "reflection")
    setting = Setting(classifier, batches, Batches(held_out, BATCH), channels, side, padding, seed)
    for run in runs:
        bar.set_description(f"{run['data']} {run['model']} seed {seed}: {run['arm']}")
        append(options.out, {**run, **run_arm(options, setting, run["arm"], mine, test)})
        bar.update()


def run_arm(options: argparse.Namespace, setting: Setting, arm: str, mine: Images, test: Images) -> dict:
    """One arm: the fit where there is one, the training, and the measures."""
    if fits(arm):
        setting.classifier()  # outside of the fit's seconds
    torch.manual_seed(setting.seed)
    start = clock(options.device)
    augment = ARMS[arm](setting)
    fit_seconds = clock(options.device) - start
    start = clock(options.device)
    mapped = isinstance(augment, MappedLabels)
    loader = Mapped(setting.loader, augment) if mapped else setting.loader
    classifier = trained(options, mine, loader, 2 * options.epochs, setting.seed, None if mapped else augment)
    seconds = {"fit_seconds": fit_seconds, "seconds": clock(options.device) - start}
    fit = FITS.get(arm, DEFAULT)
    about = of_fit(setting, setting.fits[fit], test) if fits(arm) else {}
    if fit.mapped:
        about["label_map"] = setting.fitted().proposed_label_map()
    measures = measure(classifier, test, setting.fits.get(DEFAULT) if arm in AVERAGED else None, setting.padding)
    return {**measures, **seconds, "device": options.device, **about}


def clock(device: str) -> float:
    """Seconds of the processor; with a GPU, whose work that leaves out, of the clock on the wall."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


@torch.no_grad()
def of_fit(setting: Setting, policy: LearnedAffineAugment, test: Images) -> dict[str, Any]:
    """What a fit came to: its end, held-out images under it, and the chances of symmetries by class of test images."""
    last, info = policy.history.last(), policy.history.info
    names = ("cost", "budget", "price", "kl", "displacement", "symmetry_chance", "symmetry_spread")
    found = {name: last[name] for name in names} | {"target": info["target"]}
    judged = policy.evaluate(setting.classifier(), setting.held_out)
    wanted = ("accuracy", "clean_accuracy", "worst_class_loss", "own_gain", "own_gain_error")
    found |= {f"held_out_{name}": judged[name] for name in wanted}
    policy.localization.to(test.images.device)
    chances = torch.cat([policy.policy(images).chances.cpu() for images, _ in Batches(test, 500)])
    by_class = [chances[test.labels == one].mean(0).tolist() for one in range(len(test.classes))]
    return {**found, "symmetries_by_class": by_class}


def split(data: str, train: Images, size: int | None, seed: int) -> tuple[Images, Images]:
    """The held-out images of a seed, and ``size`` to train on; of icons by design set."""
    rest, held_out = train.hold_out(HELD_OUT_ICONS if data == "icons" else HELD_OUT, 1000 + seed)
    if size is not None and size > len(rest):
        raise SystemExit(f"--size must leave the held-out images of {len(train)}, got {size}")
    return held_out, rest if size is None else rest.take(torch.arange(size))


def trained(
    options: argparse.Namespace, images: Images, loader: Any, epochs: int, seed: int, augment=None
) -> nn.Module:
    """A new classifier, trained on the images."""
    torch.manual_seed(seed)
    make = MODELS[options.model](len(images.classes), images.images.shape[1])
    classifier = make.to(options.device, memory_format=torch.channels_last)
    train_classifier(classifier, loader, augment=augment, epochs=epochs, seed=seed, progress=False)
    return classifier


if __name__ == "__main__":
    main()
