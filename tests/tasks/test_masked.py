"""Classes that a classifier masks by minus infinity: as by -1e4, which no class with a chance is near; or removed."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from learned_affine import FitConfig
from learned_affine.losses import max_entropy_gap_nats, shannon_entropy_bits
from learned_affine.tasks import MultiLabel, SingleLabel
from learned_affine.tasks.model import Model, temperature_of
from tests.fits import PAPER, assert_same_fit, quick, silent
from tests.subjects import Halves, blobs, seeded, vivid

IMAGES, LABELS = blobs(96)
NOISY = torch.where(torch.arange(96) % 5 == 0, 1 - LABELS, LABELS)
LOWEST = torch.finfo(torch.float32).min  # which many mask by
MASKS = [-math.inf, LOWEST]


class Masked(nn.Module):
    """``Halves``, and two classes between its own that no image is of."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.inner, self.value = Halves(), value

    def forward(self, images):
        found = self.inner(images)
        masked = torch.full_like(found, self.value)
        return torch.stack([found[:, 0], masked[:, 0], masked[:, 1], found[:, 1]], dim=1)


WIDE = 3 * NOISY  # the labels among four classes
SURE, OTHER = (F.one_hot(labels, 4).float() for labels in (WIDE, 3 - WIDE))
LABELLED = {
    "hard": (None, WIDE),
    "soft": (None, 0.9 * SURE + 0.1 * OTHER),
    "smoothed": (SingleLabel(label_smoothing=0.1), WIDE),
    "weighted": (SingleLabel(weight=[1.0, 5.0, 0.0, 2.0], label_smoothing=0.1), 0.5 * SURE + 0.5 * OTHER),
    "several": (MultiLabel(), SURE),
}
CONFIGS = {"default": FitConfig(rounds=1, images=64), "paper": PAPER}


def test_what_a_masked_class_costs_can_be_read_in_the_table():
    """Of an image that is flipped this classifier masks the label, which would cost 1e30 nats."""

    def alone(images):
        found = Halves()(images)
        return found.masked_fill(found < found.amax(1, keepdim=True), -math.inf)

    fitted = quick(alone, [(IMAGES, LABELS)], val_loader=[(IMAGES, LABELS)])
    assert {row["cost"][4] for row in fitted.history.info["classes_moved"]} == {100.0}


@pytest.mark.parametrize("value", MASKS)
@pytest.mark.parametrize(
    ("name", "objective"),
    [("hard", "default"), ("soft", "default"), ("several", "default"), ("hard", "paper"), ("soft", "paper")],
)
def test_a_fit_is_that_to_very_low_logits(name, objective, value):
    (task, labels), config = LABELLED[name], CONFIGS[objective]
    data = [(images, own) for images, own in zip(IMAGES.split(32), labels.split(32), strict=True)]
    one, other = (quick(Masked(masked), data, val_loader=data, task=task, config=config) for masked in (value, -1e4))
    assert_same_fit(one, other)
    found = [vivid(generator=seeded()).evaluate(Masked(masked), data, task=task) for masked in (value, -1e4)]
    torch.testing.assert_close(*map(dict, found))


@pytest.mark.parametrize("value", MASKS)
@pytest.mark.parametrize("name", ["hard", "soft", "smoothed", "weighted"])
def test_costs_entropy_and_temperature_are_those_without_the_classes(name, value):
    task, labels = LABELLED[name]
    task = task or SingleLabel()
    left = SingleLabel(None if task.weight is None else task.weight[[0, 3]], label_smoothing=task.label_smoothing)
    own = labels // 3 if labels.ndim == 1 else labels[:, [0, 3]]
    masked, removed = (one.detach() for one in (Model(Masked(value)).answer(IMAGES), Halves()(IMAGES)))
    torch.testing.assert_close(task.loss(masked, labels), left.loss(removed, own))
    torch.testing.assert_close(task.entropy_bits(masked), left.entropy_bits(removed))
    assert temperature_of(masked, labels, task.loss) == temperature_of(removed, own, left.loss)


@pytest.mark.parametrize("sign", ["printed", "corrected"])
def test_the_terms_of_raw_logits_have_finite_values_and_gradients(sign):
    raw = torch.tensor([[0.5, -math.inf, 1.0], [-math.inf, 0.0, -math.inf]], requires_grad=True)
    entropy = shannon_entropy_bits(raw)
    (max_entropy_gap_nats(raw, sign) + entropy).sum().backward()
    assert bool(raw.grad.isfinite().all())
    without = torch.distributions.Categorical(logits=torch.tensor([0.5, 1.0])).entropy() / math.log(2)
    torch.testing.assert_close(entropy.detach(), torch.stack([without, torch.tensor(0.0)]))


@pytest.mark.parametrize("task", [SingleLabel(), MultiLabel()], ids=["one", "several"])
@pytest.mark.parametrize(
    "row", [[math.nan, 0.0], [0.0, math.inf], [-math.inf, -math.inf], [LOWEST, -math.inf], [-math.inf, math.nan]]
)
def test_what_no_classifier_should_give_is_refused(row, task):
    output = torch.zeros(96, 2)
    output[17] = torch.tensor(row)
    with pytest.raises(ValueError, match=r"^classifier must return finite logits, or minus infinity for some classes"):
        Model(lambda images: output, task=task).answer(IMAGES)


SOFT = SURE.lerp(torch.full((96, 4), 0.25), 0.1)
WRONG = {"hard": (None, torch.where(WIDE == 3, 2, WIDE)), "soft": (None, SOFT), "several": (MultiLabel(), SOFT)}


@pytest.mark.parametrize("name", WRONG)
def test_a_label_that_is_masked_is_refused_by_a_fit_and_costs_much_in_an_evaluation(name):
    task, labels = WRONG[name]
    right = [(IMAGES, LABELLED["several" if name == "several" else "hard"][1])]
    wrong, masked = [(IMAGES, labels)], Masked(-math.inf)
    named = "labels must be of classes that the classifier does not mask"
    with pytest.raises(ValueError, match=f"^val_loader's {named}"):
        silent(classifier=masked, data=right, val_loader=wrong, task=task)
    with pytest.raises(ValueError, match=f"^loader's {named}"):
        silent(classifier=masked, data=wrong, val_loader=right, task=task)
    found = vivid().evaluate(masked, wrong, task=task)
    assert "clean_accuracy" in found and all(map(math.isfinite, found.values()))
