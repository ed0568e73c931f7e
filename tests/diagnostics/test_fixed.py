"""A policy as a fixed pipeline: what its line does, run by torchvision itself."""

import math

import pytest
import torch
from torchvision.transforms import v2

from learned_affine import AffineLimits, LearnedAffineAugment
from learned_affine.fitting.history import FitHistory
from learned_affine.geometry.parameters import EIGHT
from learned_affine.policy.distribution import Policy
from tests.geometry.matrices import rearranged
from tests.subjects import COMPASS, STILL, vivid

IMAGES = torch.rand(5, 3, 6, 6, generator=torch.Generator().manual_seed(0))
EVEN = torch.full((8,), 1 / 8)


def pipeline(line: str) -> v2.Compose:
    return eval(line, {"v2": v2})


@pytest.mark.parametrize(
    ("borne", "given"),
    [
        ([0], [0]),
        ([0, 4], [0, 4]),
        ([0, 6], [0, 6]),
        ([0, 2], [0, 2]),
        ([0, 2, 4, 6], [0, 2, 4, 6]),
        ([0, 1, 2, 3], [0, 1, 2, 3]),
        (range(8), range(8)),
        ([0, 5], [0]),  # no line of two flips
        ([0, 4, 6], [0, 4]),  # both flips together rotate by 180 degrees
        ([0, 1, 2, 3, 4], [0, 1, 2, 3]),  # a flip and a quarter turn together are a flip about a diagonal
    ],
)
def test_flips_give_each_symmetry_that_images_bear_and_no_other(borne, given):
    chances = torch.zeros(8)
    chances[list(borne)] = 1 / len(borne)
    assert symmetries_of(of_chances(chances)) == set(given)


def of_chances(chances=EVEN, limits=STILL, **options):
    """An augmenter that gives every image the symmetries by the same chances."""
    augment, zeros = LearnedAffineAugment(limits, **options), torch.zeros(len(IMAGES), 6)
    policy = Policy(zeros, zeros + 0.1, chances.expand(len(IMAGES), 8), tuple(EIGHT))
    augment.policy = lambda images: policy
    return augment


def symmetries_of(augment):
    """The codes that the printed line gives."""
    transform, image = pipeline(augment.as_transforms(IMAGES)), IMAGES[0]
    torch.manual_seed(0)
    moved = [transform(image) for _ in range(200)]
    return {[torch.equal(one, rearranged(image, code)) for code in EIGHT].index(True) for one in moved}


@pytest.mark.parametrize(
    ("label_map", "given"),
    [
        ({"mirror": [0, 1]}, range(8)),
        ({"mirror": [1, 0]}, range(4)),
        ({"quarter_turn": [1, 0]}, [0, 2, 4, 6]),
        ({"quarter_turn": [1, 2, 3, 0]}, [0, 4]),
        (COMPASS, [0]),
        ({"mirror": [1, 0, 2, 3], "quarter_turn": [0, 1, 2, 3]}, range(4)),
        ({"mirror": "swapped"}, range(4)),  # a function, of which a history has the name
        ({"mirror": [0, 1], "quarter_turn": "turned"}, [0, 4]),
    ],
)
def test_symmetries_in_which_the_fit_renamed_labels_are_left_out(label_map, given):
    """A pipeline leaves labels as they are: one that gave such a symmetry would give wrong labels."""
    augment = of_chances()
    augment.history = FitHistory(info={"label_map": label_map})
    assert symmetries_of(augment) == set(given)


def test_a_symmetry_that_some_images_do_not_bear_is_left_out():
    chances = torch.tensor([[0.5, 0, 0, 0, 0.5, 0, 0, 0]] * 4 + [[1.0, 0, 0, 0, 0, 0, 0, 0]])
    assert of_chances(chances).as_transforms(IMAGES) == "v2.Identity()"


def test_ranges_are_two_standard_deviations_within_the_limits():
    augment = vivid(AffineLimits(angle=40, symmetries="none"))
    torch.manual_seed(0)
    drawn = augment.sample_parameters(IMAGES.repeat(3000, 1, 1, 1)).stacked()
    middle, reach = drawn.mean(0), 2 * drawn.std(0)
    (affine,) = pipeline(augment.as_transforms(IMAGES)).transforms
    for (low, high), column, limit in ((affine.degrees, 0, 40), (affine.shear[:2], 3, 15)):
        assert low == pytest.approx(max(-limit, float(middle[column] - reach[column])), abs=0.3)
        assert high == pytest.approx(min(limit, float(middle[column] + reach[column])), abs=0.3)
    rms = drawn[:, 4].square().mean().sqrt()
    assert affine.translate[0] == pytest.approx(min(0.15, 2 * float(rms)), rel=0.03)
    logs = drawn[:, 1:3].log()
    ends = (float(logs.mean() + side * 2 * logs.std()) for side in (-1, 1))
    assert affine.scale == pytest.approx(
        [math.exp(min(max(end, -math.log(1.3)), math.log(1.3))) for end in ends], abs=0.01
    )


@pytest.mark.parametrize("p", [0.0, 0.25])
@pytest.mark.parametrize("limits", [STILL, AffineLimits()])
def test_the_share_of_images_that_are_left_alone_stays(p, limits):
    """Flips and warps alike are for that share."""
    transform, image = pipeline(of_chances(limits=limits, p=p).as_transforms(IMAGES)), IMAGES[0]
    torch.manual_seed(0)
    moved = sum(not torch.equal(transform(image), image) for _ in range(400)) / 400
    assert moved == pytest.approx(p * (7 / 8 if limits is STILL else 1), abs=0.06)


@pytest.mark.parametrize("strength", [1.0, 0.6, 0.2])
def test_which_flips_are_tolerated_does_not_depend_on_the_strength(strength):
    line = of_chances(strength=strength)
    assert "RandomHorizontalFlip" in line.as_transforms(IMAGES)
    line.strength = 0.0
    assert line.as_transforms(IMAGES) == "v2.Identity()"


def test_a_fill_is_that_of_the_augmenter():
    line = vivid(padding_mode="fill", fill=0.5).as_transforms(IMAGES)
    assert pipeline(line).transforms[-1].fill == 0.5
    assert "fill" not in vivid(padding_mode="zeros").as_transforms(IMAGES)


def test_the_interpolation_is_that_of_the_augmenter_where_the_line_has_it():
    for name, written in (("nearest", "NEAREST"), ("bilinear", "BILINEAR"), ("sharp", "BILINEAR")):
        assert f"InterpolationMode.{written}" in vivid(interpolation=name).as_transforms(IMAGES)


def test_no_images_are_no_pipeline():
    with pytest.raises(ValueError, match="images must be at least one, got none"):
        vivid().as_transforms(IMAGES[:0])
