"""Classifiers of every kind: the policy is that of the eager module, and each comes back as it was on every way out."""

import copy
import functools

import pytest
import torch
from torch import nn

from learned_affine import FitConfig
from learned_affine.classifier import evaluate_classifier
from tests.fits import IMAGES, LABELS, ROUNDS, SHORT, bits, quick, same_weights
from tests.subjects import small_net, vivid

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated")  # kinds that are still in use
DATA = [(IMAGES, LABELS)] * 3
MEASURED = FitConfig(rounds=1, images=64)  # the target, that is


def eager(training: bool = True) -> nn.Module:
    """Always the same net, its BatchNorm with statistics that are no round numbers, its parts in two modes."""
    net = small_net()
    torch.manual_seed(0)
    net(IMAGES)
    net.train(training)[0].train(False)
    next(net.parameters()).requires_grad_(False)
    return net


def scripted() -> nn.Module:
    return torch.jit.script(eager())


def traced() -> nn.Module:
    return torch.jit.trace(eager(False), IMAGES[:4])


def frozen() -> nn.Module:
    return torch.jit.freeze(torch.jit.script(eager(False)))


def optimized() -> nn.Module:
    return torch.jit.optimize_for_inference(torch.jit.script(eager(False)))


def exported() -> nn.Module:
    rows = {0: torch.export.Dim("rows")}
    return torch.export.export(eager(False), (IMAGES[:8],), dynamic_shapes=(rows,)).module()


def compiled() -> nn.Module:
    return torch.compile(eager(), backend="eager")


def quantised() -> nn.Module:
    return torch.ao.quantization.quantize_dynamic(eager(False), {nn.Linear})


def graph() -> nn.Module:
    return torch.fx.symbolic_trace(eager())


KINDS = [eager, scripted, traced, frozen, optimized, exported, compiled, quantised, graph]
every_kind = pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)


def state_of(classifier: nn.Module) -> dict:
    """Everything of it that must not change; also of modules that have no attributes of Python's own."""
    tensors = [*classifier.named_parameters(), *classifier.named_buffers()]
    return {
        "bits": [(name, tensor.dtype, bits(tensor)) for name, tensor in tensors],
        "needs a gradient": [(name, one.requires_grad) for name, one in classifier.named_parameters()],
        "gradients": [name for name, one in classifier.named_parameters() if one.grad is not None],
        "training": [getattr(module, "training", None) for module in classifier.modules()],
        "names": sorted(name for name, _ in classifier.named_modules()),
    }


def interrupt(values):
    raise KeyboardInterrupt


def fail(values):
    raise OSError("disk full")


def loader_that_breaks():
    yield from DATA[:2]
    raise OSError("disk gone")


WAYS_OUT = {
    "done": ({}, None),
    "callback": ({"callbacks": fail}, OSError),
    "Ctrl-C": ({"callbacks": interrupt}, KeyboardInterrupt),
    "loader": ({"data": loader_that_breaks}, OSError),
    "predicted labels": ({"config": SHORT.replace(labels="predicted")}, None),
}


@every_kind
@pytest.mark.parametrize("way", WAYS_OUT)
def test_it_comes_back_as_it_was_on_every_way_out(make, way):
    classifier = make()
    before, (options, error) = state_of(classifier), WAYS_OUT[way]
    data = options.get("data", lambda: DATA)()
    options = {"data": data, "val_loader": DATA, **{key: value for key, value in options.items() if key != "data"}}
    if error is None:
        assert quick(classifier, **options).history.rounds == ROUNDS
    else:
        with pytest.raises(error):
            quick(classifier, **options)
    for part, old in before.items():
        assert state_of(classifier)[part] == old, part


USES = {
    "evaluate": lambda classifier: vivid().evaluate(classifier, DATA),
    "evaluate_classifier": lambda classifier: evaluate_classifier(classifier, DATA, progress=False),
}


@every_kind
@pytest.mark.parametrize("use", USES)
def test_other_uses_leave_it_as_it_was(make, use):
    classifier = make()
    before = state_of(classifier)
    USES[use](classifier)
    assert state_of(classifier) == before


# in these kinds the same operators run on the same numbers
SAME = [eager, scripted, traced, exported, compiled, graph]


@pytest.mark.parametrize("make", SAME[1:], ids=lambda make: make.__name__)
def test_the_policy_is_that_of_the_eager_module(make):
    plain, other = (quick(one(), DATA, val_loader=DATA) for one in (eager, make))
    assert same_weights(plain, other) and plain.history["cost"] == other.history["cost"]
    assert plain.history.info["target"] == other.history.info["target"]


@pytest.mark.parametrize("make", [frozen, optimized, quantised], ids=lambda make: make.__name__)
def test_where_numbers_are_rounded_otherwise_the_policy_is_that_of_the_bare_function(make):
    """Folded or quantised weights; what is given to the fit as a function is not touched at all."""
    classifier = make()
    plain, other = (quick(one, DATA, val_loader=DATA) for one in (lambda images: classifier(images), classifier))
    assert same_weights(plain, other)
    # and close to the eager module's: what it costs is the same to some digits
    target = quick(eager(), DATA, val_loader=DATA, config=MEASURED).history.info["target"]
    near = quick(make(), DATA, val_loader=DATA, config=MEASURED).history.info["target"]
    assert near == pytest.approx(target, rel=0.02 if make is quantised else 1e-4)


class Callable:
    """No module, but it can be called."""

    def __init__(self, net: nn.Module) -> None:
        self.net = net

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return self.net(images)

    def method(self, images: torch.Tensor) -> torch.Tensor:
        return self.net(images)


FUNCTIONS = {
    "function": lambda net: lambda images: net(images),
    "object": Callable,
    "bound method": lambda net: Callable(net).method,
    "partial": lambda net: functools.partial(torch.func.functional_call, net, dict(net.named_parameters())),
    "no_grad": lambda net: torch.no_grad()(net.forward),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_plain_callables_lead_to_the_policy_of_the_module(name):
    net = eager(False)
    before = state_of(net)
    plain, other = quick(copy.deepcopy(net), DATA), quick(FUNCTIONS[name](net), DATA)
    assert same_weights(plain, other)
    assert state_of(net) == before
