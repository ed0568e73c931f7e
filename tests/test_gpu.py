"""On a GPU, where there is one: what the CPU does is the oracle."""

import copy

import pytest
import torch
from torch import nn
from torchvision import tv_tensors

from learned_affine import AffineLimits, FitConfig, LearnedAffineAugment
from learned_affine.averaging import AveragedClassifier
from learned_affine.classifier import SmallConvNet, train_classifier
from tests.subjects import at_seed, symmetric

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def images(count: int = 16, side: int = 32) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("padding", ["reflection", "border", "zeros", "fill"])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest", "bicubic", "sharp"])
@pytest.mark.parametrize("side", [1, 32, 97])
def test_a_batch_is_warped_as_on_the_cpu(padding, interpolation, side):
    torch.manual_seed(0)
    augment = LearnedAffineAugment(AffineLimits.wide(), p=0.5, padding_mode=padding, interpolation=interpolation)
    here = at_seed(augment, images(side=side))
    there = at_seed(copy.deepcopy(augment), images(side=side).cuda())
    assert there.is_cuda
    different = (here - there.cpu()).abs() > 1e-3
    assert different.float().mean() < (0.01 if interpolation == "nearest" else 1e-4)


def test_a_sample_of_many_types_stays_on_the_gpu():
    sample = {
        "image": tv_tensors.Image((255 * images(1)[0]).to(torch.uint8).cuda()),
        "mask": tv_tensors.Mask(torch.ones(32, 32, dtype=torch.uint8).cuda()),
        "boxes": tv_tensors.BoundingBoxes(torch.tensor([[2.0, 3, 9, 12]]).cuda(), format="XYXY", canvas_size=(32, 32)),
    }
    out = LearnedAffineAugment(p=1.0)(sample)
    assert all(out[key].is_cuda and type(out[key]) is type(sample[key]) for key in sample)


@pytest.mark.parametrize("p", [0.5, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8, torch.uint16])
@pytest.mark.parametrize("size", [(12, 12), (9, 12)])
def test_symmetries_alone_are_exact_and_those_of_the_cpu(p, dtype, size):
    augment = symmetric(AffineLimits(0, 1, 0, 0), p=p)
    batch = (200 * images(32)[..., : size[0], : size[1]]).to(dtype)
    here, there = at_seed(augment, batch), at_seed(copy.deepcopy(augment), batch.cuda())
    assert torch.equal(there.cpu(), here)


def fitted(device: str) -> LearnedAffineAugment:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(3, (192,), generator=generator)
    pictures = torch.rand(192, 1, 16, 16, generator=generator) * 0.2
    for row, label in enumerate(labels.tolist()):
        pictures[row, 0, 2:14, 2 + 4 * label : 5 + 4 * label] += 0.7
    batches = list(zip(pictures[:128].split(32), labels[:128].split(32), strict=True))
    held_out = list(zip(pictures[128:].split(32), labels[128:].split(32), strict=True))
    torch.manual_seed(0)
    classifier = SmallConvNet(3, 1, width=8).to(device)
    train_classifier(classifier, batches, epochs=6, seed=0, progress=False)
    return LearnedAffineAugment.fit(
        classifier, batches, val_loader=held_out, config=FitConfig(), seed=0, progress=False
    )


def test_a_fit_reaches_what_it_reaches_on_the_cpu():
    here, there = fitted("cpu"), fitted("cuda")
    assert there.history.info["target"] == pytest.approx(here.history.info["target"], rel=0.1)
    assert there.history.last()["displacement"] == pytest.approx(here.history.last()["displacement"], rel=0.5)


def test_a_batched_call_waits_for_the_gpu_nowhere():
    """Beyond what the chance p needs: which images are chosen is drawn on the CPU."""
    augment = LearnedAffineAugment(p=1.0)
    batch = images(64).cuda()
    augment(batch)  # the network moves to the GPU
    torch.cuda.set_sync_debug_mode("error")
    try:
        out = augment(batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert out.is_cuda and not torch.equal(out, batch)


def test_averaging_gives_what_it_gives_on_the_cpu():
    torch.manual_seed(0)
    classifier, augment = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 5)), LearnedAffineAugment()
    here = AveragedClassifier(classifier, augment)(images())
    there = AveragedClassifier(classifier.cuda(), augment)(images().cuda())
    torch.testing.assert_close(there.cpu(), here, atol=1e-3, rtol=1e-3)
