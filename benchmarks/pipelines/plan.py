"""Every run of the comparison, the most needed first, by several processes at once. Resumable.

    python -m benchmarks.pipelines.plan --cifar10 folder:DIR --root data                # on this machine's processor
    python -m benchmarks.pipelines.plan --cifar10 folder:DIR --root data --device cuda --workers 16 --minutes 9

A job is one seed of a setting, with some of its arms; it is run whole on one device, so pairs are of one device too.
"""

import argparse
import multiprocessing
import os
import time
from typing import NamedTuple

import torch
from tqdm.auto import tqdm

from benchmarks.common.rows import rows_file
from benchmarks.pipelines import run
from examples.datasets import count

OURS = ["none", "learned", "learned + colour"]
FIXED = [
    "flip",
    "flip + affine",
    "flip + crop",
    "flip + crop + colour",
    "flip + crop + TrivialAugmentWide",
    "TrivialAugmentWide",
    "RandAugment",
]
SYMMETRIES = ["flip", "all eight symmetries", "learned", "learned, symmetries alone", "learned, proposed label map"]
ALL = [OURS, FIXED]


class Part(NamedTuple):
    """Settings that differ in their seed alone; ``groups`` of arms are jobs of their own."""

    data: str
    model: str
    size: int | None
    epochs: int
    seeds: range
    groups: list[list[str]]

    def jobs(self, options: argparse.Namespace) -> list[argparse.Namespace]:
        """As ``run`` takes them."""
        where = options.cifar10 if self.data == "cifar10" else self.data
        words = ["--data", where, "--root", options.root, "--model", self.model]
        words += ["--epochs", str(self.epochs), "--device", options.device, "--out", str(options.out)]
        words += ["--name", self.data]
        words += ["--size", str(self.size)] if self.size else []
        return [
            run.parse([*words, "--seeds", str(seed), "--arms", *arms]) for seed in self.seeds for arms in self.groups
        ]


PLAN = {
    "icons": Part("icons", "small", None, 14, range(1, 6), [*ALL, SYMMETRIES]),
    "fashion": Part("fashion-mnist", "small", 1000, 40, range(1, 6), ALL),
    "cifar10": Part("cifar10", "resnet", 1000, 40, range(1, 6), ALL),
    "cifar10, 10,000": Part("cifar10", "resnet", 10_000, 15, range(1, 4), ALL),
}


def main() -> None:
    """Run what has no row yet, until the minutes are over: what runs then is ended, and starts anew next time."""
    options = parse()
    torch.set_num_threads(1)  # before the processes fork: each has one thread
    jobs = [job for name in options.parts for job in PLAN[name].jobs(options) if run.missing(job)]
    for job in jobs:
        run.images_of(job.data, job.root, job.download)  # once; the processes share it
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
    parser.add_argument("--workers", type=count, default=os.cpu_count())
    parser.add_argument("--minutes", type=float, default=1e6)
    parser.add_argument("--out", type=rows_file, default=run.ROWS)
    return parser.parse_args()


def do(job: argparse.Namespace) -> str:
    """One job; what went wrong, if something did, so that the others go on."""
    try:
        run.run_seed(job, run.missing(job), tqdm(disable=True))
    except Exception as error:  # told at once, and the run has no row
        return f"{job.data} {job.seeds} {job.arms}: {error!r}"
    return ""


if __name__ == "__main__":
    main()
