"""Does the learned policy help on real pictures? A small net from scratch, or a pretrained one; a row for each set,
arm and seed. Resumable.

    python -m benchmarks.real.run --root DIR                                   # DIR/<set>/{train,heldout,test}/<class>/
    python -m benchmarks.real.run --root DIR --sets aerial --arms none learned --seeds 1 2
    python -m benchmarks.real.report                                           # the page, from the rows

A net is trained without augmentation until it knows its training images; policies are fitted to it; then a new net
is trained with each arm from the beginning, for as many epochs. All folders are checked before the first training.
No image of the sets may be shown or passed on.
"""

import argparse
import functools
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm.auto import tqdm

from benchmarks.common.digests import digest
from benchmarks.common.rows import RESULTS, append, has, rows_file
from benchmarks.pipelines.measures import quality
from benchmarks.real.arms import ARMS, Arm, Setting, fits, suits
from benchmarks.real.data import SETS, Batches, Pictures, RealSet, read_set
from benchmarks.real.nets import NETS, Net
from examples.datasets import count
from learned_affine import LearnedAffineAugment
from learned_affine.classifier import train_classifier
from learned_affine.diagnostics import FitWarning

ROWS = RESULTS / "real.jsonl"


def main() -> None:
    """Run what has no row yet."""
    options = parse()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", FitWarning)  # what came out is in the row
    net = NETS[options.net]
    codes = {arm: code_of(arm) for arm in options.arms}  # of now: the files may change while this runs
    sets = {name: read_set(options.root, name, net.size, net.most) for name in options.sets}
    settings = [(seed, name) for seed in options.seeds for name in sets]
    for seed, name in tqdm(settings, unit="set", disable=None):
        key = {"net": options.net, "set": name, "epochs": options.epochs or net.epochs[name], "seed": seed}
        keys = [{**key, "arm": arm, "code": codes[arm]} for arm in options.arms if suits(arm, name)]
        run(net, sets[name], [one for one in keys if not has(options.out, one)], options.out)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="the folder that holds the sets")
    parser.add_argument("--net", choices=list(NETS), default="small")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS), metavar="SET")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS), metavar="ARM")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--epochs", type=count, help="of each training; by default what a set needs to converge")
    parser.add_argument("--out", type=rows_file, default=ROWS)
    return parser.parse_args(arguments)


def code_of(arm: str) -> str:
    """The digest of the code that decides an arm's numbers."""
    return digest("real, fitted" if fits(arm) else "real")


def run(net: Net, pictures: RealSet, keys: list[dict[str, Any]], out: Path) -> None:
    """The missing arms of a set and a seed; a row as each ends."""
    if not keys:
        return
    epochs, seed = keys[0]["epochs"], keys[0]["seed"]
    plain = functools.cache(lambda: trained(net, pictures, Arm(), epochs, seed))
    setting = Setting(pictures, seed, lambda: plain()[0], net.preprocess)
    for key in keys:
        if fits(key["arm"]):
            plain()  # outside of the fit's seconds
        torch.manual_seed(seed)
        start = time.process_time()
        arm = ARMS[key["arm"]](setting)
        fit_seconds = time.process_time() - start
        classifier, told = plain() if key["arm"] == "none" else trained(net, pictures, arm, epochs, seed)
        row = {**key, **told, **measured(classifier, net, pictures.test, pictures.classes)}
        if arm.policy is not None:
            row |= {"fit_seconds": fit_seconds, **of_policy(arm.policy)}
        append(out, row)


def trained(net: Net, pictures: RealSet, arm: Arm, epochs: int, seed: int) -> tuple[nn.Module, dict[str, float]]:
    """A new net, trained with an arm; the processor's seconds, and the accuracy on the (augmented) training images."""
    start = time.process_time()
    torch.manual_seed(seed)
    classifier = net.build(len(pictures.classes)).to(memory_format=torch.channels_last)
    batches = Batches(pictures.train, shuffle=True, pipeline=arm.one, moved=arm.many, size=net.batch)
    options = {"epochs": epochs, "seed": seed, "learning_rate": net.rate, "progress": False}
    history = train_classifier(classifier, batches, preprocess=net.preprocess, **options)
    return classifier, {"train_accuracy": history["accuracy"][-1], "seconds": time.process_time() - start}


@torch.no_grad()
def measured(classifier: nn.Module, net: Net, test: Pictures, classes: list[str]) -> dict[str, Any]:
    """Accuracy in all and by class, with the number of test pictures; mean log loss and calibration error."""
    prepared = net.preprocess or (lambda images: images)
    logits = torch.cat([classifier(prepared(images)) for images, _ in Batches(test, size=256)])
    right, labels = (logits.argmax(-1) == test.labels).double(), test.labels
    by_class = {name: [float(right[labels == k].mean()), int((labels == k).sum())] for k, name in enumerate(classes)}
    return quality(logits, labels) | {"by_class": by_class}


def of_policy(policy: LearnedAffineAugment) -> dict[str, Any]:
    """What a fit came to, and the chances of the eight symmetries by class of held-out images."""
    last, info = policy.history.last(), policy.history.info
    names = ("cost", "budget", "price", "kl", "displacement", "accuracy", "symmetry_chance")
    found = {name: last[name] for name in names} | {"interpolation": str(policy.interpolation)}
    found |= {name: value for name, value in info.items() if name.startswith("resampling")}
    chances = {str(row["class"]): row["chance"] for row in info.get("classes_moved", ())}
    return {"fit": found, "chances": chances}


if __name__ == "__main__":
    main()
