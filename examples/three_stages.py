"""The paper's three stages, on real images: train a classifier, fit an augmenter to it, train it further.

    python examples/three_stages.py                        # embedded icons, default objective
    python examples/three_stages.py --limits wide          # wide limits: the fit finds the strength within them
    python examples/three_stages.py --preset paper         # what the paper's printed loss does
    python examples/three_stages.py --data fashion-mini    # an embedded part of Fashion-MNIST
    python examples/three_stages.py --data cifar10 --root data --download --classifier resnet18

Prints one table and writes ``augmenter.safetensors``, ``history.json``, ``results.json``, ``before_after.png``,
``losses.png`` and ``policy.png`` to the output folder.
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
from learned_affine.fitting.target import LEAST_IMAGES  # held-out ones, that a fit takes
from learned_affine.plots import plot_before_after, plot_history, plot_summary

try:
    from examples.datasets import CHOICES, Images, count, load
except ModuleNotFoundError:  # run as a script, which finds what is beside it
    from datasets import CHOICES, Images, count, load

ARMS = ("no augmentation", "every image mirrored and warped", "learned")
COLUMNS = {"clean": "all classes", "sides": "naming a side", "others": "the others"}
FILES = ("augmenter.safetensors", "history.json", "results.json", "before_after.png", "losses.png", "policy.png")
SHOWN = ("arrow-left", "arrow-down", "heart", "flag", "pause", "sun")  # of the icons, those that show the most
PRESETS = {
    "default": FitConfig,
    "paper": FitConfig.paper,
    "paper-corrected": lambda **changes: FitConfig.paper(sign="corrected", **changes),
}


def main() -> None:
    """All three stages, the table, and the files."""
    options = parse()
    config = preset(options)
    options.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    train, held_out, test = split(options)
    limits, padding = parse_limits(options.limits), {"padding_mode": padding_mode(options)}
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
        config=config,
        limits=limits,
        seed=options.seed,
        p=1.0 if options.preset.startswith("paper") else 0.5,  # the paper's stage 3 sees augmented images alone
        **padding,
    )
    seconds = time.perf_counter() - start

    # Stage 3: train further, from the same weights and for as many steps, in three ways.
    rows = {}
    arms = {ARMS[0]: None, ARMS[1]: MirroredAndWarped(limits, padding), ARMS[2]: learned}
    for title, augment in arms.items():
        tuned = copy.deepcopy(classifier)
        train_classifier(
            tuned, batches, augment=augment, epochs=options.finetune_epochs, seed=options.seed, title=title
        )
        rows[title] = measure(tuned, test)
    report(options, learned, (train, test), rows, seconds)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="icons", help=CHOICES)
    parser.add_argument("--root", default="data", help="where torchvision's datasets are")
    parser.add_argument("--download", action="store_true", help="fetch them if they are not there")
    parser.add_argument("--classifier", default="small", help="small, or a name in torchvision.models")
    parser.add_argument("--preset", default="default", choices=PRESETS)
    parser.add_argument("--limits", default="modest", help="modest, wide, or angle,scale,shear,translate")
    parser.add_argument("--padding", choices=("zeros", "border", "reflection"), help="border for icons, else zeros")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/three_stages"))
    parser.add_argument("--train-size", type=count, help="training images, all by default")
    parser.add_argument("--val-size", type=count, default=600, help="of these, held out from stage 1")
    parser.add_argument("--test-size", type=count, help="test images, all by default")
    parser.add_argument("--batch", type=count, default=64)
    parser.add_argument("--epochs", type=count, default=12, help="of stage 1")
    parser.add_argument("--fit-rounds", type=count, help="of stage 2, those of the preset by default")
    parser.add_argument("--finetune-epochs", type=count, default=12, help="of stage 3")
    return parser.parse_args()


def split(options: argparse.Namespace) -> tuple[Images, Images, Images]:
    """Images to train on, held-out images, which stage 1 does not get, and test images."""
    train, test = load(options.data, options.root, options.download)
    size = len(train) if options.train_size is None else options.train_size
    if not LEAST_IMAGES <= options.val_size < min(size, len(train)):
        most = min(size, len(train)) - 1
        raise SystemExit(f"--val-size must be within {LEAST_IMAGES} and {most}, got {options.val_size}")
    rest, held_out = train.hold_out(options.val_size, options.seed)
    if options.test_size is not None:
        test = test.take(torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[: options.test_size])
    return rest.take(torch.arange(len(rest))[: size - len(held_out)]), held_out, test


def padding_mode(options: argparse.Namespace) -> str:
    """What surrounds a warped image: icons are dark on white paper."""
    return options.padding or ("border" if options.data == "icons" else "zeros")


def parse_limits(text: str) -> AffineLimits:
    """``modest``, ``wide``, or four numbers."""
    if text in ("modest", "wide"):
        return getattr(AffineLimits, text)()
    try:
        angle, scale, shear, translate = map(float, text.split(","))
        return AffineLimits(angle, scale, shear, translate)
    except (TypeError, ValueError) as error:
        raise SystemExit(
            f"--limits must be modest, wide or angle,scale,shear,translate, got {text!r}: {error}"
        ) from None


def preset(options: argparse.Namespace) -> FitConfig:
    """The configuration of stage 2."""
    changes = {} if options.fit_rounds is None else {"rounds": options.fit_rounds}
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


class MirroredAndWarped(nn.Module):
    """Every image by a chance of 1/2 flipped, and by a chance of 1/2 warped uniformly within the limits."""

    def __init__(self, limits: AffineLimits, padding: dict[str, str]) -> None:
        super().__init__()
        self.affine = UniformAffine(LearnedAffineAugment(limits, **padding), 0.5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Flipped and warped images."""
        flipped = (torch.rand(len(images)) < 0.5)[:, None, None, None]
        return self.affine(torch.where(flipped, images.flip(-1), images))


def measure(classifier: nn.Module, test: Images) -> dict[str, float]:
    """Test accuracy; where classes name a side, also of these and of the others."""
    side = test.names_side()
    parts = {"clean": test}
    if side.any():
        parts |= {"sides": test.take(side), "others": test.take(~side)}
    found = {name: evaluate_classifier(classifier, part.loader(500)) for name, part in parts.items()}
    return {name: one["accuracy"] for name, one in found.items()} | {"cross_entropy": found["clean"]["cross_entropy"]}


def report(
    options: argparse.Namespace,
    learned: LearnedAffineAugment,
    data: tuple[Images, Images],
    rows: dict[str, dict[str, float]],
    seconds: float,
) -> None:
    """Print the table; write the weights, the numbers and the pictures."""
    (train, test), last = data, learned.history.last()
    print(
        f"\n{options.data}, {options.limits} limits, preset {options.preset}, seed {options.seed}, {len(train)} images"
    )
    print(f"stage 2: {seconds:.0f} s, mean displacement {last['displacement']:.2%} of the image\n")
    print_table(rows)
    learned.save_pretrained(options.out / "augmenter.safetensors")
    learned.history.save(options.out / "history.json")
    settings = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
    results = {"options": settings, "fit_seconds": seconds, "displacement": last["displacement"], "accuracy": rows}
    (options.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    plot_before_after(learned, train.images[:10], options.out / "before_after.png")
    plot_history(learned.history, options.out / "losses.png")
    plot_summary(learned, few_classes(test).loader(500), test.classes, options.out / "policy.png")
    print(f"\nwritten to {options.out}: {', '.join(FILES)}")


def print_table(rows: dict[str, dict[str, float]]) -> None:
    """Accuracy in percent: a row for each way of training further, a column for each group of classes."""
    columns = {key: title for key, title in COLUMNS.items() if key in rows[ARMS[0]]}
    print(f"{'accuracy in %':<31}" + "".join(f"{title:>15}" for title in columns.values()))
    for title, row in rows.items():
        print(f"{title:<31}" + "".join(f"{100 * row[key]:15.1f}" for key in columns))


def few_classes(test: Images) -> Images:
    """The test images of the classes in SHOWN, and of other data of the first ten classes."""
    kept = [test.classes.index(name) for name in SHOWN if name in test.classes] or range(10)
    return test.take(torch.isin(test.labels, torch.tensor(kept)))


if __name__ == "__main__":
    main()
