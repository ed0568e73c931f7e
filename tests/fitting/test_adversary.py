"""The discriminator: what it sees, what it learns by, and that it learns to tell originals from augmented images."""

import copy

import pytest
import torch
from learned_affine.objectives.adversary import Adversary, Discriminator
from learned_affine.runtime.distributed import Distributed

from learned_affine import FitConfig

CPU = torch.device("cpu")


def adversary(config: FitConfig | None = None, channels: int = 3) -> Adversary:
    return Adversary(channels, config or FitConfig(adversarial_weight=0.1), Distributed(), CPU)


@pytest.mark.parametrize("size", [(5, 9), (32, 32), (40, 300)])
def test_a_score_for_each_image_of_any_size(size):
    assert Discriminator(1)(torch.rand(4, 1, *size)).shape == (4,)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_are_matched(channels):
    assert adversary().score(torch.rand(2, channels, 12, 12)).shape == (2,)


@pytest.mark.parametrize("value", [torch.finfo(torch.float32).min, -3.4e38, 1e30])
def test_pixels_that_stand_for_no_data_give_finite_scores(value):
    one, images = adversary(), torch.rand(4, 3, 24, 24)
    clean = one.score(images)
    images[:2, :, :3, :3] = value
    scores = one.score(images)
    assert torch.isfinite(scores).all() and torch.equal(scores[2:], clean[2:])
    assert float(one.backward(images, images.flip(-1))) < 10


@pytest.mark.parametrize(
    ("config", "kind", "rate"),
    [
        (FitConfig(adversarial_weight=0.1), torch.optim.Adam, 1e-3),
        (FitConfig(adversarial_weight=0.1, discriminator_rate=0.02), torch.optim.Adam, 0.02),
        (FitConfig.paper(), torch.optim.SGD, 1e-4),
    ],
)
def test_the_paper_learns_by_sgd_and_the_default_by_adam(config, kind, rate):
    optimizer = adversary(config).optimizer
    assert type(optimizer) is kind and optimizer.param_groups[0]["lr"] == rate


def test_it_learns_to_tell_originals_from_augmented_images():
    one = adversary()
    originals, warped = torch.rand(16, 3, 16, 16), torch.rand(16, 3, 16, 16) + 0.5
    losses = []
    for _ in range(40):
        losses.append(float(one.backward(originals, warped)))
        one.step()
    assert losses[0] == pytest.approx(1.386, abs=0.1) and losses[-1] < 0.5
    assert one.score(originals).min() > one.score(warped).max()


def test_it_goes_on_from_its_state():
    one, other, images = adversary(), adversary(), torch.rand(4, 3, 16, 16)
    one.backward(images, 1 - images)
    one.step()
    other.load_state(copy.deepcopy(one.state()))
    for each in (one, other):
        each.backward(images, 1 - images)
        each.step()
    assert torch.equal(one.score(images), other.score(images))
