"""The thumbnail ignores range and resolution; the network sees one image at a time."""

import pytest
import torch

from learned_affine import AffineLimits
from learned_affine.localization import PRIOR_WIDTH, START_WIDTH, LocalizationNetwork, RawHead, thumbnail
from tests.subjects import blobs, vivid


def test_thumbnail_ignores_pixel_range():
    images = torch.rand(4, 3, 40, 30)
    expected = thumbnail(images, 16, 3)
    scaled = images * torch.tensor([2.0, 0.5, 255.0])[:, None, None] - 7
    torch.testing.assert_close(thumbnail(scaled, 16, 3), expected, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(expected.mean((2, 3)), torch.zeros(4, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(expected.std((2, 3), correction=0), torch.ones(4, 3), atol=1e-4, rtol=0)


def test_thumbnail_of_uint8_is_that_of_float():
    images = torch.randint(0, 256, (2, 3, 20, 20), dtype=torch.uint8)
    torch.testing.assert_close(thumbnail(images, 16, 3), thumbnail(images / 255, 16, 3), atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [(5, 5), (16, 16), (3, 200), (64, 17)])
def test_thumbnail_has_one_size(size):
    assert thumbnail(torch.rand(2, 1, *size), 16, 1).shape == (2, 1, 16, 16)


@pytest.mark.parametrize("value", [0.0, 0.1, 255.0])
def test_flat_images_give_finite_thumbnails(value):
    flat = thumbnail(torch.full((1, 3, 33, 31), value), 16, 3)
    assert torch.isfinite(flat).all() and flat.abs().max() < 1


@pytest.mark.parametrize(("came", "wanted"), [(1, 3), (3, 1), (4, 3), (2, 1), (2, 3), (4, 1), (5, 5)])
def test_channels_are_matched(came, wanted):
    assert thumbnail(torch.rand(2, came, 16, 16), 16, wanted).shape[1] == wanted


def test_other_channels_are_refused():
    with pytest.raises(ValueError, match="images must have 3 channels"):
        thumbnail(torch.rand(2, 5, 16, 16), 16, 3)


def test_alpha_is_not_looked_at():
    images = torch.rand(2, 4, 16, 16)
    other = torch.cat([images[:, :3], torch.rand(2, 1, 16, 16)], dim=1)
    assert torch.equal(thumbnail(images, 16, 3), thumbnail(other, 16, 3))


def test_batched_is_one_by_one():
    images, noise, network = blobs(8)[0], torch.randn(8, 6), vivid().localization
    limits = AffineLimits()
    together = network.draw(images, noise, limits, 1.0).stacked()
    single = [network.draw(images[i : i + 1], noise[i : i + 1], limits, 1.0).stacked() for i in range(8)]
    torch.testing.assert_close(together, torch.cat(single), atol=1e-4, rtol=1e-4)


def test_unfitted_policy_is_narrow_and_round_the_identity():
    policy = LocalizationNetwork(1)(blobs(4)[0])
    assert torch.equal(policy.mean, torch.zeros(4, 6))
    expected = START_WIDTH * PRIOR_WIDTH * torch.eye(6).expand(4, 6, 6)
    torch.testing.assert_close(policy.scale_tril, expected)


def test_strength_moves_toward_the_identity():
    images, noise, network = blobs(4)[0], torch.randn(4, 6), vivid().localization
    moved = [network.draw(images, noise, AffineLimits(), s).displacement().mean().item() for s in (0.0, 0.5, 1.0)]
    assert moved[0] == 0 and 0 < moved[1] < moved[2]


@pytest.mark.parametrize("size", [(16, 16), (12, 20)])
def test_raw_head_agrees_with_a_spatial_transformer(size):
    head = RawHead(1)
    theta = torch.tensor([1.1, 0.2, 0.1, -0.3, 0.9, -0.2])
    with torch.no_grad():
        head.head.bias.copy_(theta)
    images = torch.rand(2, 1, *size)
    parameters = head.draw(images, None, AffineLimits(), 1.0)
    from learned_affine.geometry import warp_images

    got = warp_images(images, parameters.matrix(*size), padding_mode="zeros")
    grid = torch.nn.functional.affine_grid(theta.view(1, 2, 3).expand(2, 2, 3), images.shape, align_corners=False)
    expected = torch.nn.functional.grid_sample(images, grid, align_corners=False)
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)
