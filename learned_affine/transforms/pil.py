"""PIL images to tensors and back, in every mode that torchvision's ``affine`` takes."""

from __future__ import annotations

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from learned_affine.geometry.parameters import AffineParameters
from learned_affine.geometry.warp import Fill, as_dtype, warp_images
from learned_affine.transforms.sampling import Sampling

INDEXED = ("1", "P", "PA")  # values that have no means: sampled at the nearest pixel, as PIL does
WITH_ALPHA = ("LA", "RGBA")  # whose colour counts as much as it is opaque
SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
COLOURED = {"La": "LA", "RGBa": "RGBA", "PA": "RGBA"}  # what the network sees of modes that are neither grey nor RGB
COLOURED |= dict.fromkeys(("CMYK", "YCbCr", "LAB", "HSV", "RGBX"), "RGB")
PLAIN = ("L", "RGB", "F", "I", "CMYK", "YCbCr", "LAB", "HSV", "RGBX", "La", "RGBa")
DTYPES = {"F": "float32", "I": "int32", "1": "uint8", **dict.fromkeys(SIXTEEN_BIT, "uint16")}  # of others bytes
MODES = (*PLAIN, *WITH_ALPHA, *INDEXED, *SIXTEEN_BIT)

TRANSPOSED = (  # PIL's own name of each symmetry, by its code; it counts angles the other way round
    None,
    PIL.Image.Transpose.ROTATE_270,
    PIL.Image.Transpose.ROTATE_180,
    PIL.Image.Transpose.ROTATE_90,
    PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    PIL.Image.Transpose.TRANSVERSE,
    PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    PIL.Image.Transpose.TRANSPOSE,
)


def rearrange_pil(image: PIL.Image.Image, code: int) -> PIL.Image.Image:
    """An image after one of the eight symmetries, ``quarter_turns + 4 * mirror``; of 0, a copy."""
    method = TRANSPOSED[code]
    return _with_metadata(image.copy() if method is None else image.transpose(method), image)


def warp_pil(
    image: PIL.Image.Image, planes: Tensor, parameters: AffineParameters, sampling: Sampling
) -> PIL.Image.Image:
    """Warp an image whose ``planes`` are ``(1, C, H, W)``.

    Transparent colour counts as much as it is opaque, and indices of a palette are not mixed.
    """
    if image.mode in INDEXED:
        sampling = sampling._replace(interpolation="nearest")
    if image.mode in WITH_ALPHA:
        sampling = sampling._replace(fill=_premultiplied_fill(sampling.fill, planes.shape[1]))
        planes = _premultiplied(planes)
    warped = warp_images(planes, parameters, *sampling)
    if image.mode in WITH_ALPHA:
        alpha = warped[:, -1:]  # where nothing is opaque the colour is 0, as PIL makes it
        warped = torch.cat([warped[:, :-1] * torch.where(alpha > 0, 255 / alpha, 0.0), alpha], dim=1)
    return _tensor_to_pil(as_dtype(warped[0], getattr(torch, DTYPES.get(image.mode, "uint8"))), image)


def in_colour(image: PIL.Image.Image) -> PIL.Image.Image:
    """An image as its viewer sees it; index numbers, inks and hues say nothing to a network that knows colours."""
    if image.mode == "P":
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image.convert(COLOURED[image.mode]) if image.mode in COLOURED else image


def pil_to_tensor(image: PIL.Image.Image) -> Tensor:
    """``(C, H, W)`` of a PIL image, of palette images their indices."""
    if image.mode not in MODES:
        raise TypeError(f"a PIL image must have one of the modes {', '.join(MODES)}, got {image.mode!r}")
    if 0 in image.size:
        raise ValueError(f"an image must have sides of at least 1, got {image.size}")
    if image.mode in DTYPES:
        return torch.from_numpy(np.array(image).astype(DTYPES[image.mode]))[None]
    if image.mode == "LAB":  # as an array its colours are signed, and the bytes of -1 and 1 have no mean
        return torch.from_numpy(np.stack([np.array(band) for band in image.split()]))
    # PIL's own bytes are there in half the time that numpy's interface to them takes
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return pixels.view(image.height, image.width, -1).permute(2, 0, 1).contiguous()


def _tensor_to_pil(planes: Tensor, like: PIL.Image.Image) -> PIL.Image.Image:
    """A PIL image of ``(C, H, W)`` planes; PIL joins bands in a tenth of the time of a tensor's permutation."""
    mode, size = like.mode, (planes.shape[2], planes.shape[1])
    if len(planes) == 1:
        values = planes[0].numpy()
        if mode in SIXTEEN_BIT:
            values = values.astype(">u2" if mode == "I;16B" else "<u2")
        made = PIL.Image.frombytes(mode, size, values.tobytes(), "raw", "1;8" if mode == "1" else mode)
    else:
        bands = [PIL.Image.frombuffer("L", size, plane, "raw", "L", 0, 1) for plane in planes.contiguous().numpy()]
        made = PIL.Image.merge(mode, bands)
    return _with_metadata(made, like)


def _with_metadata(made: PIL.Image.Image, like: PIL.Image.Image) -> PIL.Image.Image:
    # palette and info (EXIF among it), as PIL's own transforms keep them
    if like.mode in ("P", "PA") and like.palette is not None:
        made.palette = like.palette.copy()
        made.palette.dirty = 1  # so that PIL hands it on to the pixels
    made.info = like.info.copy()
    if getattr(like, "_exif", None) is not None:  # read and perhaps changed: then info holds an older one
        made.info["exif"] = like.getexif().tobytes()
    return made


def _premultiplied(planes: Tensor) -> Tensor:
    """Colour times opacity, of ``(B, C, H, W)`` floating planes within [0, 255] whose last is the alpha."""
    alpha = planes[:, -1:]
    return torch.cat([planes[:, :-1] * (alpha / 255), alpha], dim=1)


def _premultiplied_fill(fill: Fill, channels: int) -> Fill:
    values = [fill] * channels if isinstance(fill, int | float) else list(fill)
    if not any(values) or len(values) != channels:
        return fill
    return _premultiplied(torch.tensor(values, device="cpu").view(1, -1, 1, 1)).flatten().tolist()
