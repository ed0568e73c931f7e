"""What a sample may hold, and how each kind of item follows the matrices drawn for the sample's images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import PIL.Image
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

from learned_affine import geometry
from learned_affine._checks import shown
from learned_affine.geometry import Fill
from learned_affine.parameters import AffineParameters

PIL_MODES = ("L", "LA", "RGB", "RGBA", "F", "I")
PIECE = 2**18  # pixels that one thread warps at a time
LABELS = (tv_tensors.BoundingBoxes, tv_tensors.KeyPoints, tv_tensors.Mask)


class Plan:
    """The parameters drawn for a sample, and which label belongs to which of its images.

    Args:
        parameters: those of the images in ``rows``.
        rows: ``(R,)`` indices of the images that are augmented, None for all.
        count: number of images, ``B``.
        items: everything in the sample that is to be transformed.
        seen: the image that was looked at and what :func:`take` gave for it, so that it is converted once.
    """

    def __init__(
        self,
        parameters: AffineParameters,
        rows: Tensor | None,
        count: int,
        items: list[Any],
        seen: tuple[Any, Tensor] | None = None,
    ) -> None:
        self.parameters, self.rows, self.count, self.seen = parameters, rows, count, seen
        self.owner = {} if count == 1 else self._owners(items)

    def _owners(self, items: list[Any]) -> dict[int, int]:
        """Of a batch of B images with a list of B targets, the i-th boxes (or key points, or mask) follow image i."""
        owner = {}
        for kind in LABELS:
            own = [item for item in items if isinstance(item, kind)]
            if len(own) == self.count:
                owner.update({id(item): row for row, item in enumerate(own)})
        return owner

    def place(self, row: int) -> int | None:
        """Where image ``row`` stands in ``parameters``; None if it is not augmented."""
        if self.rows is None:
            return row
        found = (self.rows == row).nonzero()
        return int(found) if len(found) else None

    def matrix(self, height: int, width: int, like: Tensor) -> Tensor:
        """``(R, 2, 3)`` matrices for items of that size, on the device and in the precision of floating ones."""
        parameters, first = self.parameters, self.parameters.angle
        at_hand = first.device.type == "cpu" and like.device.type == "cpu" and not torch.compiler.is_compiling()
        if at_hand and len(first) == 1:
            return parameters.matrix_of_one(height, width, like.dtype)
        if first.dtype != like.dtype or first.device != like.device:
            parameters = parameters.map(lambda value: value.to(like.device, like.dtype))
        return parameters.matrix(height, width)

    def seen_of(self, item: Any) -> Tensor | None:
        """What :func:`take` gives for an item, if it is the image that was looked at."""
        return self.seen[1] if self.seen is not None and self.seen[0] is item else None


def take(images: Tensor, rows: Tensor | None) -> Tensor:
    """The ``rows`` of ``(B, C, H, W)`` images, None for all, in the dtype that they are warped in."""
    return geometry.working(images if rows is None else images.index_select(0, rows.to(images.device)))


def is_image(item: Any) -> bool:
    """Whether an item has pixels to look at."""
    if isinstance(item, PIL.Image.Image | tv_tensors.Image | tv_tensors.Video):
        return True
    return isinstance(item, Tensor) and F.is_pure_tensor(item)


def has_image(items: list[Any]) -> bool:
    """Whether there is anything to look at."""
    return any(is_image(item) for item in items)


def has_labels(items: list[Any]) -> bool:
    """Whether there are labels that would have to follow an image."""
    return any(isinstance(item, LABELS) for item in items)


def first_image(items: list[Any]) -> Any:
    """The image that decides; None if there is none."""
    return next((item for item in items if is_image(item)), None)


def as_batch(item: Any) -> Tensor:
    """An image of any kind as ``(B, C, H, W)`` to look at; of a clip, its first frame.

    Raises:
        TypeError: for a PIL mode that cannot be interpolated.
        ValueError: for a tensor that is no image.
    """
    if isinstance(item, PIL.Image.Image):
        return pil_to_tensor(item)[None]
    if item.ndim < 3 or 0 in item.shape[-3:]:
        raise ValueError(
            f"an image must have the shape (..., C, H, W) with sides of at least 1, got {shown(item)}; "
            "in a sample without tv_tensors the first tensor is taken for the image"
        )
    if item.dtype.is_complex:
        raise TypeError(f"an image must have a real dtype, got {item.dtype}")
    plain = item.as_subclass(Tensor) if type(item) is not Tensor else item
    if isinstance(item, tv_tensors.Video):
        if item.ndim < 4 or item.shape[-4] == 0:
            raise ValueError(f"a video must have the shape (..., T, C, H, W) with a frame, got {shown(item)}")
        plain = plain.select(-4, 0)
    return plain if plain.ndim == 4 else plain.reshape(-1, *plain.shape[-3:])


def pil_to_tensor(image: PIL.Image.Image) -> Tensor:
    """``(C, H, W)`` of a PIL image.

    Raises:
        TypeError: for a mode whose values cannot be interpolated.
    """
    if image.mode not in PIL_MODES:
        raise TypeError(
            f"a PIL image must have one of the modes {', '.join(PIL_MODES)}, got {image.mode!r}: "
            "convert it first, for instance by v2.RGB() or image.convert('RGB')"
        )
    return F.pil_to_tensor(image)


def check_fill(fill: Any, padding_mode: str) -> Any:
    """Return a valid ``fill``.

    Raises:
        TypeError: if it is no number, sequence of numbers or dict of those by type.
        ValueError: if it is not 0 although the padding mode does not fill.
    """
    if isinstance(fill, Mapping):
        checked = {kind: check_fill(value, "fill") for kind, value in fill.items()}
        image_fills = [value for kind, value in checked.items() if kind not in (tv_tensors.Mask, "Mask")]
    else:
        numbers = [fill] if isinstance(fill, int | float) else fill
        if not isinstance(numbers, Sequence) or not all(isinstance(number, int | float) for number in numbers):
            raise TypeError(f"fill must be a number, a sequence of numbers, or a dict of those by type, got {fill!r}")
        if len(numbers) == 0:
            raise ValueError("fill must have one value or one a channel, got an empty sequence")
        checked, image_fills = fill, [fill]
    if padding_mode != "fill" and any(value not in (0, 0.0) for value in image_fills):
        raise ValueError(f"fill must be 0 unless padding_mode is 'fill', got fill={fill!r}, {padding_mode=}")
    return checked


def fill_of(kind: type, fill: Any) -> Fill:
    """The fill for one kind of item: by its type or its name, then ``"others"``, then 0."""
    if isinstance(fill, Mapping):
        for key in (kind, kind.__name__, "others"):
            if key in fill:
                return fill[key]
        return 0.0
    return 0.0 if kind is tv_tensors.Mask else fill


def warp_item(item: Any, plan: Plan, interpolation: str, padding_mode: str, fill: Any) -> Any:
    """Warp one item of a sample by the plan; what is neither image nor label comes back as it is."""
    if isinstance(item, PIL.Image.Image):
        return _warp_pil(item, plan, interpolation, padding_mode, fill_of(PIL.Image.Image, fill))
    if isinstance(item, tv_tensors.Mask):
        warped = _warp_mask(item, plan, fill_of(tv_tensors.Mask, fill))
        return tv_tensors.wrap(warped, like=item)
    if isinstance(item, tv_tensors.BoundingBoxes | tv_tensors.KeyPoints):
        return _warp_coordinates(item, plan)
    if isinstance(item, tv_tensors.TVTensor) and not isinstance(item, tv_tensors.Image | tv_tensors.Video):
        return item  # a kind of somebody else's: torchvision's own transforms leave it alone, too
    warped = _warp_tensor(item, plan, interpolation, padding_mode, fill_of(type(item), fill))
    return warped if type(item) is Tensor else tv_tensors.wrap(warped, like=item)


def _warp_pil(image: PIL.Image.Image, plan: Plan, interpolation: str, padding_mode: str, fill: Fill) -> PIL.Image.Image:
    """Warp a PIL image; its bands are put together by PIL, in a fifth of the time that a tensor's permutation takes."""
    taken = plan.seen_of(image)
    taken = take(pil_to_tensor(image)[None], plan.rows) if taken is None else taken
    matrix = plan.matrix(image.height, image.width, taken)
    warped = geometry.warp_images(taken, matrix, interpolation, padding_mode, fill)[0]
    dtype = {"F": torch.float32, "I": torch.int32}.get(image.mode, torch.uint8)
    planes = geometry.as_dtype(warped, dtype, padding_mode).numpy()
    bands = [PIL.Image.fromarray(plane) for plane in planes]
    return bands[0] if len(bands) == 1 else PIL.Image.merge(image.mode, bands)


def _warp_tensor(item: Tensor, plan: Plan, interpolation: str, padding_mode: str, fill: Fill) -> Tensor:
    """Warp ``(..., C, H, W)`` images, or ``(..., T, C, H, W)`` clips with the same matrix for all frames."""
    pixels = item if type(item) is Tensor else item.as_subclass(Tensor)
    lead = item.ndim - (4 if isinstance(item, tv_tensors.Video) else 3)
    rows = pixels.shape[:lead].numel()
    if rows != plan.count:
        if plan.count != 1:
            raise ValueError(f"images of one sample must be as many as the first ({plan.count}), got {shown(item)}")
        lead = 0
    frames = pixels.shape[lead:-3].numel()
    taken = plan.seen_of(item) if frames == 1 else None
    if lead == 1 and item.ndim == 4:
        return _warp_rows(pixels, plan, interpolation, padding_mode, fill, taken)
    # frames (and whatever else shares a matrix) stand side by side as channels of one image
    folded = pixels.reshape(plan.count, -1, *pixels.shape[-2:])
    if not isinstance(fill, int | float) and len(fill) > 1:
        fill = list(fill) * frames
    return _warp_rows(folded, plan, interpolation, padding_mode, fill, taken).reshape(pixels.shape)


def _warp_rows(
    images: Tensor, plan: Plan, interpolation: str, padding_mode: str, fill: Fill, taken: Tensor | None = None
) -> Tensor:
    """Warp the rows of ``(B, C, H, W)`` that are augmented, ``taken`` if known; the others are copied bit by bit."""
    taken = take(images, plan.rows) if taken is None else taken
    matrix = plan.matrix(images.shape[-2], images.shape[-1], taken)

    channels_last = images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()

    def warped(some: Tensor, by: Tensor) -> Tensor:
        found = geometry.warp_images(some, by, interpolation, padding_mode, fill)
        found = geometry.as_dtype(found, images.dtype, padding_mode)
        return found.contiguous(memory_format=torch.channels_last) if channels_last else found

    if plan.rows is None:
        return warped(taken, matrix)
    whole, rows = images.clone(memory_format=torch.preserve_format), plan.rows.to(images.device)
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


def _warp_mask(mask: Tensor, plan: Plan, fill: Fill) -> Tensor:
    """Warp ``(..., H, W)`` masks by the nearest pixel: those of one image together, those of a batch row by row."""
    pixels = mask.as_subclass(Tensor)
    if pixels.numel() == 0:
        return pixels.clone()
    if id(mask) in plan.owner:
        place = plan.place(plan.owner[id(mask)])
        if place is None:
            return pixels.clone()
        plan = Plan(plan.parameters[place], None, 1, [])
    if plan.count > 1 and pixels.shape[0] != plan.count:
        raise ValueError(f"masks must be one for each of {plan.count} images, got {shown(mask)}")
    rows = pixels.reshape(plan.count, -1, *pixels.shape[-2:])
    return _warp_rows(rows, plan, "nearest", "fill", fill).reshape(pixels.shape)


def _warp_coordinates(item: Any, plan: Plan) -> Any:
    """Move boxes or key points with the image that they belong to."""
    height, width = item.canvas_size
    warp = geometry.warp_boxes if isinstance(item, tv_tensors.BoundingBoxes) else geometry.warp_key_points
    matrix = plan.parameters.double().to("cpu").matrix(height, width)
    if plan.count == 1:
        return warp(item, matrix[0])
    if id(item) in plan.owner:
        place = plan.place(plan.owner[id(item)])
        plain = item.as_subclass(Tensor)
        return tv_tensors.wrap(plain.clone(), like=item) if place is None else warp(item, matrix[place])
    if isinstance(item, tv_tensors.KeyPoints) and item.ndim > 2 and len(item) == plan.count:
        plain = item.as_subclass(Tensor).clone()
        for place, row in enumerate(range(plan.count) if plan.rows is None else plan.rows.tolist()):
            plain[row] = warp(tv_tensors.wrap(plain[row], like=item), matrix[place]).as_subclass(Tensor)
        return tv_tensors.wrap(plain, like=item)
    raise ValueError(
        f"a batch of {plan.count} images needs one {type(item).__name__} an image (a list of {plan.count} targets), "
        f"got {shown(item)}"
    )
