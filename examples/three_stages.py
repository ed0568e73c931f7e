"""The paper's three stages, on real images: train a classifier, fit an augmenter to it, train it further.

    python examples/three_stages.py                        # embedded images, default objective
    python examples/three_stages.py --limits wide          # nothing to choose: the limits may be far too wide
    python examples/three_stages.py --preset paper         # what the paper's printed loss does
    python examples/three_stages.py --data icons --padding border
    python examples/three_stages.py --data cifar10 --root data --download --classifier resnet18

Prints one table and writes ``augmenter.safetensors``, ``history.json``, ``results.json``, ``before_after.png`` and
``losses.png`` to the output folder.
"""

import argparse
import copy
import json
import time
from pathlib import Path

import torch
import torchvision
from torch import nn

from learned_affine import AffineLimits, FitConfig, LearnedAffineAugment
from learned_affine.classifier import SmallConvNet, evaluate_classifier, train_classifier
from learned_affine.plots import plot_before_after, plot_history

try:
    from examples.datasets import CHOICES, Images, load
except ModuleNotFoundError:  # run as a script, which finds what is beside it
    from datasets import CHOICES, Images, load

PRESETS = {
    "default": FitConfig,
    "paper": FitConfig.paper,
    "paper-corrected": lambda **changes: FitConfig.paper(sign="corrected", **changes),
}


def main() -> None:
    """All three stages, the table, and the files."""
    options = parse()
    torch.manual_seed(options.seed)
    train, held_out, test = split(options)
    limits, padding = parse_limits(options.limits), {"padding_mode": options.padding}
    batches = train.loader(options.batch, shuffle=True)

    # Stage 1: train the classifier, without the held-out images, on which the fit measures its target.
    classifier = build(options.classifier, train).to(memory_format=torch.channels_last)
    train_classifier(classifier, batches, epochs=options.epochs, seed=options.seed, title="stage 1")

    # Stage 2: freeze it, and fit an augmenter to it.
    start = time.perf_counter()
    learned = LearnedAffineAugment.fit(
        classifier,
        batches,
        val_loader=held_out.loader(options.batch),
        config=preset(options),
        limits=limits,
        seed=options.seed,
        p=1.0 if options.preset.startswith("paper") else 0.5,  # the paper's stage 3 sees augmented images alone
        **padding,
    )
    seconds = time.perf_counter() - start

    # Stage 3: train further, from the same weights and for as many steps, in three ways.
    rows = {}
    arms = {"no augmentation": None, "uniform affine": uniform(limits, padding), "learned affine": learned}
    for title, augment in arms.items():
        tuned = copy.deepcopy(classifier)
        train_classifier(
            tuned, batches, augment=augment, epochs=options.finetune_epochs, seed=options.seed, title=title
        )
        rows[title] = measure(tuned, test, padding, options.seed)
    report(options, learned, classifier, train, rows, seconds)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="fashion-mini", help=CHOICES)
    parser.add_argument("--root", default="data", help="where torchvision's datasets are")
    parser.add_argument("--download", action="store_true", help="fetch them if they are not there")
    parser.add_argument("--classifier", default="small", help="small, or a name in torchvision.models")
    parser.add_argument("--preset", default="default", choices=PRESETS)
    parser.add_argument("--limits", default="modest", help="modest, wide, or angle,scale,shear,translate")
    parser.add_argument("--padding", default="zeros", choices=("zeros", "border", "reflection"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/three_stages"))
    parser.add_argument("--train-size", type=int, help="training images, all by default")
    parser.add_argument("--val-size", type=int, default=400, help="of these, held out from stage 1")
    parser.add_argument("--test-size", type=int, help="test images, all by default")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=25, help="of stage 1")
    parser.add_argument("--fit-steps", type=int, help="of stage 2, those of the preset by default")
    parser.add_argument("--finetune-epochs", type=int, default=25, help="of stage 3")
    return parser.parse_args()


def split(options: argparse.Namespace) -> tuple[Images, Images, Images]:
    """Images to train on, held-out images, which stage 1 does not get, and test images."""
    train, test = load(options.data, options.root, options.download)
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(options.seed))[: options.train_size]
    if not 0 < options.val_size < len(order):
        raise SystemExit(f"--val-size must be within 1 and {len(order) - 1}, got {options.val_size}")
    if options.test_size is not None:
        test = test.take(torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[: options.test_size])
    return train.take(order[options.val_size :]), train.take(order[: options.val_size]), test


def parse_limits(text: str) -> AffineLimits:
    """``modest``, ``wide``, or four numbers."""
    if text in ("modest", "wide"):
        return getattr(AffineLimits, text)()
    try:
        return AffineLimits(*(float(number) for number in text.split(",")))
    except (TypeError, ValueError) as error:
        raise SystemExit(
            f"--limits must be modest, wide or angle,scale,shear,translate, got {text!r}: {error}"
        ) from None


def preset(options: argparse.Namespace) -> FitConfig:
    """The configuration of stage 2."""
    changes = {} if options.fit_steps is None else {"steps": options.fit_steps, "epochs": None}
    return PRESETS[options.preset](**changes)


def build(name: str, train: Images) -> nn.Module:
    """A classifier for these images; one of torchvision's ResNets gets a stem that leaves small images their size."""
    # the names, where they are known: a small part of the images may lack the last class
    classes = len(train.classes) or int(train.labels.max()) + 1
    channels, side = train.images.shape[1], train.images.shape[-1]
    if name == "small":
        return SmallConvNet(classes, channels)
    if name not in torchvision.models.list_models(module=torchvision.models):
        raise SystemExit(f"--classifier must be small or a name in torchvision.models, got {name!r}")
    made = torchvision.models.get_model(name, weights=None, num_classes=classes)
    if isinstance(made, torchvision.models.ResNet) and side <= 64:
        made.conv1 = nn.Conv2d(3, made.conv1.out_channels, 3, padding=1, bias=False)
        made.maxpool = nn.Identity()
        side = max(side, 32)
    wanted = 32 if isinstance(made, torchvision.models.ResNet) else 224
    return made if channels == 3 and side >= wanted else nn.Sequential(Fit(wanted if side < wanted else None), made)


class Fit(nn.Module):
    """Grey images to RGB, and small ones to the least side that the classifier takes."""

    def __init__(self, side: int | None) -> None:
        super().__init__()
        self.side = side

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """``(B, 3, side, side)``."""
        images = images.expand(-1, 3, -1, -1)
        return images if self.side is None else nn.functional.interpolate(images, size=self.side, mode="bilinear")


def uniform(limits: AffineLimits, padding: dict[str, str]) -> nn.Module:
    """Random affine, uniform within the limits, with the learned augmenter's own p and warp."""
    augment = LearnedAffineAugment(limits, **padding)
    return UniformAffine(augment, 0.5)


class UniformAffine(nn.Module):
    """Each image by chance ``p`` warped by parameters that are uniform within the limits."""

    def __init__(self, augment: LearnedAffineAugment, p: float) -> None:
        super().__init__()
        self.augment, self.p = augment, p

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Warped images."""
        chosen = torch.rand(len(images)) < self.p
        if not chosen.any():
            return images
        unit = 2 * torch.rand(int(chosen.sum()), 6) - 1
        return images.index_copy(
            0, chosen.nonzero()[:, 0], self.augment.warp(images[chosen], self.augment.limits.parameters(unit))
        )


def measure(classifier: nn.Module, test: Images, padding: dict[str, str], seed: int) -> dict[str, float]:
    """Test accuracy, clean and under random affine warps within the modest limits, whatever the fit's are."""
    torch.manual_seed(10_000 + seed)
    warped = UniformAffine(LearnedAffineAugment(AffineLimits.modest(), **padding), 1.0)
    clean = evaluate_classifier(classifier, test.loader(500))
    affine = evaluate_classifier(classifier, test.loader(500), warp=warped)
    return {"clean": clean["accuracy"], "affine": affine["accuracy"], "cross_entropy": clean["cross_entropy"]}


def report(
    options: argparse.Namespace,
    learned: LearnedAffineAugment,
    classifier: nn.Module,
    train: Images,
    rows: dict[str, dict[str, float]],
    seconds: float,
) -> None:
    """Print the table; write the weights, the numbers and the pictures."""
    last = learned.history.last()
    print(
        f"\n{options.data}, {options.limits} limits, preset {options.preset}, seed {options.seed}, {len(train)} images"
    )
    print(f"stage 2: {seconds:.0f} s, mean displacement {last['displacement']:.2%} of the image\n")
    print(f"{'stage 3 with':<18} {'clean':>8} {'affine':>8}")
    for title, row in rows.items():
        print(f"{title:<18} {row['clean']:8.4f} {row['affine']:8.4f}")
    options.out.mkdir(parents=True, exist_ok=True)
    learned.save_pretrained(options.out / "augmenter.safetensors")
    learned.history.save(options.out / "history.json")
    settings = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
    results = {"options": settings, "fit_seconds": seconds, "displacement": last["displacement"], "accuracy": rows}
    (options.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    plot_before_after(learned, train.images[:10], options.out / "before_after.png")
    plot_history(learned.history, options.out / "losses.png")
    print(
        f"\nwritten to {options.out}: augmenter.safetensors, history.json, results.json, before_after.png, losses.png"
    )


if __name__ == "__main__":
    main()
