"""Batches with targets: everything inside the i-th target follows image i, held to a plain loop over the images."""

import pytest
import torch
from torch.utils import _pytree as pytree
from torchvision import tv_tensors

from learned_affine import AffineLimits, LearnedAffineAugment
from tests.geometry.matrices import symmetries_alone
from tests.subjects import vivid

LIMITS = AffineLimits(20, 1.2, 5, 0.1)
SIZE = (18, 24)


def batch(count: int) -> tv_tensors.Image:
    return tv_tensors.Image(torch.rand(count, 3, *SIZE))


def box(seed: int = 0, count: int = 2) -> tv_tensors.BoundingBoxes:
    generator = torch.Generator().manual_seed(seed)
    low = torch.rand(count, 2, generator=generator) * 8
    corners = torch.cat([low, low + 3 + 5 * torch.rand(count, 2, generator=generator)], 1)
    return tv_tensors.BoundingBoxes(corners, format="XYXY", canvas_size=SIZE)


def mask(seed: int = 0, *lead: int) -> tv_tensors.Mask:
    generator = torch.Generator().manual_seed(seed)
    return tv_tensors.Mask(torch.rand(*lead, *SIZE, generator=generator) > 0.5)


def points(seed: int = 0, *lead: int) -> tv_tensors.KeyPoints:
    generator = torch.Generator().manual_seed(seed)
    return tv_tensors.KeyPoints(18 * torch.rand(*lead, 2, generator=generator), canvas_size=SIZE)


def assert_same(one, other):
    """The same structure with the same leaves: tensors by value and type, others as the same objects."""
    (first, structure), (second, its) = pytree.tree_flatten(one), pytree.tree_flatten(other)
    assert structure == its
    for left, right in zip(first, second, strict=True):
        assert type(left) is type(right)
        assert torch.equal(left, right) if isinstance(left, torch.Tensor) else left is right


def test_a_batch_of_one_takes_labels_in_any_form():
    augment, images = vivid(LIMITS), batch(1)
    for label in (box(), [box()], {"masks": mask(0, 3), "boxes": box(1)}, mask(0, 1), [[mask(), points(0, 2)]]):
        _, out = augment(images, label)
        assert_same(out, augment.apply((images[0], label), augment.last_parameters)[1])
        assert not torch.equal(pytree.tree_leaves(out)[0], pytree.tree_leaves(label)[0])


EMPTY = [box(0, 0), mask(0, 0), points(0, 0)]


@pytest.mark.parametrize("empty", EMPTY, ids=["boxes", "masks", "points"])
def test_empty_labels_belong_to_every_image(empty):
    for label in (empty, [empty] * 3, [{"x": empty}, {}, {"x": empty}]):
        _, out = vivid(LIMITS)(batch(3), label)
        assert_same(out, label)


WRONG = {
    "boxes beside the batch": (lambda: box(), "BoundingBoxes of shape"),
    "three targets for four images": (lambda: [box(i) for i in range(3)], "BoundingBoxes of shape"),
    "five targets for four images": (lambda: tuple({"masks": mask(i)} for i in range(5)), "Mask of shape"),
    "three masks for four images": (lambda: mask(0, 3), r"Mask of shape \(3, 18, 24\)"),
    "one mask for four images": (lambda: mask(), r"Mask of shape \(18, 24\)"),
    "key points of three images": (lambda: points(0, 3, 2), "KeyPoints of shape"),
    "a dict of labels": (lambda: {"a": mask(0, 4), "b": box()}, "BoundingBoxes of shape"),
    "key points of one image": (lambda: points(0, 4), r"KeyPoints of shape \(4, 2\)"),
}


@pytest.mark.parametrize(("make", "came"), WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("p", [0.0, 1.0])
def test_what_cannot_be_assigned_is_an_error(make, came, p):
    said = rf"^a batch of 4 images needs its \w+ in a list of 4 targets, .*got {came}.*cannot be assigned"
    augment, sample = vivid(LIMITS, p=p), (batch(4), make())
    with pytest.raises(ValueError, match=said):
        augment(sample)
    with pytest.raises(ValueError, match=said):
        augment.apply(sample, LearnedAffineAugment().sample_parameters(sample[0]))


ALONE = {
    "boxes": (lambda: box(), 1),
    "a target": (lambda: {"boxes": box(), "masks": mask(0, 4), "points": points(0, 2), "id": "a"}, 1),
    "a list of targets": (lambda: [{"boxes": box(i), "masks": mask(i, 3)} for i in range(3)], 3),
    "a mask of a batch": (lambda: mask(0, 3), 3),
    "key points of a batch": (lambda: points(0, 3, 2), 3),
}


@pytest.mark.parametrize(("make", "count"), ALONE.values(), ids=ALONE.keys())
def test_labels_alone_move_as_with_their_images(make, count):
    augment, images, labels = vivid(LIMITS), batch(count), make()
    parameters = augment.sample_parameters(images)
    alone = augment.apply(labels, parameters)
    assert_same(alone, augment.apply((images, labels), parameters)[1])
    assert not torch.equal(pytree.tree_leaves(alone)[0], pytree.tree_leaves(labels)[0])
    assert_same(augment.apply(labels, parameters=parameters), alone)


def test_labels_alone_are_assigned_by_the_number_of_parameters():
    augment = vivid(LIMITS)
    parameters = augment.sample_parameters(batch(3))
    with pytest.raises(ValueError, match="a batch of 3 images needs its BoundingBoxes in a list of 3 targets"):
        augment.apply(box(), parameters)
    assert_same(augment.apply([box(0)] * 3, symmetries_alone(0, 0, 0)), [box(0)] * 3)


def test_apply_without_parameters_says_so():
    for sample in ((), (box(),), (batch(2), None)):
        with pytest.raises(TypeError, match="parameters must be AffineParameters, got"):
            vivid().apply(*sample)


def test_an_empty_batch_and_its_empty_boxes_come_back():
    """As the last batch of a filter can be."""
    boxes = tv_tensors.BoundingBoxes(torch.zeros(0, 4), format="XYXY", canvas_size=(24, 24))
    images, moved = vivid(p=1.0)(tv_tensors.Image(torch.rand(0, 3, 24, 24)), boxes)
    assert images.shape == (0, 3, 24, 24) and moved.shape == (0, 4) and type(moved) is tv_tensors.BoundingBoxes
