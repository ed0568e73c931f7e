"""The target of a fit: where it comes from, what it is measured on, and at which temperature."""

import math

import pytest
import torch
from torch import nn

from learned_affine import FitConfig
from learned_affine.objectives.target import LEAST, TARGET_IMAGES, Target, keep_held_out, measure_target, up_to
from learned_affine.runtime.distributed import Distributed
from learned_affine.tasks.classification import Classification, temperature_of
from tests.fits import silent
from tests.subjects import Halves, blobs

IMAGES, LABELS = blobs(64)
NOISY = torch.where(torch.rand(64, generator=torch.Generator().manual_seed(0)) < 0.2, 1 - LABELS, LABELS)
CPU = torch.device("cpu")


def measure(config=None, training=((IMAGES, LABELS),), held_out=((IMAGES, NOISY),), labels="given") -> Target:
    """The target of a fit to ``Halves``, from lists of batches; None for none."""
    openers = [None if batches is None else (lambda batches=batches: batches) for batches in (training, held_out)]
    task = Classification(Halves(), labels=labels)
    with torch.no_grad():
        return measure_target(task, config or FitConfig(), *openers, Distributed(), CPU, seed=0)


def logits() -> torch.Tensor:
    with torch.no_grad():
        return Halves()(IMAGES)


def cross_entropy(labels: torch.Tensor, temperature: float = 1.0) -> float:
    return float(nn.functional.cross_entropy(logits() / temperature, labels))


def fit(classifier=None, **options):
    return silent(classifier=classifier, data=[(IMAGES, LABELS)], **{"config": FitConfig(steps=30), **options})


# -- where it comes from ----------------------------------------------------------------------------------------------


def test_the_target_is_a_share_of_what_is_known():
    scale = temperature_of(logits(), NOISY)
    plain = cross_entropy(NOISY, scale)
    info = fit(config=FitConfig(tolerance=0.2, steps=1), val_loader=[(IMAGES, NOISY)]).history.info
    assert info["target"] == pytest.approx(plain + 0.2 * (math.log(2) - plain), rel=1e-5)
    assert info["held_on"] == "held-out"
    assert fit(config=FitConfig(target=0.4, steps=1)).history.info["held_on"] == "training"


def test_a_given_target_is_held_at_the_temperature_of_the_held_out_images():
    found = measure(FitConfig(target=0.4))
    assert (found.value, found.temperature) == (0.4, temperature_of(logits(), NOISY))
    assert found.source == "FitConfig.target, on held-out images (val_loader)" and len(found.held_out.images) == 64


def test_a_given_target_without_held_out_images_is_held_on_the_training_images():
    assert measure(FitConfig(target=0.4), held_out=None) == Target(0.4, "FitConfig.target")


def test_without_held_out_images_the_target_is_a_guess_and_said_to_be_one():
    with pytest.warns(UserWarning, match="without val_loader the target is a guess"):
        found = measure(training=[(IMAGES, NOISY)], held_out=None)
    cost = cross_entropy(NOISY)
    assert found.value == pytest.approx(cost + 0.25 * max(math.log(2) - cost, 0), rel=1e-5)
    assert found.held_out is None and found.temperature == 1


def test_predicted_labels_cost_what_the_classifiers_own_answers_do():
    found = measure(FitConfig(labels="predicted", tolerance=0.2), labels="predicted")
    own = max(cross_entropy(logits().argmax(-1)), LEAST)
    assert found.value == pytest.approx(own + 0.2 * (math.log(2) - own), rel=1e-5)
    assert found.temperature == 1, "which labels of its own would drive to 0"


def test_the_paper_has_none():
    found = measure(FitConfig.paper())
    assert (found.value, found.held_out) == (0.0, None) and "paper" in found.source


# -- what it is measured on -------------------------------------------------------------------------------------------


def test_it_is_measured_on_some_thousand_images_and_no_more():
    given = []

    def forever():
        while True:
            given.append(64)
            yield IMAGES, NOISY

    assert measure(held_out=forever()).value == pytest.approx(measure().value, rel=1e-5)
    assert TARGET_IMAGES <= sum(given) < TARGET_IMAGES + 64


def test_the_images_that_are_kept_are_kept_again():
    batches = [(torch.rand(500, 1, 4, 4), torch.arange(500) % 2) for _ in range(9)]
    first, again = (keep_held_out(lambda: iter(batches), seed=3) for _ in range(2))
    assert torch.equal(torch.stack(first.images), torch.stack(again.images))
    assert sum(len(images) for images, _ in up_to(batches, 4000)) == 4000


def test_an_iterator_alone_has_nothing_to_measure_on():
    with pytest.raises(ValueError, match=r"loader must be one that can be passed over again, or come with val_loader="):
        measure(training=None, held_out=None)


@pytest.mark.parametrize(
    ("batches", "named"),
    [
        ([], "val_loader must give at least one batch, got an empty one"),
        ([(IMAGES, None)], "val_loader must give labels"),
        ([(IMAGES, NOISY), (IMAGES, None)], "val_loader must give labels"),
        ([(IMAGES, NOISY + 1)], r"val_loader's labels must be within \[0, 2\), the classifier's, got 1 to 2"),
    ],
)
def test_held_out_images_that_will_not_do_are_named(batches, named):
    with pytest.raises(ValueError, match=named):
        measure(held_out=batches)


def test_held_out_images_without_labels_are_refused():
    with pytest.raises(ValueError, match="labels"):
        fit(val_loader=[IMAGES])


# -- how sure the classifier is ---------------------------------------------------------------------------------------


class Scaled(nn.Module):
    """Another classifier's logits, times a factor."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.inner, self.factor = Halves(), factor

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.factor * self.inner(images)


def test_how_sure_the_classifier_is_makes_no_difference():
    """The same classifier with five times the logits gets nearly the same target and policy."""
    found = []
    for factor in (1.0, 5.0):
        history = fit(Scaled(factor), val_loader=[(IMAGES, NOISY)]).history
        found.append((history.info["target"], history.last()["kl"]))
    assert found[0] == pytest.approx(found[1], rel=0.1)
