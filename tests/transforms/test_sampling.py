"""How pixels are sampled: the fill of each type of item."""

import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

from learned_affine import AffineLimits, LearnedAffineAugment
from tests.geometry.matrices import GONE, coefficients, some
from tests.subjects import vivid

MODES = {name: InterpolationMode(name) for name in ("nearest", "bilinear", "bicubic")}


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES.keys())
def test_interpolations_are_torchvisions_by_either_name(mode):
    """Against ``perspective``; where the nearest of two pixels is a toss-up, either may come."""
    images, parameters = torch.rand(4, 3, 15, 15, dtype=torch.float64), some(4, AffineLimits.wide(), symmetries=True)
    by_mode, by_name = (
        LearnedAffineAugment(interpolation=interpolation, padding_mode="zeros") for interpolation in (mode, mode.value)
    )
    assert by_mode.interpolation == by_name.interpolation == mode.value and mode.value in repr(by_mode.sampling)
    out = by_mode.warp(images, parameters)
    assert torch.equal(out, by_name.warp(images, parameters))
    if mode is InterpolationMode.BICUBIC:
        return  # torchvision's perspective has none for tensors
    for image, matrix, warped in zip(images, parameters.matrix(15, 15), out, strict=True):
        expected = F.perspective(image, None, None, mode, coefficients=coefficients(matrix))
        apart = (warped - expected).abs() > 1e-5
        assert apart.double().mean() <= (0.02 if mode is InterpolationMode.NEAREST else 0)


def test_bicubic_and_sharp_are_sharper_than_bilinear():
    """A turn there and back blurs; cubic convolution and cubic splines blur less."""
    steps = torch.arange(32) / 32
    image = (0.5 + 0.4 * torch.sin(18 * steps[:, None] + 9 * steps)).expand(1, 1, 32, 32)
    parameters = AffineLimits(20, 1, 0, 0).parameters(torch.tensor([[0.7, 0, 0, 0, 0, 0]]))
    lost = []
    for interpolation in ("bilinear", "bicubic", "sharp"):
        augment = LearnedAffineAugment(interpolation=interpolation)
        back = augment.warp(augment.warp(image, parameters), augment.invert(parameters))
        lost.append((back - image)[..., 8:-8, 8:-8].abs().mean())
    assert max(lost[1:]) < 0.5 * lost[0]


@pytest.mark.parametrize(
    ("fill", "expected", "of_clips"),
    [
        (7, (7, 7, 7), (7, 7, 7)),
        ((1, 2, 3), (1, 2, 3), (1, 2, 3)),
        ({tv_tensors.Image: 5, "others": 1}, (5, 5, 5), (1, 1, 1)),
        ({"Video": (4, 5, 6), "others": 1}, (1, 1, 1), (4, 5, 6)),
    ],
)
def test_fill_shows_where_the_image_is_gone(fill, expected, of_clips):
    augment, pixels = vivid(padding_mode="fill", fill=fill), torch.full((2, 3, 8, 8), 200, dtype=torch.uint8)
    assert augment.apply(tv_tensors.Image(pixels[0]), GONE)[:, 1, 1].tolist() == [*expected]
    assert augment.apply(tv_tensors.Video(pixels), GONE)[..., 1, 1].tolist() == [[*of_clips]] * 2


def test_masks_are_filled_with_zero_unless_a_dict_says_otherwise():
    sample = (tv_tensors.Image(torch.rand(3, 8, 8)), tv_tensors.Mask(torch.ones(8, 8, dtype=torch.long)))
    assert vivid(padding_mode="fill", fill=7).apply(sample, GONE)[1][1, 1] == 0
    assert vivid(fill={tv_tensors.Mask: 255}).apply(sample, GONE)[1][1, 1] == 255


BY_TYPES = "fill must be by types, or by Image, Video, Mask, Tensor, others, got "


@pytest.mark.parametrize(
    ("fill", "said"),
    [
        ((1, 2), "one for each of 3 channels, got 2"),
        ({tv_tensors.Image: 1, "Imgae": 2}, BY_TYPES + "'Imgae'"),
        ({tv_tensors.Image: 1, 3: 2}, BY_TYPES + "3"),
        *((one, "fill must be a number, a sequence of numbers, or a dict") for one in ({"Image": {"Mask": 3}}, True)),
    ],
)
def test_a_fill_that_does_not_fit_is_refused(fill, said):
    with pytest.raises((TypeError, ValueError), match=said):
        vivid(padding_mode="fill", fill=fill)(torch.rand(3, 8, 8))
    assert vivid(padding_mode="reflection", fill=(0, 0.0, 0)).fill == (0, 0.0, 0)  # zeros for each channel are 0
