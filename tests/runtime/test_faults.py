"""Hundreds of faults at random: each ends in a clear error, and what comes after goes on as if there had been none.

Kills are tried in test_checkpoint.py.
"""

import contextlib
import os
import random
import resource
import shutil
import subprocess
import traceback
from pathlib import Path

import pytest
import torch

import learned_affine
from learned_affine import FitConfig
from learned_affine._files import write_atomically
from learned_affine.runtime.checkpoint import NAME, read_checkpoint
from tests.fits import assert_same, mixed_state, quick, snapshot
from tests.subjects import blobs, small_net

IMAGES, LABELS = blobs(32)
BATCHES = [(IMAGES[i : i + 8], LABELS[i : i + 8]) for i in range(0, 32, 8)]
STEPS = 6
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


def loader_raises(source, classifier, folder):
    error = source.choice([Injected("loader"), OSError("disk gone"), KeyboardInterrupt()])
    yield {"data": Loader(source.randrange(1, STEPS), throw(error))}


def batch_is_not_finite(source, classifier, folder):
    spoilt, value = IMAGES[:8].clone(), source.choice([float("nan"), float("inf"), -float("inf")])
    place = source.choice([(slice(None),), (source.randrange(8),), (0, 0, source.randrange(16), source.randrange(16))])
    spoilt[place] = value
    yield {"data": Loader(source.randrange(1, STEPS), lambda: (spoilt, LABELS[:8]))}


def batch_has_a_wrong_shape_or_kind(source, classifier, folder):
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
    yield {"data": Loader(source.randrange(1, STEPS), lambda: source.choice(rubbish))}


def callback_raises(source, classifier, folder):
    at = source.randrange(1, STEPS + 1)
    error = source.choice([Injected("callback"), KeyboardInterrupt()])
    yield {"callbacks": lambda values: throw(error)() if values["step"] == at else None}


def classifier_goes_wrong(source, classifier, folder):
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

    handle = classifier.register_forward_hook(hook)
    yield {}
    handle.remove()


def disk_is_full(source, classifier, folder):
    kind = source.choice(["fsync", "replace", "limit", "limit"])
    with pytest.MonkeyPatch.context() as patch:
        if kind != "limit":
            patch.setattr(os, kind, throw(OSError(28, "No space left on device")))
            yield {}
        else:  # the system itself refuses to write more than a part of the file
            with at_most(source.randrange((folder / NAME).stat().st_size)):
                yield {}


@contextlib.contextmanager
def at_most(size):
    """No file may grow beyond ``size`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def checkpoint_is_unreadable(source, classifier, folder):
    path, whole = folder / NAME, (folder / NAME).read_bytes()
    start, kind = source.randrange(len(whole) // 2), source.choice(["cut", "flipped", "foreign", "folder"])
    if kind == "folder":
        path.unlink()
        path.mkdir()
    else:
        flipped = bytes(byte ^ 255 for byte in whole[start : start + 64])
        made = {"cut": whole[:start], "flipped": whole[:start] + flipped + whole[start + 64 :]}
        path.write_bytes(made.get(kind, source.randbytes(start)))
    yield {"resume": True}
    path.rmdir() if kind == "folder" else path.unlink()  # as a user would, who then begins anew


def folder_is_removed(source, classifier, folder):
    kind, at = source.choice(["before", "a file instead", "under way"]), source.randrange(1, STEPS)

    def removed(values=None):
        if values is None or values["step"] == at:
            shutil.rmtree(folder)
            if kind != "before":
                folder.write_text("a file where the folder should be")

    if kind == "under way":
        yield {"callbacks": removed}
    else:
        removed()
        yield {"resume": str(folder)} if kind == "before" else {}
    folder.unlink(missing_ok=True)


FAULTS = [
    loader_raises,
    batch_is_not_finite,
    batch_has_a_wrong_shape_or_kind,
    callback_raises,
    classifier_goes_wrong,
    disk_is_full,
    checkpoint_is_unreadable,
    folder_is_removed,
]


# -- what must hold after each ----------------------------------------------------------------------------------------


def fitted(classifier, folder, data=BATCHES, **options):
    """A short fit that writes its checkpoints to ``folder``."""
    config = FitConfig(target=0.3, steps=STEPS)
    return quick(classifier, data, **{"config": config, "max_steps": STEPS, "checkpoint": folder, **options})


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The checkpoint of two steps."""
    folder = tmp_path_factory.mktemp("good")
    fitted(small_net(), folder, max_steps=2)
    return folder


@pytest.fixture(scope="module")
def whole():
    """The weights that a fit without faults ends with."""
    return fitted(small_net(), None).localization.state_dict()


def assert_clear(error):
    """The fault's own error, or one that this package raised, knowing why; not one that came up from its depths."""
    if isinstance(error, (Injected, KeyboardInterrupt, OSError)):
        return
    if isinstance(error, RuntimeError):  # the first batch decides the channels: the classifier's own words about them
        assert "to have 1 channels, but got 5 channels" in str(error)
        return
    assert isinstance(error, (ValueError, TypeError)) and len(str(error)) > 20
    assert traceback.extract_tb(error.__traceback__)[-1].filename.startswith(PACKAGE), error


def meet(fault, source, folder, whole):
    """A fit meets a fault: a clear error, the same classifier, no litter; resumed, it ends as if nothing had been."""
    classifier = mixed_state(small_net())
    before = snapshot(classifier)
    met = contextlib.contextmanager(fault)(source, classifier, folder)
    with met as options, pytest.raises((Exception, KeyboardInterrupt)) as caught:
        fitted(classifier, folder, **options)
    assert_clear(caught.value)
    assert_same(before, classifier)
    if folder.exists():
        left = [path.name for path in folder.iterdir()]
        assert left in ([], [NAME])
        assert not left or read_checkpoint(folder / NAME, {})["fitter"]["step"] >= 2
    ends = fitted(classifier, folder, resume=True).localization.state_dict()
    assert all(torch.equal(value, whole[key]) for key, value in ends.items())
    assert_same(before, classifier)


def meet_many(fault, times, good, whole, tmp_path):
    source = random.Random(f"{fault.__name__} {times}")
    for number in range(times):
        meet(fault, source, shutil.copytree(good, tmp_path / str(number)), whole)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_random_faults_end_in_a_clear_error(fault, good, whole, tmp_path):
    meet_many(fault, 4, good, whole, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_many_random_faults_end_in_a_clear_error(fault, good, whole, tmp_path):
    meet_many(fault, 30, good, whole, tmp_path)


@pytest.fixture
def small_disk(tmp_path, good):
    """A file system of its own with room for one checkpoint, but not for two."""
    place, room = tmp_path / "disk", (good / NAME).stat().st_size * 3 // 2
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={room}", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_really_full_keeps_the_last_checkpoint(small_disk, good, whole, tmp_path):
    folder = shutil.copytree(good, small_disk / "fit")
    with pytest.raises(OSError, match="No space left"):
        fitted(small_net(), folder, resume=True)
    assert [path.name for path in folder.iterdir()] == [NAME]
    ends = fitted(small_net(), tmp_path, resume=folder).localization.state_dict()
    assert all(torch.equal(value, whole[key]) for key, value in ends.items())


def test_what_a_killed_writer_left_is_cleared_away(good, tmp_path):
    folder = shutil.copytree(good, tmp_path / "a")
    (folder / f".{NAME}.abc").write_bytes(b"half")
    fitted(small_net(), folder, resume=True)
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
