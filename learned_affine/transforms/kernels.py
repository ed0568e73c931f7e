"""One kernel for each type that a sample may hold, looked up by type: how it follows the parameters that were drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import PIL.Image
import torch
from torch import Tensor
from torchvision import tv_tensors

from learned_affine._checks import shown
from learned_affine.geometry.coordinates import warp_boxes, warp_key_points
from learned_affine.geometry.warp import as_dtype, warp_images
from learned_affine.transforms.sample import SampleParameters, pil_to_tensor, take
from learned_affine.transforms.sampling import Sampling

PIECE = 2**18  # pixels that one thread warps at a time
Kernel = Callable[[Any, SampleParameters, Sampling], Any]


def apply_kernel(item: Any, drawn: SampleParameters, sampling: Sampling) -> Any:
    """An item of a sample after its kernel; what has none comes back as it is."""
    kernel = next((KERNELS[kind] for kind in type(item).__mro__ if kind in KERNELS), None)
    return item if kernel is None else kernel(item, drawn, sampling)


# -- images -----------------------------------------------------------------------------------------------------------


def pil_image(image: PIL.Image.Image, drawn: SampleParameters, sampling: Sampling) -> PIL.Image.Image:
    """Warp a PIL image; its bands are put together by PIL, in a fifth of the time that a tensor's permutation takes."""
    sampling, taken = sampling.of(PIL.Image.Image), drawn.converted(image)
    taken = take(pil_to_tensor(image)[None], drawn.rows) if taken is None else taken
    warped = warp_images(taken, drawn.matrix(image.height, image.width, taken), *sampling)[0]
    dtype = {"F": torch.float32, "I": torch.int32}.get(image.mode, torch.uint8)
    planes = as_dtype(warped, dtype, sampling.padding_mode).numpy()
    bands = [PIL.Image.fromarray(plane) for plane in planes]
    return bands[0] if len(bands) == 1 else PIL.Image.merge(image.mode, bands)


def tensor_image(item: Tensor, drawn: SampleParameters, sampling: Sampling) -> Tensor:
    """Warp ``(..., C, H, W)`` images."""
    return _like(item, _warp_frames(item, 3, drawn, sampling.of(type(item)), drawn.converted(item)))


def video(item: tv_tensors.Video, drawn: SampleParameters, sampling: Sampling) -> Tensor:
    """Warp ``(..., T, C, H, W)`` clips with the same matrix for all frames."""
    taken = drawn.converted(item) if item.shape[-4] == 1 else None
    return _like(item, _warp_frames(item, 4, drawn, sampling.of(type(item)), taken))


def _warp_frames(item: Tensor, own: int, drawn: SampleParameters, sampling: Sampling, taken: Tensor | None) -> Tensor:
    """Warp the pixels of an item whose last ``own`` dimensions are one image or clip."""
    pixels = _plain(item)
    lead = pixels.ndim - own
    if pixels.shape[:lead].numel() != drawn.count:
        if drawn.count != 1:
            raise ValueError(f"images of one sample must be as many as the first ({drawn.count}), got {shown(item)}")
        lead = 0
    frames = pixels.shape[lead:-3].numel()
    if lead == 1 and pixels.ndim == 4:
        return _warp_rows(pixels, drawn, sampling, taken)
    # frames (and whatever else shares a matrix) stand side by side as channels of one image
    folded = pixels.reshape(drawn.count, -1, *pixels.shape[-2:])
    if not isinstance(sampling.fill, int | float) and len(sampling.fill) > 1:
        sampling = sampling._replace(fill=list(sampling.fill) * frames)
    return _warp_rows(folded, drawn, sampling, taken if frames == 1 else None).reshape(pixels.shape)


def _warp_rows(images: Tensor, drawn: SampleParameters, sampling: Sampling, taken: Tensor | None = None) -> Tensor:
    """Warp the rows of ``(B, C, H, W)`` that are augmented, ``taken`` if known; the others are copied bit by bit."""
    taken = take(images, drawn.rows) if taken is None else taken
    matrix = drawn.matrix(images.shape[-2], images.shape[-1], taken)
    channels_last = images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()

    def warped(some: Tensor, by: Tensor) -> Tensor:
        found = as_dtype(warp_images(some, by, *sampling), images.dtype, sampling.padding_mode)
        return found.contiguous(memory_format=torch.channels_last) if channels_last else found

    if drawn.rows is None:
        return warped(taken, matrix)
    whole, rows = images.clone(memory_format=torch.preserve_format), drawn.rows.to(images.device)
    for piece in _pieces(taken):
        whole[rows[piece]] = warped(taken[piece], matrix[piece])
    return whole


def _pieces(images: Tensor) -> list[slice]:
    """Where to cut what is copied into a batch anyway: the sampling grids of a piece are in the cache and in memory at
    hand, where fresh memory has to be mapped page by page, which for a large batch can take as long as sampling.
    """
    count, pixels = len(images), images.shape[-2] * images.shape[-1]
    if images.device.type != "cpu" or images.requires_grad or torch.compiler.is_compiling():
        return [slice(0, count)]
    step = max(1, PIECE // pixels) * torch.get_num_threads()  # which share a piece image by image
    return [slice(start, start + step) for start in range(0, count, step)]


# -- labels -----------------------------------------------------------------------------------------------------------


def mask(item: tv_tensors.Mask, drawn: SampleParameters, sampling: Sampling) -> Tensor:
    """Warp ``(..., H, W)`` masks by the nearest pixel: those of one image together, those of a batch row by row."""
    pixels, sampling = _plain(item), Sampling("nearest", "fill", sampling.of(tv_tensors.Mask).fill)
    if pixels.numel() == 0:
        return _like(item, pixels.clone())
    if id(item) in drawn.owner:
        place = drawn.place(drawn.owner[id(item)])
        if place is None:
            return _like(item, pixels.clone())
        drawn = SampleParameters(drawn.parameters[place], None, 1, [])
    if drawn.count > 1 and pixels.shape[0] != drawn.count:
        raise ValueError(f"masks must be one for each of {drawn.count} images, got {shown(item)}")
    rows = pixels.reshape(drawn.count, -1, *pixels.shape[-2:])
    return _like(item, _warp_rows(rows, drawn, sampling).reshape(pixels.shape))


def boxes(item: tv_tensors.BoundingBoxes, drawn: SampleParameters, sampling: Sampling) -> Tensor:
    """Move the boxes of one image."""
    return _move(item, warp_boxes, drawn)


def key_points(item: tv_tensors.KeyPoints, drawn: SampleParameters, sampling: Sampling) -> Tensor:
    """Move the key points of one image, or ``(B, ..., 2)`` of a batch row by row."""
    if drawn.count == 1 or id(item) in drawn.owner or item.ndim <= 2 or len(item) != drawn.count:
        return _move(item, warp_key_points, drawn)
    matrix, moved = _matrix_of_labels(item, drawn), _plain(item).clone()
    for place, row in enumerate(range(drawn.count) if drawn.rows is None else drawn.rows.tolist()):
        moved[row] = _plain(warp_key_points(_like(item, moved[row]), matrix[place]))
    return _like(item, moved)


def _move(item: Any, warp: Callable[[Any, Tensor], Tensor], drawn: SampleParameters) -> Tensor:
    """Move boxes or key points with the image that they belong to."""
    if drawn.count == 1:
        return warp(item, _matrix_of_labels(item, drawn)[0])
    if id(item) not in drawn.owner:
        raise ValueError(
            f"a batch of {drawn.count} images needs one {type(item).__name__} an image (a list of {drawn.count} "
            f"targets), got {shown(item)}"
        )
    place = drawn.place(drawn.owner[id(item)])
    return _like(item, _plain(item).clone()) if place is None else warp(item, _matrix_of_labels(item, drawn)[place])


def _matrix_of_labels(item: Any, drawn: SampleParameters) -> Tensor:
    height, width = item.canvas_size
    return drawn.parameters.double().to("cpu").matrix(height, width)


# -- types ------------------------------------------------------------------------------------------------------------


def other(item: Any, drawn: SampleParameters, sampling: Sampling) -> Any:
    """A ``TVTensor`` of somebody else's comes back as it is, as from torchvision's own transforms."""
    return item


def _plain(item: Tensor) -> Tensor:
    return item if type(item) is Tensor else item.as_subclass(Tensor)


def _like(item: Any, pixels: Tensor) -> Any:
    return tv_tensors.wrap(pixels, like=item) if isinstance(item, tv_tensors.TVTensor) else pixels


KERNELS: dict[type, Kernel] = {
    PIL.Image.Image: pil_image,
    Tensor: tensor_image,
    tv_tensors.TVTensor: other,
    tv_tensors.Image: tensor_image,
    tv_tensors.Video: video,
    tv_tensors.Mask: mask,
    tv_tensors.BoundingBoxes: boxes,
    tv_tensors.KeyPoints: key_points,
}
