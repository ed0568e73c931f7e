"""The discriminator: what it sees, what it learns by, and that it learns to tell originals from augmented images."""

import pytest
import torch

from learned_affine.fitting.adversary import Adversary

CPU = torch.device("cpu")


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_are_matched(channels):
    assert Adversary(3, CPU).score(torch.rand(2, channels, 12, 12)).shape == (2,)


def test_integers_score_as_floats():
    one, images = Adversary(1, CPU), torch.randint(256, (4, 1, 16, 16), dtype=torch.uint8)
    torch.testing.assert_close(one.score(images), one.score(images / 255))


@pytest.mark.parametrize("value", [torch.finfo(torch.float32).min, -3.4e38, 1e30])
def test_pixels_that_stand_for_no_data_give_finite_scores(value):
    one, images = Adversary(3, CPU), torch.rand(4, 3, 24, 24)
    clean = one.score(images)
    images[:2, :, :3, :3] = value
    scores = one.score(images)
    assert torch.isfinite(scores).all() and torch.equal(scores[2:], clean[2:])
    assert one.learn(images, images.flip(-1)) < 10


def test_it_learns_to_tell_originals_from_augmented_images():
    one = Adversary(3, CPU)
    originals, warped = torch.rand(16, 3, 16, 16), torch.rand(16, 3, 16, 16) + 0.5
    losses = [one.learn(originals, warped) for _ in range(40)]
    assert losses[0] == pytest.approx(1.386, abs=0.1) and losses[-1] < 0.5
    assert one.score(originals).min() > one.score(warped).max()
    assert float(one.rise(originals, warped).detach().min()) > 0 == float(one.rise(warped, warped).detach().max())


@pytest.mark.parametrize("factor", [1e-3, 255.0, 1e4])
def test_the_range_of_pixels_does_not_matter(factor):
    """What is in a usual range is taken as it is; a discriminator that sees thousands overwhelmed the fit."""
    images, scores = torch.rand(8, 1, 16, 16), []
    for scale in (factor, 100.0):
        torch.manual_seed(0)
        scores.append((one := Adversary(1, CPU)).score(scale * images))
    torch.testing.assert_close(*scores)
    assert one.scale < 1 and Adversary(1, CPU).scale is None
