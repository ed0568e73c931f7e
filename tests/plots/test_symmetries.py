"""The picture of symmetries: each position where it belongs, as strong as it is probable."""

import pytest
import torch

from learned_affine import AffineLimits, plots
from learned_affine.policy.raw_head import RawHead
from tests.plots.test_canvas import cells, row_titles
from tests.subjects import blobs, flipping, vivid

IMAGES = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([1, 0, 1, 1])


def texts(figure):
    return [int(text.get_text().removesuffix(" %")) for text in figure.axes[0].texts]


def test_positions_are_the_rotated_and_mirrored_images_and_half_of_them_are_strong():
    shown = cells(plots.plot_symmetries(flipping(), IMAGES))
    low, high = IMAGES.min(), IMAGES.max()
    plain = ((IMAGES - low) / (high - low)).permute(0, 2, 3, 1)
    torch.testing.assert_close(shown[:, 0], plain)
    torch.testing.assert_close(shown[:, 4], plain.flip(2))
    faint = torch.stack([torch.rot90(plain, -turns, (1, 2)) for turns in (1, 2, 3)], 1)  # clockwise
    torch.testing.assert_close(shown[:, 1:4], 1 - 0.1 * (1 - faint))
    assert texts(plots.plot_symmetries(flipping(), IMAGES[:1])) == [50, 0, 0, 0, 50, 0, 0, 0]


@pytest.mark.parametrize("options", [{}, {"strength": 0.4}, {"limits": AffineLimits(symmetries="mirror")}])
def test_probabilities_are_those_of_the_draws(options):
    augment = vivid(**options)
    with torch.no_grad():
        augment.localization.head.bias[12:] = 0.5
    codes = torch.stack([augment.sample_parameters(IMAGES[:2]).codes() for _ in range(1000)])
    often = torch.nn.functional.one_hot(codes, 8).double().mean(0).flatten()
    assert texts(plots.plot_symmetries(augment, IMAGES[:2])) == pytest.approx((100 * often).tolist(), abs=6)


@pytest.mark.parametrize("augment", [vivid(deterministic=True), vivid(localization=RawHead(3), p=1.0)])
def test_what_has_no_symmetries_leaves_images_as_they_are(augment):
    assert texts(plots.plot_symmetries(augment, IMAGES[:1])) == [100, *[0] * 7]


def test_of_each_class_the_first_images_are_shown_and_the_class_is_named_once(tmp_path):
    figure = plots.plot_symmetries(flipping(), IMAGES, LABELS, ["cat", "dog"], 2, tmp_path / "a.png")
    assert row_titles(figure) == ["cat", "dog", ""]
    torch.testing.assert_close(cells(figure)[:, 0], cells(plots.plot_symmetries(flipping(), IMAGES))[[1, 0, 2], 0])
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_positions_that_would_not_keep_the_shape_are_not_drawn():
    shown = cells(plots.plot_symmetries(flipping(), IMAGES[..., :10]), width=10)
    assert [bool((shown[:, code] == 1).all()) for code in range(8)] == [False, True] * 4


def test_bytes_and_grey_images_are_shown():
    grey = blobs(3)[0]
    one, other = (
        cells(plots.plot_symmetries(vivid(), images)) for images in (grey, (255 * grey).round().to(torch.uint8))
    )
    assert (one - other).abs().max() < 0.02
    wide = cells(plots.plot_symmetries(vivid(), (60_000 * grey).round().to(torch.uint16)))
    assert (one - wide).abs().max() < 0.02
