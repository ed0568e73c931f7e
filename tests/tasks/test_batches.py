"""Loaders of every kind that users have: images and labels are found in each."""

import itertools
from collections import UserDict, namedtuple

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from learned_affine.tasks.batches import unpack
from tests.fits import IMAGES, LABELS, ROUNDS, quick

RGB = IMAGES.expand(-1, 3, -1, -1)
Sample = namedtuple("Sample", "picture kind source")


class Stream(IterableDataset):
    """No length, which some datasets say by an error."""

    def __iter__(self):
        return iter([(IMAGES[0], 0), (IMAGES[1], 1), (IMAGES[2], 0)])

    def __len__(self):
        raise NotImplementedError


class Changing:
    """Passes of two batches, one batch and three batches, again and again."""

    def __init__(self):
        self.lengths = itertools.cycle([2, 1, 3])

    def __iter__(self):
        return iter([(IMAGES[:8], LABELS[:8])] * next(self.lengths))


# dicts of one image each, as Hugging Face's datasets give them
RECORDS = [{"file": f"{index}.png", "img": IMAGES[index], "fine_label": int(LABELS[index])} for index in range(9)]
LOADERS = {
    "more fields": [(IMAGES, LABELS, "more")],
    "named tuple": [Sample(IMAGES, LABELS, "scanner")],
    "dict": [{"image": IMAGES, "label": LABELS}],
    "no dict, but with keys": [UserDict(pixel_values=IMAGES, labels=LABELS)],
    "workers": DataLoader(RECORDS, 4, num_workers=1),
    "iterable without length": DataLoader(Stream(), 2),
    "changing length": Changing(),
    "last batch of one": [(IMAGES[:4], LABELS[:4]), (IMAGES[:1], LABELS[:1])],
    "one image": [(IMAGES[:1], LABELS[:1])],
    "mixed sizes": [(IMAGES[:4], LABELS[:4]), (torch.rand(3, 1, 20, 24), LABELS[:3])],
    "RGB, then grey": [(RGB[:4], LABELS[:4]), (IMAGES[:4], LABELS[:4])],
    "grey, then RGB": [(IMAGES[:4], LABELS[:4]), (RGB[:4], LABELS[:4])],
}

# the same class indices in all the forms in which loaders and collate functions give them
LABEL_FORMS = {
    "tensor": LABELS,
    "tensor of bytes": LABELS.to(torch.uint8),
    "tensor (B, 1)": LABELS[:, None],
    "array": LABELS.numpy(),
    "array of unsigned": LABELS.numpy().astype(np.uint16),
    "big-endian array": LABELS.numpy().astype(">i4"),
    "array (B, 1)": LABELS.numpy()[:, None],
    "read-only array": np.frombuffer(LABELS.numpy().tobytes(), np.int64),
    "list": LABELS.tolist(),
    "tuple": tuple(LABELS.tolist()),
    "list of small numpy ints": [np.uint8(label) for label in LABELS.tolist()],
    "list of 0-d arrays": [np.array(label) for label in LABELS.tolist()],
    "list of all sorts": [LABELS[0], int(LABELS[1]), LABELS.numpy()[2], *LABELS[3:]],
}
NO_INDICES = {
    "floats": LABELS.float(),
    "array of floats": LABELS.numpy().astype(np.float32),
    "list of floats": LABELS.float().tolist(),
    "bools": LABELS.bool(),
    "list of numpy bools": list(LABELS.numpy().astype(bool)),
    "words": ["cat", "dog"] * 32,
    "array of words": np.array(["cat", "dog"] * 32),
    "an empty list": [],
    "nothing": None,
}


@pytest.mark.parametrize("name", LABEL_FORMS)
def test_class_indices_in_every_form(name):
    for batch in ((IMAGES, LABEL_FORMS[name]), {"image": IMAGES, "label": LABEL_FORMS[name]}):
        images, labels = unpack(batch)
        assert images is IMAGES and labels.dtype == torch.int64 and torch.equal(labels, LABELS)


@pytest.mark.parametrize("name", NO_INDICES)
def test_what_is_no_class_index_is_none(name):
    assert unpack((IMAGES, NO_INDICES[name]))[1] is None
    with pytest.raises(ValueError, match=r"loader must give labels .* got none or no integers"):
        quick(data=[(IMAGES, NO_INDICES[name])])


@pytest.mark.parametrize("name", LOADERS)
def test_loaders(name):
    augment = quick(data=LOADERS[name])
    assert augment.history.rounds == ROUNDS
    assert all(torch.isfinite(parameter).all() for parameter in augment.parameters())


def test_dict_keys_by_name():
    assert quick(data=[{"scan": IMAGES, "kind": LABELS}], image_key="scan", label_key="kind").history.rounds == ROUNDS


@pytest.mark.parametrize("count", [1, 16])
def test_blank_images_may_come_first(count):
    assert quick(data=[(torch.zeros(count, 1, 16, 16), LABELS[:count]), (IMAGES, LABELS)]).history.rounds == ROUNDS


@pytest.mark.parametrize("targets", [None, (1, 2)])
def test_what_is_wrong_with_targets_is_named_by_the_argument_that_it_comes_from(targets):
    with pytest.raises((TypeError, ValueError), match=r"^val_loader must give targets"):
        quick(val_loader=[(IMAGES, targets)], loss=lambda output, target: output.mean(1))
