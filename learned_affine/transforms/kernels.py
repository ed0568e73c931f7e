"""One kernel for each type that a sample may hold, looked up by type: how it follows the parameters that were drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import PIL.Image
import torch
from torch import Tensor
from torchvision import tv_tensors

from learned_affine._checks import check_real, shown
from learned_affine.geometry.coordinates import rearrange_boxes, warp_boxes, warp_key_points
from learned_affine.geometry.parameters import in_torch_func
from learned_affine.geometry.warp import Fill, as_dtype, rearrange, warp_images, warp_pieces
from learned_affine.transforms.pil import (
    INDEXED,
    WITH_ALPHA,
    dtype_of,
    pil_to_tensor,
    premultiplied,
    rearrange_pil,
    tensor_to_pil,
    unmultiplied,
    with_metadata,
)
from learned_affine.transforms.sample import (
    LABELS,
    OWNER,
    SampleParameters,
    alike,
    check_shape,
    dimensions_of,
    has_rows,
    indexable,
    plain,
    take,
)
from learned_affine.transforms.sampling import Sampling

Kernel = Callable[[Any, SampleParameters, Sampling], Any]


def apply_kernel(item: Any, drawn: SampleParameters, sampling: Sampling) -> Any:
    """An item of a sample after its kernel; what has none comes back as it is."""
    kernel = next((KERNELS[kind] for kind in type(item).__mro__ if kind in KERNELS), None)
    if kernel is None:
        return item
    own = _followed(item, drawn)
    if isinstance(item, PIL.Image.Image):
        return pil_image(item, own, sampling)
    check_real("a mask" if isinstance(item, tv_tensors.Mask) else "an image", item)
    return alike(item, plain(item).clone() if own is None else plain(kernel(item, own, sampling)))


def _followed(item: Any, drawn: SampleParameters) -> SampleParameters | None:
    """The parameters that an item follows: of its owner, or row by row; None where its image is not augmented.

    They keep the item's shape: of what was drawn for an image of its size, that is known.
    """
    owner = getattr(item, OWNER, None) if drawn.count > 1 else None
    own = drawn if owner is None else drawn.of(owner)
    if owner is None and drawn.count > 1 and isinstance(item, LABELS) and not has_rows(item, drawn.count):
        if item.numel() == 0:
            return None
        raise ValueError(f"labels of a batch of {drawn.count} images must be assigned to them, got {shown(item)}")
    if own is not None and 1 in own.symmetries:
        check_shape(own.parameters, *size_of(item))
    return own


def size_of(item: Any) -> tuple[int, ...]:
    """Height and width of an image, or of the image that a label belongs to."""
    if isinstance(item, PIL.Image.Image):
        return item.height, item.width
    return tuple(getattr(item, "canvas_size", item.shape[-2:]))


def _is_still(own: SampleParameters) -> bool:
    return own.still is not None and bool(own.still[0])


# -- images -----------------------------------------------------------------------------------------------------------


def pil_image(image: PIL.Image.Image, own: SampleParameters | None, sampling: Sampling) -> PIL.Image.Image:
    """Warp a PIL image; transparent colour counts as much as it is opaque, and indices of a palette are not mixed."""
    if own is not None and own.count != 1:
        raise ValueError(f"images of one sample must be as many as the first ({own.count}), got one PIL image")
    if own is None or _is_still(own):
        return with_metadata(rearrange_pil(image, 0 if own is None else int(own.parameters.codes()[0])), image)
    sampling, planes, parameters = sampling.of(PIL.Image.Image), own.converted(image), own.parameters
    planes = take(pil_to_tensor(image)[None], None) if planes is None else planes
    if image.mode in INDEXED:
        sampling = sampling._replace(interpolation="nearest")
    if image.mode in WITH_ALPHA:
        sampling = sampling._replace(fill=_premultiplied_fill(sampling.fill, planes.shape[1]))
        warped = unmultiplied(warp_images(premultiplied(planes), parameters, *sampling))
    else:
        warped = warp_images(planes, parameters, *sampling)
    return tensor_to_pil(as_dtype(warped[0], dtype_of(image.mode)), image)


def _premultiplied_fill(fill: Fill, channels: int) -> Fill:
    values = [fill] * channels if isinstance(fill, int | float) else list(fill)
    if not any(values) or len(values) != channels:
        return fill
    return [float(value) for value in premultiplied(torch.tensor(values).view(1, -1, 1, 1)).flatten()]


def tensor_images(item: Tensor, drawn: SampleParameters, sampling: Sampling) -> Tensor:
    """Warp ``(..., C, H, W)`` images, or ``(..., T, C, H, W)`` clips with the same matrix for all frames."""
    pixels, sampling = plain(item), sampling.of(type(item))
    lead = pixels.ndim - dimensions_of(item)
    if pixels.shape[:lead].numel() != drawn.count:
        if drawn.count != 1:
            raise ValueError(f"images of one sample must be as many as the first ({drawn.count}), got {shown(item)}")
        lead = 0
    frames = pixels.shape[lead:-3].numel()
    taken = drawn.converted(item) if frames == 1 else None
    if lead == 1 and pixels.ndim == 4:
        return warp_rows(pixels, drawn, sampling, taken)
    # frames (and whatever else shares a matrix) stand side by side as channels of one image
    folded = pixels.reshape(drawn.count, -1, *pixels.shape[-2:])
    if not isinstance(sampling.fill, int | float) and len(sampling.fill) > 1:
        sampling = sampling._replace(fill=list(sampling.fill) * frames)
    return warp_rows(folded, drawn, sampling, taken).reshape(pixels.shape)


def warp_rows(images: Tensor, drawn: SampleParameters, sampling: Sampling, taken: Tensor | None = None) -> Tensor:
    """Warp the rows of ``(B, C, H, W)`` that are augmented, ``taken`` if known; the others are copied bit by bit."""
    rows, parameters = drawn.rows, drawn.on(images.device)
    if drawn.still is not None:
        return _with_still_rows(images, drawn, sampling)
    taken = take(images, rows) if taken is None else taken
    # inside of torch.func nobody can ask for the memory format
    channels_last = (
        not in_torch_func() and not images.is_contiguous() and images.is_contiguous(memory_format=torch.channels_last)
    )
    if rows is None:
        warped = warp_images(taken, parameters, *sampling, dtype=images.dtype)
        if drawn.chosen is not None:
            return torch.where(drawn.chosen.to(images.device)[:, None, None, None], warped, images)
        return warped.contiguous(memory_format=torch.channels_last) if channels_last else warped
    rows, whole = rows.to(images.device, non_blocking=True), None
    for place, piece in warp_pieces(taken, parameters, *sampling):
        whole = images.clone(memory_format=torch.preserve_format) if whole is None else whole
        indexable(whole).index_copy_(0, rows[place], indexable(as_dtype(piece, images.dtype)))
        del piece  # its memory is that of the next one
    assert whole is not None
    return whole


def _with_still_rows(images: Tensor, drawn: SampleParameters, sampling: Sampling) -> Tensor:
    """Where some images are not moved but for their symmetry: their pixels are moved exactly, without sampling."""
    assert drawn.still is not None
    if images.device.type != "cpu":
        return _with_still_rows_on_gpu(images, drawn.still, drawn, sampling)
    rows = range(drawn.count) if drawn.rows is None else drawn.rows.tolist()
    still, codes = drawn.still.tolist(), drawn.parameters.codes().tolist()
    moved = [place for place, stays in enumerate(still) if not stays]
    if moved:
        places = torch.tensor([rows[place] for place in moved])
        whole = warp_rows(images, SampleParameters(drawn.parameters[moved], places, drawn.count), sampling)
    else:
        whole = images.clone(memory_format=torch.preserve_format)
    by_code: dict[int, list[int]] = {}
    for row, code, stays in zip(rows, codes, still, strict=True):
        if stays and code:
            by_code.setdefault(code, []).append(row)
    pixels = indexable(images)
    for code, own in by_code.items():
        index = torch.tensor(own)
        source = pixels if len(own) == len(pixels) else pixels.index_select(0, index)
        indexable(whole).index_copy_(0, index, rearrange(source, code))
    return whole


def _with_still_rows_on_gpu(images: Tensor, still: Tensor, drawn: SampleParameters, sampling: Sampling) -> Tensor:
    """The same by masks, so that the CPU need not wait for a GPU. If all are known to be still, nothing is sampled."""
    rows = torch.arange(drawn.count) if drawn.rows is None else drawn.rows
    rows = rows.to(images.device, non_blocking=True)
    pixels, codes = indexable(images), drawn.on(images.device).codes()
    own = pixels.index_select(0, rows)
    for part in (4, 2, 1):  # a mirror first, then two quarter turns, then one
        if any(code & part for code in drawn.symmetries) and (part != 1 or images.shape[-2] == images.shape[-1]):
            there = (codes & part).bool()[:, None, None, None]
            own = torch.where(there, rearrange(own, part), own)
    if still.device.type != "cpu" or not bool(still.all()):
        moved = warp_rows(images, SampleParameters(drawn.parameters, drawn.rows, drawn.count), sampling)
        still = still.to(images.device, non_blocking=True)
        own = torch.where(still[:, None, None, None], own, indexable(moved).index_select(0, rows))
    return pixels.index_copy(0, rows, own).view(images.dtype)


# -- labels -----------------------------------------------------------------------------------------------------------


def mask(item: tv_tensors.Mask, own: SampleParameters, sampling: Sampling) -> Tensor:
    """Warp ``(..., H, W)`` masks by the nearest pixel: those of one image together, those of a batch row by row."""
    pixels, sampling = plain(item), Sampling("nearest", "fill", sampling.of(tv_tensors.Mask).fill)
    if pixels.numel() == 0:
        return pixels.clone()
    return warp_rows(pixels.reshape(own.count, -1, *pixels.shape[-2:]), own, sampling).reshape(pixels.shape)


def boxes(item: tv_tensors.BoundingBoxes, own: SampleParameters, sampling: Sampling) -> Tensor:
    """Move the boxes of one image."""
    if _is_still(own):
        return rearrange_boxes(item, int(own.parameters.codes()[0]))
    return warp_boxes(item, _matrix_of_labels(item, own)[0])


def key_points(item: tv_tensors.KeyPoints, own: SampleParameters, sampling: Sampling) -> Tensor:
    """Move the key points of one image, or ``(B, ..., 2)`` of a batch row by row."""
    matrix = _matrix_of_labels(item, own)
    if own.count == 1:
        return warp_key_points(item, matrix[0])
    moved = plain(item).clone()
    for place, row in enumerate(range(own.count) if own.rows is None else own.rows.tolist()):
        moved[row] = plain(warp_key_points(alike(item, moved[row]), matrix[place]))
    return moved


def _matrix_of_labels(item: Any, own: SampleParameters) -> Tensor:
    return own.parameters.to("cpu").double().matrix(*item.canvas_size)


KERNELS: dict[type, Kernel | None] = {
    PIL.Image.Image: pil_image,
    Tensor: tensor_images,
    tv_tensors.TVTensor: None,  # of somebody else's kind: comes back as it is, as from torchvision's own transforms
    tv_tensors.Image: tensor_images,
    tv_tensors.Video: tensor_images,
    tv_tensors.Mask: mask,
    tv_tensors.BoundingBoxes: boxes,
    tv_tensors.KeyPoints: key_points,
}
