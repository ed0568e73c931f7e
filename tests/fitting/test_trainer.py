"""What a fit reaches step by step: the target is held, and a larger one gives wider policies."""

import copy
import math

import pytest
import torch
from torch import nn

from learned_affine import AffineLimits, FitConfig, LearnedAffineAugment
from learned_affine.fitting.trainer import PolicyTrainer
from learned_affine.objectives.adversary import Adversary
from learned_affine.objectives.target import Target
from learned_affine.policy.network import LocalizationNetwork
from learned_affine.policy.raw_head import RawHead
from learned_affine.runtime.distributed import Distributed
from learned_affine.tasks.model import Model
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


# -- held-out images of several sizes ---------------------------------------------------------------------------------

ROTATIONS = AffineLimits(angle=180, scale=1.0, shear=0.0, translate=0.0)
ODD = torch.rand(1, 1, 20, 24, generator=torch.Generator().manual_seed(0)), torch.tensor([0])


def test_one_odd_first_image_does_not_set_every_policy():
    """It alone bears any rotation; the others, of which there are 64, bear far less."""
    alone, spread = [(ODD[0].expand(20, -1, -1, -1), ODD[1].expand(20))], {}
    for name, held_out in {"odd first": [ODD, (IMAGES, LABELS)], "others": [(IMAGES, LABELS)], "odd": alone}.items():
        options = {"config": FitConfig(target=0.9, adversarial_weight=0), "val_loader": held_out, "limits": ROTATIONS}
        augment = silent(classifier=Halves(4.0), data=[(IMAGES, LABELS)], **options)
        spread[name] = augment.evaluate(Halves(), loader())["within_angle"]
    assert spread["odd first"] == pytest.approx(spread["others"], rel=0.2)
    assert spread["odd"] > 1.4 * spread["others"]


def test_held_out_images_of_every_size_are_judged():
    sizes = (16, 20, 24)
    held_out = [(nn.functional.interpolate(IMAGES, size=(side, side)), LABELS) for side in sizes]
    classifier, seen = Halves(), []
    classifier.register_forward_pre_hook(lambda module, args: seen.append((args[0].shape[-1], len(args[0]))))
    told = lambda values: seen.append(None)  # noqa: E731
    silent(classifier=classifier, data=loader(32), val_loader=held_out, max_steps=2, callbacks=told)
    begin = seen.index(None) + 1
    second_step = seen[begin : seen.index(None, begin)]
    judged = [sum(count for side, count in second_step if side == one) for one in sizes]
    # two draws and the mirrors of a quarter of 32 images; two draws and the mirrors of half of 16 held-out ones
    assert sum(judged) == 2 * 32 + 8 + 2 * 16 + 8 and min(judged[1:]) > 0


def test_held_out_images_of_two_sizes_lead_to_the_policy_of_one_size():
    """Enlarged pixel by pixel, which changes no warp by much: the same images are held at the same target."""
    twice = IMAGES[32:].repeat_interleave(2, -1).repeat_interleave(2, -2)
    ends = []
    for second in (IMAGES[32:], twice):
        held_out = [(IMAGES[:32], LABELS[:32]), (second, LABELS[32:])]
        options = {"data": [(IMAGES, LABELS)], "val_loader": held_out, "limits": ROTATIONS, "config": FitConfig()}
        augment = silent(classifier=Halves(4.0), **options)
        ends.append(augment.evaluate(Halves(), loader())["within_angle"])
    assert ends[0] == pytest.approx(ends[1], rel=0.1)


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
    augment = LearnedAffineAugment(localization=RawHead(1) if config.objective == "paper" else LocalizationNetwork(1))
    augment.localization.requires_grad_(True)
    processes = Distributed()
    adversary = Adversary(1, config, processes, CPU) if config.adversarial_weight else None
    model = Model(Halves(), labels=config.labels if config.objective == "calibrated" else "optional")
    return PolicyTrainer(augment, model, config, Target(0.3, "a test"), adversary, processes, CPU, seed=0)


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
    expected = {"loss", "entropy", "cross_entropy", "accuracy", "kl", "displacement"}
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
