"""What ``fit`` takes: bad input is named, and an instance or a class is fitted."""

import pytest
import torch

from learned_affine import AffineLimits, FitConfig, LearnedAffineAugment
from learned_affine.policy.network import LocalizationNetwork
from learned_affine.policy.raw_head import RawHead
from tests.fits import IMAGES, PAPER, ROUNDS, SETTLED, SHORT, loader, quick
from tests.subjects import Halves


def test_fit_on_an_instance_keeps_its_arguments():
    augment = LearnedAffineAugment(AffineLimits(10), localization=None, p=0.3)
    assert quick(augment=augment) is augment
    assert augment.p == 0.3 and augment.limits.angle == 10 and augment.history.rounds == SHORT.rounds + SETTLED
    with pytest.raises(TypeError, match="no constructor arguments, got p"):
        augment.fit(Halves(), loader(), p=1.0)


@pytest.mark.parametrize(
    ("config", "network", "other"), [(SHORT, LocalizationNetwork, RawHead), (PAPER, RawHead, LocalizationNetwork)]
)
def test_the_objective_decides_the_network(config, network, other):
    assert type(quick(config=config).localization) is network
    instance = LearnedAffineAugment(localization=other(1))
    assert type(quick(augment=instance, config=config).localization) is network


def test_a_network_is_taken_as_it_is():
    network = LocalizationNetwork(1, width=8)
    assert quick(localization=network).localization is network
    instance = LearnedAffineAugment(localization=network)
    assert quick(augment=instance).localization is network


def test_a_fit_within_wider_limits_learns_the_symmetries_that_they_allow():
    augment = LearnedAffineAugment(AffineLimits(symmetries="none"))
    augment.limits = AffineLimits()
    chances = quick(augment=augment, val_loader=loader()).policy(IMAGES).chances
    assert float(chances[:, 6].mean()) > 0.1  # upside-down, halves stay where they are


@pytest.mark.parametrize("config", [SHORT, PAPER])
def test_one_bar_with_what_was_measured(capsys, config):
    quick(progress=True, config=config)
    shown = capsys.readouterr().err
    assert "fit" in shown and "round" in shown and "entropy=" in shown
    rounds = 1 if config is PAPER else ROUNDS
    assert f"{rounds}/{rounds}" in shown  # so the time left is known
    assert (config is PAPER) or all(f"{name}=" in shown for name in ("cost", "budget"))


def test_no_bar_where_none_is_wanted(capsys):
    quick(progress=False)
    quick(progress=None)  # the output is no terminal
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        ({"classifier": lambda x: Halves()(x.detach()), "config": PAPER}, ValueError, "a gradient of 0 at every pixel"),
        ({"data": []}, ValueError, "at least one batch"),
        ({"data": 5}, TypeError, "loader must be iterable, got int"),
        ({"classifier": 3}, TypeError, "classifier must be callable"),
        ({"classifier": lambda x: torch.zeros(len(x), 2)}, ValueError, "depend on its input, got the same"),
        ({"config": "paper"}, TypeError, "config must be a FitConfig"),
        ({"preprocess": 3}, TypeError, "preprocess must be callable, got int"),
        ({"callbacks": 3}, TypeError, "callbacks must be callable, got int"),
        ({"callbacks": [print, "log"]}, TypeError, "callbacks must be callable, got str"),
        ({"val_loader": 3}, TypeError, "val_loader must be iterable"),
        ({"seed": True}, TypeError, "seed must be an int"),
        ({"val_loader": [], "config": FitConfig()}, ValueError, "val_loader must give at least one batch"),
        ({"localization": RawHead(1)}, TypeError, "must be a LocalizationNetwork for the objective 'calibrated', got "),
        ({"localization": LocalizationNetwork(), "config": PAPER}, TypeError, "a RawHead for the objective 'paper',"),
        *(
            ({gone: 1}, TypeError, f"^fit takes no keyword '{gone}' any more: .{{30}}")
            for gone in ("checkpoint", "resume", "log_dir", "max_steps")
        ),
    ],
)
def test_errors_name_what_is_wrong(options, error, named):
    with pytest.raises(error, match=named):
        quick(**options)


def test_held_out_images_are_given_by_name():
    by_name = r"val_loader must be given by its name: fit\(classifier, loader, val_loader=\.\.\.\)"
    for augment in (LearnedAffineAugment, LearnedAffineAugment()):
        with pytest.raises(TypeError, match=by_name):
            augment.fit(Halves(), loader(), loader())


def test_limits_that_allow_nothing_leave_nothing_to_fit():
    """They led to warnings that blamed the images and the target."""
    nothing = AffineLimits(0, 1, 0, 0, symmetries="none")
    for given in ({"limits": nothing}, {"augment": LearnedAffineAugment(nothing)}):
        with pytest.raises(ValueError, match=r"limits must leave something to learn, got AffineLimits\(angle=0.0, "):
            quick(**given)
    assert quick(limits=AffineLimits(0, 1, 0, 0, symmetries="mirror")).history.rounds > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_an_augmenter_of_another_precision_is_fitted_and_stays_one(dtype):
    assert quick(augment=LearnedAffineAugment().to(dtype)).localization.head.weight.dtype == dtype


def test_an_augmenter_of_inference_mode_is_refused():
    with torch.inference_mode():
        augment = LearnedAffineAugment()
    with pytest.raises(ValueError, match=r"augment must not be made under torch\.inference_mode"):
        quick(augment=augment)
