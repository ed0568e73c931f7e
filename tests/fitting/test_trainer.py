"""What a fit reaches step by step: the target is held, and a larger one gives wider policies."""

import copy
import math

import pytest
import torch

from learned_affine import AffineLimits, FitConfig, LearnedAffineAugment
from learned_affine.fitting.offline import NETWORKS
from learned_affine.fitting.trainer import PolicyTrainer
from learned_affine.objectives.adversary import Adversary
from learned_affine.objectives.target import Target
from learned_affine.runtime.distributed import Distributed
from learned_affine.tasks.classification import Classification
from tests.fits import loader, same_weights, silent
from tests.subjects import Halves, blobs

IMAGES, LABELS = blobs(64)
CPU = torch.device("cpu")


@pytest.mark.parametrize(("steps", "last", "within"), [(300, 50, 0.25), (200, 40, 0.15)])
def test_a_calibrated_fit_holds_the_target_and_widens_the_policy(steps, last, within):
    options = {"config": FitConfig(target=0.4, steps=steps), "limits": AffineLimits.wide()}
    history = silent(classifier=Halves(4.0), data=[(IMAGES, LABELS)], **options).history
    assert sum(history["cross_entropy"][-last:]) / last == pytest.approx(0.4, rel=within)
    assert history["kl"][-1] < 0.5 * history["kl"][0]


def test_a_larger_target_gives_a_wider_policy():
    options = {"classifier": Halves(4.0), "data": loader(32), "limits": AffineLimits.wide()}
    ends = [silent(config=FitConfig(target=target), **options).history["kl"][-1] for target in (0.12, 0.5)]
    assert ends[1] < ends[0] - 0.5


# -- one step ---------------------------------------------------------------------------------------------------------


CONFIGS = {
    "calibrated": FitConfig(),
    "with a discriminator": FitConfig(adversarial_weight=0.1),
    "predicted labels": FitConfig(labels="predicted"),
    "paper": FitConfig.paper(),
    "paper without a discriminator": FitConfig(objective="paper"),
}
every_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def trainer(config: FitConfig) -> PolicyTrainer:
    """Always the same one."""
    torch.manual_seed(0)
    augment = LearnedAffineAugment(localization=NETWORKS[config.objective](1))
    processes = Distributed()
    adversary = Adversary(1, config, processes, CPU) if config.adversarial_weight else None
    task = Classification(Halves(), labels=config.labels if config.objective == "calibrated" else "optional")
    return PolicyTrainer(augment, task, config, Target(0.3, "a test"), adversary, processes, CPU, seed=0)


def plain(state: object) -> object:
    """A state that can be compared."""
    if isinstance(state, torch.Tensor):
        return state.shape, state.flatten().tolist()
    if isinstance(state, dict):
        return {key: plain(value) for key, value in state.items()}
    return [plain(value) for value in state] if isinstance(state, list | tuple) else state


@every_config
def test_a_step_moves_the_network_and_tells_what_it_measured(config):
    one = trainer(config)
    before = copy.deepcopy(one.network)
    metrics = one.train_step(IMAGES, LABELS)
    expected = {"loss", "entropy", "cross_entropy", "kl", "displacement"}
    expected |= {"dual"} if config.objective == "calibrated" else set()
    expected |= {"discriminator_loss"} if config.adversarial_weight else set()
    assert set(metrics) == expected and all(math.isfinite(value) for value in metrics.values())
    assert (one.step, one.step_in_epoch) == (1, 1) and not same_weights(one.network, before)


@every_config
def test_a_measure_changes_nothing(config):
    one = trainer(config)
    one.train_step(IMAGES, LABELS)
    before = plain(copy.deepcopy(one.state()))
    first, again = (one.measure(IMAGES, LABELS, torch.Generator().manual_seed(1)) for _ in range(2))
    assert first == pytest.approx(again, nan_ok=True) and {"agreement", "visible_area", "output_spread"} <= set(first)
    assert plain(one.state()) == before


@every_config
def test_it_goes_on_from_its_state_bit_by_bit(config):
    one, other = trainer(config), trainer(config)
    for _ in range(3):
        one.train_step(IMAGES, LABELS)
    other.load_state(copy.deepcopy(one.state()))
    metrics, again = (each.train_step(IMAGES, LABELS) for each in (one, other))
    assert metrics == pytest.approx(again, nan_ok=True)
    assert plain(one.state()) == plain(other.state())


@every_config
def test_a_step_that_is_not_finite_changes_nothing(config):
    one = trainer(config)
    one.train_step(IMAGES, LABELS)
    good = copy.deepcopy(one.estimator.good)
    with torch.no_grad():
        one.network.head.bias.fill_(math.nan)
    assert one.train_step(IMAGES, LABELS) is None
    assert all(torch.equal(now, then) for now, then in zip(one.network.parameters(), good, strict=True))
    assert (one.step, one.step_in_epoch) == (1, 1)
    assert one.train_step(IMAGES, LABELS) is not None
