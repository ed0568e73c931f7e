"""How pixels are sampled: the fill of each type of item."""

import pytest
import torch
from torchvision import tv_tensors

from learned_affine import AffineLimits
from tests.subjects import vivid


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_a_fill_beyond_the_dtype_is_clamped(interpolation):
    augment = vivid(AffineLimits(0, 1, 0, 1.0), padding_mode="fill", fill=300, interpolation=interpolation)
    out = augment(torch.zeros(16, 1, 8, 8, dtype=torch.uint8))
    assert out.max() == 255


@pytest.mark.parametrize(
    ("fill", "expected"), [(7, (7, 7, 7)), ((1, 2, 3), (1, 2, 3)), ({tv_tensors.Image: 5, "others": 1}, (5, 5, 5))]
)
def test_fill_shows_where_the_image_is_gone(fill, expected):
    augment = vivid(padding_mode="fill", fill=fill)
    gone = AffineLimits(0, 1, 0, 1).parameters(torch.tensor([[0.0, 0, 0, 0, 1, 1]]))
    out = augment.apply(tv_tensors.Image(torch.full((3, 8, 8), 200, dtype=torch.uint8)), gone)
    assert out[:, 1, 1].tolist() == list(expected)


def test_masks_are_filled_with_zero_unless_a_dict_says_otherwise():
    gone = AffineLimits(0, 1, 0, 1).parameters(torch.tensor([[0.0, 0, 0, 0, 1, 1]]))
    sample = (tv_tensors.Image(torch.rand(3, 8, 8)), tv_tensors.Mask(torch.ones(8, 8, dtype=torch.long)))
    assert vivid().apply(sample, gone)[1][1, 1] == 0
    assert vivid(fill={tv_tensors.Mask: 255}).apply(sample, gone)[1][1, 1] == 255


def test_fill_of_a_wrong_length_is_refused():
    with pytest.raises(ValueError, match="one for each of 3 channels, got 2"):
        vivid(padding_mode="fill", fill=(1, 2))(torch.rand(3, 8, 8))
