"""What resampling alone costs: by a shift worked out by hand, what is charged for it, and what a fit chooses by it."""

import numpy as np
import pytest
import torch
from learned_affine.objectives.resampling import (
    check_resampling,
    choose_interpolation,
    resampling_costs,
    sub_pixel_shifts,
)
from learned_affine.tasks.reservoir import Reservoir
from torch import nn

from learned_affine import AffineLimits, FitConfig, LearnedAffineAugment
from learned_affine.diagnostics import ResamplingWarning
from learned_affine.tasks.model import Model
from tests.fits import silent
from tests.subjects import Halves, blobs

SIDE, COUNT = 12, 64
CPU = torch.device("cpu")


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


def kept(images: torch.Tensor = IMAGES, labels: torch.Tensor = LABELS) -> Reservoir:
    reservoir = Reservoir(0)
    for _ in reservoir.watch([(images, labels)]):
        pass
    return reservoir


def costs(*interpolations: str, model: nn.Module | None = None, augment: LearnedAffineAugment | None = None) -> dict:
    augment = augment or LearnedAffineAugment()
    return resampling_costs(Model(model or Stripes()), augment, kept(), CPU, 0, interpolations)


def shifted_by_hand(image: np.ndarray, right: float, down: float) -> np.ndarray:
    """A shift by less than a pixel: each pixel is a mean of its neighbours, one axis after the other."""
    for axis, shift in ((1, right), (0, down)):
        padded = np.pad(image, [(1, 1) if one == axis else (0, 0) for one in (0, 1)], mode="symmetric")
        before, after = (np.take(padded, range(start, start + image.shape[axis]), axis) for start in (0, 2))
        image = (1 - abs(shift)) * image + abs(shift) * (before if shift > 0 else after)
    return image


def fit(images=IMAGES, labels=NOISY, classifier=None, augment=LearnedAffineAugment, **options) -> LearnedAffineAugment:
    return silent(
        augment=augment,
        classifier=classifier or Stripes(),
        data=[(images, labels)],
        **{"val_loader": [(images, labels)], "config": FitConfig(steps=2), **options},
    )


# -- the measure ------------------------------------------------------------------------------------------------------


def test_the_shifts_are_below_a_pixel_and_nothing_else():
    shifts = sub_pixel_shifts(1000, 10, 20, torch.Generator().manual_seed(0))
    for shift, side in ((shifts.translate_x, 20), (shifts.translate_y, 10)):
        assert shift.abs().max() <= 0.5 / side and shift.abs().max() > 0.49 / side and abs(float(shift.mean())) < 0.02
    rest = LearnedAffineAugment.invert(shifts, 10, 20)
    assert rest.angle.abs().max() < 1e-6 and rest.shear.abs().max() < 1e-6 and not shifts.mirror.any()
    torch.testing.assert_close(shifts.scale_x * shifts.scale_y, torch.ones(1000))


def test_the_cost_is_that_of_images_shifted_by_hand():
    held_out, generator = kept(), torch.Generator().manual_seed(0)
    rows = held_out.draw(COUNT, generator)
    shifts = sub_pixel_shifts(COUNT, SIDE, SIDE, generator)
    pairs = zip((shifts.translate_x * SIDE).tolist(), (shifts.translate_y * SIDE).tolist(), strict=True)
    moved = [shifted_by_hand(IMAGES[row, 0].numpy(), *pair) for row, pair in zip(rows.tolist(), pairs, strict=True)]
    with torch.no_grad():
        after, before = (
            float(nn.functional.cross_entropy(Stripes()(images), LABELS[rows]))
            for images in (torch.from_numpy(np.stack(moved))[:, None].float(), IMAGES[rows])
        )
    assert costs("bilinear")["bilinear"] == pytest.approx(after - before, rel=1e-4) and after - before > 0.1


def test_whole_pixels_cost_nothing():
    assert costs("nearest")["nearest"] == pytest.approx(0.0, abs=1e-6)


def test_the_augmenter_keeps_its_interpolation():
    augment = LearnedAffineAugment(interpolation="nearest")
    found = costs("bilinear", "bicubic", augment=augment)
    assert augment.interpolation == "nearest" and found["bicubic"] < found["bilinear"]


# -- the choice -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bilinear", "sharp", "bicubic", "chosen"),
    [
        (0.009, 0.0, 0.0, "bilinear"),  # at most a tenth of the budget of 0.1
        (-0.02, -0.03, -0.04, "bilinear"),
        (0.011, 0.009, 0.0, "sharp"),
        (0.011, 0.011, 0.009, "bicubic"),
        (0.5, 0.3, 0.2, "bicubic"),  # none is cheap
        (0.2, 0.5, 0.5, "bilinear"),
    ],
)
def test_the_cheapest_that_is_sharp_enough_is_chosen(bilinear, sharp, bicubic, chosen):
    assert choose_interpolation({"bilinear": bilinear, "sharp": sharp, "bicubic": bicubic}, 0.1) == chosen


def test_sharp_images_get_the_sharper_interpolation_and_say_so():
    augment = fit()
    info = augment.history.info
    assert augment.interpolation == "sharp" and "interpolation='sharp'" in repr(augment)
    assert info["resampling_bilinear"] > 0.1 * info["budget"] and "sharp interpolation" in info["target_source"]
    charged = max(info["resampling_sharp"], 0.0)
    assert info["target"] == pytest.approx(info["held_out_cost"] + info["budget"] + charged)


def test_smooth_images_stay_bilinear():
    images, labels = blobs(128)
    wrong = torch.where(torch.arange(128) // 2 % 10 == 0, 1 - labels, labels)
    assert fit(images, wrong, Halves()).interpolation == "bilinear"


@pytest.mark.parametrize("name", ["bilinear", "nearest"])
def test_one_that_is_given_is_kept_and_charged(name):
    for augment in (fit(interpolation=name), fit(augment=LearnedAffineAugment(interpolation=name))):
        info = augment.history.info
        assert augment.interpolation == name and [key for key in info if key.startswith("resampling_")] == [
            f"resampling_{name}"
        ]
        extra = max(info[f"resampling_{name}"], 0.0)
        assert info["target"] == pytest.approx(info["held_out_cost"] + info["budget"] + extra)


def test_a_target_of_ones_own_is_not_changed():
    info = fit(config=FitConfig(steps=1, target=0.4)).history.info
    assert info["target"] == 0.4 and not any(key.startswith("resampling_") for key in info)


def test_the_choice_goes_into_the_file_and_its_card(tmp_path):
    path = fit().save_pretrained(tmp_path)
    assert LearnedAffineAugment.from_pretrained(tmp_path).interpolation == "sharp"
    card = (path.parent / "README.md").read_text()
    assert "interpolation='sharp'" in card and "resampling_bilinear" in card


def test_a_fit_that_goes_on_keeps_the_choice(tmp_path):
    whole = fit(config=FitConfig(steps=4))
    fit(config=FitConfig(steps=4), checkpoint=tmp_path, max_steps=2)
    resumed = fit(config=FitConfig(steps=4), checkpoint=tmp_path, resume=True)
    assert resumed.interpolation == whole.interpolation == "sharp"
    with pytest.raises(ValueError, match="interpolation: 'sharp' there, 'nearest' now"):
        fit(config=FitConfig(steps=4), checkpoint=tmp_path, resume=True, interpolation="nearest")


# -- the alarm --------------------------------------------------------------------------------------------------------


def test_resampling_that_costs_half_of_the_budget_is_an_alarm():
    assert check_resampling(0.05, 0.1, "bilinear") == [] == check_resampling(-1.0, 0.0, "bilinear")
    (alarm,) = check_resampling(0.06, 0.1, "bilinear")
    assert 'interpolation="sharp"' in str(alarm) and "0.06 nats" in str(alarm)
    (alarm,) = check_resampling(0.06, 0.1, "bicubic")
    assert 'interpolation="sharp"' not in str(alarm) and "larger images" in str(alarm)
    with pytest.warns(ResamplingWarning, match="resampling alone costs"):
        LearnedAffineAugment.fit(
            Stripes(),
            [(IMAGES, NOISY)],
            val_loader=[(IMAGES, NOISY)],
            config=FitConfig(steps=1),
            interpolation="bilinear",
            limits=AffineLimits(),
        )
