"""Hundreds of faults at random: each ends in a clear error, with classifier and last checkpoint as they were."""

import os
import random
import shutil

import pytest
import torch

from learned_affine import FitConfig
from learned_affine.checkpoint import NAME, read_checkpoint
from learned_affine.history import write_atomically
from tests.subjects import blobs, small_net
from tests.test_fitting import assert_same, mixed_state, quick, snapshot

IMAGES, LABELS = blobs(32)
BATCHES = [(IMAGES[i : i + 8], LABELS[i : i + 8]) for i in range(0, 32, 8)]
STEPS = 6


class Injected(Exception):
    """What a faulty part raises."""


def broken_batch(source):
    """A batch that no fit can use."""
    nan, holes = IMAGES[:8].clone(), IMAGES[:8].clone()
    nan[source.randrange(8)] = float("nan")
    holes[source.randrange(8), :, source.randrange(16)] = float("inf")
    return source.choice(
        [
            (nan, LABELS[:8]),
            (holes, LABELS[:8]),
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
    )


class Loader:
    """Goes wrong at its ``at``-th batch, counted over all passes."""

    def __init__(self, at, fault):
        self.at, self.fault, self.given = at, fault, 0

    def __iter__(self):
        for batch in BATCHES:
            self.given += 1
            yield self.fault() if self.given == self.at else batch


def give(value):
    return lambda *args: value


def throw(error):
    def thrower(*args):
        raise error

    return thrower


def loader_raises(source, classifier, folder, patch):
    error = source.choice([Injected("loader"), OSError("disk gone"), KeyboardInterrupt()])
    return {"data": Loader(source.randrange(1, STEPS), throw(error))}


def loader_gives_rubbish(source, classifier, folder, patch):
    return {"data": Loader(source.randrange(1, STEPS), give(broken_batch(source)))}


def callback_raises(source, classifier, folder, patch):
    at = source.randrange(1, STEPS + 1)
    error = source.choice([Injected("callback"), KeyboardInterrupt()])
    return {"callbacks": lambda values: throw(error)() if values["step"] == at else None}


def classifier_goes_wrong(source, classifier, folder, patch):
    at, calls = source.randrange(1, STEPS), []
    spoil = source.choice(
        [
            throw(Injected("classifier")),
            lambda logits: logits * float("nan"),
            lambda logits: logits[:, :1],
            lambda logits: logits[:-1],
            lambda logits: logits.flatten(),
            lambda logits: {"scores": logits},
        ]
    )

    def hook(module, args, output):
        calls.append(1)
        return spoil(output) if len(calls) == at else output

    return {"hook": hook}


def disk_is_full(source, classifier, folder, patch):
    patch.setattr(os, source.choice(["fsync", "replace"]), throw(OSError(28, "No space left on device")))
    return {}


def checkpoint_is_damaged(source, classifier, folder, patch):
    content = bytearray((folder / NAME).read_bytes())
    if source.random() < 0.5:
        content = content[: source.randrange(len(content))]
    else:
        start = source.randrange(len(content) // 2)
        content[start : start + 64] = bytes(byte ^ 255 for byte in content[start : start + 64])
    (folder / NAME).write_bytes(content)
    return {"resume": True, "damaged": True}


def folder_is_in_the_way(source, classifier, folder, patch):
    shutil.rmtree(folder)
    if source.random() < 0.5:
        folder.write_text("a file where the folder should be")
        return {"lost": True}
    return {"resume": str(folder), "lost": True}


FAULTS = [
    loader_raises,
    loader_gives_rubbish,
    callback_raises,
    classifier_goes_wrong,
    disk_is_full,
    checkpoint_is_damaged,
    folder_is_in_the_way,
]
CLEAR = (ValueError, TypeError, OSError, Injected, KeyboardInterrupt)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A checkpoint of a fit that went well."""
    folder = tmp_path_factory.mktemp("good")
    quick(small_net(), BATCHES, config=FitConfig(target=0.3, steps=STEPS), max_steps=2, checkpoint=folder)
    return folder


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_random_faults_end_in_a_clear_error(fault, good, tmp_path):
    source = random.Random(fault.__name__)
    for number in range(30):
        folder = tmp_path / str(number)
        shutil.copytree(good, folder)
        classifier = mixed_state(small_net())
        before = snapshot(classifier)
        with pytest.MonkeyPatch.context() as patch:
            options = fault(source, classifier, folder, patch)
            hook, damaged, lost = (options.pop(name, None) for name in ("hook", "damaged", "lost"))
            handle = classifier.register_forward_hook(hook) if hook else None
            with pytest.raises(CLEAR) as caught:
                options = {"config": FitConfig(target=0.3, steps=STEPS), "checkpoint": folder, **options}
                quick(classifier, options.pop("data", BATCHES), max_steps=STEPS, **options)
            if handle:
                handle.remove()
        assert caught.value.args or caught.type is KeyboardInterrupt
        assert_same(before, classifier)
        if not lost:
            assert [path.name for path in folder.iterdir()] == [NAME]
        if not (lost or damaged):
            assert read_checkpoint(folder / NAME, {})["fitter"]["step"] >= 2


def test_what_a_killed_writer_left_is_cleared_away(good, tmp_path):
    folder = shutil.copytree(good, tmp_path / "a")
    (folder / f".{NAME}.abc").write_bytes(b"half")
    quick(small_net(), BATCHES, config=FitConfig(target=0.3, steps=STEPS), checkpoint=folder, resume=True)
    assert [path.name for path in folder.iterdir()] == [NAME]


def test_every_flipped_bit_of_a_checkpoint_is_seen(good, tmp_path):
    content, source = (good / NAME).read_bytes(), random.Random(0)
    whole, refused = read_checkpoint(good / NAME, {})["fitter"]["network"], 0
    for _ in range(60):
        place = source.randrange(len(content))
        changed = bytearray(content)
        changed[place] ^= 1 << source.randrange(8)
        path = write_atomically(tmp_path / NAME, bytes(changed))
        try:
            read = read_checkpoint(path, {})["fitter"]["network"]
        except ValueError:
            refused += 1
        else:  # a bit that nothing reads, such as padding between the parts
            assert all(torch.equal(value, whole[key]) for key, value in read.items())
    assert refused > 30
