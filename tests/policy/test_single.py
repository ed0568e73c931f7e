"""One image's draw in plain numbers, against the policy of a batch, and its thumbnail, against the careful way."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from learned_affine import AffineLimits
from learned_affine.policy.network import LocalizationNetwork
from learned_affine.policy.thumbnail import thumbnail


def network(symmetries: str = "all", per_image: bool = True) -> LocalizationNetwork:
    """One whose policies differ from image to image, some of them wider and narrower than is allowed."""
    made = LocalizationNetwork(symmetries=symmetries, per_image=per_image).eval().requires_grad_(False)
    nn.init.normal_(made.head.weight, std=0.4)
    nn.init.normal_(made.head.bias, std=2.0)
    made.head.bias[6:12] *= 5  # logarithms of curvatures
    return made


@pytest.mark.parametrize(
    "limits", [AffineLimits(), AffineLimits.wide(), AffineLimits(symmetries="mirror"), AffineLimits(symmetries="none")]
)
@pytest.mark.parametrize("strength", [1.0, 0.4, 0.0])
@pytest.mark.parametrize("noisy", [True, False])
@pytest.mark.parametrize(("symmetries", "per_image"), [("all", True), ("mirror", True), ("none", True), ("all", False)])
def test_one_image_is_drawn_as_in_a_batch(limits, strength, noisy, symmetries, per_image):
    one, images = network(symmetries, per_image), torch.rand(24, 3, 24, 24)
    noise = one.noise(24, limits, None) if noisy else None
    together, extent = one.draw(images, noise, limits, strength), torch.tensor(limits.extent())
    for row, expected in enumerate(together):
        alone = one.draw(images[row : row + 1], None if noise is None else noise[row : row + 1], limits, strength)
        assert ((alone.stacked() - expected.stacked()).abs() / extent).max() < 2e-5  # of what the limits allow
        assert torch.equal(alone.codes(), expected.codes())
    drawn = noisy and "none" not in (symmetries, limits.symmetries) and strength > 0
    assert bool(together.codes().any()) == drawn


def careful(images: torch.Tensor) -> torch.Tensor:
    """Two of the same take the way of a batch."""
    return thumbnail(torch.cat([images, images]), 16, 3)[:1]


@pytest.mark.parametrize("size", [(16, 16), (32, 32), (48, 33), (96, 96), (224, 300)])
@pytest.mark.parametrize("factor", [1e-4, 1.0, 255.0, 1e15])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_thumbnail_of_one_image_is_that_of_a_batch(size, factor, layout):
    image = (factor * torch.rand(1, 3, *size)).to(memory_format=layout)
    torch.testing.assert_close(thumbnail(image, 16, 3), careful(image), atol=2e-5, rtol=0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 1e18, -3e38])
@pytest.mark.parametrize("places", [slice(0, 1), slice(None)])
def test_bad_pixels_and_flat_channels_take_the_careful_way(bad, places):
    image = torch.rand(1, 3, 16, 16)
    image[0, 1, places] = bad
    image[0, 2] = 0.3
    torch.testing.assert_close(thumbnail(image, 16, 3), careful(image), equal_nan=True)


def test_a_class_of_the_users_is_followed_for_one_image_too():
    class Still(LocalizationNetwork):
        def costs(self, observation):
            return replace(super().costs(observation), curvature=torch.full((len(observation), 6), 1e9))

    own, images = Still().requires_grad_(False), torch.rand(1, 3, 24, 24)
    drawn = own.draw(images, own.noise(1, AffineLimits(symmetries="none"), None), AffineLimits(symmetries="none"), 1.0)
    assert float(drawn.displacement()) < 1e-3
