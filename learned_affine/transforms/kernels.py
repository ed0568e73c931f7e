"""One kernel for each type that a sample may hold, looked up by type: how it follows the parameters that were drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import PIL.Image
import torch
from torch import Tensor
from torchvision import tv_tensors

from learned_affine._checks import check_real, shown
from learned_affine.geometry.coordinates import rearrange_boxes, warp_boxes, warp_points
from learned_affine.geometry.parameters import in_torch_func
from learned_affine.geometry.warp import as_dtype, rearrange, warp_images, warp_pieces
from learned_affine.transforms.pil import pil_to_tensor, rearrange_pil, warp_pil
from learned_affine.transforms.sample import SampleParameters, dimensions_of, in_type_of, indexable, plain, take
from learned_affine.transforms.sampling import Sampling


def apply_kernel(item: Any, drawn: SampleParameters, sampling: Sampling) -> Any:
    """An item of a sample after its kernel; what has none comes back as it is."""
    if isinstance(item, PIL.Image.Image):
        return pil_image(item, drawn.followed_by(item), sampling)
    kernel = next((KERNELS[kind] for kind in type(item).__mro__ if kind in KERNELS), None)
    if kernel is None:
        return item
    own = drawn.followed_by(item)
    check_real("a mask" if isinstance(item, tv_tensors.Mask) else "an image", item)
    return in_type_of(item, plain(item).clone() if own is None else plain(kernel(item, own, sampling)))


def pil_image(image: PIL.Image.Image, own: SampleParameters | None, sampling: Sampling) -> PIL.Image.Image:
    """Warp a PIL image, or rearrange it."""
    if own is None:
        return rearrange_pil(image, 0)
    if own.count != 1:
        raise ValueError(f"images of one sample must be as many as the first ({own.count}), got one PIL image")
    if (code := own.symmetry_alone()) is not None:
        return rearrange_pil(image, code)
    planes = own.converted(image)
    planes = take(pil_to_tensor(image)[None], None) if planes is None else planes
    return warp_pil(image, planes, own.parameters, sampling.of(PIL.Image.Image))


def tensor_images(item: Tensor, drawn: SampleParameters, sampling: Sampling) -> Tensor:
    """Warp ``(..., C, H, W)`` images, or ``(..., T, C, H, W)`` clips with the same matrix for all frames."""
    pixels, sampling = plain(item), sampling.of(type(item))
    lead = pixels.ndim - dimensions_of(item)
    if pixels.shape[:lead].numel() != drawn.count:
        if drawn.count != 1:
            raise ValueError(f"images of one sample must be as many as the first ({drawn.count}), got {shown(item)}")
        lead = 0
    if pixels.numel() == 0:
        return pixels.clone()
    frames = pixels.shape[lead:-3].numel()
    taken = drawn.converted(item) if frames == 1 else None
    if lead == 1 and pixels.ndim == 4:
        return warp_rows(pixels, drawn, sampling, taken)
    # frames (and whatever else shares a matrix) lie side by side as channels of one image
    folded = pixels.reshape(drawn.count, -1, *pixels.shape[-2:])
    if not isinstance(sampling.fill, int | float) and len(sampling.fill) > 1:
        sampling = sampling._replace(fill=list(sampling.fill) * frames)
    return warp_rows(folded, drawn, sampling, taken).reshape(pixels.shape)


def warp_rows(images: Tensor, drawn: SampleParameters, sampling: Sampling, taken: Tensor | None = None) -> Tensor:
    """Warp the rows of ``(B, C, H, W)`` that are augmented, ``taken`` if known; the others are copied bit by bit."""
    if drawn.still is not None:
        on_cpu = images.device.type == "cpu"
        return (_with_still_rows if on_cpu else _with_still_rows_on_gpu)(images, drawn, sampling, drawn.still)
    parameters = drawn.parameters.to(images.device)
    taken = take(images, drawn.rows) if taken is None else taken
    if drawn.rows is None:
        warped = warp_images(taken, parameters, *sampling, dtype=images.dtype)
        if drawn.chosen is not None:
            return torch.where(drawn.chosen.to(images.device)[:, None, None, None], warped, images)
        # inside of torch.func nobody can ask for the memory format
        strided = not in_torch_func() and not images.is_contiguous()
        channels_last = strided and images.is_contiguous(memory_format=torch.channels_last)
        return warped.contiguous(memory_format=torch.channels_last) if channels_last else warped
    rows, whole = drawn.rows.to(images.device, non_blocking=True), images
    for place, piece in warp_pieces(taken, parameters, *sampling):
        whole = images.clone() if whole is images else whole
        indexable(whole).index_copy_(0, rows[place], indexable(as_dtype(piece, images.dtype)))
        del piece  # its memory is that of the next one
    return whole


def _with_still_rows(images: Tensor, drawn: SampleParameters, sampling: Sampling, still: Tensor) -> Tensor:
    """Where some images are not moved but for their symmetry: their pixels are moved exactly, without sampling."""
    rows, codes, still = drawn.places(), drawn.parameters.codes().cpu(), still.cpu()
    moved, pixels = (~still).nonzero().flatten(), indexable(images)
    rest = SampleParameters(drawn.parameters[moved], rows[moved], drawn.count)
    whole = warp_rows(images, rest, sampling) if len(moved) else images.clone()
    for code in set(codes[still].tolist()) - {0}:
        index = rows[still & (codes == code)]
        source = pixels if len(index) == len(pixels) else pixels.index_select(0, index)
        indexable(whole).index_copy_(0, index, rearrange(source, code))
    return whole


def _with_still_rows_on_gpu(images: Tensor, drawn: SampleParameters, sampling: Sampling, still: Tensor) -> Tensor:
    """The same by masks, so that the CPU need not wait for a GPU. If all are known to be still, nothing is sampled."""
    rows = drawn.places().to(images.device, non_blocking=True)
    pixels, codes = indexable(images), drawn.parameters.to(images.device).codes()
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


def mask(item: tv_tensors.Mask, own: SampleParameters, sampling: Sampling) -> Tensor:
    """Warp ``(..., H, W)`` masks by the nearest pixel: those of one image together, those of a batch row by row."""
    pixels, sampling = plain(item), Sampling("nearest", "fill", sampling.of(tv_tensors.Mask).fill)
    if pixels.numel() == 0:
        return pixels.clone()
    return warp_rows(pixels.reshape(own.count, -1, *pixels.shape[-2:]), own, sampling).reshape(pixels.shape)


def boxes(item: tv_tensors.BoundingBoxes, own: SampleParameters, sampling: Sampling) -> Tensor:
    """Move the boxes of one image."""
    if own.count == 0:
        return plain(item).clone()  # of no image
    code = own.symmetry_alone()
    return warp_boxes(item, _matrix_of_labels(item, own)[0]) if code is None else rearrange_boxes(item, code)


def key_points(item: tv_tensors.KeyPoints, own: SampleParameters, sampling: Sampling) -> Tensor:
    """Move the key points of one image, or ``(B, ..., 2)`` of a batch row by row."""
    moved = plain(item).clone()
    rows = moved[None] if own.count == 1 else moved
    for row, matrix in zip(own.places().tolist(), _matrix_of_labels(item, own), strict=True):
        rows[row] = warp_points(rows[row], matrix)
    return moved


def _matrix_of_labels(item: Any, own: SampleParameters) -> Tensor:
    return own.parameters.to("cpu").double().matrix(*item.canvas_size)


KERNELS: dict[type, Callable[[Any, SampleParameters, Sampling], Any] | None] = {
    Tensor: tensor_images,
    tv_tensors.TVTensor: None,  # of somebody else's kind: comes back as it is, as from torchvision's own transforms
    tv_tensors.Image: tensor_images,
    tv_tensors.Video: tensor_images,
    tv_tensors.Mask: mask,
    tv_tensors.BoundingBoxes: boxes,
    tv_tensors.KeyPoints: key_points,
}
