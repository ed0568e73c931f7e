"""The user's own accelerator, and parts of work that come to the whole."""

import warnings

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from learned_affine import LearnedAffineAugment
from learned_affine.diagnostics import FitWarning
from learned_affine.fitting.processes import Processes
from tests.fits import IMAGES, LABELS, SHORT, loader, quick, same_weights
from tests.subjects import Halves, small_net, vivid


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("rows", [0, 1, 7, 12])
def test_every_row_is_one_processs_own(rows, count):
    parts = []
    for rank in range(count):
        processes = Processes()
        processes.count, processes.rank = count, rank
        parts += [*range(rows)][processes.own(rows)]
    assert parts == [*range(rows)]


@pytest.fixture
def accelerator():
    """accelerate keeps its state for the whole process."""
    state = pytest.importorskip("accelerate.state")
    from accelerate import Accelerator

    state.AcceleratorState._reset_state(True)
    yield lambda **options: Accelerator(cpu=True, **options)
    state.AcceleratorState._reset_state(True)


def test_users_own_accelerator_changes_nothing(accelerator):
    assert same_weights(quick(), quick(accelerator=accelerator()))


def test_a_loader_that_accelerate_has_prepared_is_as_it_was(accelerator):
    data = TensorDataset(IMAGES, LABELS)
    prepared = accelerator().prepare(DataLoader(data, 16, sampler=DistributedSampler(data, 1, 0)))
    inner = prepared.batch_sampler.sampler
    for _ in prepared:
        pass
    before = prepared.iteration, inner.epoch
    assert before[0] == 1
    quick(data=prepared, val_loader=prepared)
    vivid().evaluate(Halves(), prepared)
    assert (prepared.iteration, inner.epoch) == before


def test_mixed_precision_of_a_prepared_classifier_leaves_warps_in_float32(accelerator, monkeypatch):
    warped, logits, grid_sample = [], [], nn.functional.grid_sample

    def spy(source, grid, *args, **options):
        warped.append((source.dtype, grid.dtype, torch.is_autocast_enabled("cpu")))
        return grid_sample(source, grid, *args, **options)

    monkeypatch.setattr(nn.functional, "grid_sample", spy)
    own, classifier = accelerator(mixed_precision="bf16"), small_net()
    classifier[0].register_forward_hook(lambda module, args, output: logits.append(output.dtype))
    quick(own.prepare_model(classifier, evaluation_mode=True), loader(), accelerator=own)
    assert set(warped) <= {(torch.float32, torch.float32, False)} and set(logits) == {torch.bfloat16}


def test_the_main_process_alone_decides_the_seed_and_warns(monkeypatch):
    """Another one has the seed that it was sent; with another each would match costs to other images."""
    own = Processes.from_main
    monkeypatch.setattr(Processes, "from_main", lambda self, value: 7 if isinstance(value, int) else own(self, value))
    monkeypatch.setattr(Processes, "is_main", False)
    with warnings.catch_warnings():
        warnings.simplefilter("error", FitWarning)
        augment = LearnedAffineAugment.fit(Halves(), loader(), seed=None, config=SHORT.replace(target=None))
    assert augment.history.info["seed"] == 7
