"""Does it help? Stage 3 with each arm, from the same classifier, for as many steps, over seeds.

    python -m benchmarks.accuracy.run --arms none learned "uniform p .5" --data fashion-mnist --root data
    python -m benchmarks.accuracy.run --data folder:DIR --name cifar10 --sizes 1000 4000 --seeds 0 1 2 3 4
    python -m benchmarks.accuracy.run --full --data cifar10 --root data --device cuda     # ResNet-18; not yet run
    python -m benchmarks.accuracy.report                                                  # the page

One row of ``results/accuracy.jsonl`` a run (``stages.py``): a run that has one is not run again, so an interrupted
benchmark goes on where it stopped. A row carries a digest of the code that decides its numbers; rows of another digest
are run anew, unless ``results/same_method.json`` says, with a reason, that what changed between the two alters no
numbers. An arm that fits nothing does not depend on how a fit is made, and has a digest of its own. The target of a fit
and the choice of a grid point come from 400 images kept out of training. Accuracy is that of the last epoch on the
whole test set; under warps, that of 2,000 test images drawn once. Seconds are the processor's own, so that other work
on the machine does not count.
"""

import argparse
import copy
import dataclasses
from pathlib import Path

import torch
from tqdm.auto import tqdm

from benchmarks.accuracy.all_arms import ARMS, code_of
from benchmarks.accuracy.report import ROWS
from benchmarks.accuracy.stages import HELD_OUT, after_stage_1, run_arm, turned
from benchmarks.common.rows import append, has
from examples.datasets import Images, load


def main() -> None:
    """Run what has no row yet."""
    options = parse()
    torch.set_num_threads(options.threads)
    codes = {arm: code_of(arm) for arm in options.arms}
    train, test = load(options.data, options.root, options.download)
    if options.turned:
        train, test = turned(train), turned(test)
    if options.test_size is not None:
        test = test.take(torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[: options.test_size])
    name = options.name or options.data
    name += (" turned" if options.turned else "") + (f", {options.test_size} test images" if options.test_size else "")
    base = {"data": name, "model": options.model, "epochs": options.epochs}
    todo = []
    for seed in options.seeds:
        for size in options.sizes:
            keys = [{**base, "size": size, "seed": seed, "arm": arm, "code": code} for arm, code in codes.items()]
            todo.append([key for key in keys if not has(options.out, key)])
    # what has a row is not in the total: the estimate is of what is left
    with tqdm(total=sum(map(len, todo)), unit="run", disable=None) as bar:
        for missing in filter(None, todo):
            run_seed(options, missing, train, test, bar)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="fashion-mini", help="fashion-mini, fashion-mnist, cifar10 or folder:DIR")
    parser.add_argument("--name", help="what the rows call the data; --data by default")
    parser.add_argument("--root", default="data", help="where torchvision's datasets are")
    parser.add_argument("--download", action="store_true", help="fetch them if they are not there")
    parser.add_argument("--turned", action="store_true", help="turn every image by an angle of its own, for good")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS), metavar="ARM")
    parser.add_argument("--sizes", nargs="+", type=int, default=[1000])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--model", default="small", help="small, resnet (8 layers), or a name in torchvision.models")
    parser.add_argument("--epochs", type=int, default=40, help="of stage 1, and of stage 3")
    parser.add_argument("--test-size", type=int, help="test images, all by default")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=ROWS)
    parser.add_argument("--full", action="store_true", help="ResNet-18 on all training images, 100 epochs, by default")
    if parser.parse_args().full:
        parser.set_defaults(model="resnet18", sizes=[50_000 - HELD_OUT], epochs=100)
    return parser.parse_args()


def run_seed(options: argparse.Namespace, missing: list[dict], train: Images, test: Images, bar: tqdm) -> None:
    """Stage 1 once, then the missing arms from its classifier; a row as each ends."""
    size, seed = missing[0]["size"], missing[0]["seed"]
    start, stage_1 = after_stage_1(train, size, seed, options.model, options.epochs, options.device)
    for key in missing:
        bar.set_description(f"{key['data']} {size} seed {seed}: {key['arm']}")
        setting = dataclasses.replace(start, classifier=copy.deepcopy(start.classifier), notes={})
        append(options.out, {**key, "stage_1_seconds": stage_1, **run_arm(setting, ARMS[key["arm"]], test)})
        bar.update()


if __name__ == "__main__":
    main()
