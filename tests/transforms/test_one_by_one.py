"""Generated samples, held to a plain loop: one image after another, each label by geometry's own functions."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils import _pytree as pytree
from torchvision import tv_tensors

from learned_affine import AffineLimits, AffineParameters
from learned_affine.geometry.coordinates import rearrange_boxes, warp_boxes, warp_points
from learned_affine.geometry.warp import as_dtype, warp_images
from learned_affine.transforms.sample import take
from tests.geometry.matrices import rearranged
from tests.subjects import STILL, at_seed, symmetric
from tests.transforms.pictures import DTYPES, FORMATS, boxes, pixels

AUGMENTS = {
    (p, still): symmetric(STILL if still else AffineLimits(25, 1.2, 8, 0.1), p=p, padding_mode="zeros")
    for p in (0.5, 1.0)
    for still in (False, True)
}
LABELS = (tv_tensors.BoundingBoxes, tv_tensors.KeyPoints, tv_tensors.Mask)
augments = st.sampled_from(list(AUGMENTS))
seeds = st.integers(0, 2**20)


def alone(item, one: AffineParameters):
    """What an image or a label becomes by the parameters of one image."""
    if bool(one.is_still()) and not isinstance(item, tv_tensors.KeyPoints):
        moved = (rearrange_boxes if isinstance(item, tv_tensors.BoundingBoxes) else rearranged)(item, int(one.codes()))
        return tv_tensors.wrap(moved, like=item) if isinstance(item, tv_tensors.TVTensor) else moved
    if isinstance(item, LABELS[:2]):
        move = warp_boxes if isinstance(item, tv_tensors.BoundingBoxes) else warp_points
        moved = move(item, one.double().matrix(*item.canvas_size)[0]).as_subclass(torch.Tensor).to(item.dtype)
        return tv_tensors.wrap(moved, like=item)
    plain = item.as_subclass(torch.Tensor)
    how = ("nearest", "fill") if isinstance(item, tv_tensors.Mask) else ("bilinear", "zeros")
    planes = take(plain.reshape(1, -1, *plain.shape[-2:]), None)
    moved = as_dtype(warp_images(planes, one, *how), plain.dtype).reshape(plain.shape)
    return tv_tensors.wrap(moved, like=item) if isinstance(item, tv_tensors.TVTensor) else moved


def assert_alike(got, expected):
    """Of the same type, and the same but for the last digits: one image's map is computed in float64."""
    assert type(got) is type(expected) and got.shape == expected.shape and got.dtype == expected.dtype
    apart = (got.double() - expected.double()).abs()
    if isinstance(got, tv_tensors.Mask):
        assert (apart > 0).double().mean() < 0.05 or (apart > 0).sum() <= 1  # where the nearest pixel is a toss-up
    else:
        loose = {torch.float16: 2e-3, torch.bfloat16: 2e-2}
        most = loose.get(got.dtype, 1e-3 if isinstance(got, LABELS) else 1e-5) if got.is_floating_point() else 1
        assert apart.numel() == 0 or apart.max() <= most


KINDS = ("boxes", "points", "groups", "mask", "masks", *FORMATS)


class Slot(int):
    """In a generated structure, the place of one of the labels of a sample."""


def label(kind, count, generator, size):
    """A label of any kind and number."""
    if kind == "boxes":
        low = torch.rand(count, 2, generator=generator) * 5
        return tv_tensors.BoundingBoxes(torch.cat([low, low + 4], 1), format="XYXY", canvas_size=size)
    if kind in FORMATS:
        return boxes(kind, size)
    if kind in ("points", "groups"):
        shape = (count, 2) if kind == "points" else (count, 3, 2)
        return tv_tensors.KeyPoints(9 * torch.rand(shape, generator=generator), canvas_size=size)
    shape = (count, *size) if kind == "masks" else size
    return tv_tensors.Mask(torch.rand(shape, generator=generator) > 0.5)


slots, others = st.builds(Slot, st.integers(0, 3)), st.sampled_from([7, "id", None])
targets_of_any_form = st.recursive(
    slots | slots | others,
    lambda inner: st.one_of(
        st.dictionaries(st.sampled_from("abc"), inner, max_size=3), st.lists(inner, max_size=3), st.tuples(inner, inner)
    ),
    max_leaves=4,
)
pools = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 4)), min_size=4, max_size=4)
SAMPLES = {
    "pair": lambda images, targets, rows: (images, targets),
    "reversed": lambda images, targets, rows: [targets, images],
    "dict": lambda images, targets, rows: {"x": images, "y": targets},
    "nested": lambda images, targets, rows: {"y": {"z": targets}, "x": (images, "id")},
    "beside": lambda images, targets, rows: (images, targets, *rows),
}


@st.composite
def batches(draw):
    """A batch with a list of targets in some container; the same objects may stand in several targets."""
    generator = torch.Generator().manual_seed(draw(seeds))
    size = draw(st.sampled_from([(12, 12), (12, 9)]))
    pool = [label(kind, count, generator, size) for kind, count in draw(pools)]
    forms = draw(st.lists(targets_of_any_form, min_size=2, max_size=4))
    count = len(forms)
    if draw(st.booleans()):
        forms = [forms[0]] * count
    targets = [pytree.tree_map(lambda leaf: pool[leaf] if isinstance(leaf, Slot) else leaf, form) for form in forms]
    if draw(st.booleans()):
        targets = [targets[0]] * count  # one object for several views of an image
    kind = draw(st.sampled_from([torch.Tensor, tv_tensors.Image, tv_tensors.Video]))
    shape = (count, 2, 3, *size) if kind is tv_tensors.Video else (count, 3, *size)
    values = torch.rand(shape, generator=generator)
    images = values if kind is torch.Tensor else kind(values)
    targets = draw(st.sampled_from([list, tuple]))(targets)
    masks, points = label("masks", count, generator, size), label("groups", count, generator, size)
    stacks, firsts = tv_tensors.Mask(masks[:, None].expand(-1, 2, -1, -1)), tv_tensors.wrap(points[:, :1], like=points)
    rows = masks, stacks, points, firsts  # what follows the images row by row
    return SAMPLES[draw(st.sampled_from(list(SAMPLES)))](images, targets, rows), images, targets


@given(batches(), augments, seeds)
def test_a_batch_with_targets_is_its_images_one_by_one(made, which, seed):
    (sample, images, targets), augment = made, AUGMENTS[which]
    before = [leaf.clone() if isinstance(leaf, torch.Tensor) else leaf for leaf in pytree.tree_leaves(sample)]
    out = at_seed(augment, sample, seed=seed)
    count, drawn = len(images), augment.last_parameters
    owners = iter(owners_of(sample, images, targets))
    assert pytree.tree_structure(out) == pytree.tree_structure(sample)
    for got, start, old in zip(pytree.tree_leaves(out), pytree.tree_leaves(sample), before, strict=True):
        owner = next(owners)
        assert torch.equal(start, old) if isinstance(start, torch.Tensor) else start is old  # the input is as it was
        if not isinstance(start, torch.Tensor):
            assert got is start
        elif owner is None:
            assert_alike(got, together([alone(part(start, row), drawn[row]) for row in range(count)], start))
        else:
            assert_alike(got, alone(start, drawn[owner]))


def part(item, row):
    """One row of a batch in the batch's own type."""
    return tv_tensors.wrap(item[row], like=item) if isinstance(item, tv_tensors.TVTensor) else item[row]


def together(parts, like):
    stacked = torch.stack([one.as_subclass(torch.Tensor) for one in parts])
    return tv_tensors.wrap(stacked, like=like) if isinstance(like, tv_tensors.TVTensor) else stacked


def owners_of(sample, images, targets):
    """Of each leaf the image that it follows, None for what goes row by row; found by marking targets with numbers."""
    marked = pytree.tree_map(
        lambda node: (
            [pytree.tree_map(lambda leaf, row=row: row, target) for row, target in enumerate(node)]
            if node is targets
            else None
        ),
        sample,
        is_leaf=lambda node: node is targets,
    )
    return [mark for mark in pytree.tree_leaves(marked)]


@st.composite
def images_of_any_dtype(draw):
    """A batch and masks of it, of any dtype, size, layout and number."""
    generator = torch.Generator().manual_seed(draw(seeds))
    dtype, count = draw(st.sampled_from(DTYPES)), draw(st.integers(1, 6))
    channels, height = draw(st.sampled_from([1, 3, 4])), draw(st.integers(1, 12))
    width = draw(st.sampled_from([height]) | st.integers(1, 12))
    images = pixels(dtype, count, channels, height, width, generator=generator)
    if draw(st.booleans()):
        images = images.to(memory_format=torch.channels_last)
    if draw(st.booleans()):  # a view into something larger
        images = pixels(dtype, count + 1, channels, height + 2, width, generator=generator)[1:, :, 1:-1]
    masks = pixels(draw(st.sampled_from(DTYPES)), count, height, width, generator=generator)
    return images, tv_tensors.Mask(masks)


@given(images_of_any_dtype(), augments, seeds)
def test_a_batch_of_any_dtype_is_its_images_one_by_one(made, which, seed):
    (images, masks), augment = made, AUGMENTS[which]
    out, moved = at_seed(augment, tv_tensors.Image(images), masks, seed=seed)
    drawn = augment.last_parameters
    assert torch.equal(at_seed(augment, images, seed=seed), out.as_subclass(torch.Tensor))  # a plain tensor is the same
    for row, one in enumerate(drawn):
        assert_alike(out.as_subclass(torch.Tensor)[row], alone(images[row], one))
        assert_alike(part(moved, row), alone(part(masks, row), one))
        if bool(one.is_still()):
            assert torch.equal(out[row].as_subclass(torch.Tensor), rearranged(images[row], int(one.codes())))
