"""What the network observes: neither pixel range nor resolution, and the channels that it knows."""

import pytest
import torch

from learned_affine.policy.thumbnail import thumbnail


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


def test_alpha_is_not_observed():
    images = torch.rand(2, 4, 16, 16)
    other = torch.cat([images[:, :3], torch.rand(2, 1, 16, 16)], dim=1)
    assert torch.equal(thumbnail(images, 16, 3), thumbnail(other, 16, 3))
