"""The loop around a step: passes over the loader, measures, logs and checkpoints, and how a fit goes on."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from learned_affine._checks import warn_caller
from learned_affine.diagnostics.checks import FEWEST_STEPS, StoppedFitWarning
from learned_affine.fitting.history import FitHistory
from learned_affine.fitting.trainer import Metrics, PolicyTrainer
from learned_affine.runtime.checkpoint import write_checkpoint
from learned_affine.runtime.distributed import seed_cpu
from learned_affine.runtime.early_stopping import EarlyStopping
from learned_affine.runtime.progress import FitLog
from learned_affine.tasks.batches import Batch, Read, class_name, counting_in, generators_of, labelled, length_of

MEASURED_BATCHES = 2  # batches that an epoch's measures are taken on, so that their cost does not grow with the data
MEASURED_STEPS = 50  # measures are taken no more often than this, so that short epochs do not cost more
CHECKPOINT_STEPS = 200  # a checkpoint at least this often, within a long epoch too
STEP_KEYS = ("loss", "discriminator_loss", "dual", "kl", "entropy", "cross_entropy", "accuracy", "displacement")
MOST_STEPS, SHARE_OF_PASS = 300, 0.8  # of a default fit, which so costs about a tenth of ten epochs of training
MOST_SECONDS, TIMED_STEPS = 120.0, 10  # and no more than this: after so many steps it is known how long they take
MEASURED_KEYS = (
    *("agreement", "between_image_variance", "visible_area", "mirror_chance", "mirror_spread", "mirror_kl"),
    *("val_loss", "val_discriminator_loss"),
)
NO_BATCH: Any = object()


class FitLoop:
    """Where the batches of a fit come from, and where measures, logs and checkpoints go."""

    def __init__(
        self,
        trainer: PolicyTrainer,
        read: Read,
        loader: Iterable[Any],
        val_loader: Iterable[Any] | None,
        callbacks: list[Callable[[Metrics], Any]],
        checkpoint: str | Path | None,
        log: FitLog,
    ) -> None:
        self.trainer, self.read, self.callbacks, self.checkpoint, self.log = trainer, read, callbacks, checkpoint, log
        self.generators = generators_of(loader)  # the loader's own, which its order follows
        self.counting = counting_in(loader)
        self.loader, self.val_loader = trainer.processes.shard(loader), val_loader
        self.history = FitHistory()
        self.sums: Metrics = {}  # of the epoch's steps so far
        self.order: list[Tensor] = []  # the states of the loader's own generators at the start of the epoch
        self.kept: dict[str, Any] | None = None  # the history to go on from, where the end of the run added to it
        self.early_stopping = EarlyStopping(trainer.config.patience)
        self.epochs = trainer.config.epochs
        self.began, self.resumed = time.perf_counter(), False
        length = self._length()
        if self.epochs is not None:
            trainer.steps = sys.maxsize if length == sys.maxsize else self.epochs * length
        elif trainer.config.steps is None and length < sys.maxsize:
            trainer.steps = min(MOST_STEPS, max(FEWEST_STEPS, round(SHARE_OF_PASS * length)))
        self.end = sys.maxsize  # until max_steps is known

    def begin(self, info: dict[str, Any], state: dict[str, Any] | None) -> None:
        """Start the history with what is known of the fit, or go on from a checkpoint's state."""
        if state is None:
            self.history.info |= info
            self.log.say(f"target {info['target']:.4g} from {info['target_source']}")
        else:
            self.load_state(state)
            self.resumed = True  # some of the first steps were taken elsewhere: how long all of them take is not known
            if info["held_on"] != self.history.info["held_on"]:
                raise ValueError(
                    "val_loader must be given to go on with a fit that has one, and not otherwise, got a checkpoint "
                    f"held on {self.history.info['held_on']} images"
                )
        self.trainer.augment.history = self.history

    def to_end(self, max_steps: int | None) -> None:
        """Pass over the loader until the steps are done, early stopping ends the fit, or a number is not finite."""
        trainer = self.trainer
        self.end = sys.maxsize if max_steps is None else max_steps
        total = min(self.end, trainer.steps)
        self.log.start(total if total < sys.maxsize else None, trainer.step)
        going = True
        while going and not self._done() and (self.epochs is None or trainer.epoch < self.epochs):
            going = self._epoch()
        worst: dict[str, Any] | None = trainer.worst_mirrored_class()
        if worst is not None:
            name = class_name(self.loader, worst["class"], self.history.info["classes"])
            worst |= {} if name is None else {"name": name}
        self.history.info["worst_mirrored_class"] = worst
        self._write()

    def _done(self) -> bool:
        return self.trainer.step >= min(self.end, self.trainer.steps) or self.early_stopping.reached

    # -- one pass -----------------------------------------------------------------------------------------------------

    def _epoch(self) -> bool:
        """One pass over the loader, or what is left of it; False if that was the end."""
        trainer, start, seen = self.trainer, time.perf_counter(), 0
        self._order_data()
        skip, finite, batch = trainer.step_in_epoch, True, NO_BATCH
        batches = self._batches()
        for number, batch in enumerate(batches):
            if number < skip:
                continue
            images, labels = batch
            values = trainer.train_step(images, labels)
            if values is None:
                finite = False
                break
            seen += len(images)
            self._note(values)
            if self._done():
                if self._at_epoch_end():
                    next(batches, None)  # a sampler draws once more as its pass ends
                break
            if trainer.step % CHECKPOINT_STEPS == 0:
                self._write()
        if batch is NO_BATCH or (seen == 0 and finite and trainer.step_in_epoch == 0):
            return False  # an iterator that gives its batches once is used up
        if not finite and trainer.processes.is_main:
            warn_caller(StoppedFitWarning(_stopped_text(trainer.step)))
        complete = finite and (not self._done() or self._at_epoch_end())
        self._record(batch, time.perf_counter() - start, seen * trainer.processes.count, complete)
        return finite

    def _order_data(self) -> None:
        """Let the order of the data follow from the seed and the epoch alone, or from the loader's own generators.

        Whatever in the loader has a ``set_epoch`` gets the number of the pass.
        """
        trainer = self.trainer
        seed_cpu(trainer.seed * 100_003 + trainer.epoch)
        for one in self.counting:
            one.set_epoch(trainer.epoch)
        if trainer.step_in_epoch == 0:
            states = [generator.get_state() for generator in self.generators]
            self._set_order([trainer.processes.broadcast_tensor(state) for state in states])

    def _set_order(self, order: list[Tensor]) -> None:
        self.order = order
        for generator, state in zip(self.generators, order, strict=False):
            generator.set_state(state)

    def _batches(self) -> Iterator[Batch]:
        """The batches of one pass in which an image has a label, for as long as every process has one."""
        batches = filter(lambda batch: len(batch[0]) > 0, map(self.read, self.loader))
        while True:
            batch = next(batches, NO_BATCH)
            if not self.trainer.processes.all(batch is not NO_BATCH):
                return
            yield batch

    def _at_epoch_end(self) -> bool:
        return self.trainer.step_in_epoch >= self._length()

    def _length(self) -> int:
        """Batches of a pass, in the process that has the fewest; very many where that is not known."""
        length = length_of(self.loader)
        return self.trainer.processes.min(sys.maxsize if length is None else length)

    def _note(self, values: Metrics) -> None:
        """Record a step: sums for the epoch, the bar, the log, the callbacks."""
        for key, value in {**values, "steps": 1.0}.items():
            self.sums[key] = self.sums.get(key, 0.0) + value
        self.history.info["steps"] = self.trainer.step
        if self.trainer.step == TIMED_STEPS and not self.resumed:
            self._keep_within_time()
        if self.early_stopping.update(values):
            self.history.info["at_rest"] = True
            self.log.say(f"early stopping after step {self.trainer.step}: no measure moves any more")
        if self.trainer.processes.is_main:
            self.log.step(self.trainer.step, values)
            for callback in self.callbacks:
                callback({"step": self.trainer.step, **values})

    def _keep_within_time(self) -> None:
        """Let a default fit take fewer steps where all of them would take too long."""
        config, processes = self.trainer.config, self.trainer.processes
        if config.steps is None and config.epochs is None:
            affordable = int(MOST_SECONDS * TIMED_STEPS / max(time.perf_counter() - self.began, 1e-9))
            self.trainer.steps = max(FEWEST_STEPS, min(self.trainer.steps, processes.min(affordable)))

    # -- the end of a pass --------------------------------------------------------------------------------------------

    def _record(self, batch: Batch, seconds: float, seen: int, complete: bool) -> None:
        """Add an epoch to the history. What is there only since the run ends here is left out of the checkpoint."""
        means = {key: value / self.sums["steps"] for key, value in self.sums.items()} if self.sums else {}
        entry = {key: means[key] for key in STEP_KEYS if key in means}
        entry |= {"seconds": seconds, "images_per_second": seen / max(seconds, 1e-9)}
        due = self._measures_are_due()
        if not complete:
            self.kept = self.history.to_dict()
        elif not due and self._is_last():
            self.kept = FitHistory.from_dict(self.history.to_dict()).add(**entry, **self._measured_last()).to_dict()
        entry |= self._measure(batch) if due or not complete or self._is_last() else self._measured_last()
        self.history.add(**entry)
        self._show(entry, batch)
        if complete:
            self.trainer.epoch, self.trainer.step_in_epoch, self.sums = self.trainer.epoch + 1, 0, {}
        self._write()

    def _show(self, entry: Metrics, batch: Batch) -> None:
        """Log an epoch, with some images before and after where a picture of them is due."""
        trainer = self.trainer
        if not self.log.epoch_is_due(trainer.step):
            return
        images = batch[0][:16].to(trainer.device)
        noise = torch.Generator()
        noise.set_state(trainer.noise.get_state())  # a copy: a picture changes nothing
        warped, draws = trainer.draw(images, noise)
        self.log.epoch(trainer.step, entry, images, warped, draws.parameters.to_dict())

    def _is_last(self) -> bool:
        return self._done() or self.trainer.epoch + 1 == self.epochs

    def _measures_are_due(self) -> bool:
        """Whether so many steps have gone by, or this is the first epoch."""
        step, begun = self.trainer.step, self.trainer.step - self.trainer.step_in_epoch
        return self.history.epochs == 0 or step // MEASURED_STEPS > begun // MEASURED_STEPS

    def _measured_last(self) -> Metrics:
        """What was measured last, which stands for an epoch that measures are not due in."""
        return {key: self.history[key][-1] for key in MEASURED_KEYS}

    def _measure(self, batch: Batch) -> Metrics:
        """Mean measures over some held-out batches, or over the last batch where there are none."""
        trainer, noise = self.trainer, torch.Generator().manual_seed((self.trainer.seed + 1) % 2**63)
        with torch.random.fork_rng(devices=[]):
            seed_cpu(trainer.seed)
            held_out = None if self.val_loader is None else labelled(self.val_loader, self.read, "val_loader")
            source: Iterable[Batch] = [batch] if held_out is None else itertools.islice(held_out, MEASURED_BATCHES)
            found = [trainer.measure(*one, noise) for one in source]
        keys = set.intersection(*(set(one) for one in found)) if found else set()
        means = {key: sum(one[key] for one in found) / len(found) for key in keys}
        self.history.info["output_spread"] = means.get("output_spread", float("nan"))
        if self.val_loader is not None:
            means |= {f"val_{key}": means.get(key, float("nan")) for key in ("loss", "discriminator_loss")}
        return {key: value for key, value in means.items() if key in MEASURED_KEYS}

    # -- checkpoints --------------------------------------------------------------------------------------------------

    def _write(self) -> None:
        """Write a checkpoint, in the main process."""
        if self.checkpoint is None or not self.trainer.processes.is_main:
            return
        state = {
            "fitter": self.trainer.state(),
            "config": self.trainer.description(),
            "sums": self.sums,
            "order": self._order_now(),
            "stillness": self.early_stopping.state(),
            "history": self.kept or self.history.to_dict(),
        }
        write_checkpoint(self.checkpoint, state)

    def _order_now(self) -> list[Tensor]:
        """The generators' states that the epoch to go on with starts from."""
        return self.order if self.trainer.step_in_epoch else [generator.get_state() for generator in self.generators]

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from where a checkpoint was written."""
        self.trainer.load_state(state["fitter"])
        self.trainer.augment.interpolation = state["config"]["interpolation"]
        self.history, self.sums = FitHistory.from_dict(state["history"]), dict(state["sums"])
        if self.history.info["held_on"] == "unseen":  # what earlier checkpoints call held-out images
            self.history.info["held_on"] = "held-out"
        self.early_stopping.load_state(state["stillness"])
        order = state["order"]
        if isinstance(order, Tensor) or order is None:  # of one generator or none, as earlier checkpoints have it
            order = [] if order is None else [order]
        self._set_order(order)


def _stopped_text(step: int) -> str:
    return (
        f"the fit stopped after step {step} since a loss, gradient or warp was not finite; the last good weights are "
        "kept. Lower learning_rate, or use the default objective."
    )
