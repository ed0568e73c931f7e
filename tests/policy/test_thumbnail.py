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


@pytest.mark.parametrize("size", [(5, 5), (16, 16), (3, 200), (64, 17)])
@pytest.mark.parametrize(("came", "wanted"), [(1, 3), (3, 1), (4, 3), (2, 1), (2, 3), (4, 1), (5, 5)])
def test_thumbnail_has_one_size_and_the_networks_channels(size, came, wanted):
    images = torch.rand(2, came, *size)
    assert thumbnail(images, 16, wanted).shape == (2, wanted, 16, 16)
    if came in (2, 4):
        images[:, -1] = 1.0  # opaque: the alpha says nothing
        assert torch.equal(thumbnail(images, 16, wanted), thumbnail(images[:, :-1], 16, wanted))


@pytest.mark.parametrize("colour", [0.0, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
@pytest.mark.parametrize("came", [2, 4])
def test_a_shape_in_the_alpha_is_seen(colour, dtype, came):
    """As is usual in files of icons: one colour everywhere, and the drawing is what is opaque."""
    alpha = torch.zeros(1, 1, 32, 32)
    alpha[..., 4:20, 6:12] = 1.0
    drawn = torch.cat([torch.full((1, came - 1, 32, 32), colour), alpha], 1)
    drawn = drawn if dtype.is_floating_point else (255 * drawn).to(dtype)
    seen, expected = thumbnail(drawn, 16, 3), thumbnail(alpha, 16, 3)
    torch.testing.assert_close(seen if colour >= 0.5 else -seen, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("value", [0.0, 0.1, 255.0])
def test_flat_images_give_finite_thumbnails(value):
    flat = thumbnail(torch.full((1, 3, 33, 31), value), 16, 3)
    assert torch.isfinite(flat).all() and flat.abs().max() < 1


BAD = [float("nan"), float("inf"), -float("inf"), -3.4e38, 3e38]
SIDES = [16, 32, 48, 64, 100, 112, 7]  # each way of making them smaller, and one of making them larger


@pytest.mark.parametrize("size", SIDES)
@pytest.mark.parametrize("value", BAD)
def test_one_bad_pixel_changes_only_its_cell(size, value):
    """Its cell takes the mean of its channel's others; the other images and channels stay as they are."""
    clean = torch.rand(3, 3, size, size)
    images = clean.clone()
    images[1, 2, size // 2, size // 2] = value
    got, expected = thumbnail(images, 16, 3), thumbnail(clean, 16, 3)
    assert torch.equal(got[[0, 2]], expected[[0, 2]]) and torch.equal(got[1, :2], expected[1, :2])
    assert torch.isfinite(got).all()
    if size >= 16:  # of a smaller one each pixel is spread over several cells; standardising moves all a little
        assert ((got[1, 2] - expected[1, 2]).abs() > 0.1).sum() <= 4


@pytest.mark.parametrize("size", [32, 48, 96, 100, 112, 128, 160, 224, 256])
def test_the_thumbnail_of_a_rotated_image_is_rotated(size):
    images = torch.rand(2, 3, size, size)
    torch.testing.assert_close(thumbnail(images.rot90(1, (2, 3)), 16, 3), thumbnail(images, 16, 3).rot90(1, (2, 3)))


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e6, 1e17])
def test_large_and_small_values_are_content(scale):
    images = scale * torch.rand(2, 3, 32, 32)
    assert thumbnail(images, 16, 3).abs().max() > 0.5 or scale < 1e-9
    if scale > 1:
        torch.testing.assert_close(thumbnail(images, 16, 3), thumbnail(images / scale, 16, 3), atol=1e-3, rtol=0)
