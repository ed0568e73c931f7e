"""The fit as a whole: what it learns, that it costs its budget, what it leaves behind however it ends."""

import functools
import math
import time

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from learned_affine import AffineLimits, FitConfig, LearnedAffineAugment
from learned_affine.diagnostics import FitWarning
from learned_affine.fitting import fit as fits
from learned_affine.fitting import learn
from learned_affine.policy.distribution import Policy
from learned_affine.policy.network import LocalizationNetwork
from learned_affine.tasks.model import temperature_of
from tests.fits import (
    IMAGES,
    LABELS,
    PAPER,
    SETTLED,
    SHORT,
    assert_same_fit,
    assert_same_policy,
    few_steps,
    loader,
    quick,
    same_weights,
    silent,
)
from tests.subjects import STILL, Halves

WIDE, HALVES, DATA = AffineLimits.wide(), Halves(4.0), [(IMAGES, LABELS)]
MEASURED = SHORT.replace(target=None)  # on held-out images


# -- what is learned --------------------------------------------------------------------------------------------------


@functools.cache
def fitted_well(seed: int) -> LearnedAffineAugment:
    """A fit that goes well: the side on which a blob is tells its class. There are 64 held-out images, which is few."""
    torch.manual_seed(seed)
    config = FitConfig(rounds=5, images=2000, target=0.3)
    return silent(classifier=HALVES, data=DATA, val_loader=DATA, config=config, limits=WIDE, seed=seed)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_held_out_images_cost_the_budget(seed):
    """By a judgement of our own: many draws, of warps and symmetries together, against the images as they are."""
    good, draws = fitted_well(seed), 50
    last, scale = good.history.last(), temperature_of(HALVES(IMAGES).detach(), LABELS)
    images, labels = IMAGES.repeat(draws, 1, 1, 1), LABELS.repeat(draws)
    drawn = good.policy(images).draw(Policy.noise(len(images), symmetries=True), WIDE)
    with torch.no_grad():
        warped, plain = (
            float(F.cross_entropy(HALVES(one) / scale, labels)) for one in (good.warp(images, drawn), images)
        )
    assert last["budget"] == pytest.approx(0.3 - plain, rel=1e-4)
    assert warped - plain == pytest.approx(last["budget"], rel=0.15)
    assert last["cost"] == pytest.approx(warped - plain, rel=0.15)


def test_symmetries_are_likely_where_they_are_free_and_rare_where_they_change_the_label():
    good = fitted_well(0)
    chances, last = good.policy(IMAGES).chances, good.history.last()
    assert float(chances[:, 6].mean()) > 0.4, "upside-down"
    assert float(chances[:, [2, 4]].max()) < 0.05, "left-right, and half a turn"
    assert last["symmetry_chance"] == pytest.approx(float((1 - chances[:, 0]).mean()), abs=1e-3)
    assert last["symmetry_spread"] == pytest.approx(float((1 - chances[:, 0]).std()), abs=1e-3)
    assert last["kl"] == pytest.approx(float(good.policy(IMAGES).kl().mean()), rel=1e-3)


def test_symmetries_do_not_get_what_narrow_limits_leave_of_the_budget():
    """Quarter turns of these images are wrong for some of them, however far the others may be warped."""
    data, held = [(IMAGES[:32], LABELS[:32])], [(IMAGES[32:], LABELS[32:])]
    turned = []
    for limits in (AffineLimits(), AffineLimits(angle=3, scale=1.02, shear=1, translate=0.01), STILL):
        config = FitConfig(images=600, target=0.5)
        fitted = silent(classifier=Halves(4.0), data=data, val_loader=held, config=config, limits=limits)
        turned.append(float(fitted.policy(IMAGES).chances[:, 1::2].sum(1).mean()))
    assert turned[0] > 0.1 and max(turned[1:]) < turned[0]


@pytest.mark.parametrize("word", ["all", "mirror", "none"])
def test_only_symmetries_that_the_limits_allow_are_tried_and_drawn(word):
    augment = quick(limits=AffineLimits(symmetries=word))
    assert augment.localization.symmetries == word
    allowed = {"all": 8, "mirror": 2, "none": 1}[word]
    assert int((augment.policy(IMAGES).chances > 0).any(0).sum()) == allowed
    assert (augment.history.last()["symmetry_chance"] > 0) == (allowed > 1)
    assert ("classes_moved" in augment.history.info) == (allowed > 1)


@pytest.mark.parametrize(("word", "others"), [("mirror", [1, 2, 3, 5, 6, 7]), ("none", [1, 2, 3, 4, 5, 6, 7])])
def test_a_network_that_knows_of_more_than_the_limits_allow_draws_no_more(word, others):
    network = LocalizationNetwork(1)
    augment = quick(localization=network, limits=AffineLimits(symmetries=word))
    chances = network(IMAGES, AffineLimits()).chances  # with limits that allow all
    assert augment.localization is network
    # an image that is nearly its own moved copy may be drawn as that
    assert float(chances[:, others].max()) < 0.01


# -- loaders and seeds ------------------------------------------------------------------------------------------------


def test_same_seed_same_policy_and_global_randomness_is_left_alone():
    state = torch.get_rng_state()
    first, second = (quick(data=loader(shuffle=True), val_loader=loader()) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert same_weights(first, second)
    assert not same_weights(first, quick(data=loader(shuffle=True), val_loader=loader(), seed=1))


def test_one_pass_over_an_iterator_is_enough():
    """Labels given and predicted; held-out images, too."""
    for config in (MEASURED, MEASURED.replace(labels="predicted")):
        whole = quick(data=list(loader()), val_loader=list(loader()), config=config)
        once = quick(data=iter(list(loader())), val_loader=iter(list(loader())), config=config)
        assert same_weights(whole, once)


def test_predicted_labels_need_none():
    """They are the classifier's own, so labels that are all wrong make no difference."""
    config = MEASURED.replace(labels="predicted")
    none, wrong = (quick(data=data, val_loader=data, config=config) for data in ([IMAGES], [(IMAGES, 1 - LABELS)]))
    assert same_weights(none, wrong)
    assert [row["right"][0] for row in none.history.info["classes_moved"]] == [1, 1]


class Slow(Halves):
    """A classifier that takes a time an image by a clock that is set by hand."""

    def __init__(self, clock: list, seconds: float) -> None:
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.clock[0] += self.seconds * len(images)
        return super().forward(images)


@pytest.mark.parametrize("seconds", [1e-4, 0.03, 0.1])
def test_a_slow_classifier_judges_fewer_images_and_the_fit_ends_in_time(monkeypatch, seconds):
    clock = [1000.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    config = FitConfig(rounds=4, images=4000, target=0.3, adversarial_weight=0)
    history = quick(Slow(clock, seconds), DATA, val_loader=DATA, config=config).history
    judged, settled = sum(history["seconds"][:-SETTLED]) / seconds, sum(history["seconds"][-SETTLED:])
    if seconds < 0.01:
        assert judged == pytest.approx(4000, abs=8)
    else:
        assert judged < 3500 and sum(history["seconds"]) - settled < 1.2 * fits.MOST_SECONDS


# -- how it ends ------------------------------------------------------------------------------------------------------


def test_callbacks_are_told_each_round():
    seen = []
    history = quick(callbacks=[seen.append]).history
    assert [values["round"] for values in seen] == [1, 2, 3, 4] and history.rounds == SHORT.rounds + SETTLED
    assert all(math.isfinite(values["cost"]) for values in seen)
    assert [values["price"] for values in seen] == history["price"]


class Breaks(Halves):
    """Raises in the middle of the third round."""

    rounds, error = 0, None

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.rounds == 2 and self.error is not None:
            raise self.error
        return super().forward(images)


@pytest.mark.parametrize("where", ["classifier", "callback", "regression"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_whatever_ends_it_the_policy_is_that_of_the_last_finished_round(where, error, monkeypatch):
    augment, classifier, found = LearnedAffineAugment(localization=LocalizationNetwork(1)), Breaks(4.0), []
    classifier.error = error() if where == "classifier" else None

    def note(values):
        found.append(augment.policy(IMAGES))
        classifier.rounds += 1
        if where == "callback" and values["round"] == 2:
            raise error()

    def regress(learner, *draws, own=learn.Learner._step):
        own(learner, *draws)
        if where == "regression" and classifier.rounds == 2:
            raise error()
        return torch.zeros(())

    monkeypatch.setattr(learn.Learner, "_step", regress)
    with pytest.raises(error):
        quick(classifier, augment=augment, val_loader=loader(), config=SHORT.replace(rounds=4), callbacks=note)
    network = augment.localization
    assert len(found) == 2 == augment.history.rounds and network.price == 1 and network.free == 0
    assert_same_policy(augment.policy(IMAGES), found[-1])
    assert not network.training and not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize(
    ("config", "call"),  # while probing, measuring the target, resampling, trying symmetries, judging; in an epoch
    [*((SHORT, call) for call in (0, 4, 8, 12, 16, 18)), (PAPER, 0), (PAPER, 5)],
)
def test_a_refit_that_ends_before_its_first_round_leaves_the_augmenter_as_it_was(config, call):
    augment = quick(Halves(4.0), val_loader=loader())
    network, history, found = augment.localization, augment.history, augment.policy(IMAGES)
    classifier, calls = Halves(4.0), []

    def stop(module, args):
        calls.append(args)
        if len(calls) > call:
            raise KeyboardInterrupt

    classifier.register_forward_pre_hook(stop)
    with pytest.raises(KeyboardInterrupt):
        quick(classifier, augment=augment, val_loader=loader(), config=config)
    assert len(calls) == call + 1 and augment.localization is network and augment.history is history
    assert_same_policy(augment.policy(IMAGES), found)
    assert network.price == 1 and network.free == 0 and not network.training


def test_a_refit_that_is_refused_leaves_the_augmenter_as_it_was():
    """The paper's objective needs floating images; this is known when its network is already made."""
    augment = quick(Halves(4.0), val_loader=loader())
    network, history = augment.localization, augment.history
    with pytest.raises(TypeError, match="floating images"):
        quick(augment=augment, config=PAPER, data=[((255 * IMAGES).byte(), LABELS)])
    assert augment.localization is network and augment.history is history


def test_autocast_is_for_the_classifier_alone():
    """Around a fit, it left its weights in bfloat16 for good, and the network learned nothing."""
    dtypes = set()

    def classifier(images):
        dtypes.add(F.linear(images.flatten(1), torch.ones(2, images[0].numel())).dtype)
        return HALVES(images)

    for config in (SHORT, PAPER):
        dtypes.clear()
        plain = quick(classifier, val_loader=loader(), config=config)
        assert dtypes == {torch.float32}
        dtypes.clear()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = quick(classifier, val_loader=loader(), config=config)
            assert torch.is_autocast_enabled("cpu")
        assert dtypes == {torch.bfloat16}
        assert_same_fit(mixed, plain)


@pytest.mark.parametrize("config", [SHORT, PAPER])
def test_another_default_dtype_harms_nothing(config):
    torch.set_default_dtype(torch.float64)
    try:
        double = quick(HALVES, val_loader=loader(), config=config)
        assert double(IMAGES).dtype == IMAGES.dtype and double(IMAGES.double()).dtype == torch.float64
        assert LearnedAffineAugment(p=1.0)(IMAGES.expand(-1, 3, -1, -1)).dtype == IMAGES.dtype
        assert 0 < double.history.last()["displacement"] < 1
        assert math.isfinite(double.evaluate(HALVES, loader())["accuracy"])
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("config", [SHORT, PAPER])
def test_another_default_device_changes_nothing(config):
    """As after ``torch.set_default_device("cuda")``; tensors on "meta" have no values at all."""
    given = list(loader())  # whose own tensors would be on the other device
    plain = quick(HALVES, given, val_loader=given, config=config)
    with torch.device("meta"):
        other = quick(HALVES, given, val_loader=given, config=config)
        judged = other.evaluate(HALVES, given)
    assert_same_fit(other, plain)
    assert judged == plain.evaluate(HALVES, given)


class Spoils(Halves):
    """Gives no numbers for a share of the images that it sees, from a round on."""

    def __init__(self, share: float, since: int = 0) -> None:
        super().__init__(4.0)
        self.share, self.since, self.rounds = share, since, 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = super().forward(images)
        if self.rounds < self.since:
            return logits
        return torch.where(torch.arange(len(images))[:, None] < self.share * len(images), math.nan, logits)


def spoilt(share: float, since: int) -> tuple[LearnedAffineAugment, list[Policy]]:
    classifier, augment, found = Spoils(share, since), LearnedAffineAugment(localization=LocalizationNetwork(1)), []

    def note(values):
        classifier.rounds += 1
        found.append(augment.policy(IMAGES))

    options = {"config": SHORT.replace(rounds=3), "callbacks": note, "val_loader": DATA}
    with few_steps():
        augment.fit(classifier, DATA, progress=False, **options)
    return augment, found


def test_costs_that_are_not_finite_are_left_out_and_counted():
    augment, found = spoilt(0.05, 1)
    assert len(found) == 3 + SETTLED and augment.history.info["not_finite"] > 10
    assert all(bool(tensor.isfinite().all()) for tensor in augment.localization.state_dict().values())
    assert all(math.isfinite(cost) for cost in augment.history["cost"])


@pytest.mark.parametrize("share", [0.4, 1.0])
@pytest.mark.parametrize("rounds", [1, 3, 4, 5])  # 3 by the configuration, and 3 that settle
def test_too_many_of_them_stop_the_fit_with_the_last_good_policy(rounds, share):
    with pytest.warns(FitWarning, match=f"stopped-fit: .*the fit stopped in round {rounds + 1} since") as told:
        augment, found = spoilt(share, rounds)
    assert len([one for one in told if getattr(one.message, "kind", "") == "stopped-fit"]) == 1
    assert len(found) == rounds == augment.history.rounds
    assert_same_policy(augment.policy(IMAGES), found[-1])


class Pooled(nn.Module):
    """Convolutions in the format that models are made in, then what makes a row of an image."""

    def __init__(self, as_rows) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.before = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2))
        self.as_rows, self.last, self.formats = as_rows, nn.Linear(8 * 7 * 7, 2), []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.formats.append(images.is_contiguous(memory_format=torch.channels_last))
        return self.last(self.as_rows(self.before(images)))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this is how a CPU is fast")
def test_a_classifier_gets_channels_last_where_it_takes_it():
    """Where a classifier views activations as rows, that format is an error: there everything stays as it is."""
    colour = IMAGES.expand(-1, 3, -1, -1)
    takes, views = Pooled(lambda x: x.flatten(1)), Pooled(lambda x: x.view(len(x), -1))
    views.load_state_dict(takes.state_dict())
    quicker, plain = (quick(net, [(colour, LABELS)], val_loader=[(colour, LABELS)]) for net in (takes, views))
    assert sum(takes.formats[4:]) == len(takes.formats[4:]) and sum(views.formats[4:]) == 0
    assert_same_policy(quicker.policy(colour), plain.policy(colour))
