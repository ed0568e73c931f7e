"""The colour half of TrivialAugmentWide leaves every pixel in its place."""

import pytest
import torch
from torchvision.transforms import v2

from learned_affine.colour import GEOMETRIC, TrivialAugmentColour


def test_it_has_every_operation_of_trivial_augment_wide_but_the_geometric_ones():
    whole, half = v2.TrivialAugmentWide._AUGMENTATION_SPACE, TrivialAugmentColour._AUGMENTATION_SPACE
    assert set(GEOMETRIC) <= set(whole) and set(half) == set(whole) - set(GEOMETRIC) and len(half) == 9


@pytest.mark.parametrize("seed", range(40))
def test_what_is_symmetric_stays_symmetric(seed):
    torch.manual_seed(seed)
    half = torch.randint(0, 256, (3, 16, 8), dtype=torch.uint8)
    image = torch.cat([half, half.flip(-1)], dim=-1)
    changed = TrivialAugmentColour()(image)
    assert changed.dtype == image.dtype and changed.shape == image.shape
    assert torch.equal(changed, changed.flip(-1))
