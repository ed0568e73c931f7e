"""Mirrors in a fit: which images may be flipped is learned, told, and as exact as the rest of the fit."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from learned_affine.fitting.estimators import ScoreFunctionEstimator
from learned_affine.fitting.trainer import PolicyTrainer
from learned_affine.objectives.target import Target
from learned_affine.policy.mirrors import CLIP, MirrorBuffer, MirrorCosts
from learned_affine.runtime.checkpoint import NAME, read_checkpoint
from learned_affine.runtime.distributed import Distributed
from torch import nn

from learned_affine import AffineLimits, FitConfig, LearnedAffineAugment
from learned_affine.diagnostics import StoppedFitWarning
from learned_affine.policy.distribution import Policy
from learned_affine.policy.network import UNIT, LocalizationNetwork
from learned_affine.tasks.model import Model
from tests.fits import loader, quick, same_weights, silent
from tests.subjects import Halves, Sides, blobs, sides

IMAGES, LABELS = blobs(64)
CPU = torch.device("cpu")


def chances(augment: LearnedAffineAugment, images: torch.Tensor = IMAGES) -> torch.Tensor:
    return augment.localization(images).mirror_chance.detach()


# -- what is learned --------------------------------------------------------------------------------------------------


def lopsided_and_even() -> tuple[torch.Tensor, torch.Tensor]:
    """Blobs on one side, which tells their class, and as many images that are their own mirror image."""
    even = IMAGES[::2] + IMAGES[::2].flip(-1)
    return torch.cat([IMAGES[::2], IMAGES[1::2], even]), torch.cat([LABELS[::2], LABELS[1::2], LABELS[::2]])


@pytest.mark.parametrize(("held_out", "seed"), [(True, 0), (True, 1), (False, 0)])
def test_the_chance_is_near_0_where_a_mirror_changes_the_label_and_large_where_it_is_free(held_out, seed):
    data = [lopsided_and_even()]
    options = {"val_loader": data, "config": FitConfig()} if held_out else {"config": FitConfig(target=0.4)}
    augment = silent(classifier=Halves(4.0), data=data, limits=AffineLimits.wide(), seed=seed, **options)
    chance = chances(augment, data[0][0])
    assert float(chance[:64].max()) < 0.1 and float(chance[:64].mean()) < 0.05
    assert float(chance[64:].mean()) > 0.35 and float(chance[64:].min()) > 0.2


def test_few_images_that_name_a_side_are_told_from_the_others():
    """One in forty, which hardly counts in any mean; the images that are judged were not in the fit."""
    options = {"data": [sides(160, 0)], "val_loader": [sides(160, 1)], "config": FitConfig(steps=120)}
    augment = silent(classifier=Sides(), limits=AffineLimits.wide(), padding_mode="zeros", **options)
    images, labels = sides(160, 2)
    chance = chances(augment, images)
    assert float(chance[labels < 2].max()) < 0.1 and float(chance[labels >= 2].min()) > 0.35


@pytest.mark.parametrize("price", [0.5, 3.0, 20.0])
@pytest.mark.parametrize("cost", [0.0, 0.1, 0.6])
def test_the_best_chance_is_known_in_closed_form(price, cost):
    """``KL + lam m d`` is least at ``logit m = -lam d``: by a fine search."""
    logit = torch.linspace(-20, 20, 400_001, dtype=torch.float64)
    coin, fair = torch.distributions.Bernoulli(logits=logit), torch.distributions.Bernoulli(torch.tensor(0.5).double())
    loss = torch.distributions.kl_divergence(coin, fair) + price * cost * coin.probs
    assert float(logit[loss.argmin()]) == pytest.approx(-price * cost, abs=1e-3)


def estimator(**options) -> ScoreFunctionEstimator:
    torch.manual_seed(0)
    network = LocalizationNetwork(1, **options)
    return ScoreFunctionEstimator(network, AffineLimits(), 1.0, FitConfig(learning_rate=0.01), Distributed())


def learn(one: ScoreFunctionEstimator, draw_costs, steps: int, log_dual: float) -> None:
    """Regress the network to costs that ``draw_costs`` gives for each step, as a fit does."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        one.learn_mirrors(draw_costs(), log_dual)
        one.backward(one.mirrors.loss(one.network, generator))
        one.optimizer.step()


def test_the_fixed_point_is_minus_the_dual_variable_times_the_cost():
    """Of noisy differences in cost; what mirrors bring (a cost below 0) is worth no more than a half."""
    one, truth = estimator(), torch.linspace(-0.4, 0.8, 4).repeat(16)
    images = torch.stack([(IMAGES[0] + 0).roll(4 * (place % 4), -1) for place in range(64)])
    observation = one.network.observe(images)
    noise = torch.Generator().manual_seed(1)

    def draw_costs():
        cost = truth + 0.1 * torch.randn(64, generator=noise)
        return [MirrorCosts(observation, cost, torch.ones(64, dtype=torch.bool), torch.zeros(64).long())]

    learn(one, draw_costs, 300, math.log(4.0))
    logit = one.network(images).mirror_logit.detach()
    torch.testing.assert_close(-one.network.mirror_output(observation).detach() / UNIT, truth, atol=0.04, rtol=0)
    torch.testing.assert_close(logit, (-4 * truth).clamp_max(0), atol=0.16, rtol=0)
    one.learn_mirrors(draw_costs(), math.log(9.0))  # the price is a mean of the last ones
    assert one.network.price == pytest.approx(math.exp((19 * math.log(4) + math.log(9)) / 20) / UNIT)


@pytest.mark.parametrize("more", [0.0, 0.5])
def test_training_images_are_shifted_to_the_mean_of_held_out_ones(more):
    """By heart mirrors cost ``more``; the kinds of images are in other proportions among training and held-out ones."""
    one = estimator()
    kinds = torch.stack([IMAGES[0], IMAGES[0].roll(8, -1)])
    training, held_out = torch.arange(64) % 4 == 0, torch.arange(64) % 4 != 0  # of the second kind a quarter, and 3/4
    images = torch.cat([kinds[training.long()], kinds[held_out.long()]])
    cost = torch.cat([training, held_out]).float() * 0.6 + torch.tensor([more, 0.0]).repeat_interleave(64)
    known, labels = torch.arange(128) >= 64, torch.zeros(128).long()
    observation = one.network.observe(images)
    learn(one, lambda: [MirrorCosts(observation, cost, known, labels)], 300, 0.0)
    found = -one.network.mirror_output(one.network.observe(kinds)).detach() / UNIT
    torch.testing.assert_close(found, torch.tensor([0.0, 0.6]), atol=0.05, rtol=0)
    assert one.mirrors.gap == pytest.approx(more, abs=0.05)


def test_costs_are_cut_so_that_a_few_wild_ones_do_not_count():
    buffer = MirrorBuffer()
    buffer.add(MirrorCosts(torch.zeros(3, 1), torch.tensor([-50.0, 0.5, 50.0]), torch.ones(3).bool(), torch.zeros(3)))
    assert buffer.kept[0].cost.tolist() == [-CLIP, 0.5, CLIP]


# -- what is tried ----------------------------------------------------------------------------------------------------


def trainer(classifier: nn.Module, config: FitConfig, limits: AffineLimits | None = None) -> PolicyTrainer:
    torch.manual_seed(0)
    augment = LearnedAffineAugment(limits, localization=LocalizationNetwork(1))
    augment.localization.requires_grad_(True)
    model = Model(classifier, labels=config.labels)
    return PolicyTrainer(augment, model, config, Target(0.3, "a test"), None, Distributed(), CPU, seed=0)


def test_the_cost_of_a_mirror_is_the_difference_between_the_two_sides_of_one_draw():
    """By hand: an image warped as in the step's last draw, after a flip by torchvision and without one."""
    classifier = Halves(4.0)
    one = trainer(classifier, FitConfig(entropy_weight=0.0))
    drawn, noise = [], copy.deepcopy(one.noise.get_state())
    draw = one.estimator.draw
    one.estimator.draw = lambda *arguments: drawn.append(draw(*arguments)) or drawn[-1]
    one.train_step(IMAGES, LABELS)
    kept = one.estimator.mirrors.kept[0]
    assert len(kept.cost) == 16 and not bool(kept.held_out.any()), "of a quarter of the training images"
    generator = torch.Generator()
    generator.set_state(noise)
    torch.randn(2, 64, 6, generator=generator)
    rows = torch.randperm(64, generator=generator)[:16]
    parameters = drawn[0].parts()[-1][rows]
    costs = []
    for images in (IMAGES[rows], IMAGES[rows].flip(-1)):
        logits = classifier(one.augment.warp(images, parameters))
        costs.append(nn.functional.cross_entropy(logits, LABELS[rows], reduction="none"))
    torch.testing.assert_close(kept.cost, (costs[1] - costs[0]).detach().clamp(-CLIP, CLIP), atol=1e-4, rtol=1e-4)
    assert torch.equal(kept.label, LABELS[rows])


@pytest.mark.parametrize("labels", ["given", "predicted"])
def test_a_mirror_costs_an_even_image_nothing_whatever_the_warp(labels):
    """Without sampling noise: both sides are judged under the same draw."""
    even = IMAGES + IMAGES.flip(-1)
    one = trainer(Halves(20.0), FitConfig(labels=labels), AffineLimits.wide())
    for _ in range(3):
        one.train_step(even, LABELS)
    for kept in one.estimator.mirrors.kept:
        assert float(kept.cost.abs().max()) < 1e-3


def test_what_mirrors_cost_counts_at_the_target():
    """The cross entropy of a step is that of the policy with its mirrors: more than without by chance times cost."""
    found = {}
    for limits in (AffineLimits(1, 1.01, 1, 0.01), AffineLimits(1, 1.01, 1, 0.01, symmetries="none")):
        one = trainer(Halves(4.0), FitConfig(), limits)
        found[limits.mirror] = one.train_step(IMAGES, LABELS)["cross_entropy"]
    plain, flipped = (Halves(4.0)(images).detach() for images in (IMAGES, IMAGES.flip(-1)))
    cost = nn.functional.cross_entropy(flipped, LABELS) - nn.functional.cross_entropy(plain, LABELS)
    assert found[True] - found[False] == pytest.approx(0.05 * float(cost), rel=0.05)  # an unfitted network's chance


def test_the_worst_class_is_the_one_that_mirrors_cost_most_by_hand():
    network = LocalizationNetwork(1, per_image=False)
    with torch.no_grad():
        network.head.bias[-1] = math.log(0.25 / 0.75)
    buffer = MirrorBuffer()
    labels = torch.tensor([0, 0, 1, 1, 2, 2, -1])
    costs = torch.tensor([0.0, 0.2, 1.0, 0.6, 0.1, 0.1, 2.0])
    for held_out in (False, True):
        cost = costs if held_out else 3 * costs.flip(0)  # training images are known by heart, and do not count here
        buffer.add(MirrorCosts(torch.ones(7, 64), cost, torch.full((7,), held_out), labels))
    worst = buffer.worst_class(network)
    assert worst == pytest.approx({"class": 1, "chance": 0.25, "cost": 0.2})
    assert buffer.worst_class(network, strength=0.5) == pytest.approx({"class": 1, "chance": 0.125, "cost": 0.1})
    buffer.kept[1] = buffer.kept[1]._replace(label=torch.full((7,), -1))
    assert buffer.worst_class(network) is None


# -- what is told -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_history_and_evaluation_tell_the_same_chances(strength):
    data = [lopsided_and_even()]
    options = {"val_loader": data, "config": FitConfig(), "strength": strength}
    augment = silent(classifier=Halves(4.0), data=data, limits=AffineLimits.wide(), **options)
    chance = strength * chances(augment, data[0][0])
    last, found = augment.history.last(), augment.evaluate(Halves(4.0), data)
    for told in (last, found):
        assert told["mirror_chance"] == pytest.approx(float(chance.mean()), rel=1e-4)
        assert told["mirror_spread"] == pytest.approx(float(chance.std()), rel=1e-4)
    assert last["mirror_spread"] > 0.05
    worst = augment.history.info["worst_mirrored_class"]
    assert worst["class"] in (0, 1) and 0 <= worst["chance"] <= strength / 2 and worst["cost"] < 0.25


# -- without mirrors --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [FitConfig(target=0.4, steps=12), FitConfig(steps=12, adversarial_weight=0.1)])
def test_limits_without_mirrors_lead_to_the_weights_of_a_network_without_mirrors(config):
    batches, fitted = list(loader()), {}
    for able, allowed in ((False, False), (False, True), (True, False)):
        torch.manual_seed(0)
        network, options = LocalizationNetwork(1, mirrors=able), {"val_loader": batches, "config": config}
        augment = silent(data=batches, localization=network, limits=AffineLimits(mirror=allowed), **options)
        fitted[able, allowed] = augment
        assert augment.history.last()["mirror_chance"] == augment.history.last()["mirror_spread"] == 0
        assert augment.history.info["worst_mirrored_class"] is None
        assert augment.evaluate(Halves(), batches)["mirror_chance"] == 0
        assert not bool(augment.sample_parameters(IMAGES.repeat(8, 1, 1, 1)).mirror.any())
    assert same_weights(fitted[False, False], fitted[False, True])
    unable, unused = (fitted[key].localization.head.weight for key in ((False, True), (True, False)))
    torch.testing.assert_close(unused[:27], unable, atol=1e-4, rtol=0)
    assert bool((unused[27:] == 0).all()), "what is not used is not learned"


def test_a_fit_makes_a_network_that_can_do_what_the_limits_allow():
    for mirror in (True, False):
        network = quick(limits=AffineLimits(mirror=mirror)).localization
        assert network.mirrors == mirror and network.head.bias.shape == (27 + mirror,)


# -- cut off ----------------------------------------------------------------------------------------------------------

SIZES = [(IMAGES[:32], LABELS[:32]), (nn.functional.interpolate(IMAGES[32:], size=(20, 20)), LABELS[32:])]


def fit(steps: int, folder, **options) -> LearnedAffineAugment:
    options = {"config": FitConfig(steps=30), "val_loader": SIZES, "checkpoint": folder, **options}
    return silent(classifier=Halves(4.0), data=loader(16, shuffle=True), max_steps=steps, **options)


def leaves(state: object, path: str = "") -> dict[str, object]:
    """Every tensor and number of a state by its path."""
    if isinstance(state, dict | list | tuple):
        items = state.items() if isinstance(state, dict) else enumerate(state)
        return {key: value for name, inner in items for key, value in leaves(inner, f"{path}/{name}").items()}
    return {path: state}


@pytest.mark.parametrize("cuts", [(1,), (4,), (6, 9)], ids=str)
def test_a_fit_that_was_cut_off_goes_on_with_buffer_gap_and_prices(tmp_path, cuts):
    whole, parts = fit(12, tmp_path / "whole"), None
    for steps in (*cuts, 12):
        parts = fit(steps, tmp_path / "parts", resume=True)
    assert same_weights(whole, parts) and torch.equal(chances(whole), chances(parts))
    ends = [leaves(read_checkpoint(tmp_path / name / NAME, {})["fitter"]) for name in ("whole", "parts")]
    assert ends[0].keys() == ends[1].keys()
    assert {"/mirrors/gap", "/price", "/log_prices/11", "/mirrors/kept/11/1"} <= ends[0].keys()
    assert ends[0]["/mirrors/gap"] != 0 and ends[0]["/price"] != 1
    for path, value in ends[0].items():
        same = torch.equal(value, ends[1][path]) if isinstance(value, torch.Tensor) else value == ends[1][path]
        assert same, path
    assert whole.history.info["worst_mirrored_class"] == parts.history.info["worst_mirrored_class"]


def test_a_fit_with_mirrors_does_not_go_on_without(tmp_path):
    fit(2, tmp_path)
    with pytest.raises(ValueError, match=r"of another configuration \(limits: .*'mirror': True.*'mirror': False"):
        fit(4, tmp_path, resume=True, limits=AffineLimits(symmetries="none"))


class Stops:
    """A callback that takes down the chances of each step, and raises at the fourth."""

    def __init__(self, augment: LearnedAffineAugment, error: BaseException | None) -> None:
        self.augment, self.error, self.found = augment, error, []

    def __call__(self, values: dict) -> None:
        self.found.append((chances(self.augment), self.augment.localization.price))
        if values["step"] == 4 and self.error is not None:
            raise self.error


def breaks_off():
    yield from [(IMAGES, LABELS)] * 5
    raise OSError("disk gone")


@pytest.mark.parametrize("way", ["done", "error", "Ctrl-C", "loader", "not finite"])
def test_however_a_fit_ends_the_network_has_the_chances_of_its_last_step(way):
    """While it is under way the network gives costs, and their price stands beside; afterwards there is no price."""
    augment = LearnedAffineAugment(localization=LocalizationNetwork(1))
    error = {"error": RuntimeError("boom"), "Ctrl-C": KeyboardInterrupt()}.get(way)
    stops, options = Stops(augment, error), {"config": FitConfig(target=0.4, steps=8)}
    if way == "not finite":
        data = [(IMAGES, LABELS)]

        def callback(values):
            stops(values)
            if values["step"] == 4:
                with torch.no_grad():
                    augment.localization.head.bias.fill_(math.nan)

        with pytest.warns(StoppedFitWarning):
            augment.fit(Halves(4.0), data, callbacks=callback, progress=False, **options)
        stops.found.pop()  # spoilt after it was taken
    else:
        data = breaks_off() if way == "loader" else [(IMAGES, LABELS)]
        expected = {"error": RuntimeError, "Ctrl-C": KeyboardInterrupt, "loader": OSError}.get(way)
        options |= {"classifier": Halves(4.0), "data": data, "callbacks": stops}
        if expected is None:
            silent(augment, **options)
        else:
            with pytest.raises(expected):
                silent(augment, **options)
    network, (chance, price) = augment.localization, stops.found[-1]
    assert network.price == 1 and price != 1
    tolerance = 0.02 if way == "not finite" else 1e-6  # of the step that is taken back the price stays
    torch.testing.assert_close(chances(augment), chance, atol=tolerance, rtol=1e-4)
    assert not network.training and not any(parameter.requires_grad for parameter in network.parameters())
    mirrored = torch.stack([augment.sample_parameters(IMAGES).mirror for _ in range(200)]).float()
    assert float(mirrored.mean()) == pytest.approx(float(chance.mean()), abs=4 * 0.5 / math.sqrt(200 * 64))


def test_an_augmenter_that_is_fitted_again_starts_from_the_chances_that_it_had():
    augment = quick(config=FitConfig(target=0.4, steps=20), max_steps=None, classifier=Halves(4.0))
    before, first = chances(augment), []
    options = {"config": FitConfig(target=0.4, learning_rate=1e-9), "max_steps": 1}
    silent(augment, classifier=Halves(4.0), callbacks=lambda _: first.append(chances(augment)), **options)
    torch.testing.assert_close(first[0], before, atol=1e-4, rtol=1e-3)


# -- the divergence ---------------------------------------------------------------------------------------------------


def test_the_divergence_of_a_policy_is_that_of_its_parts():
    """Six numbers and a coin, independent of each other: by torch's own distributions."""
    torch.manual_seed(0)
    mean, lower = torch.randn(5, 6).double(), torch.randn(5, 6, 6).double().tril(-1)
    policy = Policy(mean, lower + torch.diag_embed(torch.rand(5, 6).double() + 0.1), -3 * torch.rand(5).double())
    normal = torch.distributions.MultivariateNormal
    six = torch.distributions.kl_divergence(
        normal(mean, scale_tril=policy.scale_tril), normal(torch.zeros(6).double(), 0.81 * torch.eye(6).double())
    )
    coin = torch.distributions.kl_divergence(
        torch.distributions.Bernoulli(logits=policy.mirror_logit),
        torch.distributions.Bernoulli(torch.tensor(0.5).double()),
    )
    torch.testing.assert_close(policy.kl(), six + coin)
    torch.testing.assert_close(replace(policy, mirror_logit=None).kl(), six)
