"""Each task against PyTorch's own losses; and that the same question asked in another form gives the same policy."""

import math
from functools import partial

import pytest
import torch
from torch.nn import functional as F

from learned_affine.tasks import Binary, MultiLabel, SingleLabel
from learned_affine.tasks.model import TASKS, task_of, temperature_of
from tests.fits import IMAGES, LABELS, SHORT, assert_same_fit, quick
from tests.subjects import Halves

DRAW = torch.Generator().manual_seed(0)
LOGITS = 2 * torch.randn(200, 5, generator=DRAW)
INDICES = torch.randint(5, (200,), generator=DRAW)
SOFT = torch.randn(200, 5, generator=DRAW).softmax(-1)
MANY = (torch.rand(200, 5, generator=DRAW) < torch.tensor([0.5, 0.3, 0.1, 0.05, 0.9])).float()
WEIGHT = torch.tensor([0.5, 1.0, 2.0, 0.0, 3.0])
YES = torch.randint(2, (200,), generator=DRAW)


cross_entropy = partial(F.cross_entropy, LOGITS, reduction="none")
binary = partial(F.binary_cross_entropy_with_logits, LOGITS, reduction="none")
ORACLES = {
    "class indices": (SingleLabel(), INDICES, cross_entropy(INDICES)),
    "soft labels": (SingleLabel(), SOFT, cross_entropy(SOFT)),
    "smoothed": (SingleLabel(label_smoothing=0.1), INDICES, cross_entropy(INDICES, label_smoothing=0.1)),
    "class weights": (SingleLabel(weight=WEIGHT), INDICES, cross_entropy(INDICES, weight=WEIGHT)),
    "weights of soft labels": (SingleLabel(weight=WEIGHT), SOFT, cross_entropy(SOFT, weight=WEIGHT)),
    "several labels": (MultiLabel(), MANY, binary(MANY).sum(1)),
    "soft several labels": (MultiLabel(), SOFT, binary(SOFT).sum(1)),
    "positive weights": (MultiLabel(pos_weight=WEIGHT), MANY, binary(MANY, pos_weight=WEIGHT).sum(1)),
    "label weights": (MultiLabel(weight=WEIGHT), MANY, binary(MANY, weight=WEIGHT).sum(1)),
}


@pytest.mark.parametrize("name", ORACLES)
def test_the_loss_of_each_image_is_torchs_own(name):
    task, labels, expected = ORACLES[name]
    torch.testing.assert_close(task.loss(task.answer(LOGITS, 200), task.check(labels, LOGITS)), expected)


@pytest.mark.parametrize("shape", [(200,), (200, 1)])
@pytest.mark.parametrize("soft", [False, True])
def test_one_logit_is_the_binary_cross_entropy(shape, soft):
    task, logit = Binary(), LOGITS[:, 0]
    yes = SOFT[:, 0] if soft else YES
    output = task.answer(logit.view(shape), 200)
    expected = F.binary_cross_entropy_with_logits(logit, yes.float(), reduction="none")
    torch.testing.assert_close(task.loss(output, task.labels(yes, 200)), expected)
    weighted = F.binary_cross_entropy_with_logits(logit, yes.float(), reduction="none", pos_weight=torch.tensor(3.0))
    torch.testing.assert_close(Binary(weight=(1, 3)).loss(output, task.labels(yes, 200)), weighted)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_binary_labels_in_every_form(count):
    yes = torch.arange(count) % 2
    for form in (yes, yes.bool(), yes[:, None], yes.tolist(), yes.bool().tolist(), yes.numpy()):
        assert torch.equal(Binary().labels(form, count), yes)
    # floats are chances, also where all of a batch happen to be whole
    assert torch.equal(Binary().labels(yes.float(), count), torch.stack([1 - yes, yes], 1).float())
    chance = torch.linspace(0.2, 0.7, count)
    both = torch.stack([1 - chance, chance], 1)
    for form in (chance, chance[:, None], both):
        torch.testing.assert_close(Binary().labels(form, count), both)


def test_ignored_images_are_left_out():
    task, labels = SingleLabel(ignore_index=255), torch.where(INDICES == 2, 255, INDICES)
    images, left = task.known(torch.arange(200)[:, None], labels)
    assert torch.equal(left, INDICES[INDICES != 2]) and torch.equal(images[:, 0], (INDICES != 2).nonzero()[:, 0])
    expected = F.cross_entropy(LOGITS, labels, ignore_index=255)
    torch.testing.assert_close(task.loss(LOGITS[images[:, 0]], left).mean(), expected)


def test_an_unknown_label_counts_nothing():
    task, unknown = MultiLabel(ignore_index=-1), torch.where(SOFT > 0.4, -1.0, MANY)
    assert len(task.known(LOGITS, unknown)[1]) == 200, "of each image some label is known"
    expected = torch.where(SOFT > 0.4, 0.0, binary(MANY)).sum(1)
    torch.testing.assert_close(task.loss(LOGITS, task.check(unknown, LOGITS)), expected)
    hits = (LOGITS.sigmoid().round() == MANY).float().masked_fill(SOFT > 0.4, math.nan)
    torch.testing.assert_close(task.right(LOGITS, unknown), hits.nanmean(1))


@pytest.mark.parametrize("options", [{}, {"pos_weight": [3.0, 1.0, 0.5, 8.0, 1.0]}, {"weight": WEIGHT}])
def test_a_guess_of_several_labels_is_the_best_output_that_is_the_same_for_all(options):
    """Found by gradient descent on one row of logits."""
    task = MultiLabel(**options)
    logits = torch.zeros(5, requires_grad=True)
    optimizer = torch.optim.Adam([logits], 0.1)
    for _ in range(400):
        loss = task.loss(logits.expand(200, 5), MANY).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert task.guess(LOGITS, MANY) == pytest.approx(float(loss.detach()), rel=1e-3)


@pytest.mark.parametrize("name", ["single-label", "multi-label"])
@pytest.mark.parametrize("scale", [0.3, 4.0])
def test_temperature_undoes_a_scale_in_each_task(name, scale):
    """Labels drawn from the model's own chances: logits times a scale have that scale for temperature."""
    generator = torch.Generator().manual_seed(1)
    logits = 2 * torch.randn(20_000, 5, generator=generator)
    if name == "single-label":
        labels = torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]
    else:
        labels = (torch.rand(logits.shape, generator=generator) < logits.sigmoid()).float()
    assert temperature_of(scale * logits, labels, TASKS[name]().loss) == pytest.approx(scale, rel=0.05)


def test_entropy_is_that_of_torchs_distributions():
    bits = torch.distributions.Categorical(logits=LOGITS).entropy() / math.log(2)
    torch.testing.assert_close(SingleLabel().entropy_bits(LOGITS), bits)
    torch.testing.assert_close(SingleLabel().relative_entropy(LOGITS), bits / math.log2(5))
    bits = torch.distributions.Bernoulli(logits=LOGITS).entropy().sum(1) / math.log(2)
    torch.testing.assert_close(MultiLabel().entropy_bits(LOGITS), bits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(MultiLabel().relative_entropy(LOGITS), bits / 5, rtol=1e-4, atol=1e-5)
    for task in (SingleLabel(), MultiLabel()):
        assert task.relative_entropy(torch.zeros(1, 5)).item() == pytest.approx(1)


def difference(images):
    """One logit: that of the right half over the left one."""
    return Halves(6.0)(images).diff(dim=1)


FORMS = {
    "one logit": ("binary", difference, LABELS),
    "one logit, a row": ("binary", lambda images: difference(images)[:, 0], LABELS[:, None].float()),
    "two logits": ("binary", Halves(6.0), LABELS.bool()),
    "two classes": (None, Halves(6.0), LABELS),
    "soft labels": (None, Halves(6.0), F.one_hot(LABELS, 2).float()),
}


def fitted(name, **options):
    task, classifier, labels = FORMS[name]
    data = [(IMAGES, labels)]
    return quick(classifier, data, val_loader=data, task=task, config=SHORT.replace(target=0.2), **options)


@pytest.mark.parametrize("name", list(FORMS)[:3])
def test_a_binary_task_gives_the_policy_of_two_classes_in_every_form(name):
    one, other = fitted(name), fitted("two classes")
    mine, yours = (augment.policy(IMAGES) for augment in (one, other))
    torch.testing.assert_close(mine.width, yours.width, rtol=1e-2, atol=0)
    torch.testing.assert_close(mine.chances, yours.chances, rtol=0, atol=1e-2)
    assert one.history["cost"][0] == pytest.approx(other.history["cost"][0], rel=1e-4)


def test_one_hot_soft_labels_give_the_same_bits_as_class_indices():
    one, other = fitted("soft labels"), fitted("two classes")
    assert_same_fit(one, other)
    assert one.history.info["classes_moved"] == other.history.info["classes_moved"]


@pytest.mark.parametrize(
    ("task", "labels", "message"),
    [
        ("multi-label", LABELS, r"loader must give labels \(B, 2\), each within \[0, 1\], .* got none"),
        ("multi-label", torch.rand(64, 3), r"loader must give labels \(B, 2\).*got Tensor of shape \(64, 3\)"),
        ("multi-label", 2 * torch.ones(64, 2), r"loader's labels must be within \[0, 1\] or ignore_index, got 2.0"),
        (None, torch.ones(64, 2), r"probabilities that add up to 1 .* sums from 2 to 2: .* task='multi-label'"),
        (None, torch.full((64, 3), 1 / 3), r"loader's labels must be of 2 classes, the classifier's, got"),
        (None, LABELS.float(), r"loader must give labels \(class indices\) .* got none or no integers"),
        ("binary", torch.rand(64) + 2, r"loader's labels of shape \(B, m\) must be probabilities"),
        (SingleLabel(weight=[1, 2, 3]), LABELS, r"^weight must be of 2 classes, the classifier's, got 3 numbers"),
        (MultiLabel(pos_weight=[1]), F.one_hot(LABELS), "^pos_weight must be of 2 classes, the classifier's, got 1"),
    ],
)
def test_labels_that_the_task_or_the_classifier_does_not_fit_are_named(task, labels, message):
    with pytest.raises(ValueError, match=message):
        quick(data=[(IMAGES, labels)], task=task)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: quick(task="ternary"), "task must be one of 'single-label', 'binary', 'multi-label', got 'ternary'"),
        (lambda: quick(task=3), "task must be a name or one of learned_affine.tasks, got int"),
        (lambda: task_of("binary", lambda output, target: output), "task must be left out where loss is given"),
        (lambda: SingleLabel([-1]), r"weight must be finite numbers of at least 0, .* and not all 0, got \[-1\]"),
        (lambda: MultiLabel(pos_weight=[0, 0]), r"pos_weight must be finite numbers .* not all 0, got \[0, 0\]"),
        (lambda: SingleLabel(label_smoothing=2), r"label_smoothing must be in \[0, 1\), got 2"),
    ],
)
def test_a_task_that_is_none_is_named(make, said):
    with pytest.raises((TypeError, ValueError), match=f"^{said}"):
        make()
