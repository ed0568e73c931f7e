"""A batch or an output that goes wrong amid a fit ends in a clear error, and the classifier is as it was."""

import traceback
from pathlib import Path

import pytest

import learned_affine
from tests.fits import IMAGES, LABELS, assert_same, mixed_state, quick, snapshot
from tests.subjects import small_net

BATCHES = [(IMAGES[i : i + 8], LABELS[i : i + 8]) for i in range(0, 64, 8)]
PACKAGE = str(Path(learned_affine.__file__).parent)
SPOILT = IMAGES[:8].clone()
SPOILT[3, 0, 5] = float("nan")
RUBBISH = {
    "not finite": (SPOILT, LABELS[:8]),
    "no channels": (IMAGES[:8, 0], LABELS[:8]),
    "no images": (IMAGES[:0], LABELS[:0]),
    "too few labels": (IMAGES[:8], LABELS[:5]),
    "labels beyond": (IMAGES[:8], LABELS[:8] + 2),
    "labels below": (IMAGES[:8], LABELS[:8] - 1),
    "no labels": (IMAGES[:8], None),
    "int64": (IMAGES[:8].long(), LABELS[:8]),
    "a dict without images": {"picture": IMAGES[:8]},
    "an empty tuple": (),
    "nothing": None,
    "text": "batch",
}
OUTPUTS = {
    "one class": lambda logits: logits[:, :1],
    "too few rows": lambda logits: logits[:-1],
    "flat": lambda logits: logits.flatten(),
    "another name": lambda logits: {"scores": logits},
}


def refused(classifier, **options):
    """A fit that ends in an error that this package raised, knowing why; the classifier is as it was."""
    before = snapshot(classifier)
    with pytest.raises((ValueError, TypeError)) as caught:
        quick(classifier, **{"data": BATCHES, "val_loader": BATCHES, **options})
    assert len(str(caught.value)) > 20
    assert traceback.extract_tb(caught.value.__traceback__)[-1].filename.startswith(PACKAGE), caught.value
    assert_same(before, classifier)


@pytest.mark.parametrize("where", ["data", "val_loader"])
@pytest.mark.parametrize("name", RUBBISH)
def test_a_batch_that_will_not_do_is_named_wherever_it_comes(where, name):
    refused(mixed_state(small_net()), **{where: [*BATCHES[:5], RUBBISH[name], *BATCHES[5:]]})


@pytest.mark.parametrize("at", [1, 12])
@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_that_will_not_do_is_named_whenever_it_comes(at, name):
    classifier, calls = mixed_state(small_net()), []

    def spoil(module, args, output):
        calls.append(1)
        return OUTPUTS[name](output) if len(calls) == at else output

    classifier.register_forward_hook(spoil)
    refused(classifier)
