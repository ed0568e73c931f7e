"""One run: stage 1 on some of the images, an arm's stages 2 and 3, and what is measured.

With the arms, this file decides the numbers of a row, so it is part of their digest; ``run.py`` only says which runs
there are.
"""

import copy
import time
from collections.abc import Callable

import torch
from torch import nn
from torchvision.transforms.v2 import functional as V

from benchmarks.accuracy.arms import Affine, Augment, Setting, uniform_points
from benchmarks.accuracy.resnet import SmallResNet
from examples.datasets import Images
from examples.three_stages import build
from learned_affine import AffineLimits
from learned_affine.classifier import SmallConvNet, evaluate_classifier, train_classifier

HELD_OUT = 400  # held out from stage 1: targets and choices come from them
WARPED = 2000  # test images that are warped ten times over


def clock() -> float:
    """Seconds of the processor; with a GPU, whose work that leaves out, of the clock on the wall."""
    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def turned(images: Images, fill: float | None = None) -> Images:
    """Each image rotated by its own angle, once and for good: here wide rotation is right. ``fill``: black if None."""
    draw = torch.Generator().manual_seed(0)
    angles = (360 * torch.rand(len(images), generator=draw)).tolist()
    bilinear = V.InterpolationMode.BILINEAR
    rows = [V.rotate(image, angle, bilinear, fill=fill) for image, angle in zip(images.images, angles, strict=True)]
    return Images(torch.stack(rows), images.labels)


def split(train: Images, size: int, seed: int) -> tuple[Images, Images]:
    """The images of a seed: the held-out ones, and ``size`` to train on."""
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(1000 + seed))
    if size + HELD_OUT > len(order):
        raise SystemExit(f"--sizes must leave {HELD_OUT} of {len(order)} images held out, got {size}")
    return train.take(order[:HELD_OUT]), train.take(order[HELD_OUT : HELD_OUT + size])


def after_stage_1(train: Images, size: int, seed: int, model: str, epochs: int, device: str) -> tuple[Setting, float]:
    """The setting that all arms of a seed start from, and the seconds that stage 1 took."""
    held_out, mine = split(train, size, seed)
    loader = mine.loader(64, shuffle=True)
    torch.manual_seed(seed)
    classifier = make(model, mine).to(device, memory_format=torch.channels_last)
    start = clock()
    train_classifier(classifier, loader, epochs=epochs, seed=seed, progress=False)
    seconds = clock() - start
    channels = mine.images.shape[1]
    padding = "zeros" if channels == 1 else "reflection"
    return Setting(classifier, loader, held_out.loader(64), channels, padding, seed, epochs), seconds


def make(name: str, images: Images) -> nn.Module:
    """The classifier of a run."""
    classes = int(images.labels.max()) + 1
    own = {"small": SmallConvNet, "resnet": SmallResNet}
    return own[name](classes, images.images.shape[1]) if name in own else build(name, images)


def run_arm(setting: Setting, arm: Callable[[Setting], Augment | None], test: Images) -> dict:
    """Stages 2 and 3 of one arm, and its measures."""
    torch.manual_seed(setting.seed)
    start = clock()
    augment = arm(setting)
    fit_seconds = clock() - start
    tuned, follow = copy.deepcopy(setting.classifier), setting.on_epoch
    on_epoch = None if follow is None else lambda epoch: follow(tuned, epoch)
    start = clock()
    train_classifier(
        tuned,
        setting.loader,
        augment=augment,
        epochs=setting.epochs,
        seed=setting.seed,
        progress=False,
        on_epoch=on_epoch,
    )
    seconds = clock() - start
    return {**measure(tuned, setting, test), "fit_seconds": fit_seconds, "seconds": seconds, **setting.notes}


@torch.no_grad()
def measure(classifier: nn.Module, setting: Setting, test: Images) -> dict[str, float]:
    """Clean, affine and worst-of-10 accuracy, negative log likelihood (nats), expected calibration error."""
    clean = evaluate_classifier(classifier, test.loader(500), progress=False)
    held_out = evaluate_classifier(classifier, setting.held_out, progress=False)
    torch.manual_seed(10_000 + setting.seed)
    warp = Affine(setting, AffineLimits.modest(), 1.0, uniform_points)
    some = test.take(torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:WARPED])
    right = torch.stack([correct(classifier, some, warp) for _ in range(10)])
    return {
        "clean": clean["accuracy"],
        "affine": float(right.float().mean()),
        "worst_of_10": float(right.all(0).float().mean()),
        "nll": clean["cross_entropy"],
        "calibration_error": clean["calibration_error"],
        "unseen": held_out["accuracy"],
    }


def correct(classifier: nn.Module, test: Images, warp: Affine) -> torch.Tensor:
    """Whether each test image is still recognised after a random warp, ``(N,)``."""
    device = next(classifier.parameters()).device
    batches = [(warp(images), labels) for images, labels in test.loader(500)]
    return torch.cat([classifier(images.to(device)).argmax(-1).cpu() == labels for images, labels in batches])
