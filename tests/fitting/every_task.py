"""A small question in the form of each task; run by torchrun, it fits all of them in two processes."""

import os
import sys
from pathlib import Path

import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from torchvision import tv_tensors

from learned_affine import FitConfig
from learned_affine.tasks import SingleLabel
from tests.fits import few_steps, silent
from tests.subjects import Halves, blobs

IMAGES, LABELS = blobs(64)
ONE_HOT = F.one_hot(LABELS, 2).float()
# a fifth of the labels wrong, so that the classifier is not better than right
NOISY = torch.where(torch.arange(64) % 5 == 0, 1 - LABELS, LABELS)
HALVES = Halves(4.0)
CONFIG = FitConfig(rounds=2, images=150)


def one_logit(images):
    return HALVES(images).diff(dim=1)


def three_labels(images):
    """Left, right, and bright, whose logits need not add up to anything."""
    sides = HALVES(images)
    return torch.cat([sides - sides.flip(1), 20 * images.mean((1, 2, 3))[:, None] - 1], 1)


def dice(output, target):
    """A soft segmentation loss of the image itself against its mask."""
    mask = target.as_subclass(torch.Tensor)[:, None].float()
    return 1.1 - 2 * (output * mask).sum((1, 2, 3)) / (output + mask).sum((1, 2, 3)).clamp_min(1e-6)


def together(samples):
    """A batch whose masks are still masks."""
    images, masks = zip(*samples, strict=True)
    return torch.stack(images), tv_tensors.Mask(torch.stack(masks))


MASKS = (IMAGES[:, 0] > 0.5).float()
TASKS = {  # classifier, labels, options of a fit and of an evaluation
    "single-label": (HALVES, NOISY, {}),
    "binary": (one_logit, NOISY, {"task": "binary"}),
    "multi-label": (three_labels, torch.cat([ONE_HOT, ONE_HOT[:, :1]], 1), {"task": "multi-label"}),
    "soft labels": (HALVES, 0.8 * ONE_HOT + 0.1, {}),
    "weights": (HALVES, torch.where(NOISY == 1, 255, 0), {"task": SingleLabel([1, 2], ignore_index=255)}),
    "label map": (HALVES, NOISY, {"label_map": {"mirror": [1, 0]}}),
    "own loss": (torch.nn.Identity(), MASKS, {"loss": dice}),
}


def loader(name, batch=16, shuffle=False):
    collate = {"collate_fn": together} if name == "own loss" else {}
    return DataLoader(TensorDataset(IMAGES, TASKS[name][1]), batch, shuffle=shuffle, **collate)


def fit(name, **options):
    classifier, _, own = TASKS[name]
    options = {"config": CONFIG, "val_loader": loader(name, 64), **own, **options}
    return silent(classifier=classifier, data=loader(name, shuffle=True), **options)


def of_two_sizes(name):
    """Held-out images: processes that judge some of them do not judge as many of each size."""
    labels = TASKS[name][1]
    large = F.interpolate(IMAGES[1::2], size=(20, 20))
    if name == "own loss":
        return [(IMAGES[::2], tv_tensors.Mask(labels[::2])), (large, tv_tensors.Mask((large[:, 0] > 0.5).float()))]
    return [(IMAGES[::2], labels[::2]), (large, labels[1::2])]


def main() -> None:
    """Fit each, then save what this rank has."""
    torch.set_num_threads(1)
    folder, rank, told = Path(sys.argv[1]), os.environ.get("RANK", "0"), []
    options = {"device": "cpu" if torch.cuda.is_available() else None}  # without a GPU nobody names the CPU
    fits = {"sizes": fit("single-label", val_loader=of_two_sizes("single-label"), callbacks=told.append, **options)}
    with few_steps():
        fits |= {name: fit(name, **options) for name in ("multi-label", "weights", "label map", "own loss")}
        fits["no held-out"] = fit("single-label", val_loader=None, **options)
    found = {"told": len(told), "processes": fits["sizes"].history.info["processes"], "weights": {}, "policies": {}}
    for name, one in fits.items():
        found["weights"][name] = [*one.localization.state_dict().values()]
        policy = one.policy(IMAGES)
        found["policies"][name] = [tensor.detach() for tensor in (policy.mean, policy.width, policy.chances)]
    torch.save(found, folder / f"rank{rank}.pt")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
