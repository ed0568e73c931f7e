"""Several processes: equal ranks, the result of one process at the same global batch, one log; mixed precision."""

import pytest
import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler, SequentialSampler, TensorDataset

from learned_affine import FitConfig
from learned_affine.runtime.distributed import Distributed, ShardedBatchSampler
from tests.fits import IMAGES, LABELS, loader, quick, same_weights
from tests.processes import run
from tests.subjects import Halves, blobs, small_net, vivid


def test_two_processes_stay_equal_and_agree_with_one(tmp_path):
    pytest.importorskip("accelerate")
    main, other = run("tests.runtime.two_processes", tmp_path / "two", 8, 2)
    (alone,) = run("tests.runtime.two_processes", tmp_path / "one", 16, 1)
    for name, weights in main["weights"].items():
        for key, value in weights.items():
            assert torch.equal(value, other["weights"][name][key]), (name, key)
        assert torch.equal(main["loss"][name], other["loss"][name])
    # sums in another order differ in the last digits, which spread by Adam: its first steps are all of one size
    for name in ("whole", "unbroken", "sizes"):  # without held-out images, with some, and with some of two sizes
        for key, value in main["weights"][name].items():
            torch.testing.assert_close(value, alone["weights"][name][key], atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(main["loss"][name], alone["loss"][name], atol=1e-3, rtol=1e-3)
        chance = main["chances"][name]
        torch.testing.assert_close(chance, alone["chances"][name], atol=1e-4, rtol=1e-3)
        assert float((chance - 0.05).abs().max()) > 0.01, "mirrors are learned, too"
    for key, value in main["weights"]["parts"].items():
        assert torch.equal(value, main["weights"]["unbroken"][key])  # N + N = 2 N
    assert main["steps"] == [12] * 5 and main["processes"] == [2] * 5
    assert (main["told"], other["told"]) == (12, 0) and (main["warnings"], other["warnings"]) == (1, 0)
    assert len(list((tmp_path / "two" / "log").glob("events*"))) == 1
    assert (tmp_path / "two" / "fit.pt").exists()


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("images", [1, 7, 12, 13])
def test_batches_are_shared_out_evenly_and_none_is_lost(images, count):
    batches = BatchSampler(SequentialSampler(range(images)), 2, drop_last=False)
    shares = [list(ShardedBatchSampler(batches, rank, count)) for rank in range(count)]
    assert {len(share) for share in shares} == {len(ShardedBatchSampler(batches, 0, count))}
    assert {tuple(batch) for share in shares for batch in share} == {tuple(batch) for batch in batches}
    given = [share[step] for step in range(len(shares[0])) for share in shares]
    assert given[: len(batches)] == list(batches)  # step k of all is step k of one with a larger batch


def test_what_is_split_already_is_left_alone():
    data = TensorDataset(*blobs(8))
    processes = Distributed()
    processes.count = 2
    sampled = DataLoader(data, 2, sampler=DistributedSampler(data, 2, 0))
    for given in ([1, 2], sampled, DataLoader(data, batch_size=None)):
        assert processes.shard(given) is given
    assert len(processes.shard(DataLoader(data, 2))) == 2


@pytest.fixture
def accelerate_state():
    """accelerate keeps its state for the whole process."""
    state = pytest.importorskip("accelerate.state")
    state.AcceleratorState._reset_state(True)
    yield
    state.AcceleratorState._reset_state(True)


def test_users_own_accelerator_changes_nothing(accelerate_state):
    from accelerate import Accelerator

    plain, own = quick(), quick(accelerator=Accelerator(cpu=True))
    assert same_weights(plain, own)


def test_a_loader_that_accelerate_has_prepared_is_as_it_was(accelerate_state):
    from accelerate import Accelerator

    data = TensorDataset(IMAGES, LABELS)
    loader = Accelerator(cpu=True).prepare(DataLoader(data, 16, sampler=DistributedSampler(data, 1, 0)))
    inner = loader.batch_sampler.sampler
    for _ in loader:
        pass
    before = loader.iteration, inner.epoch
    assert before[0] == 1
    quick(data=loader, val_loader=loader, config=FitConfig(steps=12), max_steps=None)
    assert (loader.iteration, inner.epoch) == before
    vivid().evaluate(Halves(), loader)
    assert (loader.iteration, inner.epoch) == before


def test_mixed_precision_leaves_warps_in_float32(accelerate_state, monkeypatch):
    from accelerate import Accelerator

    warped, logits, grid_sample = [], [], nn.functional.grid_sample

    def spy(source, grid, *args, **options):
        warped.append((source.dtype, grid.dtype, torch.is_autocast_enabled("cpu")))
        return grid_sample(source, grid, *args, **options)

    monkeypatch.setattr(nn.functional, "grid_sample", spy)
    classifier = small_net()
    classifier[0].register_forward_hook(lambda module, args, output: logits.append(output.dtype))
    mixed = quick(classifier, loader(), accelerator=Accelerator(cpu=True, mixed_precision="bf16"), max_steps=8)
    assert set(warped) == {(torch.float32, torch.float32, False)}
    assert torch.bfloat16 in logits
    plain = quick(classifier, loader(), max_steps=8)
    assert mixed.history["kl"][-1] == pytest.approx(plain.history["kl"][-1], rel=0.02)
    assert mixed.history["cross_entropy"][-1] == pytest.approx(plain.history["cross_entropy"][-1], rel=0.05)
