"""The classifier comes back as it was, whatever kind it is and whatever went wrong."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from learned_affine.tasks.frozen import frozen
from tests.fits import PAPER, ROUNDS, SHORT, assert_same, mixed_state, quick, snapshot
from tests.subjects import Halves, blobs, small_net

IMAGES, LABELS = blobs(64)
# the one uses outputs alone, the other goes back through the classifier
both_objectives = pytest.mark.parametrize("config", [SHORT, PAPER], ids=lambda c: c.objective)


class Counts(nn.Module):
    """Replaces a buffer by a new one in each call, instead of writing to it."""

    def __init__(self):
        super().__init__()
        self.net = Halves()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, images):
        self.calls = self.calls + 1
        return self.net(images)


class Fails(nn.Module):
    """Raises in its fourth call."""

    def __init__(self, error):
        super().__init__()
        self.net, self.error, self.calls = small_net(), error, 0

    def forward(self, images):
        self.calls += 1
        if self.calls == 4:
            raise self.error
        return self.net(images)


def test_replaced_buffers_come_back_as_the_same_tensors():
    classifier = Counts()
    before, own = snapshot(classifier), classifier.calls
    quick(classifier)
    assert_same(before, classifier)
    assert classifier.calls is own


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), KeyboardInterrupt(), ValueError("no")])
def test_exception_in_the_classifier(error):
    classifier = mixed_state(Fails(error))
    before = snapshot(classifier)
    with pytest.raises(type(error)):
        quick(classifier)
    assert_same(before, classifier)


@both_objectives
def test_function_round_a_module_gathers_no_gradients(config):
    # such a module is not frozen, as nothing is known of it
    net = small_net().eval()
    quick(lambda images: net(images), config=config)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in net.parameters())


@both_objectives
def test_gradients_that_were_there_stay(config):
    classifier = small_net()
    classifier(IMAGES).sum().backward()
    before = [parameter.grad.clone() for parameter in classifier.parameters()]
    quick(classifier, config=config)
    assert all(torch.equal(p.grad, old) for p, old in zip(classifier.parameters(), before, strict=True))


def test_channels_last_and_hooks_stay():
    classifier = small_net(3).to(memory_format=torch.channels_last)
    seen = []
    classifier[0].register_forward_hook(lambda module, args, output: seen.append(1))
    before = snapshot(classifier)
    quick(classifier, [(IMAGES.repeat(1, 3, 1, 1), LABELS)])
    assert_same(before, classifier)
    assert seen and classifier[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_inside_it_is_frozen():
    classifier = mixed_state(small_net())
    before = snapshot(classifier)
    with frozen(classifier, torch.device("cpu")):
        assert not any(module.training for module in classifier.modules())
        assert not any(parameter.requires_grad for parameter in classifier.parameters())
        classifier.train()(IMAGES)  # would change the statistics of BatchNorm
    assert_same(before, classifier)


def inference(images):
    with torch.inference_mode():
        return Halves()(images)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_fit_inside_no_grad_says_so(mode):
    classifier = mixed_state(small_net())
    before = snapshot(classifier)
    with mode(), pytest.raises(ValueError, match="fit must be called with gradients on"):
        quick(classifier)
    assert_same(before, classifier)
    with pytest.raises(ValueError, match="pass a gradient"):
        quick(inference, config=PAPER)


def test_a_classifier_in_inference_mode_is_enough():
    assert quick(inference).history.rounds == ROUNDS


def test_labels_that_are_only_shown_may_be_anything():
    data = DataLoader(TensorDataset(IMAGES, LABELS - 1), 16)
    history = quick(data=data, config=PAPER).history
    assert history.rounds == PAPER.rounds and history["entropy"][0] > 0
