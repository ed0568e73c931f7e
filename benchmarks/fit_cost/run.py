"""What a fit costs: a step against a plain training step of the same classifier, peak memory, and time against data.

    python -m benchmarks.fit_cost.run step                        # time of a step and peak memory, three classifiers
    python -m benchmarks.fit_cost.run data --data folder:DIR      # whole fits on 1,000 to 50,000 images
    python -m benchmarks.fit_cost.report                          # the page

A *plain step* is forward, cross entropy, backward and AdamW of the classifier in training mode. A *fitting step* is
all that ``fit`` does with a batch: it is timed from outside, by the loader, between two batches. Both take turns in one
run, and medians are compared, so that whatever else the machine does falls on both.
Peak memory is the largest resident set (on a GPU: allocated memory) of a fresh process, less what it held before the
first step.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

from benchmarks.common.pages import ROOT
from benchmarks.fit_cost.report import ROWS
from examples.datasets import load
from learned_affine import FitConfig, LearnedAffineAugment
from learned_affine.classifier import SmallConvNet, train_classifier

SIDES = {"small": 32, "resnet18": 32, "mobilenet_v3_small": 96}


def main() -> None:
    """Measure what the command names."""
    options = parse()
    torch.set_num_threads(options.threads)
    if options.what == "memory":  # called by "step", in a process of its own
        print(json.dumps(peak(options.classifiers[0], options.role, options.batch, options.steps, options.device)))
    elif options.what == "step":
        for name in options.classifiers:
            write(options, step_row(options, name))
    else:
        for row in data_rows(options):
            write(options, row)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["step", "data", "memory"], help="memory: as step calls it")
    parser.add_argument("--classifiers", nargs="+", default=list(SIDES), choices=list(SIDES))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=30, help="of each kind, after five that are not counted")
    parser.add_argument("--sizes", nargs="+", type=int, default=[1000, 5000, 50_000])
    parser.add_argument("--data", default="fashion-mnist", help="fashion-mnist, cifar10 or folder:DIR")
    parser.add_argument("--root", default="data", help="where torchvision's datasets are")
    parser.add_argument("--download", action="store_true", help="fetch the data if they are not there")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--role", choices=["train", "fit"], help="for memory")
    parser.add_argument("--out", type=Path, default=ROWS)
    return parser.parse_args()


def write(options: argparse.Namespace, row: dict) -> None:
    """Add a row, with what it was measured on."""
    row |= {"threads": options.threads, "torch": torch.__version__, "device": device_name(options.device)}
    with options.out.open("a") as file:
        file.write(json.dumps(row) + "\n")
    print(json.dumps(row))


def device_name(device: str) -> str:
    """The GPU's name, or the CPU."""
    return torch.cuda.get_device_name() if device.startswith("cuda") else "cpu"


def classifier_of(name: str, device: str) -> nn.Module:
    """A classifier with random weights; its cost does not depend on them. ResNet-18 with the usual stem for 32 px."""
    torch.manual_seed(0)
    if name == "small":
        made: nn.Module = SmallConvNet(10, 3)
    else:
        made = models.get_model(name, weights=None, num_classes=10)
    if isinstance(made, models.ResNet):
        made.conv1, made.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    return made.to(device, memory_format=torch.channels_last)


class Plain:
    """Plain training, a step a call."""

    def __init__(self, classifier: nn.Module) -> None:
        self.classifier = classifier.train()
        self.optimizer = torch.optim.AdamW(classifier.parameters())

    def __call__(self, images: Tensor, labels: Tensor) -> None:
        """Forward, backward, step."""
        loss = F.cross_entropy(self.classifier(images), labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()


class TakingTurns:
    """A loader that times what is done with each of its batches, and takes a plain step after each."""

    def __init__(self, batch: tuple[Tensor, Tensor], length: int, plain: Plain) -> None:
        self.batch, self.length, self.plain = batch, length, plain
        self.fitting: list[float] = []
        self.training: list[float] = []

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The same batch again and again."""
        for _ in range(self.length):
            start = clock(self.batch[0])
            yield self.batch
            middle = clock(self.batch[0])
            with torch.enable_grad():
                self.plain(*self.batch)
            self.fitting.append(middle - start)
            self.training.append(clock(self.batch[0]) - middle)


def clock(like: Tensor) -> float:
    """Seconds, once the device has done all that it was asked to."""
    if like.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter()


def batch_of(name: str, count: int, device: str) -> tuple[Tensor, Tensor]:
    """Random images and labels."""
    side = SIDES[name]
    return torch.rand(count, 3, side, side, device=device), torch.randint(10, (count,), device=device)


def fit(classifier: nn.Module, loader: object, held_out: tuple[Tensor, Tensor], steps: int) -> LearnedAffineAugment:
    """A fit without a bar, that gives no alarms of what random weights lead to."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LearnedAffineAugment.fit(
            classifier,
            loader,
            val_loader=[held_out],
            config=FitConfig(target=1.0),
            max_steps=steps,
            progress=False,
        )


def step_row(options: argparse.Namespace, name: str) -> dict:
    """Time of a step of each kind, and the peak memory of each."""
    batch, steps = batch_of(name, options.batch, options.device), options.steps + 5
    turns = TakingTurns(batch, steps + 1, Plain(classifier_of(name, options.device)))
    fit(classifier_of(name, options.device), turns, batch, steps)
    fitting, training = turns.fitting[5:], turns.training[5:]
    row = {
        "what": "step",
        "classifier": name,
        "side": SIDES[name],
        "batch": options.batch,
        "steps": len(training),
        "fitting_ms": 1000 * statistics.median(fitting),
        "training_ms": 1000 * statistics.median(training),
        "time_ratio": statistics.median(fitting) / statistics.median(training),
    }
    peaks = {role: memory_of(options, name, role) for role in ("fit", "train")}
    row |= {f"{role}_peak_mb": peaks[role]["grown"] for role in peaks}
    row |= {f"{role}_process_mb": peaks[role]["whole"] for role in peaks}
    return row | {"memory_ratio": peaks["fit"]["grown"] / peaks["train"]["grown"]}


def memory_of(options: argparse.Namespace, name: str, role: str) -> dict[str, float]:
    """Peak memory of twelve steps in a fresh process, in MB."""
    command = [sys.executable, "-m", "benchmarks.fit_cost.run", "memory", "--classifiers", name, "--role", role]
    command += ["--steps", "12", "--batch", str(options.batch), "--device", options.device]
    command += ["--threads", str(options.threads)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout)


def peak(name: str, role: str, batch: int, steps: int, device: str) -> dict[str, float]:
    """Peak memory of some steps of one kind in this process: what they added to it, and all of it."""
    classifier, data = classifier_of(name, device), batch_of(name, batch, device)
    with torch.no_grad():
        classifier.eval()(data[0][:2])  # the libraries' own set-up
    before = held(device, reset=True)
    if role == "fit":
        fit(classifier, [data] * steps, data, steps)
    else:
        step = Plain(classifier)
        for _ in range(steps):
            step(*data)
    return {"grown": held(device) - before, "whole": held(device)}


def held(device: str, reset: bool = False) -> float:
    """The most memory held so far, in MB; the count may start anew from what is held now. On a CPU, Linux only."""
    if device.startswith("cuda"):
        if reset:
            torch.cuda.reset_peak_memory_stats()
        return torch.cuda.max_memory_allocated() / 2**20
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 2**10


def data_rows(options: argparse.Namespace) -> Iterator[dict]:
    """Whole fits to the small CNN as the data grow, against 30 epochs of its training.

    The held-out images are 2,000 test images: no accuracy is reported here.
    """
    train, test = load(options.data, options.root, options.download)
    for size in options.sizes:
        loader = train.take(torch.randperm(len(train))[:size]).loader(options.batch, shuffle=True)
        held_out = test.take(torch.arange(2000)).loader(options.batch)
        classifier = classifier_of("small", options.device)
        epochs = max(1, 10_000 // size)
        training = train_classifier(classifier, loader, epochs=epochs, seed=0, progress=False)
        start = time.perf_counter()
        augment = LearnedAffineAugment.fit(classifier, loader, val_loader=held_out, progress=False)
        seconds, last, info = time.perf_counter() - start, augment.history.last(), augment.history.info
        epoch = statistics.median(training["seconds"])
        yield {
            "what": "data",
            "classifier": "small",
            "images": size,
            "batch": options.batch,
            "fit_steps": info["steps"],
            "fit_seconds": seconds,
            "epoch_seconds": epoch,
            "share_of_30_epochs": seconds / (30 * epoch),
            "target": info["target"],
            **{key: last[key] for key in ("cross_entropy", "displacement", "kl", "agreement")},
        }


if __name__ == "__main__":
    main()
