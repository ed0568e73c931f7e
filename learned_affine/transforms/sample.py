"""What a sample holds: its images, its labels, and which label belongs to which image."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch import Tensor
from torch._subclasses import FakeTensor
from torch.utils import _pytree as pytree
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

from learned_affine._checks import check_real, check_type, shown
from learned_affine.geometry.parameters import EIGHT, AffineParameters, is_traced
from learned_affine.geometry.warp import working_dtype
from learned_affine.transforms.pil import pil_to_tensor

LABELS = (tv_tensors.BoundingBoxes, tv_tensors.KeyPoints, tv_tensors.Mask)
PICTURES = (tv_tensors.Image, tv_tensors.Video, PIL.Image.Image)
OWNER = "_learned_affine_owner"  # attribute of a label: the row of the batch whose image it follows
# torch can convert wide unsigned integers, but not index them; the signed ones of the same size hold the same bits
SIGNED = {torch.uint16: torch.int16, torch.uint32: torch.int32, torch.uint64: torch.int64}


@dataclass
class SampleParameters:
    """The parameters drawn for a sample."""

    parameters: AffineParameters  # of the images in rows
    rows: Tensor | None  # (R,) indices of the images that are augmented, None for all
    count: int  # images, B
    observed: tuple[Any, Tensor] | None = None  # what the network observed, and take() of it: it is converted once
    still: Tensor | None = None  # (R,) bool of which_are_still: those are copied exactly
    chosen: Tensor | None = None  # (B,) bool instead of rows, in a graph, whose shapes may not depend on the draw
    symmetries: Sequence[int] = EIGHT  # the codes that there may be, so that on a GPU nobody has to ask

    def followed_by(self, item: Any) -> SampleParameters | None:
        """The parameters that an item follows: of its owner, or row by row; None where its image is not augmented."""
        own, owner = self, getattr(item, OWNER, None)
        if self.count > 1 and owner is not None:
            found = [owner] if self.rows is None else (self.rows == owner).nonzero().flatten().tolist()
            if not found:
                return None
            still = None if self.still is None else self.still[found]
            own = SampleParameters(self.parameters[found], None, 1, still=still, symmetries=self.symmetries)
        elif self.count > 1 and isinstance(item, LABELS) and not has_rows(item, self.count):
            if item.numel() == 0:
                return None
            raise cannot_assign(item, self.count)
        if 1 in own.symmetries:  # of what was drawn for an image of its size, all keep its shape
            check_shape(own.parameters, size_of(item))
        return own

    def symmetry_alone(self) -> int | None:
        """The code of the first image's symmetry, if nothing else is done to it."""
        return int(self.parameters.codes()[0]) if self.still is not None and bool(self.still[0]) else None

    def places(self) -> Tensor:
        """The indices of the images that are augmented."""
        return torch.arange(self.count, device="cpu") if self.rows is None else self.rows

    def converted(self, item: Any) -> Tensor | None:
        """What :func:`take` gives for an item, if it is the image that the network observed."""
        return self.observed[1] if self.observed is not None and self.observed[0] is item else None

    def whole(self) -> AffineParameters:
        """The parameters of all images: the identity of those that are not augmented."""
        if self.rows is None:
            return self.parameters
        device = self.parameters.angle.device
        identity, rows = AffineParameters.identity(self.count, device), self.rows.to(device)
        return identity.map_all(lambda old, new: old.index_copy(0, rows, new.to(old.dtype)), self.parameters)


def which_are_still(parameters: AffineParameters, every_one: bool = False) -> Tensor | None:
    """Which images are not moved but for their symmetry, ``(B,)`` bool; None if there are none.

    With ``every_one`` all are. A GPU is not asked, so that nobody waits, nor is a graph: there all are sampled.
    """
    if is_traced():
        return None
    if every_one:
        return torch.ones(len(parameters), dtype=torch.bool, device="cpu")
    still = parameters.is_still()
    return still if still.device.type != "cpu" or bool(still.any()) else None


def check_parameters(parameters: Any, count: int) -> AffineParameters:
    """Parameters of ``count`` images, given for one image or for each."""
    check_type("parameters", parameters, AffineParameters, "AffineParameters")
    if len(parameters) not in (1, count):
        raise ValueError(f"parameters must be those of 1 or {count} images, got {len(parameters)}")
    if parameters.angle.device.type == "cpu" and not is_traced():  # to ask a GPU is to wait for it
        numbers = parameters.stacked().detach()
        if not bool(numbers.isfinite().all()) or not bool(numbers[:, 1:3].all()):
            raise ValueError(f"parameters must be finite, and their scales not 0, got\n{parameters}")
    return parameters if len(parameters) == count else parameters.map_all(lambda value: value.expand(count))


def check_shape(parameters: AffineParameters, size: Sequence[int]) -> None:
    """Raise a ValueError if a symmetry would exchange the sides of an image that is not square."""
    turns, (height, width) = parameters.quarter_turns, size
    if height == width or is_traced():
        return
    if len(odd := turns[turns % 2 == 1]):
        raise ValueError(
            f"quarter_turns must be 0 or 2 for an image that is not square, since 1 and 3 exchange its sides: got "
            f"{int(odd[0])} for an image of {height} x {width} pixels"
        )


def size_of(item: Any) -> Sequence[int]:
    """Height and width of an image, or of the image that a label is of."""
    return item.size[::-1] if isinstance(item, PIL.Image.Image) else getattr(item, "canvas_size", item.shape[-2:])


def all_square(items: Sequence[Any]) -> bool:
    """Whether the images of a sample are square, and those that its labels are of."""
    sizes = (size_of(item) for item in items if isinstance(item, (*PICTURES, *LABELS)))
    return all(height == width for height, width in sizes)


def without_odd_turns(parameters: AffineParameters) -> AffineParameters:
    """The parameters without those symmetries that exchange the sides of an image."""
    even = parameters.quarter_turns % 2 == 0
    return replace(parameters, mirror=parameters.mirror & even, quarter_turns=parameters.quarter_turns * even)


def indexable(images: Tensor) -> Tensor:
    """The same bits in a dtype that can be indexed."""
    return images.view(SIGNED[images.dtype]) if images.dtype in SIGNED else images


def some_of(images: Tensor, rows: Tensor | None) -> Tensor:
    """The ``rows`` of ``(B, C, H, W)`` images, None for all."""
    if rows is None:
        return images
    some = indexable(images).index_select(0, rows.to(images.device, non_blocking=True))
    return some.view(images.dtype) if images.dtype in SIGNED else some  # a view by dtype has no gradient


def take(images: Tensor, rows: Tensor | None) -> Tensor:
    """The same in the dtype that they are warped in."""
    return some_of(images, rows).to(working_dtype(images))


def plain(item: Tensor) -> Tensor:
    """The values of an item without its type; torch.export puts a FakeTensor in the place of a tensor."""
    return item if type(item) is Tensor or isinstance(item, FakeTensor) else item.as_subclass(Tensor)


def in_type_of(item: Tensor, values: Tensor) -> Any:
    """Values in the type of an item, with what a subclass keeps beside them; a parameter becomes a tensor."""
    if plain(item) is item or isinstance(item, torch.nn.Parameter):
        return values
    is_known = isinstance(item, tv_tensors.TVTensor)
    made = tv_tensors.wrap(values, like=item) if is_known else values.as_subclass(type(item))
    for name, value in item.__dict__.items():
        if name != OWNER:
            made.__dict__.setdefault(name, value)
    return made


def dimensions_of(image: Any) -> int:
    """How many dimensions one image has, or one clip; a batch has more."""
    return 4 if isinstance(image, tv_tensors.Video) else 3


def first_image(items: Sequence[Any]) -> Any:
    """The image that decides; None if there is none. As in torchvision a plain tensor is one only without others."""
    images = [item for item in items if isinstance(item, PICTURES) or F.is_pure_tensor(item)]
    return next((item for item in images if not F.is_pure_tensor(item)), images[0] if images else None)


def check_sample(items: Sequence[Any], labels_alone: bool = False) -> None:
    """Refuse what would be augmented wrongly, and warn where there is nothing to augment."""
    image, has_labels = first_image(items), any(isinstance(item, LABELS) for item in items)
    if labels_alone and has_labels and image is None:
        return
    if image is None or F.is_pure_tensor(image):
        _refuse_arrays(items, image)
    if image is not None:
        return
    if any(isinstance(item, torch.fx.Proxy) for item in items):
        raise TypeError(
            "an image must be a PIL image or a tensor, got a Proxy: torch.fx cannot record random draws; "
            "trace the model alone, or make this transform a leaf of the tracer (Tracer.is_leaf_module)"
        )
    if has_labels:
        raise ValueError("the sample must hold an image for its boxes, masks or key points to follow, got none")
    kinds = ", ".join(sorted({type(item).__name__ for item in items})) or "an empty sample"
    warnings.warn(f"no image to augment in the sample, got {kinds}", UserWarning, stacklevel=5)


def _refuse_arrays(items: Sequence[Any], image: Tensor | None) -> None:
    # an image as a numpy array would come back unchanged, and its mask be warped in its place
    size = None if image is None else tuple(image.shape[-2:])
    beside = "" if image is None else f" beside a plain tensor of its height and width, {shown(image)}"
    for item in items:
        large = isinstance(item, np.ndarray) and item.ndim in (2, 3, 4)
        if large and size in (None, item.shape[-2:], item.shape[-3:-1]):
            raise TypeError(
                f"an image must be a PIL image or a tensor, got {shown(item)}{beside}: put v2.ToImage() before this "
                "transform, which takes arrays (H, W, C)"
            )


def as_batch(item: Any) -> Tensor:
    """An image of any kind as ``(B, C, H, W)`` for the network; of a clip, its first frame."""
    if isinstance(item, PIL.Image.Image):
        return pil_to_tensor(item)[None]
    if item.ndim < 3 or 0 in item.shape[-3:]:
        raise ValueError(
            f"an image must have the shape (..., C, H, W) with sides of at least 1, got {shown(item)}; "
            "in a sample without tv_tensors the first tensor is taken for the image"
        )
    check_real("an image", item)
    pixels = plain(item)
    if isinstance(item, tv_tensors.Video):
        if item.ndim < 4 or item.shape[-4] == 0:
            raise ValueError(f"a video must have the shape (..., T, C, H, W) with a frame, got {shown(item)}")
        pixels = pixels.select(-4, 0)
    return pixels if pixels.ndim == 4 else pixels.reshape(-1, *pixels.shape[-3:])


def has_rows(label: Tensor, count: int) -> bool:
    """Whether a label has a row for each image of a batch, as masks and key points can have."""
    return not isinstance(label, tv_tensors.BoundingBoxes) and len(label) == count


def assign_labels(inputs: Any, count: int | None = None) -> Any:
    """The same structure, in which each label of a batch knows the row that it follows.

    Everything inside the i-th entry of a list or tuple as long as the batch follows image i, whatever its kind or
    number; the outermost such list decides. One that holds the batch itself is no list of targets. Outside of such
    lists, masks and key points with a row for each image follow row by row; other labels are a ValueError. ``count``
    is the number of images; that of the first image of the sample if None.
    """
    leaves = pytree.tree_leaves(inputs)
    batch = first_image(leaves)
    if count is None:
        has_followers = any(leaf is not batch and isinstance(leaf, (*LABELS, *PICTURES)) for leaf in leaves)
        if batch is None or isinstance(batch, PIL.Image.Image) or not has_followers:
            return inputs
        count = len(as_batch(batch))
    return inputs if count == 1 else _assign(inputs, count, batch, None)


def _assign(node: Any, count: int, batch: Any, owner: int | None) -> Any:
    # down the structure as torch's pytree does; owner is the row of the list of targets around the node
    if isinstance(node, LABELS) or (owner is not None and isinstance(node, PICTURES)):
        return _owned(node, count, owner)
    children, spec = pytree.tree_flatten(node, is_leaf=lambda child: child is not node)
    if len(children) == 1 and children[0] is node:
        return node
    targets = owner is None and isinstance(node, list | tuple) and not hasattr(node, "_fields") and len(node) == count
    if targets and batch is not None:  # a list that holds the batch itself is the sample
        targets = not any(leaf is batch for leaf in pytree.tree_leaves(node))
    owners = range(count) if targets else [owner] * len(children)
    pairs = zip(children, owners, strict=True)
    return pytree.tree_unflatten([_assign(child, count, batch, row) for child, row in pairs], spec)


def _owned(label: Any, count: int, owner: int | None) -> Any:
    # a view, since an object may be in several targets
    if isinstance(label, PIL.Image.Image):
        view = label.copy()
    elif owner is None and label.numel() and not (label.ndim > 2 and has_rows(label, count)):
        raise cannot_assign(label, count)
    else:
        view = in_type_of(label, plain(label).view(label.shape))
    setattr(view, OWNER, owner)
    return view


def cannot_assign(label: Any, count: int) -> ValueError:
    """The error of a label whose image is not known."""
    return ValueError(
        f"a batch of {count} images needs its {type(label).__name__} in a list of {count} targets, one per image, "
        f"masks with {count} rows, or key points ({count}, n, 2): got {shown(label)}, which cannot be assigned"
    )
