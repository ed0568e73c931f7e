"""A batch or an output that goes wrong amid a fit ends in a clear error, and the classifier is as it was."""

import traceback
from pathlib import Path

import pytest
import torch

import learned_affine
from tests.fits import IMAGES, LABELS, assert_same, mixed_state, quick, snapshot
from tests.subjects import small_net

BATCHES = [(IMAGES[i : i + 8], LABELS[i : i + 8]) for i in range(0, 64, 8)]
PACKAGE = str(Path(learned_affine.__file__).parent)
SPOILT = IMAGES[:8].clone()
SPOILT[3, 0, 5] = float("nan")
ONE_INDEX = "{} must give one class index an image"
RUBBISH = {  # and what is said of it, by the name of the argument that it comes from
    "not finite": ((SPOILT, LABELS[:8]), "{} must give finite images"),
    "no channels": ((IMAGES[:8, 0], LABELS[:8]), "{} must give images of shape"),
    "no images": ((IMAGES[:0], LABELS[:0]), "{} must give images of shape .*, none of them empty"),
    "paths": ((["a.png"], LABELS[:1]), "{} must give images as a tensor"),
    "an empty tuple": ((), "{} must give images as a tensor"),
    "too few labels": ((IMAGES[:8], LABELS[:5]), ONE_INDEX),
    "one-hot integers": ((IMAGES[:8], torch.zeros(8, 2).long()), ONE_INDEX),
    "too few rows": ((IMAGES[:8], torch.ones(3, 2)), "{} must give as many labels as images"),
    "labels beyond": ((IMAGES[:8], LABELS[:8] + 2), r"{}'s labels must be within \[0, 2\)"),
    "labels below": ((IMAGES[:8], LABELS[:8] - 1), r"{}'s labels must be within \[0, 2\)"),
    "no labels": ((IMAGES[:8], None), "{} must give labels"),
    "a dict without images": ({"picture": IMAGES[:8], "a": 1}, "image_key must be one of image, .*keys picture, a"),
    **{
        str(dtype): ((IMAGES[:8].to(dtype), LABELS[:8]), f"{{}} must give floating images, or one of .*, got {dtype}")
        for dtype in (torch.bool, torch.int8, torch.int64, torch.complex64)
    },
}
OUTPUTS = {
    "one class": lambda logits: logits[:, :1],
    "too few rows": lambda logits: logits[:-1],
    "flat": lambda logits: logits.flatten(),
    "another name": lambda logits: {"scores": logits},
}


def refused(classifier, said, **options):
    """A fit that ends in an error that this package raised, knowing why; the classifier is as it was."""
    before = snapshot(classifier)
    with pytest.raises((ValueError, TypeError), match=f"^{said}") as caught:
        quick(classifier, **{"data": BATCHES, "val_loader": BATCHES, **options})
    assert traceback.extract_tb(caught.value.__traceback__)[-1].filename.startswith(PACKAGE), caught.value
    assert_same(before, classifier)


@pytest.mark.parametrize("where", ["data", "val_loader"])
@pytest.mark.parametrize("name", RUBBISH)
def test_a_batch_that_will_not_do_is_named_wherever_it_comes(where, name):
    batch, said = RUBBISH[name]
    classifier, named = mixed_state(small_net()), "loader" if where == "data" else where
    refused(classifier, said.format(named), **{where: [*BATCHES[:5], batch, *BATCHES[5:]]})


@pytest.mark.parametrize("at", [1, 12])
@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_that_will_not_do_is_named_whenever_it_comes(at, name):
    classifier, calls = mixed_state(small_net()), []

    def spoil(module, args, output):
        calls.append(1)
        return OUTPUTS[name](output) if len(calls) == at else output

    classifier.register_forward_hook(spoil)
    refused(classifier, "classifier must return logits")
