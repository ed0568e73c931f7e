"""Does the learned policy beat the pipelines that people have? One row a run, over seeds, paired.

    python -m benchmarks.pipelines.run --data icons --epochs 14 --arms none learned
    python -m benchmarks.pipelines.run --data fashion-mnist --root data --size 1000
    python -m benchmarks.pipelines.run --data folder:DIR --name cifar10 --model resnet --protocol scratch
    python -m benchmarks.pipelines.report                                                # the page

Protocols: ``stages``, the paper's three stages: a classifier is trained, the policy fitted to it, and the classifier is
trained further, for as many epochs, with the arm; ``scratch``: the policy is fitted to such a classifier once, and a
new one is trained with the arm from the beginning, for twice the epochs. 400 images are held out for the fit; of icons
some 600, of design sets of their own, as test icons are. A run that has a row of this version of the code is not run
again. Accuracy is that of the last epoch on the whole test set; seconds are the processor's own.
"""

import argparse
import copy
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from benchmarks.accuracy.resnet import SmallResNet
from benchmarks.common.digests import digest
from benchmarks.common.rows import RESULTS, append, has
from benchmarks.pipelines.arms import ARMS, Setting
from examples.datasets import DATA, Images, load
from learned_affine import AffineLimits
from learned_affine.classifier import SmallConvNet, calibration_error, train_classifier
from learned_affine.diagnostics import FitWarning

ROWS = RESULTS / "pipelines.jsonl"
HELD_OUT, HELD_OUT_ICONS = 400, 600
MODELS = {"small": SmallConvNet, "resnet": SmallResNet}
PADDING = {"icons": "border", "fashion-mnist": "zeros"}


def main() -> None:
    """Run what has no row yet."""
    options = parse()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore", FitWarning)
    train, test = load(options.data, options.root, options.download)
    key = {name: getattr(options, name) for name in ("protocol", "model", "size", "epochs")}
    key |= {"data": options.name or options.data, "code": digest("pipelines")}
    runs = [{**key, "seed": seed, "arm": arm} for seed in options.seeds for arm in options.arms]
    todo = [run for run in runs if not has(options.out, run)]
    with tqdm(total=len(todo), unit="run", disable=None) as bar:
        for seed in options.seeds:
            run_seed(options, [run for run in todo if run["seed"] == seed], train, test, bar)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="icons", help="icons, fashion-mini, fashion-mnist, cifar10 or folder:DIR")
    parser.add_argument("--name", help="what the rows call the data; --data by default")
    parser.add_argument("--root", default="data", help="where torchvision's datasets are")
    parser.add_argument("--download", action="store_true", help="fetch them if they are not there")
    parser.add_argument("--protocol", default="stages", choices=("stages", "scratch"))
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS), metavar="ARM")
    parser.add_argument("--size", type=int, help="training images, all but the held-out ones by default")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--model", default="small", choices=tuple(MODELS), help="resnet has 8 layers")
    parser.add_argument("--epochs", type=int, default=40, help="of each of the two trainings")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=ROWS)
    return parser.parse_args()


def run_seed(options: argparse.Namespace, runs: list[dict], train: Images, test: Images, bar: tqdm) -> None:
    """The first training once, then the missing arms; a row as each ends."""
    if not runs:
        return
    seed = runs[0]["seed"]
    held_out, mine = split(options.data, train, options.size, seed)
    batches = mine.loader(64, shuffle=True)
    classifier = trained(options.model, mine, batches, options.epochs, seed)
    padding = PADDING.get(options.name or options.data, "reflection")
    setting = Setting(classifier, batches, held_out.loader(64), mine.images.shape[-1], padding, seed)
    for run in runs:
        bar.set_description(f"{run['data']} {run['protocol']} {run['model']} seed {seed}: {run['arm']}")
        append(options.out, {**run, **run_arm(options, setting, run["arm"], mine, test)})
        bar.update()


def run_arm(options: argparse.Namespace, setting: Setting, arm: str, mine: Images, test: Images) -> dict:
    """One arm: the fit where there is one, the training, and the measures."""
    torch.manual_seed(setting.seed)
    start = time.process_time()
    augment = ARMS[arm](setting)
    fit_seconds = time.process_time() - start
    start = time.process_time()
    if options.protocol == "stages":
        classifier = copy.deepcopy(setting.classifier)
        how = {"epochs": options.epochs, "seed": setting.seed, "progress": False}
        train_classifier(classifier, setting.loader, augment=augment, **how)
    else:
        classifier = trained(options.model, mine, setting.loader, 2 * options.epochs, setting.seed, augment)
    seconds = {"fit_seconds": fit_seconds, "seconds": time.process_time() - start}
    about = of_fit(setting, AffineLimits(mirror="no mirrors" not in arm), test) if "learned" in arm else {}
    return {**measure(classifier, test), **seconds, **about}


@torch.no_grad()
def of_fit(setting: Setting, limits: AffineLimits, test: Images) -> dict[str, Any]:
    """What a fit came to, and the chance of a mirror by class of the test images."""
    policy = setting.fits[limits]
    last, info = policy.history.last(), policy.history.info
    names = ("displacement", "kl", "cross_entropy", "mirror_chance", "mirror_spread")
    found = {name: last[name] for name in names} | {name: info[name] for name in ("target", "budget", "steps")}
    chance = torch.cat([policy.localization(images).mirror_chance for images, _ in test.loader(500)])
    return {**found, "mirror_by_class": [float(chance[test.labels == one].mean()) for one in range(len(test.classes))]}


def split(data: str, train: Images, size: int | None, seed: int) -> tuple[Images, Images]:
    """The held-out images of a seed, and ``size`` to train on; of icons by design set."""
    draw = torch.Generator().manual_seed(1000 + seed)
    order = torch.randperm(len(train), generator=draw)
    kept = torch.zeros(len(train), dtype=torch.bool)
    if data == "icons":
        with np.load(DATA / "icons.npz") as arrays:
            families = torch.from_numpy(np.unique(arrays["families"][arrays["train_sets"]], return_inverse=True)[1])
        for family in torch.randperm(int(families.max()) + 1, generator=draw).tolist():
            own = families == family
            kept |= own if int(kept.sum() + own.sum()) <= HELD_OUT_ICONS else False
    else:
        kept[order[:HELD_OUT]] = True
    rest = order[~kept[order]]
    if size is not None and size > len(rest):
        raise SystemExit(f"--size must leave the held-out images of {len(train)}, got {size}")
    return train.take(kept.nonzero()[:, 0]), train.take(rest[:size])


def trained(model: str, images: Images, loader, epochs: int, seed: int, augment=None) -> nn.Module:
    """A new classifier, trained on the images."""
    torch.manual_seed(seed)
    classifier = MODELS[model](len(images.classes), images.images.shape[1]).to(memory_format=torch.channels_last)
    train_classifier(classifier, loader, augment=augment, epochs=epochs, seed=seed, progress=False)
    return classifier


@torch.no_grad()
def measure(classifier: nn.Module, test: Images) -> dict:
    """Accuracy in all and by class, negative log likelihood (nats), expected calibration error."""
    logits = torch.cat([classifier(images) for images, _ in test.loader(500)])
    right = (logits.argmax(-1) == test.labels).float()
    classes = [float(right[test.labels == one].mean()) for one in range(len(test.classes))]
    nll = float(torch.nn.functional.cross_entropy(logits, test.labels))
    calibration = {"nll": nll, "calibration_error": calibration_error(logits, test.labels)}
    return {"accuracy": float(right.mean()), "worst_class": min(classes), **calibration, "by_class": classes}


if __name__ == "__main__":
    main()
