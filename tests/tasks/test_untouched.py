"""The classifier comes back as it was, bit by bit, whatever it is and however the fit ends."""

import signal
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torchvision import models
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.resnet import BasicBlock

from tests.fits import PAPER, assert_same, mixed_state, quick, snapshot
from tests.subjects import small_net

IMAGES = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
BATCH = (IMAGES, torch.tensor([0, 1, 0, 1]))


class WithLogits(nn.Module):
    """An output with ``.logits``, as in Hugging Face's models."""

    def __init__(self):
        super().__init__()
        self.net = small_net(3)

    def forward(self, images):
        return SimpleNamespace(logits=self.net(images))


def timm_model():
    timm = pytest.importorskip("timm")
    return timm.create_model("mobilenetv3_small_050", num_classes=2)


MODELS = {
    "resnet": lambda: models.ResNet(BasicBlock, [1, 1, 1, 1], num_classes=2),
    "mobilenet": lambda: models.mobilenet_v3_small(num_classes=2),
    "vit": lambda: models.VisionTransformer(32, 8, 1, 2, 16, 32, num_classes=2),
    "convnext": lambda: models.ConvNeXt([CNBlockConfig(16, 32, 1), CNBlockConfig(32, None, 1)], num_classes=2),
    "timm": timm_model,
    "logits": WithLogits,
}


def make(name):
    """A classifier of that kind with a gradient, in a state that a careless restore would not bring back."""
    classifier = MODELS[name]()
    for module in classifier.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.1)  # a new ViT's head is 0 and passes no gradient
    mixed_state(classifier).to(memory_format=torch.channels_last)
    classifier(IMAGES)  # BatchNorm's statistics are no round numbers
    classifier.register_forward_pre_hook(lambda module, args: None)
    return classifier


def breaks(error, at):
    """A function that raises when it is called for the ``at``-th time."""
    calls = []

    def step(*args):
        calls.append(1)
        if len(calls) == at:
            raise error

    return step


def loader_that_breaks():
    yield BATCH
    yield BATCH
    raise OSError("disk gone")


def interrupt(values):
    if values["round"] == 2:
        signal.raise_signal(signal.SIGINT)


ENDS = {
    "done": ({}, None),
    "paper": ({"config": PAPER}, None),
    "loader": ({"data": loader_that_breaks}, OSError),
    "callback": ({}, RuntimeError),
    "Ctrl-C": ({"callbacks": interrupt}, KeyboardInterrupt),
}


@pytest.mark.parametrize("end", [*ENDS, "classifier"])
@pytest.mark.parametrize("name", MODELS)
def test_classifier_is_untouched(name, end):
    classifier = make(name)
    options, error = ENDS.get(end, ({}, ZeroDivisionError))
    if end == "callback":
        options = {"callbacks": breaks(RuntimeError("boom"), 2)}
    if end == "classifier":
        classifier.register_forward_hook(breaks(ZeroDivisionError(), 3))
    before, options = snapshot(classifier), dict(options)
    data = options.pop("data", lambda: [BATCH] * 4)()
    if error is None:
        assert quick(classifier, data, **options).history.rounds > 0
    else:
        with pytest.raises(error):
            quick(classifier, data, **options)
    assert_same(before, classifier)


class Grows(nn.Module):
    """Registers a buffer in its first call, which is no business of a fit's."""

    def __init__(self):
        super().__init__()
        self.net = small_net(3)

    def forward(self, images):
        if "seen" not in dict(self.named_buffers()):
            self.register_buffer("seen", torch.ones(()), persistent=False)
        return self.net(images)


def test_buffers_that_the_classifier_adds_are_taken_away():
    classifier = Grows()
    before = snapshot(classifier)
    quick(classifier, [BATCH])
    assert_same(before, classifier)


def test_weights_shared_by_two_layers_stay_shared():
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(3072, 64), nn.Linear(64, 64), nn.Linear(64, 64))
    classifier[3].weight = classifier[2].weight
    before = snapshot(classifier)
    quick(classifier, [BATCH])
    assert_same(before, classifier)
    assert classifier[3].weight is classifier[2].weight
