"""What a sample holds: which item is the image, and which label belongs to which image."""

import numpy as np
import PIL.Image
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from tests.geometry.matrices import symmetries_alone
from tests.subjects import vivid
from tests.transforms.pictures import Photo, Scan

IMAGES = tv_tensors.Image(torch.rand(3, 1, 16, 16))


def test_the_image_is_found_behind_other_tensors():
    """As in torchvision, a plain tensor is the image only where there is no other."""
    augment, label = vivid(), torch.tensor(3)
    for sample in (
        {"label": label, "image": tv_tensors.Image(torch.rand(3, 8, 8))},
        (label, PIL.Image.new("L", (8, 8))),
    ):
        out = augment(sample)
        again = augment.apply(sample, augment.last_parameters)
        first, second = (list(one.values()) if isinstance(one, dict) else one for one in (out, again))
        assert first[0] is label and second[0] is label
        assert torch.equal(*(F.to_image(one[1]).as_subclass(torch.Tensor) for one in (first, second)))
        assert len(augment.last_parameters) == 1


@pytest.mark.parametrize("shape", [(32, 40, 3), (4, 32, 40, 3), (2, 5, 32, 40, 1), (32, 40, 4)])
@pytest.mark.parametrize("kind", [torch.Tensor, tv_tensors.Image])
def test_channels_last_are_told(shape, kind):
    image = torch.rand(shape) if kind is torch.Tensor else kind(torch.rand(shape))
    said = rf"images must have 3 channels .*with {shape[-1]} channels last\? Put them first, image\.movedim\(-1, -3\)"
    augment = vivid()
    for call in (augment, lambda x: augment.sample_parameters(x.reshape(-1, *x.shape[-3:]).as_subclass(torch.Tensor))):
        with pytest.raises(ValueError, match=said):
            call(image)
    assert augment(image.as_subclass(torch.Tensor).movedim(-1, -3)).shape[-1] == shape[-2]  # as the message says


@pytest.mark.parametrize("shape", [(8, 8, 3), (8, 8), (2, 8, 8, 3)])
@pytest.mark.parametrize("put", [lambda array: array, lambda array: {"image": array, "label": 1}])
def test_an_image_as_an_array_is_refused_with_what_to_do(shape, put):
    array = (255 * np.random.default_rng(0).random(shape)).astype(np.uint8)
    augment = vivid()
    for call in (augment, lambda sample: augment.apply(sample, symmetries_alone(4))):
        with pytest.raises(TypeError, match=rf"got ndarray of shape \({shape[0]}, .*put v2\.ToImage\(\) before this"):
            call(put(array))
    if array.ndim < 4:
        assert v2.Compose([v2.ToImage(), augment])(array).shape[-2:] == shape[:2]


@pytest.mark.parametrize(
    ("sample", "came"), [(["a", 3, None], "NoneType, int, str"), (np.zeros(3), "ndarray"), ({}, "an empty sample")]
)
def test_a_sample_with_nothing_to_augment_warns_and_leaves_no_parameters_of_another(sample, came):
    augment = vivid()
    augment(IMAGES)
    with pytest.warns(UserWarning, match=f"no image to augment in the sample, got {came}"):
        out = augment(sample)
    assert (out is sample or out == sample) and augment.last_parameters is None


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("kind", [Scan, Photo])
def test_images_of_a_subclass_keep_their_metadata(kind, p):
    image = torch.rand(8, 3, 9, 9).as_subclass(kind)
    image.affine, image.meta = torch.eye(4), {"spacing": 2.0}
    augment = vivid(p=p)
    for out in (augment(image), augment.apply(image, augment.sample_parameters(torch.rand(8, 3, 9, 9)))):
        assert type(out) is kind and out.meta == {"spacing": 2.0} and torch.equal(out.affine, torch.eye(4))
    out = augment(image)
    expected = augment.apply(image.as_subclass(torch.Tensor), augment.last_parameters)
    assert torch.equal(out.as_subclass(torch.Tensor), expected)
    assert set(out.__dict__) == {"affine", "meta"}


def test_the_policy_of_a_clip_is_that_of_its_first_frame():
    augment, clip = vivid(deterministic=True), torch.rand(2, 4, 3, 9, 9)
    augment(tv_tensors.Video(clip))
    assert augment.last_parameters.to_dict() == augment.sample_parameters(clip[:, 0]).to_dict()


def test_images_that_do_not_fit_the_first_are_named_with_their_type_and_shape():
    said = r"images of one sample must be as many as the first \(3\), got Video of shape \(2, 1, 1, 16, 16\)"
    with pytest.raises(ValueError, match=said):
        vivid()(IMAGES, tv_tensors.Video(IMAGES[:2, None]))
