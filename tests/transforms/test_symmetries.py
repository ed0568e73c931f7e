"""Symmetries: everything in a sample follows torch's ``flip`` and ``rot90``, and a symmetry alone is exact."""

import PIL.Image
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

from learned_affine import AffineLimits, AffineParameters, LearnedAffineAugment
from learned_affine.geometry.parameters import EIGHT
from learned_affine.transforms.pil import MODES
from tests.geometry.matrices import floating, rearranged, symmetries_alone, symmetry
from tests.subjects import STILL, symmetric
from tests.transforms.pictures import DTYPES, boxes, pil, pixels

MOVED = floating(20, 1.2, 0.9, 8, 0.1, -0.05)
AUGMENT = LearnedAffineAugment()
SQUARE = (18, 18)


def moved(code: int) -> AffineParameters:
    """The same warp after one of the symmetries."""
    return AffineParameters(*MOVED.tensors(), *symmetry([code]))


def rearranged_pil(image: PIL.Image.Image, code: int) -> PIL.Image.Image:
    """By PIL's own flip and rotation: 270 degrees counterclockwise are a quarter turn."""
    image = image.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT) if code >= 4 else image
    for _ in range(code % 4):
        image = image.transpose(PIL.Image.Transpose.ROTATE_270)
    return image


SHAPES = [(3, 9, 9), (1, 1, 1), (4, 8, 5, 6, 6), (2, 3, 6, 1)]
each_code = pytest.mark.parametrize("code", EIGHT)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_symmetry_alone_moves_pixels_bit_by_bit(dtype, shape):
    images = pixels(dtype, *shape)
    items = [images, tv_tensors.Image(images), *([tv_tensors.Video(images)] if images.ndim > 3 else [])]
    for code in EIGHT if shape[-1] == shape[-2] else (0, 2, 4, 6):
        for item in (*items, tv_tensors.Mask(images)):
            out = AUGMENT.apply(item, symmetries_alone(code))
            assert type(out) is type(item) and torch.equal(out, rearranged(images, code))


@each_code
@pytest.mark.parametrize("mode", MODES)
def test_a_symmetry_alone_is_exact_for_pil(mode, code):
    for size in [SQUARE] + [(24, 18)] * (code % 2 == 0):
        image = pil(mode, size)
        out = AUGMENT.apply(image, symmetries_alone(code))
        assert out.mode == mode and out.size == size and out.tobytes() == rearranged_pil(image, code).tobytes()
        if mode == "RGB":
            assert torch.equal(F.pil_to_tensor(out), rearranged(F.pil_to_tensor(image), code))


MIXED = AffineParameters.cat([symmetries_alone(*EIGHT), moved(0), moved(5), moved(3), symmetries_alone(0, 1)])
EXACT = torch.tensor([*EIGHT, 11, 12])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("padding_mode", ["reflection", "fill"])
def test_symmetries_are_exact_in_a_batch_with_moved_images(dtype, padding_mode):
    images = pixels(dtype, len(MIXED), 3, 12, 12)
    augment = LearnedAffineAugment(padding_mode=padding_mode)
    masks = tv_tensors.Mask(pixels(dtype, len(MIXED), 12, 12))
    expected = [rearranged(image, code) for image, code in zip(images, MIXED.codes().tolist(), strict=True)]
    for out in (augment.apply(images, MIXED), augment.warp(images, MIXED)):
        assert all(torch.equal(out[row], expected[row]) for row in EXACT)
        for row in (8, 9, 10):
            alone = augment.apply(images[row], MIXED[row])
            most = {torch.float16: 1e-3, torch.bfloat16: 8e-3}.get(dtype, 1e-5)  # one's map is computed in float64
            torch.testing.assert_close(out[row], alone, atol=most, rtol=0)
            assert not torch.equal(out[row], images[row])
    _, out = augment.apply((tv_tensors.Image(images), masks), MIXED)
    assert all(torch.equal(out[row], rearranged(masks[row], int(MIXED.codes()[row]))) for row in EXACT)


def picture(height: int) -> tv_tensors.Image:
    return tv_tensors.Image(torch.rand(3, height, 8))


OBLONG = {
    "a batch": lambda: torch.rand(2, 3, 6, 8),
    "an image": lambda: torch.rand(3, 6, 8),
    "bytes": lambda: pixels(torch.uint8, 3, 6, 8),
    "a clip": lambda: tv_tensors.Video(torch.rand(2, 3, 6, 8)),
    "PIL": lambda: pil("RGB", (8, 6)),
    "a mask": lambda: tv_tensors.Mask(torch.zeros(6, 8)),
    "boxes": lambda: boxes("XYXY", (6, 8)),
    "key points": lambda: tv_tensors.KeyPoints([[1.0, 2.0]], canvas_size=(6, 8)),
    "a square image with an oblong mask": lambda: (picture(8), tv_tensors.Mask(torch.zeros(6, 8))),
    "a list with one oblong image": lambda: [picture(8), picture(6)],
}


@pytest.mark.parametrize("make", OBLONG.values(), ids=OBLONG.keys())
@pytest.mark.parametrize("turned", [symmetries_alone, moved], ids=["alone", "moved"])
def test_odd_quarter_turns_need_square_images(make, turned):
    said = r"^quarter_turns must be 0 or 2 for an image that is not square.*got {} for an image of 6 x 8 pixels"
    for call in (AUGMENT.apply, *([AUGMENT.warp] if make is OBLONG["a batch"] else [])):
        for code, value in ((1, 1), (3, 3), (5, 1), (7, 3)):
            with pytest.raises(ValueError, match=said.format(value)):
                call(make(), turned(code))
        for code in (0, 2, 4, 6):
            call(make(), turned(code))


@pytest.mark.parametrize("limits", [STILL, AffineLimits()])
def test_lists_of_images_of_any_shape_draw_what_keeps_it(limits):
    images = [tv_tensors.Image(torch.rand(3, 8, 8 + row % 2)) for row in range(64)]
    augment = symmetric(limits)
    out = augment(images)
    codes = augment.last_parameters.codes()
    assert len(codes[::2].unique()) == 8 and set(codes[1::2].tolist()) == {0, 2, 4, 6}
    if limits is STILL:
        assert all(torch.equal(*pair) for pair in zip(out, map(rearranged, images, codes.tolist()), strict=True))


def test_images_of_two_sizes_in_a_sample_draw_what_keeps_both():
    """A square one beside an oblong one, whichever comes first: no odd quarter turn in 40 calls."""
    augment, mask = symmetric(STILL), tv_tensors.Mask(torch.zeros(6, 8))
    for sample in ([picture(8), picture(6)], [picture(6), picture(8)], [picture(8), mask]):
        codes = [(augment(tuple(sample)), int(augment.last_parameters.codes()[0]))[1] for _ in range(40)]
        assert set(codes) == {0, 2, 4, 6}


def test_pil_images_of_a_list_of_targets_follow_their_image():
    augment = LearnedAffineAugment(p=1.0)
    depth = [pil("F", SQUARE, seed=seed) for seed in EIGHT]
    images = tv_tensors.Image(torch.rand(8, 3, *SQUARE))
    _, out = augment.apply((images, [{"depth": one_} for one_ in depth]), symmetries_alone(*EIGHT))
    assert isinstance(out[0]["depth"], PIL.Image.Image)
    for code in EIGHT:
        assert out[code]["depth"].tobytes() == rearranged_pil(depth[code], code).tobytes()
