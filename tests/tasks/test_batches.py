"""Loaders of every kind that users have: images and labels are found in each."""

import itertools
from collections import UserDict, namedtuple

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from learned_affine import FitConfig
from tests.fits import quick
from tests.subjects import blobs

IMAGES, LABELS = blobs(64)
RGB = IMAGES.expand(-1, 3, -1, -1)
Sample = namedtuple("Sample", "picture kind source")


class Stream(IterableDataset):
    """No length."""

    def __iter__(self):
        return iter([(IMAGES[0], 0), (IMAGES[1], 1), (IMAGES[2], 0)])


class Changing:
    """Passes of two batches, one batch and three batches, again and again."""

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
    assert len(read) == 13  # one more: the first batch is read before


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


def test_images_alone_do_where_no_labels_are_needed():
    assert quick(data=[IMAGES], config=FitConfig.paper()).history.info["steps"] == 3
    assert quick(data=[IMAGES], config=FitConfig(labels="predicted", target=0.3)).history.info["steps"] == 3


def test_network_observes_the_loaders_channels():
    images = torch.rand(4, 3, 16, 16)
    assert quick(data=[(images, LABELS[:4])]).localization.channels == 3
    assert quick().localization.channels == 1
