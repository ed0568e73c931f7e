"""Stages 1 and 3."""

import math

import pytest
import torch
from torch import nn

from learned_affine.classifier import calibration_error, evaluate_classifier, train_classifier
from tests.fits import loader
from tests.subjects import Halves, blobs, small_net, vivid


def test_training_learns_the_blobs():
    classifier = small_net()
    history = train_classifier(classifier, loader(), epochs=15, progress=False)
    assert history["loss"][-1] < 0.5 * history["loss"][0] and len(history["seconds"]) == 15
    assert evaluate_classifier(classifier, loader())["accuracy"] > 0.95
    assert not classifier.training


def test_training_goes_through_the_augmenter():
    classifier, seen = small_net(), []
    classifier.register_forward_pre_hook(lambda module, args: seen.append(float(args[0].max())))
    train_classifier(classifier, loader(), augment=torch.zeros_like, epochs=1, progress=False)
    assert seen == [0.0] * 4


def test_same_seed_same_training():
    nets = [small_net(), small_net()]
    for net in nets:
        train_classifier(net, loader(shuffle=True), augment=vivid(p=0.5), epochs=2, seed=3, progress=False)
    assert all(torch.equal(a, b) for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True))


def test_evaluation_by_hand():
    class Constant(nn.Module):
        def forward(self, images):
            return torch.tensor([[math.log(3.0), 0.0]]).expand(len(images), 2)

    images, labels = blobs(8)
    found = evaluate_classifier(Constant(), [(images, labels)])
    assert found["accuracy"] == 0.5
    assert found["cross_entropy"] == pytest.approx(-0.5 * (math.log(0.75) + math.log(0.25)))
    assert found["calibration_error"] == pytest.approx(0.25)


def test_class_probabilities_are_labels_too():
    images, labels = blobs(64)
    soft = [(images, nn.functional.one_hot(labels, 2).float())]
    assert evaluate_classifier(Halves(), soft) == pytest.approx(evaluate_classifier(Halves(), [(images, labels)]))
    histories = [train_classifier(small_net(), data, epochs=2, seed=0) for data in (soft, [(images, labels)])]
    assert histories[0]["loss"] == pytest.approx(histories[1]["loss"])
    assert histories[0]["accuracy"] == histories[1]["accuracy"]


def test_calibration_error_by_hand():
    logits = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]]).log()
    labels = torch.tensor([0, 1, 1])
    expected = (2 * abs(0.5 - 0.9) + abs(1 - 0.6)) / 3
    assert calibration_error(logits, labels) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("classifier", "data", "error", "named"),
    [
        (lambda x: x, [], TypeError, "must be a torch.nn.Module"),
        (Halves(), [], ValueError, "at least one batch"),
        (Halves(), [blobs(4)[0]], ValueError, "must give class indices or"),
    ],
)
def test_errors(classifier, data, error, named):
    with pytest.raises(error, match=named):
        train_classifier(classifier, data, progress=False)
