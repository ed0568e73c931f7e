"""The target of a fit: its rule by hand, where it comes from, what it is measured on, and at which temperature."""

import math
import warnings

import pytest
import torch
from torch import nn

from learned_affine import FitConfig
from learned_affine.diagnostics import FitWarning
from learned_affine.fitting import target
from learned_affine.fitting.target import HELD_OUT_IMAGES, TRAINING_IMAGES, Target, measure_target
from learned_affine.tasks.classification import SingleLabel
from learned_affine.tasks.model import Model, task_of, temperature_of
from learned_affine.tasks.pool import Pool
from tests.fits import quick
from tests.subjects import Halves, blobs

COUNT = 128  # of training images, and of held-out ones
(OWN, IMAGES), (OWN_LABELS, LABELS) = (part.split(COUNT) for part in blobs(2 * COUNT))
CPU, FIT = torch.device("cpu"), FitConfig()


def with_errors(labels: torch.Tensor, one_in: int) -> torch.Tensor:
    """The labels, of which one in so many is wrong, in both classes alike."""
    return torch.where(torch.arange(len(labels)) // 2 % one_in == 0, 1 - labels, labels)


NOISY = with_errors(LABELS, 10)


DATA = {"training": [(OWN, OWN_LABELS)], "held_out": [(IMAGES, NOISY)]}


def measured(config=FIT, model=None, **batches) -> tuple[Target, Pool]:
    """The target of a fit to ``Halves`` and its images, from lists of batches; None for none."""
    openers = [None if given is None else (lambda given=given: given) for given in (DATA | batches).values()]
    with torch.no_grad():
        return measure_target(model or Model(Halves(), labels=config.labels), config, *openers, CPU, 0)


def measure(config=FIT, **options) -> Target:
    return measured(config, **options)[0]


def alarms(**options) -> dict:
    """The warnings that a measurement gives: text by kind."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", FitWarning)
        measure(**options)
    return {one.message.kind: one.message.text for one in found}


def logits(images: torch.Tensor = IMAGES) -> torch.Tensor:
    with torch.no_grad():
        return Halves()(images)


def cost_of_each(images: torch.Tensor, labels: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    return nn.functional.cross_entropy(logits(images) / temperature, labels, reduction="none").double()


def cross_entropy(labels: torch.Tensor, temperature: float = 1.0) -> float:
    return float(cost_of_each(IMAGES, labels, temperature).mean())


@pytest.mark.parametrize(
    ("one_in", "tolerance", "rule"),  # of the training labels, as many as those that are wrong
    [
        (COUNT, 1.0, lambda known, gap: gap),
        (COUNT, 0.1, lambda known, gap: 0.1 * known),
        (9, 1.0, lambda known, gap: 0.03 * known),
        (3, 1.0, lambda known, gap: 0.03 * known),  # held-out images cost less than training images
        (3, 0.01, lambda known, gap: 0.01 * known),
    ],
)
def test_the_target_is_what_held_out_images_cost_and_a_budget(one_in, tolerance, rule):
    own_labels = with_errors(OWN_LABELS, one_in)
    scale = temperature_of(logits(), NOISY)
    plain, own = cost_of_each(IMAGES, NOISY, scale), cost_of_each(OWN, own_labels, scale)
    u, t = float(plain.mean()), float(own.mean())
    expected = rule(math.log(2) - u, u - t)
    found = measure(FitConfig(tolerance=tolerance), training=[(OWN, own_labels)])
    assert found.budget == pytest.approx(expected, rel=1e-4) and expected > 0
    assert found.value == pytest.approx(u + expected, rel=1e-4)
    error = math.sqrt((plain.var() + own.var()) / COUNT)
    measured = {"held_out_cost": u, "training_cost": t, "gap_error": error}
    right = float((logits().argmax(-1) == NOISY).double().mean())
    trained = float((logits(OWN).argmax(-1) == own_labels).double().mean())
    measured |= {"held_out_accuracy": right, "training_accuracy": trained}
    assert found.measures == pytest.approx(measured, rel=1e-4)


class Wider(nn.Module):
    """``Halves`` with 998 outputs beside it, each with the logit of its image's best class and ``lower``."""

    def __init__(self, lower: float) -> None:
        super().__init__()
        self.lower = lower

    def forward(self, images):
        logits = Halves()(images)
        return torch.cat([logits, (logits.amax(1, keepdim=True) + self.lower).expand(-1, 998)], 1)


SMALL = FitConfig(tolerance=0.01)  # of what is known


def known_of(task: SingleLabel | None = None, lower: float = -math.inf, **batches) -> float:
    """What a fit says that the classifier knows, in nats, where two of a thousand classes are named."""
    return measure(SMALL, model=Model(Wider(lower), task=task), **batches).budget / SMALL.tolerance


@pytest.mark.parametrize("lower", [-4.0, -8.0, -12.0, -1000.0, -math.inf])
@pytest.mark.parametrize("options", [{}, {"weight": [1.0] * 1000}, {"label_smoothing": 0.1}])
def test_outputs_that_no_label_names_change_nothing(lower, options):
    """As of a classifier of a thousand classes, of which the user's images show two; the others have a share, too."""
    plain = SingleLabel(**{**options, "weight": None})
    expected = measure(SMALL, model=Model(Halves(), task=plain)).budget / SMALL.tolerance
    assert known_of(task=SingleLabel(**options), lower=lower) == pytest.approx(expected, rel=0.02)
    soft = [(IMAGES, nn.functional.pad(nn.functional.one_hot(NOISY), (0, 998)).float())]
    assert known_of(task=SingleLabel(**options), lower=lower, held_out=soft) == pytest.approx(expected, rel=0.02)


def test_a_class_that_training_images_alone_name_counts():
    trained = [(OWN, OWN_LABELS.index_fill(0, torch.tensor([0]), 7))]
    more = known_of(training=trained, lower=-1000.0) - known_of(lower=-1000.0)
    assert more == pytest.approx(math.log(3 / 2), abs=0.05)


def test_of_one_class_all_outputs_count():
    one = {"training": [(OWN, OWN_LABELS * 0)], "held_out": [(IMAGES[LABELS == 0], LABELS[LABELS == 0])]}
    assert 0 < measure(SMALL, **one).budget / SMALL.tolerance <= math.log(2)


# -- its warnings -----------------------------------------------------------------------------------------------------


def first(count: int) -> list:
    return [(IMAGES[:count], NOISY[:count])]


def test_too_few_held_out_images_are_refused_and_few_are_told():
    named = "val_loader must give at least 20 images to measure the target on, better 400, got 19"
    with pytest.raises(ValueError, match=named):
        measure(held_out=first(19))
    for count in (20, 99):
        said = f"val_loader gives {count} images: measured on fewer than 100, "
        assert alarms(held_out=first(count))["target"].startswith(said)
    assert "target" not in alarms(held_out=first(100))
    assert alarms(held_out=first(2), config=FitConfig(target=0.4)) == {}, "a given target is not measured"


def test_held_out_images_that_the_classifier_was_trained_on_are_told():
    def mixed(shared: int) -> list:
        return [(torch.cat([OWN[:shared], IMAGES[shared:]]), torch.cat([OWN_LABELS[:shared], NOISY[shared:]]))]

    told = alarms(held_out=mixed(5))
    assert set(told) == {"target"}
    assert told["target"].startswith("val_loader shares images with loader (5 of 128 that were looked at)")
    assert alarms(held_out=mixed(4)) == {}, "may be chance"
    # of very many images some are the same by chance
    many = [(OWN, OWN_LABELS), *((torch.rand(200, 1, 16, 16), torch.arange(200) % 2) for _ in range(9))]
    assert "target" not in alarms(training=many, held_out=mixed(5))


@pytest.mark.parametrize(
    ("name", "most", "options"),
    [
        ("val_loader", HELD_OUT_IMAGES, {}),
        ("loader", TRAINING_IMAGES, {}),
        ("loader", TRAINING_IMAGES, {"held_out": None, "config": FitConfig(target=0.4)}),
    ],
)
def test_a_loader_that_gives_its_images_class_by_class_is_reported(name, most, options):
    """As an ImageFolder without shuffle does: what is read of it shows one of two classes."""

    def reported(order: torch.Tensor) -> str:
        images, labels = (one[order].split(500) for one in blobs(int(order.max()) + 1))
        batches = list(zip(images, labels, strict=True))
        return alarms(**{**options, "held_out" if name == "val_loader" else "training": batches}).get("target", "")

    first, second = torch.arange(2 * most + 1000).view(-1, 2).T
    by_class = torch.cat([first, second])
    said = f"{name} gives its images class by class: the first {most} that are read show 1 of 2 classes"
    assert reported(by_class).startswith(said) and "shuffle=True" in reported(by_class)
    for silent in (by_class[torch.randperm(len(by_class))], torch.cat([first[:1000], second]), first[:most]):
        assert "class by class" not in reported(silent)


def test_a_classifier_that_hardly_overfits_is_told():
    told = alarms(training=[(OWN, with_errors(OWN_LABELS, 10))])
    assert set(told) == {"little-to-gain"}
    assert "augmentation has little to give" in told["little-to-gain"]
    assert alarms() == {}, "one error in ten held-out images, and none in the others"


# -- where it comes from ----------------------------------------------------------------------------------------------


def test_a_given_target_is_held_at_the_temperature_of_the_held_out_images():
    model = Model(Halves())
    found, pool = measured(FitConfig(target=0.6), model=model)
    scale = temperature_of(logits(), NOISY)
    assert (found.value, model.temperature) == (0.6, scale)
    assert found.budget == pytest.approx(0.6 - cross_entropy(NOISY, scale), rel=1e-4)
    assert found.source == "FitConfig.target, on held-out images (val_loader)"
    assert len(pool.held_out) == len(pool.training) == COUNT


@pytest.mark.parametrize("held_out", [None, [(IMAGES, NOISY)]])
def test_a_target_for_a_loss_is_given_in_the_units_of_the_loss(held_out):
    """Ten times the loss and ten times the target are the same question."""
    found = []
    for factor in (1.0, 10.0):
        loss = lambda *pair, factor=factor: factor * nn.functional.cross_entropy(*pair, reduction="none")  # noqa: E731
        config, model = FitConfig(target=factor * 1.5 * cross_entropy(NOISY)), Model(Halves(), task=task_of(None, loss))
        found.append(measure(config, training=[(IMAGES, NOISY)], held_out=held_out, model=model))
    assert found[0].budget == pytest.approx(0.5, rel=1e-4)
    assert found[1].budget == pytest.approx(0.5, rel=1e-4) and found[1].value == pytest.approx(1.5, rel=1e-4)


def test_without_held_out_images_the_target_is_a_guess_and_said_to_be_one():
    model = Model(Halves())
    with pytest.warns(UserWarning, match="without val_loader the target is a guess"):
        found, pool = measured(training=[(IMAGES, with_errors(LABELS, COUNT))], held_out=None, model=model)
    cost = cross_entropy(with_errors(LABELS, COUNT))
    extra = 0.25 * (math.log(2) - cost)
    assert found.value == pytest.approx(cost + extra, rel=1e-5) and extra > 0
    assert found.budget == pytest.approx(extra, rel=1e-5)
    assert len(pool.images) == COUNT and model.temperature == 1


def test_predicted_labels_cost_what_the_classifiers_own_answers_do():
    model = Model(Halves(), labels="predicted")
    with pytest.warns(FitWarning, match="little-to-gain: "):
        found = measure(FitConfig(labels="predicted"), held_out=[(IMAGES, None)], model=model)
    own = cross_entropy(logits().argmax(-1))
    assert found.value == pytest.approx(own + 0.03 * (math.log(2) - own), rel=1e-4)
    assert "held_out_accuracy" not in found.measures
    assert model.temperature == 1, "which labels of its own would drive to 0"


@pytest.mark.parametrize(
    ("name", "batch", "most"),
    [("held_out", (IMAGES, NOISY), HELD_OUT_IMAGES), ("training", (OWN, OWN_LABELS), TRAINING_IMAGES)],
)
def test_it_is_measured_on_some_thousand_images_of_each_kind_and_no_more(name, batch, most):
    given = []

    def forever():
        while True:
            given.append(COUNT)
            yield batch

    assert measure(**{name: forever()}).value == pytest.approx(measure(**{name: 32 * [batch]}).value, rel=1e-5)
    assert most <= sum(given) < most + COUNT


# -- how sure the classifier is ---------------------------------------------------------------------------------------


def test_how_sure_the_classifier_is_makes_no_difference():
    """The same classifier with five times the logits gets nearly the same target and policy."""
    found = []
    for sharpness in (20.0, 100.0):
        options = {"val_loader": [(IMAGES, NOISY)], "config": FitConfig(rounds=1, images=50)}
        history = quick(Halves(sharpness), [(OWN, OWN_LABELS)], **options).history
        found.append((history.info["target"], history.last()["price"]))
    (target, price), (other_target, other_price) = found
    assert target == pytest.approx(other_target, rel=0.1) and price == pytest.approx(other_price, rel=0.25)


@pytest.mark.parametrize("held_out", [True, False])
def test_each_image_that_is_kept_has_its_own_output_at_the_temperature(monkeypatch, held_out):
    """A fit classifies no image twice as it is. Of four batches a third is kept, in no order."""
    monkeypatch.setattr(target, "KEPT", 64)
    monkeypatch.setattr(target, "TRAINING_IMAGES", 64)
    images, labels = torch.cat([IMAGES, OWN]), torch.cat([NOISY, OWN_LABELS])
    batches = list(zip(images.split(50), labels.split(50), strict=True))
    model = Model(Halves())
    _, pool = measured(training=batches, held_out=batches if held_out else None, model=model)
    kept = torch.stack(pool.images)
    assert (model.temperature != 1) == held_out and len(kept) == (128 if held_out else 64) == len(pool.outputs)
    torch.testing.assert_close(pool.outputs, logits(kept) / model.temperature)
