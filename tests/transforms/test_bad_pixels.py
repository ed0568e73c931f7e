"""Pixels that are not finite, and huge values that stand for no data: only what is interpolated from them is bad."""

import pytest
import torch

from tests.subjects import vivid

BAD = [float("nan"), float("inf"), -float("inf"), -3.4e38]


@pytest.mark.parametrize("padding_mode", ["reflection", "border", "zeros", "fill"])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "sharp"])
@pytest.mark.parametrize("value", BAD)
def test_every_sampling_reaches_no_further_than_its_pixels(value, interpolation, padding_mode):
    """The first image has a bad pixel, the second none, and the third no other."""
    augment, clean = vivid(interpolation=interpolation, padding_mode=padding_mode), torch.rand(3, 1, 24, 20)
    bad, images = torch.zeros(24, 20, dtype=torch.bool), clean.clone()
    bad[8, 10] = True
    images[0, :, bad] = images[2] = value
    out = augment(images)
    parameters = augment.last_parameters
    expected = augment.apply(clean, parameters)
    near, reach = bad[None, None].double(), {"nearest": 0, "bilinear": 1, "bicubic": 2, "sharp": 6}[interpolation]
    near = torch.nn.functional.max_pool2d(near, 2 * reach + 1, 1, reach).expand(3, 1, -1, -1)
    touched = vivid(padding_mode=padding_mode, interpolation="nearest").apply(near, parameters)[0, 0] > 0
    assert torch.equal(out[1], expected[1])
    torch.testing.assert_close(out[0, :, ~touched], expected[0, :, ~touched], atol=1e-5, rtol=0)
    assert not (out[[0, 2]].abs() < 2).flatten(1).all(1).any()  # what is made of bad pixels is bad
    drawn = parameters.stacked()
    drawn[:, 1:3] = drawn[:, 1:3].log()  # the scales
    assert (drawn.abs() <= torch.tensor(augment.limits.extent()) + 1e-5).all()  # no NaN, and within the limits
