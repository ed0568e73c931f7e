"""A fit that is cut off goes on as if nothing had happened."""

import multiprocessing
import os
import random
import shutil
import signal

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from learned_affine import FitConfig
from learned_affine.fitting.history import KEYS
from learned_affine.runtime.checkpoint import NAME, read_checkpoint
from tests.fits import loader, same_weights, silent
from tests.subjects import blobs

CONFIG = FitConfig(target=0.3, steps=40)


def run(steps, **options):
    data = loader(16, shuffle=True)  # 4 batches a pass
    return silent(data=data, **{"config": CONFIG, "val_loader": loader(), "max_steps": steps, **options})


@pytest.mark.parametrize("steps", [8, 6, 1], ids=["after an epoch", "within an epoch", "at the first step"])
def test_n_and_n_steps_are_two_n_bit_by_bit(tmp_path, steps):
    whole = run(steps + 7)
    run(steps, checkpoint=tmp_path)
    parts = run(steps + 7, checkpoint=tmp_path, resume=True)
    assert same_weights(whole, parts)
    for key in set(KEYS) - {"seconds", "images_per_second"}:
        assert whole.history[key] == pytest.approx(parts.history[key], nan_ok=True, abs=1e-12), key


def test_first_run_may_ask_to_resume(tmp_path):
    assert run(3, checkpoint=tmp_path, resume=True).history.info["steps"] == 3


def test_resume_by_path_is_the_same(tmp_path):
    run(5, checkpoint=tmp_path)
    one = run(9, resume=tmp_path)
    two = run(9, resume=tmp_path / NAME)
    assert same_weights(one, two)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"not a checkpoint"])
def test_damaged_checkpoint_says_so(tmp_path, damage):
    run(3, checkpoint=tmp_path)
    (tmp_path / NAME).write_bytes(damage((tmp_path / NAME).read_bytes()))
    with pytest.raises(ValueError, match="cannot be read"):
        run(5, checkpoint=tmp_path, resume=True)


def test_checkpoint_of_another_configuration_says_which_dial(tmp_path):
    run(3, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"dual_rate: 0\.1 there, 0.5 now"):
        run(5, checkpoint=tmp_path, resume=True, config=CONFIG.replace(dual_rate=0.5))


def test_full_disk_leaves_the_previous_checkpoint(tmp_path, monkeypatch):
    run(3, checkpoint=tmp_path)
    before = (tmp_path / NAME).read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        run(8, checkpoint=tmp_path, resume=True)
    assert (tmp_path / NAME).read_bytes() == before and [path.name for path in tmp_path.iterdir()] == [NAME]


def with_workers(steps, **options):
    """A fit whose data set draws at random in the loader's workers."""
    data = DataLoader(Noisy(), 8, shuffle=True, num_workers=2)
    return silent(data=data, **{"config": CONFIG, "max_steps": steps, **options})


class Noisy(Dataset):
    """Images with noise that is drawn anew each time."""

    def __init__(self):
        self.images, self.labels = blobs(32)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return (self.images[index] + 0.1 * torch.rand(1, 16, 16)).clamp(0, 1), self.labels[index]


def test_resume_repeats_what_workers_drew(tmp_path):
    whole = with_workers(7)
    with_workers(3, checkpoint=tmp_path)
    parts = with_workers(7, checkpoint=tmp_path, resume=True)
    assert same_weights(whole, parts)


def test_a_folder_removed_under_way_is_made_again(tmp_path):
    folder = tmp_path / "gone"
    run(9, checkpoint=folder, callbacks=lambda values: shutil.rmtree(folder) if values["step"] == 6 else None)
    assert read_checkpoint(folder / NAME, {})["fitter"]["step"] == 9


INTERVAL = 4  # steps of an epoch, after each of which a checkpoint is written
SERVER = multiprocessing.get_context("forkserver")  # imports torch once for all the processes that are killed


def fit_in_steps(folder, steps):
    """A fit that goes on from ``folder`` and tells a file of each step, in one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    images, labels = blobs(64)
    data = [(images[i : i + 16], labels[i : i + 16]) for i in range(0, 64, 16)]
    with open(f"{folder}.steps", "ab", buffering=0) as told:
        augment = silent(
            data=data,
            val_loader=data,
            config=FitConfig(target=0.3, steps=100_000),
            checkpoint=folder,
            resume=True,
            max_steps=steps,
            callbacks=lambda values: told.write(b"%d\n" % values["step"]),
        )
    torch.set_num_threads(threads)
    return augment.localization.state_dict()


def kill_at_random(folder, times):
    """Kill a fit ``times`` times at random instants; how many steps it had taken at each, and how many were kept."""
    instants, taken, kept = random.Random(0), [], []
    for _ in range(times):
        process = SERVER.Process(target=fit_in_steps, args=(folder, 100_000))
        process.start()
        while not (folder / NAME).exists():
            assert process.is_alive()
        process.join(instants.uniform(0.1, 0.8))  # the instant is what is tested
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        kept.append(read_checkpoint(folder / NAME, {})["fitter"]["step"])
        taken.append(int(folder.with_name(f"{folder.name}.steps").read_bytes().split(b"\n")[-2]))
    return taken, kept


def check_kills(folder, times):
    """Nothing is corrupted, no more than one interval lost, and the end is that of a fit that was never killed."""
    SERVER.set_forkserver_preload([__name__])
    taken, kept = kill_at_random(folder, times)
    assert kept == sorted(kept) and kept[-1] > 0
    assert all(0 <= done - saved + 1 <= INTERVAL + 1 for done, saved in zip(taken, kept, strict=True))
    parts, whole = (fit_in_steps(place, kept[-1] + 3) for place in (folder, folder.with_name("whole")))
    assert all(torch.equal(value, whole[key]) for key, value in parts.items())


def test_kills_corrupt_nothing(tmp_path):
    check_kills(tmp_path / "killed", 3)


@pytest.mark.long
def test_many_kills_corrupt_nothing(tmp_path):
    check_kills(tmp_path / "killed", 25)
