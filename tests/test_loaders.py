"""Loaders of every kind that users have, and what stands between the augmenter and the classifier."""

import itertools
from collections import UserDict, namedtuple

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset
from torchvision import models
from torchvision.transforms import v2

from learned_affine import FitConfig
from tests.subjects import Halves, blobs
from tests.test_fitting import quick

IMAGES, LABELS = blobs(64)
RGB = IMAGES.expand(-1, 3, -1, -1)
Sample = namedtuple("Sample", "picture kind source")


class Stream(IterableDataset):
    """No length."""

    def __iter__(self):
        return iter([(IMAGES[0], 0), (IMAGES[1], 1), (IMAGES[2], 0)])


class Changing:
    """Passes of two batches, one batch and three batches in turn."""

    def __init__(self):
        self.lengths = itertools.cycle([2, 1, 3])

    def __iter__(self):
        return iter([(IMAGES[:8], LABELS[:8])] * next(self.lengths))


class Records(Dataset):
    """Dicts of one image each, as Hugging Face's datasets give them."""

    def __len__(self):
        return 9

    def __getitem__(self, index):
        return {"file": f"{index}.png", "img": IMAGES[index], "fine_label": int(LABELS[index])}


LOADERS = {
    "more fields": [(IMAGES, LABELS, "more")],
    "named tuple": [Sample(IMAGES, LABELS, "scanner")],
    "dict": [{"image": IMAGES, "label": LABELS}],
    "hugging face": [{"pixel_values": IMAGES, "labels": LABELS}],
    "no dict, but with keys": [UserDict(pixel_values=IMAGES, labels=LABELS)],
    "dicts collated": DataLoader(Records(), 2),
    "workers": DataLoader(Records(), 4, num_workers=1),
    "iterable without length": DataLoader(Stream(), 2),
    "changing length": Changing(),
    "last batch of one": [(IMAGES[:4], LABELS[:4]), (IMAGES[:1], LABELS[:1])],
    "one image": [(IMAGES[:1], LABELS[:1])],
    "mixed sizes": [(IMAGES[:4], LABELS[:4]), (torch.rand(3, 1, 20, 24), LABELS[:3])],
    "RGB, then grey": [(RGB[:4], LABELS[:4]), (IMAGES[:4], LABELS[:4])],
    "grey, then RGB": [(IMAGES[:4], LABELS[:4]), (RGB[:4], LABELS[:4])],
    "uint8": [((IMAGES * 255).to(torch.uint8), LABELS)],
    "float64": [(IMAGES.double(), LABELS)],
    "float16": [(IMAGES.half(), LABELS)],
    "list labels": [(IMAGES, LABELS.tolist())],
    "labels of shape (B, 1)": [(IMAGES, LABELS[:, None])],
}


@pytest.mark.parametrize("name", LOADERS)
def test_loaders(name):
    augment = quick(data=LOADERS[name], max_steps=7)
    assert augment.history.info["steps"] == 7
    assert all(torch.isfinite(parameter).all() for parameter in augment.parameters())


def test_passes_of_changing_length_are_epochs_of_the_history():
    history = quick(data=Changing(), max_steps=9).history
    assert history.epochs > 4 and history.info["steps"] == 9


def test_cost_does_not_grow_with_the_data():
    """A stream without an end is read no further than the steps need."""
    read = []

    class Forever:
        def __iter__(self):
            for number in itertools.count():
                read.append(number)
                yield IMAGES[:8], LABELS[:8]

    history = quick(data=Forever(), max_steps=12).history
    assert history.epochs == 1 and history.info["steps"] == 12
    assert len(read) == 13  # one more: the first batch is looked at before


def test_a_last_batch_of_one_does_not_make_nan_of_the_history():
    history = quick(data=[(IMAGES[:4], LABELS[:4]), (IMAGES[:1], LABELS[:1])], max_steps=4).history
    assert all(value == value for key in ("loss", "entropy", "agreement", "visible_area") for value in history[key])


def test_iterator_is_used_up_once():
    assert quick(data=iter([(IMAGES, LABELS)] * 2)).history.info["steps"] == 2


def test_dict_keys_by_name():
    data = [{"scan": IMAGES, "kind": LABELS}]
    assert quick(data=data, image_key="scan", label_key="kind").history.info["steps"] == 3
    with pytest.raises(ValueError, match=r"image_key must be one of image.*keys scan, kind"):
        quick(data=data)


def test_images_alone_do_for_objectives_without_labels():
    config = FitConfig.entropy_target(target=0.5)
    assert quick(data=[IMAGES], config=config).history.info["steps"] == 3
    assert quick(data=[IMAGES], config=FitConfig(labels="predicted", target=0.3)).history.info["steps"] == 3


def test_network_looks_at_the_loaders_channels():
    images = torch.rand(4, 3, 16, 16)
    assert quick(data=[(images, LABELS[:4])]).localization.channels == 3
    assert quick().localization.channels == 1


def test_preprocess_by_the_transforms_of_a_model():
    """What torchvision ships with weights: resizing, cropping, scaling and normalising, all differentiable."""
    seen = []
    classifier = Halves()
    classifier.register_forward_pre_hook(lambda module, args: seen.append(args[0].detach()))
    preprocess = models.ResNet18_Weights.DEFAULT.transforms(crop_size=24, resize_size=28)
    augment = quick(classifier, [(RGB, LABELS)], preprocess=preprocess)
    assert {tuple(images.shape[1:]) for images in seen} == {(3, 24, 24)}
    assert min(float(images.min()) for images in seen) < -1  # normalised
    assert augment.localization.head.bias.abs().sum() > 0  # a gradient came through


def test_preprocess_by_a_pipeline():
    pipeline = v2.Compose([v2.Resize(20), v2.CenterCrop(16), v2.Normalize([0.5], [0.5])])
    assert quick(preprocess=pipeline).history.info["steps"] == 3


def test_preprocess_that_passes_no_gradient_is_refused():
    config = FitConfig.pathwise(target=0.3)
    with pytest.raises(ValueError, match="let preprocess be differentiable"):
        quick(preprocess=lambda images: images.detach(), config=config)
    with pytest.raises(ValueError, match="gradient of 0 at every pixel"):
        quick(preprocess=torch.round, config=config)


def test_preprocess_need_not_pass_a_gradient_to_a_fit_by_values():
    assert quick(preprocess=lambda images: images.mul(255).to(torch.uint8).float()).history.info["steps"] == 3


def test_preprocess_stands_before_the_classifier():
    seen = []
    classifier = Halves()
    classifier.register_forward_pre_hook(lambda module, args: seen.append(args[0].mean().item()))
    quick(classifier, preprocess=v2.Normalize([-1.0], [1.0]))
    assert min(seen) > 1
