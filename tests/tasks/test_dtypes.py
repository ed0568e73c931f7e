"""The classifier sees the dtype and the range that the loader gives, in all that calls it."""

import pytest
import torch
from torch import nn
from torchvision import models
from torchvision.transforms import v2

from learned_affine.classifier import evaluate_classifier, train_classifier
from tests.fits import IMAGES, LABELS, ROUNDS, quick
from tests.subjects import Halves, small_net, vivid

BYTES = (IMAGES * 255).round().to(torch.uint8)
# of each dtype the value that stands for white
WHITE = {torch.uint8: 255, torch.uint16: 65535, torch.int16: 32767, torch.int32: 1000}
WHITE |= dict.fromkeys((torch.float16, torch.bfloat16, torch.float64), 1)


class Watched(nn.Module):
    def __init__(self, inner: nn.Module, scale: float = 1.0) -> None:
        super().__init__()
        self.inner, self.scale, self.seen = inner, scale, []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append((images.dtype, float(images.float().min()), float(images.float().max())))
        return self.inner(images.float() / self.scale)


def fit(classifier, data, **options):
    quick(classifier, data, val_loader=data, **options)


def evaluate(classifier, data, **options):
    return vivid().evaluate(classifier, data, **options)


def train(classifier, data, **options):
    train_classifier(classifier, data, augment=vivid(), epochs=1, progress=False, **options)


def judge(classifier, data, **options):
    return evaluate_classifier(classifier, data, warp=vivid(), progress=False, **options)


USES = [fit, evaluate, train, judge]
every_use = pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)


@every_use
@pytest.mark.parametrize("dtype", WHITE, ids=str)
def test_the_classifier_sees_the_dtype_and_range_of_the_loader(use, dtype):
    white = WHITE[dtype]
    classifier = Watched(small_net(), white)
    images = IMAGES * white if dtype.is_floating_point else (IMAGES * white).round()
    use(classifier, [(images.to(dtype), LABELS)])
    assert {kind for kind, _, _ in classifier.seen} == {dtype}
    assert all(0.5 * white < high <= 1.01 * white and low >= 0 for _, low, high in classifier.seen)


@pytest.mark.parametrize("use", [fit, evaluate])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float64], ids=str)
def test_a_dtype_that_the_classifier_does_not_take_is_named(use, dtype):
    with pytest.raises(TypeError, match=rf"of its dtype, torch.float32, got {dtype} \(.*preprocess give v2.ToDt"):
        use(small_net(), [((IMAGES * WHITE[dtype]).to(dtype), LABELS)])


def test_the_advice_is_the_dtype_of_the_classifier():
    with pytest.raises(
        TypeError, match=r"of its dtype, torch.float16, got torch.float32 .*v2.ToDtype\(torch.float16, "
    ):
        fit(small_net().half(), [(IMAGES, LABELS)])


@pytest.mark.parametrize("use", [fit, evaluate])
def test_batches_of_other_channels_than_the_first_are_named(use):
    mixed = [(IMAGES[:32], LABELS[:32]), (IMAGES[32:].expand(-1, 3, -1, -1), LABELS[32:])]
    with pytest.raises(ValueError, match=r"have the same channels, got \(\d+, 1, .*and \(\d+, 3, .*: put v2.RGB\(\)"):
        use(small_net(), mixed)


PREPROCESS = {
    "weights.transforms()": models.ResNet18_Weights.DEFAULT.transforms(
        crop_size=16, resize_size=16, mean=[0.0], std=[1.0], antialias=False
    ),
    "v2": v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.0], [1.0])]),
    "by hand": lambda images: images.float() / 255,
}


@every_use
@pytest.mark.parametrize("name", PREPROCESS)
def test_what_scales_bytes_gets_bytes(use, name):
    """The classifier is right about pixels in [0, 1] alone."""
    classifier = Watched(small_net())
    use(classifier, [(BYTES, LABELS)], preprocess=PREPROCESS[name])
    assert {kind for kind, _, _ in classifier.seen} == {torch.float32}
    assert all(0.5 < high <= 1.001 for _, _, high in classifier.seen)


LOWEST = torch.finfo(torch.float32).min


def with_no_data(value: float) -> torch.Tensor:
    """Every third image has a corner of no-data pixels."""
    images = IMAGES.clone()
    images[::3, :, :2, :2] = value
    return images


def masking(images: torch.Tensor) -> torch.Tensor:
    """A classifier that knows of no-data pixels."""
    return Halves()(torch.where(images < -1, 0.0, images))


@pytest.mark.parametrize("value", [LOWEST, -3.4e38, -9999.0])
def test_finite_no_data_values_are_allowed(value):
    images = with_no_data(value)
    data = [(images, LABELS)]
    augment = quick(masking, data, val_loader=data)
    assert augment.history.rounds == ROUNDS
    assert all(bool(torch.isfinite(weight).all()) for weight in augment.localization.parameters())
    found = augment.evaluate(masking, data)
    assert found["clean_accuracy"] == 1 and all(number == number for number in found.values())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@every_use
def test_pixels_that_are_not_finite_are_refused_by_name(use, value):
    with pytest.raises(ValueError, match="loader must give finite images, got NaN or infinity among their pixels"):
        use(small_net(), [(with_no_data(value), LABELS)])
