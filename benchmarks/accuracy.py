"""Does it help? Stage 3 with each arm of ``ARMS``, from the same classifier, for as many steps, over seeds.

    python benchmarks/accuracy.py --arms none learned "uniform p .5" --data fashion-mnist --root data
    python benchmarks/accuracy.py --data folder:DIR --sizes 1000 4000 --seeds 0 1 2 3 4
    python benchmarks/accuracy.py --report                     # docs/results.md from the rows alone
    python benchmarks/accuracy.py --full --data cifar10 --root data --device cuda     # ResNet-18; not yet run

One row of ``results/accuracy.jsonl`` a run: a run that has one is not run again, so an interrupted benchmark goes on
where it stopped. A row carries a digest of the code that decides its numbers; rows of another digest are run anew,
unless ``results/same_method.json`` says, with a reason, that what changed between the two alters no numbers. An arm
that fits nothing does not depend on how a fit is made, and has a digest of its own. The target of a fit and the choice
of a grid point come from 400 images kept out of training. Accuracy is that of the last epoch on the whole test set;
under warps, that of 2,000 test images drawn once. Seconds are the processor's own, so that other work on the machine
does not count.
"""

import argparse
import copy
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "examples"))

import torch  # noqa: E402
from arms import BASELINES, Affine, Setting, uniform_points  # noqa: E402
from datasets import Images, load  # noqa: E402
from fitted_arms import FITTED, PATHWISE  # noqa: E402
from resnet import SmallResNet  # noqa: E402
from results import DOCS, ROWS, write_results  # noqa: E402
from rows import BY_GRADIENT, FITTING, TRAINING, append, digest, has  # noqa: E402
from three_stages import build  # noqa: E402
from torch import nn  # noqa: E402
from torchvision.transforms.v2 import functional as V  # noqa: E402
from tqdm.auto import tqdm  # noqa: E402
from variants import VARIANTS  # noqa: E402

from learned_affine import AffineLimits  # noqa: E402
from learned_affine.classifier import SmallConvNet, evaluate_classifier, train_classifier  # noqa: E402

UNSEEN = 400  # images kept out of stage 1: targets and choices come from them
WARPED = 2000  # test images that are warped ten times over
ARMS = BASELINES | FITTED | VARIANTS


def code_of(arm: str) -> str:
    """The digest of the code that decides an arm's numbers."""
    if arm in BASELINES:
        return digest("arms.py", modules=TRAINING)
    modules = BY_GRADIENT if arm in PATHWISE else FITTING
    own = ("variants.py",) if arm in VARIANTS else ()
    return digest("arms.py", "fitted_arms.py", *own, modules=TRAINING + modules)


def clock() -> float:
    """Seconds of the processor; with a GPU, whose work that leaves out, of the clock on the wall."""
    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    """Run what has no row yet."""
    options = parse()
    if options.report:
        write_results({arm: code_of(arm) for arm in ARMS})
        print(f"written: {DOCS}")
        return
    torch.set_num_threads(options.threads)
    codes = {arm: code_of(arm) for arm in options.arms}
    train, test = load(options.data, options.root, download=False)
    if options.turned:
        train, test = turned(train), turned(test)
    if options.test_size is not None:
        test = test.take(torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[: options.test_size])
    label = "cifar10" if options.data.startswith("folder:") else options.data
    base = {"data": label + (" turned" if options.turned else ""), "model": options.model, "epochs": options.epochs}
    todo = [(seed, size) for seed in options.seeds for size in options.sizes]
    bar = tqdm(total=len(todo) * len(codes), unit="run", disable=None)
    for seed, size in todo:
        key = {**base, "size": size, "seed": seed}
        keys = [{**key, "arm": arm, "code": code} for arm, code in codes.items()]
        missing = [key for key in keys if not has(options.out, key)]
        bar.update(len(keys) - len(missing))
        if missing:
            run_seed(options, missing, train, test, bar)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="fashion-mini", help="fashion-mini, fashion-mnist, cifar10 or folder:DIR")
    parser.add_argument("--root", default="data")
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
    parser.add_argument("--report", action="store_true", help="only write docs/results.md")
    parser.add_argument("--full", action="store_true", help="ResNet-18 on all training images, 100 epochs, by default")
    if parser.parse_args().full:
        parser.set_defaults(model="resnet18", sizes=[50_000 - UNSEEN], epochs=100)
    return parser.parse_args()


def turned(images: Images) -> Images:
    """Each image turned by its own angle, once and for good: here wide rotation is right."""
    draw = torch.Generator().manual_seed(0)
    angles = (360 * torch.rand(len(images), generator=draw)).tolist()
    bilinear = V.InterpolationMode.BILINEAR
    rows = [V.rotate(image, angle, bilinear) for image, angle in zip(images.images, angles, strict=True)]
    return Images(torch.stack(rows), images.labels)


def run_seed(options: argparse.Namespace, missing: list[dict], train: Images, test: Images, bar: tqdm) -> None:
    """Stage 1 once, then the missing arms from its classifier; a row as each ends."""
    key = missing[0]
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(1000 + key["seed"]))
    if key["size"] + UNSEEN > len(order):
        raise SystemExit(f"--sizes must leave {UNSEEN} of {len(order)} images unseen, got {key['size']}")
    unseen, mine = train.take(order[:UNSEEN]), train.take(order[UNSEEN : UNSEEN + key["size"]])
    loader = mine.loader(64, shuffle=True)
    torch.manual_seed(key["seed"])
    classifier = make(options.model, mine).to(options.device, memory_format=torch.channels_last)
    start = clock()
    train_classifier(classifier, loader, epochs=options.epochs, seed=key["seed"], progress=False)
    stage_1 = clock() - start
    padding = "zeros" if mine.images.shape[1] == 1 else "reflection"
    for key in missing:
        bar.set_description(f"{key['data']} {key['size']} seed {key['seed']}: {key['arm']}")
        setting = Setting(
            copy.deepcopy(classifier),
            loader,
            unseen.loader(64),
            mine.images.shape[1],
            padding,
            key["seed"],
            options.epochs,
        )
        append(options.out, {**key, "stage_1_seconds": stage_1, **run_arm(setting, key["arm"], test)})
        bar.update()


def make(name: str, images: Images) -> nn.Module:
    """The classifier of a run."""
    classes = int(images.labels.max()) + 1
    own = {"small": SmallConvNet, "resnet": SmallResNet}
    return own[name](classes, images.images.shape[1]) if name in own else build(name, images)


def run_arm(setting: Setting, name: str, test: Images) -> dict:
    """Stages 2 and 3 of one arm, and its measures."""
    torch.manual_seed(setting.seed)
    start = clock()
    augment = ARMS[name](setting)
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
    unseen = evaluate_classifier(classifier, setting.unseen, progress=False)
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
        "unseen": unseen["accuracy"],
    }


def correct(classifier: nn.Module, test: Images, warp: Affine) -> torch.Tensor:
    """Whether each test image is still recognised after a random warp, ``(N,)``."""
    device = next(classifier.parameters()).device
    batches = [(warp(images), labels) for images, labels in test.loader(500)]
    return torch.cat([classifier(images.to(device)).argmax(-1).cpu() == labels for images, labels in batches])


if __name__ == "__main__":
    main()
