"""What a sample holds: which item is the image, and which label belongs to which image."""

from collections import namedtuple

import numpy as np
import pytest
import torch
from torchvision import tv_tensors

from tests.subjects import vivid

Pair = namedtuple("Pair", ["image", "label"])


def test_labels_and_strings_are_the_same_objects():
    label, text, array = torch.tensor(3), "cat", np.zeros(3)
    sample = {"image": tv_tensors.Image(torch.rand(3, 8, 8)), "more": (label, text, [array, None])}
    out = vivid()(sample)
    assert out["more"][0] is label and out["more"][1] is text and out["more"][2][0] is array
    pair = vivid()(Pair(torch.rand(3, 8, 8), 7))
    assert isinstance(pair, Pair) and pair.label == 7


def test_a_batch_with_a_list_of_targets_moves_each_with_its_image():
    augment = vivid()
    boxes = [tv_tensors.BoundingBoxes([[4.0, 4, 8, 8]], format="XYXY", canvas_size=(16, 16)) for _ in range(3)]
    images = tv_tensors.Image(torch.rand(3, 1, 16, 16))
    _, out = augment(images, boxes)
    for row in range(3):
        alone = augment.apply((images[row], boxes[row]), augment.last_parameters[row])[1]
        assert torch.equal(out[row], alone)


def test_a_batch_with_too_few_targets_is_refused():
    boxes = tv_tensors.BoundingBoxes([[4.0, 4, 8, 8]], format="XYXY", canvas_size=(16, 16))
    with pytest.raises(ValueError, match="one BoundingBoxes an image"):
        vivid()(tv_tensors.Image(torch.rand(3, 1, 16, 16)), boxes)


def test_several_images_share_one_matrix():
    image = torch.rand(3, 12, 12)
    first, second = vivid()(tv_tensors.Image(image), tv_tensors.Image(image.clone()))
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (torch.rand(8), ValueError),
        (torch.rand(8, 8), ValueError),
        (torch.rand(3, 0, 8), ValueError),
        (torch.rand(5, 8, 8), ValueError),
        (torch.zeros(3, 8, 8, dtype=torch.complex64), TypeError),
    ],
)
def test_what_is_no_image_is_refused(image, error):
    with pytest.raises(error, match="image"):
        vivid()(image)


def test_boxes_without_an_image_are_refused():
    box = tv_tensors.BoundingBoxes([[0, 0, 4, 4]], format="XYXY", canvas_size=(8, 8))
    with pytest.raises(ValueError, match="must hold an image"):
        vivid()({"boxes": box})


def test_a_sample_with_nothing_to_augment_warns():
    array = np.zeros((8, 8, 3))
    with pytest.warns(UserWarning, match="no image to augment"):
        assert vivid()(array) is array


IMAGES = tv_tensors.Image(torch.rand(3, 1, 16, 16))


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (IMAGES[:2], "images of one sample must be as many as the first (3), got Image of shape (2, 1, 16, 16)"),
        (tv_tensors.Video(IMAGES[:2, None]), "as many as the first (3), got Video of shape (2, 1, 1, 16, 16)"),
        (tv_tensors.Mask(IMAGES[:2, 0]), "masks must be one for each of 3 images, got Mask of shape (2, 16, 16)"),
        (
            tv_tensors.KeyPoints(torch.rand(2, 2), canvas_size=(16, 16)),
            "a batch of 3 images needs one KeyPoints an image (a list of 3 targets), got KeyPoints of shape (2, 2)",
        ),
    ],
)
def test_what_does_not_fit_the_images_is_named_with_its_type_and_shape(other, text):
    other = tv_tensors.wrap(other, like=IMAGES) if type(other) is torch.Tensor else other
    with pytest.raises(ValueError) as caught:
        vivid()(IMAGES, other)
    assert text in str(caught.value)
