"""Pixels that are not finite, and huge values that stand for no data: only what is interpolated from them is bad."""

import numpy as np
import PIL.Image
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

from learned_affine.geometry.parameters import NAMES
from tests.subjects import vivid
from tests.transforms.pictures import boxes

BAD = [float("nan"), float("inf"), -float("inf"), -3.4e38]


def one_pixel(height: int, width: int) -> torch.Tensor:
    bad = torch.zeros(height, width, dtype=torch.bool)
    bad[height // 3, width // 2] = True
    return bad


def a_corner(height: int, width: int) -> torch.Tensor:
    bad = torch.zeros(height, width, dtype=torch.bool)
    bad[: height // 4, : width // 4] = True
    return bad


def seven_percent(height: int, width: int) -> torch.Tensor:
    return torch.rand(height, width) < 0.07


def everywhere(height: int, width: int) -> torch.Tensor:
    return torch.ones(height, width, dtype=torch.bool)


PLACES = [one_pixel, a_corner, seven_percent, everywhere]
each_value = pytest.mark.parametrize("value", BAD)
each_place = pytest.mark.parametrize("place", PLACES)


def assert_as_good_as_of_the_clean_image(parameters, augment):
    """Finite, and within the limits."""
    limits = augment.limits.parameters(torch.ones(1, 6)).stacked()[0]
    for name, most in zip(NAMES, limits.tolist(), strict=True):
        values = getattr(parameters, name)
        values = values.log().abs() if name.startswith("scale") else values.abs()
        most = np.log(most) if name.startswith("scale") else most
        assert torch.isfinite(values).all() and (values <= most + 1e-5).all(), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@each_place
@each_value
def test_only_what_is_interpolated_from_a_bad_pixel_is_bad(value, place, dtype):
    """The truth: the same warp of the clean image, and of an image that is 1 where pixels are bad.

    Padded with zeros: at the edge of a reflection a pixel is taken once, and its neighbour with a weight of 0.
    """
    if dtype == torch.float16 and value == -3.4e38:
        value = -6e4  # the largest that it holds; not huge, so that the network takes it for content
    augment, clean = vivid(padding_mode="zeros"), torch.rand(4, 3, 40, 32).to(dtype)
    bad = place(40, 32)
    images = clean.clone()
    images[1, :, bad] = value
    out = augment(images)
    parameters = augment.last_parameters
    assert_as_good_as_of_the_clean_image(parameters, augment)
    expected = augment.apply(clean, parameters)
    share = augment.apply(bad.expand(4, 1, 40, 32).double(), parameters)[1, 0]
    assert torch.equal(out[[0, 2, 3]], expected[[0, 2, 3]])
    assert torch.equal(out[1, :, share == 0], expected[1, :, share == 0])
    wrong = ~torch.isfinite(out[1]) | (out[1].double().abs() > 100)
    assert wrong[:, share > 0.01].all() and (share > 0.01).any()


@each_place
@each_value
def test_the_other_images_are_drawn_as_if_there_were_no_bad_one(value, place):
    augment, clean = vivid(), torch.rand(4, 3, 32, 32)
    images = clean.clone()
    images[1, 0, place(32, 32)] = value
    torch.manual_seed(3)
    expected = augment(clean)
    torch.manual_seed(3)
    out = augment(images)
    assert torch.equal(out[[0, 2, 3]], expected[[0, 2, 3]])


@pytest.mark.parametrize("padding_mode", ["reflection", "border", "zeros", "fill"])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "sharp"])
@each_value
def test_every_sampling_reaches_no_further_than_its_pixels(value, interpolation, padding_mode):
    augment, clean = vivid(interpolation=interpolation, padding_mode=padding_mode), torch.rand(2, 1, 24, 20)
    bad = one_pixel(24, 20)
    images = clean.clone()
    images[0, :, bad] = value
    out = augment(images)
    parameters = augment.last_parameters
    expected = augment.apply(clean, parameters)
    near, reach = bad[None, None].double(), {"nearest": 0, "bilinear": 1, "bicubic": 2, "sharp": 6}[interpolation]
    near = torch.nn.functional.max_pool2d(near, 2 * reach + 1, 1, reach).expand(2, 1, -1, -1)
    touched = vivid(padding_mode=padding_mode, interpolation="nearest").apply(near, parameters)[0, 0] > 0
    assert torch.equal(out[1], expected[1])
    torch.testing.assert_close(out[0, :, ~touched], expected[0, :, ~touched], atol=1e-5, rtol=0)
    assert_as_good_as_of_the_clean_image(parameters, augment)


@each_place
@each_value
def test_labels_follow_as_they_do_without_bad_pixels(value, place):
    augment = vivid()
    clean = tv_tensors.Image(torch.rand(1, 18, 24))
    labels = (
        boxes("XYXY"),
        boxes("CXCYWHR"),
        tv_tensors.BoundingBoxes([[2, 3, 9, 9]], format="XYXY", canvas_size=(18, 24)),
        tv_tensors.Mask(torch.rand(2, 18, 24) > 0.3),
        tv_tensors.KeyPoints([[4.0, 5.0]], canvas_size=(18, 24)),
    )
    image = clean.clone()
    image[:, place(18, 24)] = value
    _, *out = augment(tv_tensors.Image(image), *labels)
    _, *expected = augment.apply((clean, *labels), augment.last_parameters)
    assert all(torch.equal(got, right) for got, right in zip(out, expected, strict=True))
    assert out[3].any() and torch.isfinite(out[0]).all()


@each_value
def test_clips_and_pil_images_too(value):
    augment, bad = vivid(), one_pixel(20, 24)
    clip = tv_tensors.Video(torch.rand(3, 1, 20, 24))
    clip[:, :, bad] = value
    out = augment(clip)
    assert_as_good_as_of_the_clean_image(augment.last_parameters, augment)
    touched = augment.apply(bad[None].double(), augment.last_parameters)[0] > 0
    assert torch.isfinite(out[..., ~touched]).all() and touched.sum() < 12
    plain = torch.rand(20, 24)
    plain[bad] = value
    drawn = augment(PIL.Image.fromarray(plain.numpy()))
    assert drawn.mode == "F"
    assert_as_good_as_of_the_clean_image(augment.last_parameters, augment)
    touched = augment.apply(bad[None].double(), augment.last_parameters)[0] > 0
    assert torch.isfinite(F.pil_to_tensor(drawn)[0][~touched]).all() and touched.sum() < 12


@each_value
def test_disparities_with_seven_percent_of_infinity_keep_their_order(value):
    """A 64 x 64 image: the rest is moved as it would be, and the range of parameters is no wider."""
    augment, ramp = vivid(padding_mode="zeros"), torch.linspace(1, 200, 64).expand(1, 64, 64).clone()
    bad = seven_percent(64, 64)
    image = ramp.masked_fill(bad, value)
    out = augment(image)
    expected = augment.apply(ramp, augment.last_parameters)
    good = augment.apply(bad[None].double(), augment.last_parameters) == 0
    assert good.float().mean() > 0.5 and torch.equal(out[good], expected[good])


def test_what_stands_for_no_data_in_integers_is_content_as_before():
    images = torch.randint(0, 100, (2, 1, 16, 16), dtype=torch.int16)
    images[0, 0, 4, 4] = -32768
    augment = vivid()
    out = augment(images)
    assert out.dtype == torch.int16 and out.min() < -10_000
    assert_as_good_as_of_the_clean_image(augment.last_parameters, augment)
