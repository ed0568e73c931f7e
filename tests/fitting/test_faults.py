"""Faults at random, met anywhere in a fit: each ends in a clear error, and the classifier is as it was."""

import contextlib
import random
import traceback
from pathlib import Path

import pytest

import learned_affine
from tests.fits import IMAGES, LABELS, SHORT, assert_same, mixed_state, quick, snapshot
from tests.subjects import small_net

BATCHES = [(IMAGES[i : i + 8], LABELS[i : i + 8]) for i in range(0, 64, 8)]
PACKAGE = str(Path(learned_affine.__file__).parent)


class Injected(Exception):
    """What a faulty part raises."""


class Loader:
    """Goes wrong at its ``at``-th batch, counted over all passes."""

    def __init__(self, at, fault):
        self.at, self.fault, self.given = at, fault, 0

    def __iter__(self):
        for batch in BATCHES:
            self.given += 1
            yield self.fault() if self.given == self.at else batch


def throw(error):
    def thrower(*args):
        raise error

    return thrower


# -- the faults: each spoils something and gives the options of the fit that meets it ---------------------------------


def of_a_loader(source, fault):
    """In the images of training, or in the held-out ones."""
    loader = Loader(source.randrange(2, 9), fault)  # the first is read twice
    return source.choice([{"data": loader}, {"val_loader": loader}])


def loader_raises(source, classifier):
    error = source.choice([Injected("loader"), OSError("disk gone"), KeyboardInterrupt()])
    yield of_a_loader(source, throw(error))


def batch_is_not_finite(source, classifier):
    spoilt, value = IMAGES[:8].clone(), source.choice([float("nan"), float("inf"), -float("inf")])
    spoilt[source.choice([(slice(None),), (source.randrange(8),), (0, 0, source.randrange(16))])] = value
    yield of_a_loader(source, lambda: (spoilt, LABELS[:8]))


def batch_has_a_wrong_shape_or_kind(source, classifier):
    rubbish = [
        (IMAGES[:8, 0], LABELS[:8]),
        (IMAGES[:0], LABELS[:0]),
        (IMAGES[:8], LABELS[:5]),
        (IMAGES[:8], LABELS[:8] + 2),
        (IMAGES[:8], LABELS[:8] - 1),
        (IMAGES[:8], None),
        (IMAGES[:8].long(), LABELS[:8]),
        (IMAGES[:8].repeat(1, 5, 1, 1), LABELS[:8]),
        {"picture": IMAGES[:8]},
        (),
        None,
        "batch",
    ]
    yield of_a_loader(source, lambda: source.choice(rubbish))


def callback_raises(source, classifier):
    at, error = source.randrange(1, 6), source.choice([Injected("callback"), KeyboardInterrupt()])
    yield {"callbacks": lambda values: throw(error)() if values["round"] == at else None}


def classifier_goes_wrong(source, classifier):
    at, calls = source.randrange(1, 30), []
    spoil = source.choice(
        [
            throw(Injected("classifier")),
            lambda logits: logits[:, :1],
            lambda logits: logits[:-1],
            lambda logits: logits.flatten(),
            lambda logits: {"scores": logits},
        ]
    )

    def hook(module, args, output):
        calls.append(1)
        return spoil(output) if len(calls) == at else output

    handle = classifier.register_forward_hook(hook)
    yield {}
    handle.remove()


FAULTS = [
    loader_raises,
    batch_is_not_finite,
    batch_has_a_wrong_shape_or_kind,
    callback_raises,
    classifier_goes_wrong,
]


# -- what must hold after each ----------------------------------------------------------------------------------------


def assert_clear(error):
    """The fault's own error, or one that this package raised, knowing why; not one that came up from its depths."""
    if isinstance(error, (Injected, KeyboardInterrupt, OSError)):
        return
    if isinstance(error, RuntimeError):  # the first batch decides the channels: the classifier's own words about them
        assert "to have 1 channels, but got 5 channels" in str(error)
        return
    assert isinstance(error, (ValueError, TypeError)) and len(str(error)) > 20
    assert traceback.extract_tb(error.__traceback__)[-1].filename.startswith(PACKAGE), error


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_random_faults_end_in_a_clear_error_and_an_untouched_classifier(fault, number):
    source, classifier = random.Random(f"{fault.__name__} {number}"), mixed_state(small_net())
    before = snapshot(classifier)
    with (
        contextlib.contextmanager(fault)(source, classifier) as options,
        pytest.raises((Exception, KeyboardInterrupt)) as caught,
    ):
        quick(classifier, **{"data": BATCHES, "val_loader": BATCHES, "config": SHORT, **options})
    assert_clear(caught.value)
    assert_same(before, classifier)
