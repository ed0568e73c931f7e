"""What holds of a fit in every task: measures, alarms, TensorBoard, going on after a break, several processes."""

import math

import pytest
import torch

from learned_affine.diagnostics.checks import check_fit
from learned_affine.fitting.history import KEYS
from tests.fits import same_weights
from tests.fitting.every_task import TASKS, fit, loader
from tests.processes import run

every_task = pytest.mark.parametrize("name", TASKS)
OF_CLASSES = {"entropy", "accuracy", "agreement"}  # which a loss of one's own does not know


@every_task
def test_history_holds_what_is_known(name):
    history = fit(name).history
    unknown = {key for key in KEYS if key in history and math.isnan(history[key][-1])}
    assert unknown == (OF_CLASSES if name == "own loss" else set())
    assert set(KEYS) <= set(history)
    assert history.info["task"] == {"binary": "binary", "multi-label": "multi-label", "own loss": "own loss"}.get(
        name, "single-label"
    )
    assert history.info["budget"] > 0 and history.info["target"] > history.info["held_out_cost"]
    check_fit(history, history.info["classes"], False)


@every_task
def test_evaluate_tells_what_is_known(name):
    classifier, _, options = TASKS[name]
    told = fit(name).evaluate(classifier, loader(name), **options)
    assert all(math.isfinite(value) for value in told.values())
    of_classes = {"entropy", "clean_entropy", "agreement", "accuracy", "clean_accuracy", "worst_class_loss"}
    assert of_classes & set(told) == (set() if name == "own loss" else of_classes)
    assert {"own_gain", "own_gain_error", "mirror_chance", "displacement", "visible_area"} < set(told)


@every_task
def test_n_and_n_steps_are_two_n_bit_by_bit(name, tmp_path):
    whole = fit(name)
    fit(name, checkpoint=tmp_path, max_steps=3)
    parts = fit(name, checkpoint=tmp_path, resume=True)
    assert parts.history.info["steps"] == 8 and same_weights(whole, parts)
    for key in set(KEYS) - {"seconds", "images_per_second"}:
        assert whole.history[key] == pytest.approx(parts.history[key], nan_ok=True, abs=1e-12), key


@pytest.mark.parametrize("other", ["binary", "weights", "label mirror"])
def test_a_checkpoint_of_another_task_is_refused(other, tmp_path):
    fit(other, checkpoint=tmp_path, max_steps=2)
    with pytest.raises(ValueError, match=r"is of another configuration \((task|label_mirror): "):
        fit("single-label", checkpoint=tmp_path, resume=True)


@every_task
def test_tensorboard_has_the_measures(name, tmp_path):
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    fit(name, log_dir=tmp_path)
    events = accumulators.EventAccumulator(str(tmp_path))
    events.Reload()
    assert {"epoch/loss", "epoch/cross_entropy", "epoch/mirror_chance"} <= set(events.Tags()["scalars"])


def test_two_processes_stay_equal_and_agree_with_one(tmp_path):
    pytest.importorskip("accelerate")
    main, other = run("tests.fitting.every_task", tmp_path / "two", 8, 2)
    (alone,) = run("tests.fitting.every_task", tmp_path / "one", 16, 1)
    for name in TASKS:
        assert all(torch.equal(mine, yours) for mine, yours in zip(main[name], other[name], strict=True)), name
        if name == "weights":  # without the ignored images, processes have batches of other sizes than one alone
            continue
        # sums in another order differ in the last digits, which spread by Adam
        for mine, yours in zip(main[name], alone[name], strict=True):
            torch.testing.assert_close(mine, yours, atol=5e-3, rtol=1e-3, msg=name)
