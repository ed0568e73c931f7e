"""The page of a data set: one row per class, with its rotations, its flips and its ranges."""

import pytest
import torch
from matplotlib.colors import to_hex

from learned_affine import AffineLimits, plots
from learned_affine.fitting.history import FitHistory
from learned_affine.plots.canvas import GREEN
from learned_affine.policy.distribution import Policy
from tests.plots.test_canvas import cells, row_titles
from tests.subjects import flipping, vivid

IMAGES = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([1, 0, 1, 1, 0, 1])
LOADER = [(IMAGES[:4], LABELS[:4]), (IMAGES[4:], LABELS[4:])]
FLIP, UPSIDE_DOWN = 3, 4  # columns, after the example between its two rotations


def texts(figure):
    """What is written below the cells and beside the rows, row by row, ``(rows, 11)``."""
    written = [text.get_text() for text in figure.axes[0].texts]
    return [written[start : start + 11] for start in range(0, len(written), 11)]


def test_each_class_has_a_row_with_its_first_image_and_what_is_tolerated_is_strong_and_framed(tmp_path):
    figure = plots.plot_summary(flipping(), LOADER, ["cat", "dog"], tmp_path / "page.png")
    assert row_titles(figure) == ["cat", "dog"] and (tmp_path / "page.png").stat().st_size > 1000
    for row, first in enumerate((1, 0)):
        image = IMAGES[first]
        plain = ((image - image.min()) / (image.max() - image.min())).permute(1, 2, 0)
        shown = cells(figure, [text.get_position()[0] for text in figure.axes[0].texts[:10]])[row]
        for column in (0, 1, 2):  # it is never rotated
            torch.testing.assert_close(shown[column], plain)
        torch.testing.assert_close(shown[FLIP], plain.flip(1))
        torch.testing.assert_close(shown[UPSIDE_DOWN], 1 - 0.12 * (1 - plain.flip(0)))
    assert [row[:10] for row in texts(figure)] == [["+0°", "", "+0°", "50 %", *["0 %"] * 6]] * 2
    frames = [to_hex(frame.get_edgecolor()).upper() for frame in figure.axes[0].patches]
    assert frames == [GREEN] * 8  # of each row three rotations and the flip


@pytest.mark.parametrize("limits", [AffineLimits(angle=40), AffineLimits(angle=180, scale=4, translate=1)])
def test_ranges_hold_nine_of_ten_draws_and_stay_within_the_limits(limits):
    augment = vivid(limits)
    loader = [(IMAGES, torch.zeros(6, dtype=torch.long))]
    low, _, high, *_, words = texts(plots.plot_summary(augment, loader))[0]
    drawn = augment.sample_parameters(IMAGES.repeat(2000, 1, 1, 1))
    angle = drawn.angle
    inside = (angle > float(low.removesuffix("°"))) & (angle < float(high.removesuffix("°")))
    assert float(inside.float().mean()) == pytest.approx(0.9, abs=0.06)
    assert -limits.angle <= float(low.removesuffix("°")) and float(high.removesuffix("°")) <= limits.angle
    least, most = (float(word) for word in words.splitlines()[0].removeprefix("scale ").split(" to "))
    assert 1 / limits.scale - 0.01 < least < most < limits.scale + 0.01
    scales = torch.cat([drawn.scale_x, drawn.scale_y])
    assert float(((scales > least) & (scales < most)).float().mean()) == pytest.approx(0.9, abs=0.06)


def test_the_ranges_of_a_policy_that_fills_its_limits_end_at_them():
    augment = vivid(AffineLimits(angle=20, scale=1.25))
    augment.policy = lambda images: Policy(torch.zeros(len(images), 6), torch.full((len(images), 6), 3.0))
    low, _, high, *_, words = texts(plots.plot_summary(augment, LOADER))[0]
    assert (low, high) == ("-20°", "+20°") and words.startswith("scale 0.80 to 1.25")


def test_classes_of_which_the_fit_judged_too_few_images_are_marked():
    augment = vivid()
    augment.history = FitHistory(info={"classes": 2, "class_names": ["cat", "dog"], "classes_moved": [{"class": 1}]})
    assert row_titles(plots.plot_summary(augment, LOADER)) == ["cat\n(few images)", "dog"]


def test_the_classes_of_traffic_signs_fit_in_two_columns():
    loader = [(torch.rand(43, 1, 40, 30), torch.arange(43))]
    figure = plots.plot_summary(vivid(), loader)
    assert [len(axis.get_yticks()) for axis in figure.axes] == [22, 21]


def test_large_photographs_bytes_and_several_sizes_are_shown():
    loader = [
        (torch.randint(256, (2, 3, 300, 200), dtype=torch.uint8), torch.tensor([0, 1])),
        (torch.randint(256, (1, 3, 100, 100), dtype=torch.uint8), torch.tensor([2])),
    ]
    assert len(plots.plot_summary(vivid(), loader).axes[0].get_yticks()) == 3
