"""Behaves like torchvision: one suite over our transform and torchvision's own, where they promise the same."""

import copy
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision import transforms as v1
from torchvision import tv_tensors
from torchvision.transforms import v2

from tests.subjects import vivid

OURS = vivid()
TRANSFORMS = {
    "ours": OURS,
    "RandomAffine": v2.RandomAffine(30, (0.15, 0.15), (0.8, 1.3), 15),
    "RandomPerspective": v2.RandomPerspective(0.4, p=1.0),  # more of it turns images of 4 pixels into a line
}
each = pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS.keys())
DTYPES = st.sampled_from([torch.uint8, torch.float32, torch.float64])
SIDES = st.integers(4, 12)
LABELS = st.one_of(st.integers(), st.text(max_size=3), st.none(), st.floats(allow_nan=False))


@st.composite
def images(draw, kinds=(torch.Tensor, tv_tensors.Image, tv_tensors.Video)):
    """An image or clip of any shape, dtype and kind."""
    kind = draw(st.sampled_from(kinds))
    lead = draw(st.lists(st.integers(1, 3), min_size=int(kind is tv_tensors.Video), max_size=2))
    shape = (*lead, draw(st.sampled_from([1, 3])), draw(SIDES), draw(SIDES))
    pixels = (torch.rand(shape) * 255).to(draw(DTYPES))
    return pixels if kind is torch.Tensor else kind(pixels)


@st.composite
def samples(draw):
    """A nested sample with an image, labels of its size, and things to be left alone."""
    image = draw(images((tv_tensors.Image,)).filter(lambda image: image.ndim == 3))
    height, width = image.shape[-2:]
    boxes = torch.rand(draw(st.integers(0, 3)), 4) * 3
    boxes[:, 2:] += boxes[:, :2]
    parts = {
        "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(height, width)),
        "masks": tv_tensors.Mask(torch.rand(draw(st.integers(1, 3)), height, width) > 0.5),
        "points": tv_tensors.KeyPoints(torch.rand(draw(st.integers(1, 3)), 2) * 4, canvas_size=(height, width)),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(parts))))
    extra = draw(st.lists(LABELS, max_size=3))
    return draw(
        st.sampled_from(
            [
                (image, {name: parts[name] for name in chosen}, extra),
                {"image": image, "target": [parts[name] for name in sorted(chosen)], "extra": tuple(extra)},
            ]
        )
    )


def kinds(item):
    """A sample's types, shapes, dtypes and formats; other leaves as they are."""
    if isinstance(item, dict):
        return {key: kinds(value) for key, value in item.items()}
    if isinstance(item, tuple | list):
        return type(item), [kinds(value) for value in item]
    if isinstance(item, torch.Tensor):
        extra = (item.format, item.canvas_size) if isinstance(item, tv_tensors.BoundingBoxes) else None
        return type(item), item.shape, item.dtype, item.device, extra
    return item


@each
@given(image=images())
def test_images_keep_type_shape_and_dtype_and_are_not_changed(transform, image):
    before = image.clone()
    out = transform(image)
    assert kinds(out) == kinds(image)
    assert torch.equal(image, before)
    assert out.data_ptr() != image.data_ptr()


@each
@given(sample=samples())
def test_samples_keep_their_structure(transform, sample):
    before = copy.deepcopy(sample)
    out = transform(sample)
    assert kinds(out) == kinds(sample) == kinds(before)


@given(sample=samples(), seed=st.integers(0, 1000))
def test_replay_is_bitwise_on_everything(sample, seed):
    torch.manual_seed(seed)
    out = OURS(sample)
    again = OURS.apply(sample, OURS.last_parameters)
    first, second = (torch.utils._pytree.tree_flatten(one)[0] for one in (out, again))
    for one, two in zip(first, second, strict=True):
        assert torch.equal(one, two) if isinstance(one, torch.Tensor) else one is two


@each
def test_pickles_copies_and_composes(transform):
    image = torch.rand(3, 8, 8)
    for one in (pickle.loads(pickle.dumps(transform)), copy.deepcopy(transform)):
        torch.manual_seed(0)
        expected = transform(image)
        torch.manual_seed(0)
        assert torch.equal(one(image), expected)
    assert v1.Compose([transform])(image).shape == v2.Compose([transform])(image).shape == image.shape
