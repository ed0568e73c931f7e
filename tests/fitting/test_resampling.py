"""What resampling alone costs: by shifts below a pixel, what is charged for it, and what a fit chooses by it."""

import warnings

import pytest
import torch
from torch import nn

from learned_affine import AffineParameters, FitConfig, LearnedAffineAugment
from learned_affine.diagnostics import FitWarning
from learned_affine.fitting.resampling import check_resampling, choose_interpolation, resampling_costs, sub_pixel_shifts
from learned_affine.tasks.model import Model
from learned_affine.tasks.pool import Pool
from tests.fits import few_steps, judge_of, kept, quick

SIDE, COUNT = 12, 64


class Stripes(nn.Module):
    """Tells striped images (class 1) from flat ones (class 0) by how much neighbours differ, so blur costs it much."""

    def __init__(self, sharpness: float = 20.0) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor(sharpness))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        contrast = images.diff(dim=-1).abs().mean((1, 2, 3)) - 0.2
        return self.sharpness * torch.stack([-contrast, contrast], dim=1)


def stripes(count: int = COUNT) -> tuple[torch.Tensor, torch.Tensor]:
    """Flat images, and images with columns of 0.1 and 0.5 by turns."""
    labels = torch.arange(count) % 2
    columns = 0.1 + 0.4 * (torch.arange(SIDE) % 2)
    images = torch.where(labels[:, None, None, None] == 1, columns, torch.tensor(0.3)).expand(count, 1, SIDE, SIDE)
    return images + 0.01 * torch.rand(images.shape, generator=torch.Generator().manual_seed(0)), labels


IMAGES, LABELS = stripes()
NOISY = torch.where(torch.arange(COUNT) // 2 % 10 == 0, 1 - LABELS, LABELS)  # so that there is something to lose
POOL = Pool(kept((IMAGES, LABELS)), None)


def fit(labels=NOISY, **options) -> LearnedAffineAugment:
    data, config = [(IMAGES, labels)], FitConfig(rounds=1, images=50)
    return quick(Stripes(), data, val_loader=data, config=config, **options)


def test_the_shifts_are_below_a_pixel_and_nothing_else():
    sizes = [(10, 20), (30, 8)] * 500
    shifts = sub_pixel_shifts(sizes, torch.Generator().manual_seed(0))
    height, width = torch.tensor(sizes).unbind(1)
    for shift, side in ((shifts.translate_x, width), (shifts.translate_y, height)):
        pixels = shift * side
        assert 0.49 < pixels.abs().max() <= 0.5 and abs(float(pixels.mean())) < 0.04
    still = shifts.stacked().clone()
    still[:, 4:] = 0
    assert torch.equal(still, AffineParameters.identity(1000).stacked()) and not shifts.codes().any()


def test_the_cost_is_that_of_shifted_images():
    generator = torch.Generator().manual_seed(0)
    rows = POOL.some(POOL.held_out, COUNT, generator)
    shifts = sub_pixel_shifts([(SIDE, SIDE)] * COUNT, generator)
    after, before = (
        float(nn.functional.cross_entropy(Stripes()(images), LABELS[rows]).detach())
        for images in (LearnedAffineAugment().warp(IMAGES[rows], shifts), IMAGES[rows])
    )
    found = resampling_costs(judge_of(POOL, Model(Stripes())), 0, ("bilinear",))
    assert found["bilinear"] == pytest.approx(after - before, rel=1e-4) and after - before > 0.1


@pytest.mark.parametrize(
    ("bilinear", "sharp", "chosen"),
    [
        (0.009, 0.0, "bilinear"),  # at most a tenth of the budget of 0.1
        (0.011, 0.009, "sharp"),
        (0.5, 0.3, "sharp"),  # none is cheap
        (0.2, 0.5, "bilinear"),
    ],
)
def test_the_first_that_is_sharp_enough_is_chosen(bilinear, sharp, chosen):
    assert choose_interpolation({"bilinear": bilinear, "sharp": sharp}, 0.1) == chosen


def test_sharp_images_get_the_sharper_interpolation_and_say_so():
    augment = fit()
    info, budget = augment.history.info, augment.history.last()["budget"]
    assert augment.interpolation == "sharp" and "interpolation='sharp'" in repr(augment)
    assert info["resampling_bilinear"] > 0.1 * budget and "sharp interpolation" in info["target_source"]
    charged = max(info["resampling_sharp"], 0.0)
    assert info["target"] == pytest.approx(info["held_out_cost"] + budget + charged)


@pytest.mark.parametrize("name", ["bilinear", "nearest"])
@pytest.mark.parametrize("labels", [NOISY, 1 - NOISY], ids=["right", "wrong"])  # of wrong ones blur takes cost off
def test_one_that_is_given_is_kept_and_charged(name, labels):
    for options in ({"interpolation": name}, {"augment": LearnedAffineAugment(interpolation=name)}):
        augment = fit(labels=labels, **options)
        info, budget = augment.history.info, augment.history.last()["budget"]
        charged = [key for key in info if key.startswith("resampling_")]
        assert augment.interpolation == name and charged == [f"resampling_{name}"]
        extra = max(info[f"resampling_{name}"], 0.0)
        assert info["target"] == pytest.approx(info["held_out_cost"] + budget + extra)


def test_resampling_that_costs_half_of_the_budget_is_an_alarm():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_resampling(0.05, 0.1, "bilinear")
        check_resampling(-1.0, 0.0, "bilinear")
    with pytest.warns(FitWarning, match='costs the classifier 0.06 nats.* What helps: interpolation="sharp", larger'):
        check_resampling(0.06, 0.1, "bilinear")
    with pytest.warns(FitWarning, match="What helps: larger images"):
        check_resampling(0.06, 0.1, "bicubic")
    with few_steps(), pytest.warns(FitWarning, match="resampling: .*resampling alone costs"):
        data, config = [(IMAGES, NOISY)], FitConfig(rounds=1, images=50)
        LearnedAffineAugment.fit(Stripes(), data, val_loader=data, config=config, interpolation="bilinear")
