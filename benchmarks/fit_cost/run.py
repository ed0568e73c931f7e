"""What a fit costs: its time as the data grow, against the training of the same classifier, and its peak memory.

    python -m benchmarks.fit_cost.run data --data folder:DIR      # whole fits on 1,000 to 50,000 images
    python -m benchmarks.fit_cost.run memory                      # peak memory, three classifiers
    python -m benchmarks.fit_cost.report                          # the page

Peak memory is the largest resident set (on a GPU: allocated memory) of a fresh process, less what it held before the
first step.
"""

import argparse
import json
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
    if options.what == "peak":  # called by "memory", in a process of its own
        print(json.dumps(peak(options.classifiers[0], options.role, options.batch, options.device)))
    elif options.what == "memory":
        for name in options.classifiers:
            write(options, memory_row(options, name))
    else:
        for row in data_rows(options):
            write(options, row)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["data", "memory", "peak"], help="peak: as memory calls it")
    parser.add_argument("--classifiers", nargs="+", default=list(SIDES), choices=list(SIDES))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--sizes", nargs="+", type=int, default=[1000, 5000, 50_000])
    parser.add_argument("--data", default="fashion-mnist", help="fashion-mnist, cifar10 or folder:DIR")
    parser.add_argument("--root", default="data", help="where torchvision's datasets are")
    parser.add_argument("--download", action="store_true", help="fetch the data if they are not there")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--role", choices=["train", "fit"], help="for peak")
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


def batch_of(name: str, count: int, device: str) -> tuple[Tensor, Tensor]:
    """Random images and labels."""
    side = SIDES[name]
    return torch.rand(count, 3, side, side, device=device), torch.randint(10, (count,), device=device)


def memory_row(options: argparse.Namespace, name: str) -> dict:
    """The peak memory of a fit and of training, each in a fresh process, in MB."""
    peaks = {role: memory_of(options, name, role) for role in ("fit", "train")}
    row = {"what": "memory", "classifier": name, "side": SIDES[name], "batch": options.batch}
    row |= {f"{role}_peak_mb": peaks[role]["grown"] for role in peaks}
    row |= {f"{role}_process_mb": peaks[role]["whole"] for role in peaks}
    return row | {"memory_ratio": peaks["fit"]["grown"] / peaks["train"]["grown"]}


def memory_of(options: argparse.Namespace, name: str, role: str) -> dict[str, float]:
    """Peak memory of a short fit or of twelve steps of training in a fresh process, in MB."""
    command = [sys.executable, "-m", "benchmarks.fit_cost.run", "peak", "--classifiers", name, "--role", role]
    command += ["--batch", str(options.batch), "--device", options.device, "--threads", str(options.threads)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout)


def peak(name: str, role: str, batch: int, device: str) -> dict[str, float]:
    """Peak memory of a fit or of training in this process: what it added, and all of it."""
    classifier, data = classifier_of(name, device), batch_of(name, batch, device)
    with torch.no_grad():
        classifier.eval()(data[0][:2])  # the libraries' own set-up
    before = held(device, reset=True)
    if role == "fit":
        warnings.simplefilter("ignore")  # of what random weights lead to
        config = FitConfig(target=1.0, rounds=2, images=12 * batch)
        LearnedAffineAugment.fit(classifier, [data] * 12, val_loader=[data], config=config, progress=False)
    else:
        step = Plain(classifier)
        for _ in range(12):
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
    """Whole fits to the small CNN as the data grow, against epochs of its training. Seconds are the processor's.

    The held-out images are 2,000 test images: no accuracy is reported here.
    """
    train, test = load(options.data, options.root, options.download)
    for size in options.sizes:
        loader = train.take(torch.randperm(len(train))[:size]).loader(options.batch, shuffle=True)
        held_out = test.take(torch.arange(min(2000, len(test)))).loader(options.batch)
        classifier = classifier_of("small", options.device)
        epochs = max(1, 10_000 // size)
        start = time.process_time()
        train_classifier(classifier, loader, epochs=epochs, seed=0, progress=False)
        epoch, start = (time.process_time() - start) / epochs, time.process_time()
        augment = LearnedAffineAugment.fit(classifier, loader, val_loader=held_out, seed=0, progress=False)
        seconds, last = time.process_time() - start, augment.history.last()
        yield {
            "what": "data",
            "classifier": "small",
            "images": size,
            "batch": options.batch,
            "fit_seconds": seconds,
            "epoch_seconds": epoch,
            "epochs": seconds / epoch,
            **{key: last[key] for key in ("cost", "budget", "displacement", "kl", "agreement")},
        }


if __name__ == "__main__":
    main()
