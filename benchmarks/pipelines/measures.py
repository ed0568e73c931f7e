"""How good a classifier is: as it is, by class, on warped images, and averaged at test time."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from examples.datasets import Images
from learned_affine import AffineLimits, LearnedAffineAugment
from learned_affine.averaging import AveragedClassifier
from learned_affine.classifier import calibration_error

SOME = 2000  # test images that are warped, and averaged over


@torch.no_grad()
def measure(classifier: nn.Module, test: Images, policy: LearnedAffineAugment | None, padding: str) -> dict:
    """Accuracy in all, by class and of warped images, negative log likelihood (nats), expected calibration error."""
    logits = in_batches(classifier, test.images)
    right = (logits.argmax(-1) == test.labels).float()
    classes = [float(right[test.labels == one].mean()) for one in range(len(test.classes))]
    found = quality(logits, test.labels) | {"worst_class": min(classes), "by_class": classes}
    some = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:SOME]
    images, labels = test.images[some.to(test.images.device)], test.labels[some]
    found["warped"] = quality(in_batches(classifier, warped(images, padding)), labels)["accuracy"]
    if policy is not None:
        found["views"] = views(classifier, images, labels, policy)
    return found


def quality(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Of logits or log probabilities."""
    return {
        "accuracy": float((logits.argmax(-1) == labels).float().mean()),
        "nll": float(F.cross_entropy(logits, labels)),
        "calibration_error": calibration_error(logits, labels),
    }


def in_batches(classifier: nn.Module, images: Tensor) -> Tensor:
    """The logits of all images, on the CPU."""
    return torch.cat([classifier(some) for some in images.split(500)]).cpu()


def warped(images: Tensor, padding: str) -> Tensor:
    """Each image warped once, uniformly within the modest limits, the same way for every classifier."""
    augment = LearnedAffineAugment(AffineLimits.modest(), padding_mode=padding)
    points = 2 * torch.rand(len(images), 6, generator=torch.Generator().manual_seed(0)) - 1
    return augment.warp(images, augment.limits.parameters(points.to(images.device)))


def views(classifier: nn.Module, images: Tensor, labels: Tensor, policy: LearnedAffineAugment) -> dict:
    """Averaging at test time: one view, the image and its mirror image, and 8 draws of the policy in two strengths."""
    one, other = in_batches(classifier, images), in_batches(classifier, images.flip(-1))
    both = torch.stack([one, other]).log_softmax(-1).logsumexp(0)
    found = {"one": quality(one, labels), "flip": quality(both, labels)}
    for name, strength in (("policy", 1.0), ("half", 0.5)):
        averaged = AveragedClassifier(classifier, policy, strength=strength)
        found[name] = quality(in_batches(averaged, images), labels)
    return found
