"""PIL images: every mode against PIL's own ``transform`` by the same map, and what stands beside the pixels."""

import io

import numpy as np
import PIL.Image
import pytest
import torch
from PIL import ImageOps
from torchvision.transforms.v2 import functional as F

from learned_affine import AffineLimits, AffineParameters, LearnedAffineAugment
from learned_affine.transforms.pil import INDEXED, MODES, SIXTEEN_BIT
from tests.geometry.matrices import GONE, coefficients, one, symmetries_alone
from tests.subjects import at_seed, symmetric, vivid
from tests.transforms.pictures import pil

AUGMENT = LearnedAffineAugment(padding_mode="zeros")
MAPS = {
    "turned": one(13.3, 1.15, 0.9, 6, 0.05, -0.04),
    "mirrored": one(-21.7, 0.8, 1.1, 0, 0.1, 0, mirror=True),
    "upside down": one(4, 0.93, 1.07, 0, 0, 0.03, mirror=True, turns=2),
}
each_map = pytest.mark.parametrize("parameters", MAPS.values(), ids=MAPS.keys())


def floats(parameters: AffineParameters) -> AffineParameters:
    return parameters.map(torch.Tensor.float)


def pils_own(image: PIL.Image.Image, parameters: AffineParameters, nearest: bool = False) -> PIL.Image.Image:
    """The image by PIL's ``transform``, filled with 0."""
    back = coefficients(parameters.matrix(image.height, image.width)[0])[:6]
    how = PIL.Image.Resampling.NEAREST if nearest else PIL.Image.Resampling.BILINEAR
    return image.transform(image.size, PIL.Image.Transform.AFFINE, back, how)


def bands(image: PIL.Image.Image) -> np.ndarray:
    """The values as PIL keeps them, ``(H, W, C)``."""
    return np.stack([np.asarray(band).astype(np.float32) for band in image.split()], -1)


def pils_own_in_floats(image: PIL.Image.Image, parameters: AffineParameters) -> np.ndarray:
    """The same band by band in PIL's mode F, where nothing is rounded: ``(H, W, C)``, colour premultiplied."""
    planes = bands(image)
    if image.mode in ("RGBA", "LA"):
        planes[..., :-1] *= planes[..., -1:] / 255
    moved = [pils_own(PIL.Image.fromarray(plane.copy()), parameters) for plane in np.moveaxis(planes, -1, 0)]
    return np.stack([np.asarray(plane) for plane in moved], -1)


def inside(image: PIL.Image.Image, parameters: AffineParameters) -> np.ndarray:
    """Which pixels come from half a pixel or more inside of the image: at its edge PIL does not blend with the fill."""
    a, b, x, c, d, y = coefficients(parameters.matrix(image.height, image.width)[0])[:6]
    right, down = np.meshgrid(np.arange(image.width) + 0.5, np.arange(image.height) + 0.5)
    across, along = (a * right + b * down + x) / image.width, (c * right + d * down + y) / image.height
    x, y = 0.5 / image.width, 0.5 / image.height
    return (x < across) & (across < 1 - x) & (y < along) & (along < 1 - y)


@each_map
@pytest.mark.parametrize("mode", [mode for mode in MODES if mode not in INDEXED])
def test_values_are_those_of_pil_without_its_rounding(mode, parameters):
    image = pil(mode, (40, 30))
    before = image.tobytes()
    out = AUGMENT.apply(image, floats(parameters))
    assert (out.mode, out.size) == (mode, (40, 30)) and image.tobytes() == before
    out.load()[0, 0] = out.getpixel((0, 0))  # it can be written to, as one of PIL's own
    truth, got = pils_own_in_floats(image, parameters), bands(out)
    if mode in ("RGBA", "LA"):
        assert np.abs(got[..., -1] - truth[..., -1])[inside(image, parameters)].max() <= 0.51
        visible = truth[..., -1:].clip(1)
        truth[..., :-1] *= 255 / visible  # no longer premultiplied
    apart = np.abs(got - truth)[inside(image, parameters)]
    assert len(apart) > 300 and apart.max() <= (0.05 if mode == "F" else 0.51 if mode not in SIXTEEN_BIT else 0.6)


@each_map
@pytest.mark.parametrize("mode", INDEXED)
def test_indices_are_those_of_pil(mode, parameters):
    image = pil(mode, (40, 30))
    out, expected = AUGMENT.apply(image, floats(parameters)), pils_own(image, parameters, nearest=True)
    apart = np.abs(bands(out) - bands(expected))[inside(image, parameters)]
    assert (apart > 0).mean() < 0.01  # but where the nearest of two pixels is a toss-up


def test_another_mode_and_an_image_without_pixels_are_named():
    image = PIL.Image.new("L", (8, 8))
    image._mode = "XYZ"
    with pytest.raises(TypeError, match=r"a PIL image must have one of the modes L, RGB.*got 'XYZ'"):
        vivid()(image)
    with pytest.raises(ValueError, match=r"an image must have sides of at least 1, got \(0, 5\)"):
        AUGMENT(PIL.Image.new("RGB", (0, 5)))


@pytest.mark.parametrize("mode", ["L", "RGB", "I;16", "F"])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest", "bicubic", "sharp"])
def test_pil_and_tensor_give_the_same_pixels(mode, interpolation):
    image, augment = pil(mode), vivid(interpolation=interpolation)
    assert torch.equal(F.pil_to_tensor(at_seed(augment, image)), at_seed(augment, F.pil_to_tensor(image)))


@pytest.mark.parametrize(("mode", "fill"), [("RGBA", (200, 40, 90, 128)), ("LA", (220, 60)), ("RGBA", (9, 9, 9, 255))])
def test_a_fill_with_its_alpha_comes_out_as_it_was_given(mode, fill):
    image = PIL.Image.new(mode, (12, 10), (50,) * len(fill))
    out = bands(LearnedAffineAugment(padding_mode="fill", fill=fill).apply(image, GONE))
    assert np.abs(out - np.array(fill)).max() <= 1


def opened(orientation: int, mode: str = "RGB", **options) -> PIL.Image.Image:
    """An image as a camera writes it: with EXIF, and a resolution."""
    image, file = pil(mode, (20, 12)), io.BytesIO()
    exif = PIL.Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Maker"
    image.save(file, "PNG", exif=exif, dpi=(72, 72), **options)
    return PIL.Image.open(io.BytesIO(file.getvalue()))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "I;16"])
def test_info_is_kept_of_warped_mirrored_and_other_images_alike(mode):
    image = opened(6, mode)
    image.info["mine"] = ["anything"]
    kinds = {"warped": floats(MAPS["turned"]), "mirrored": symmetries_alone(4), "same": symmetries_alone(0)}
    for parameters in kinds.values():
        out = AUGMENT.apply(image, parameters)
        assert out.info == image.info and out.getexif()[0x0112] == 6 and out.getexif()[0x010F] == "Maker"
        assert ImageOps.exif_transpose(out).size == (12, 20)
        assert out.info is not image.info or parameters is kinds["same"]


@pytest.mark.parametrize("change", [lambda exif: exif.update({0x0112: 3}), lambda exif: exif.clear()])
def test_exif_that_was_changed_after_reading_is_kept_as_it_is_now(change):
    image = opened(6)
    change(image.getexif())
    for parameters in (floats(MAPS["turned"]), symmetries_alone(4)):
        out = AUGMENT.apply(image, parameters)
        assert dict(out.getexif()) == dict(image.getexif()) != dict(opened(6).getexif())
        assert ImageOps.exif_transpose(out).size == (20, 12)


@pytest.mark.parametrize("mode", ["CMYK", "P", "PA", "HSV", "YCbCr", "RGBa"])
def test_the_network_sees_a_picture_whatever_its_mode(mode):
    """Index numbers, inks and hues are no colours; a drawing in black is in the last channel of CMYK alone."""
    augment = symmetric(AffineLimits(), p=1.0)
    shape = np.full((24, 24, 3), 255, np.uint8)
    shape[4:18, 5:9] = shape[4:8, 5:20] = 0
    image = PIL.Image.fromarray(shape)
    drawn = []
    for one_ in (image, image.convert("RGBA").convert(mode) if mode == "RGBa" else image.convert(mode)):
        torch.manual_seed(0)
        drawn.append(AffineParameters.cat([augment.last_parameters for _ in range(20) if augment(one_)]))
    torch.testing.assert_close(drawn[0].stacked(), drawn[1].stacked(), atol=1e-2, rtol=0)
    assert torch.equal(drawn[0].codes(), drawn[1].codes())


def test_the_order_of_a_palette_changes_nothing():
    augment, orders = vivid(), ([0, 1, 2, 3], [3, 0, 2, 1])
    index = np.arange(24 * 24).reshape(24, 24) // 37 % 4
    colours, drawn = np.array([[200, 220, 255], [180, 30, 30], [30, 120, 40], [90, 60, 20]], np.uint8), []
    for order in orders:
        image = PIL.Image.fromarray(np.argsort(order)[index].astype(np.uint8)).convert("P")
        image.putpalette(colours[order].ravel().tolist())
        at_seed(augment, image)
        drawn.append(augment.last_parameters.stacked())
    assert torch.equal(*drawn)


@pytest.mark.parametrize("mode", ["P", "PA"])
@pytest.mark.parametrize("parameters", [floats(MAPS["turned"]), symmetries_alone(4)])
def test_palettes_are_kept_in_the_pixels_too(mode, parameters):
    image = pil(mode)
    out = AUGMENT.apply(image, parameters)
    assert out.getpalette() == image.getpalette()
    colours, drawn = ({tuple(colour) for colour in bands(one_.convert("RGB")).reshape(-1, 3)} for one_ in (image, out))
    assert len(drawn) > 8 and drawn <= colours | {tuple(image.getpalette()[:3])}
    index = np.asarray(out)[..., 0] if mode == "PA" else np.asarray(out)
    palette = np.array(image.getpalette()).reshape(-1, 3)
    assert (bands(out.convert("RGB")) == palette[index]).all()


def test_palettes_with_transparency_are_kept():
    with_alpha = pil("RGBA").quantize(16)
    assert with_alpha.palette.mode == "RGBA"
    by_index = pil("P")
    by_index.info["transparency"] = 3
    for image in (with_alpha, by_index):
        out = AUGMENT.apply(image, symmetries_alone(4))
        warped = AUGMENT.apply(image, floats(MAPS["turned"]))
        assert out.convert("RGBA").tobytes() == F.horizontal_flip(image.convert("RGBA")).tobytes()
        colours, drawn = ({tuple(c) for c in bands(one_.convert("RGBA")).reshape(-1, 4)} for one_ in (image, warped))
        assert len(drawn - colours) <= 1  # of index 0, which comes in from outside
        assert warped.info.get("transparency") == image.info.get("transparency")


@pytest.mark.parametrize("kind", ["uint8", "bool", "LA", "RGBA", "RGBX", "P"])
def test_the_policy_of_an_image_with_an_alpha_is_that_of_its_floats(kind):
    """Of integers the network must know how far they go, else all but what is fully transparent is opaque."""
    floating = torch.rand(1, 4, 24, 24, generator=torch.Generator().manual_seed(0))
    if kind == "bool":
        floating = (floating > 0.5).float()
    pixels = (255 * floating).round().byte()
    if kind in ("uint8", "bool"):
        image = pixels if kind == "uint8" else pixels.bool()
        seen = pixels / 255
    else:
        rgba = PIL.Image.fromarray(pixels[0].permute(1, 2, 0).numpy(), "RGBA")
        image = PIL.Image.frombytes("RGBX", rgba.size, rgba.tobytes()) if kind == "RGBX" else rgba.convert(kind)
        seen = F.pil_to_tensor(image.convert("RGB" if kind == "RGBX" else "RGBA"))[None] / 255
    augment = vivid(p=1.0)
    at_seed(augment, image)
    drawn = augment.last_parameters.stacked()
    at_seed(augment, seen)
    torch.testing.assert_close(drawn, augment.last_parameters.stacked(), atol=1e-3, rtol=1e-3)
