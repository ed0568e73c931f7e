"""Every run of the comparison, the most needed first, by several processes at once. Resumable.

    python -m benchmarks.pipelines.plan --cifar10 folder:DIR --root data                # on this machine's processor
    python -m benchmarks.pipelines.plan --cifar10 folder:DIR --root data --device cuda --workers 16 --minutes 9

A job is one seed of a setting, with some of its arms; it is run whole on one device, so pairs are of one device too.
"""

import argparse
import multiprocessing
import os
import time
from pathlib import Path
from typing import NamedTuple

import torch
from tqdm.auto import tqdm

from benchmarks.pipelines import run

ALONE = ["learned, mirror alone", "learned, no symmetries", "flip + learned, no symmetries"]
SYMMETRIES = ["learned", "learned, symmetries shuffled", *ALONE, "flip", "none"]
LOSSES = ["learned, no adversarial loss", "learned, no entropy loss"]
PARTS = ["learned", "learned + colour", "none", "learned, shuffled", "learned, one for all", *LOSSES]
FIXED = ["flip", "flip + crop", "flip + affine", "RandAugment"]
TRIVIAL = ["TrivialAugmentWide", "flip + crop + TrivialAugmentWide", "flip + crop + colour"]
OURS = ["learned", "learned + colour", "none"]
CLAIMS = [OURS, ["learned, shuffled"], ["flip + crop", "TrivialAugmentWide"], TRIVIAL[1:], ["RandAugment"]]  # at 10,000
FEW = [["none", "flip + crop"], ["TrivialAugmentWide"], ["flip + crop + colour"], OURS[:2]]  # at all images


class Part(NamedTuple):
    """Settings that differ in their seed alone; ``groups`` of arms are jobs of their own."""

    data: str
    model: str
    protocol: str
    size: int | None
    epochs: int
    seeds: range
    groups: list[list[str]]

    def jobs(self, options: argparse.Namespace) -> list[argparse.Namespace]:
        """As ``run`` takes them."""
        where = {"cifar10": options.cifar10}.get(self.data, self.data.removeprefix("rotated "))
        words = ["--data", where, "--root", options.root, "--model", self.model, "--protocol", self.protocol]
        words += ["--epochs", str(self.epochs), "--device", options.device, "--out", str(options.out)]
        words += ["--name", self.data.removeprefix("rotated ")]
        words += ["--rotated"] if self.data.startswith("rotated") else []
        words += ["--size", str(self.size)] if self.size else []
        return [
            run.parse([*words, "--seeds", str(seed), "--arms", *arms]) for seed in self.seeds for arms in self.groups
        ]


FIVE, THREE, TWO = range(1, 6), range(1, 4), range(1, 3)
FLIPS = [["learned", "none", "flip + crop"]]
RAND = ["learned + RandAugment's colour"]
ALL_ARMS = [PARTS, [*FIXED, *TRIVIAL], RAND]
PLAN = {
    "cifar10": [
        Part("cifar10", "small", "stages", 1000, 40, FIVE, FLIPS),
        Part("cifar10", "resnet", "stages", 1000, 40, FIVE, FLIPS),
        Part("cifar10", "resnet", "scratch", 1000, 40, FIVE, ALL_ARMS),
        Part("cifar10", "resnet", "scratch", 10_000, 15, THREE, CLAIMS),
        Part("cifar10", "resnet", "scratch", None, 5, TWO, FEW),
        Part("cifar10", "small", "stages", 4000, 20, FIVE, FLIPS),
        Part("cifar10", "resnet", "stages", 4000, 20, FIVE, FLIPS),
    ],
    "fashion": [
        Part("fashion-mnist", "small", "scratch", 10_000, 15, THREE, CLAIMS),
        Part("fashion-mnist", "small", "scratch", None, 5, TWO, FEW),
        Part(
            "fashion-mnist", "small", "stages", 1000, 40, range(1, 11), [["learned", "learned, no symmetries", "none"]]
        ),
        Part("fashion-mnist", "small", "scratch", 1000, 40, FIVE, ALL_ARMS),
        Part("rotated fashion-mnist", "small", "scratch", 1000, 40, FIVE, ALL_ARMS),
    ],
    "icons": [
        Part("icons", "small", "stages", None, 14, FIVE, [SYMMETRIES]),
        Part("icons", "small", "scratch", None, 14, FIVE, ALL_ARMS),
    ],
}


def main() -> None:
    """Run what has no row yet, until the minutes are over: what runs then is ended, and starts anew next time."""
    options = parse()
    torch.set_num_threads(1)  # before the processes fork: each has one thread
    jobs = [job for name in options.parts for part in PLAN[name] for job in part.jobs(options) if run.missing(job)]
    for job in jobs:
        run.images_of(job.data, job.root, job.download, job.rotated)  # once; the processes share it
    end = time.monotonic() + 60 * options.minutes
    with multiprocessing.get_context("fork").Pool(options.workers) as pool:
        done = pool.imap_unordered(do, jobs)
        for _ in tqdm(range(len(jobs)), unit="job", mininterval=10):
            try:
                told = done.next(timeout=max(0.1, end - time.monotonic()))
            except multiprocessing.TimeoutError:
                break
            if told:
                print(told, flush=True)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", default=list(PLAN), choices=list(PLAN))
    parser.add_argument("--cifar10", default="cifar10", help="cifar10 under --root, or folder:DIR")
    parser.add_argument("--root", default="data", help="where torchvision's datasets are")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--minutes", type=float, default=1e6)
    parser.add_argument("--out", type=Path, default=run.ROWS)
    return parser.parse_args()


def do(job: argparse.Namespace) -> str:
    """One job; what went wrong, if something did, so that the others go on."""
    try:
        run.run_seed(job, run.missing(job), tqdm(disable=True))
    except Exception as error:  # told at once, and the run has no row
        return f"{job.data} {job.protocol} {job.seeds} {job.arms}: {error!r}"
    return ""


if __name__ == "__main__":
    main()
