"""A classifier of any kind comes back as it was, bit by bit, whatever is done with it and however that ends."""

import contextlib
import functools
import math
import signal
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models
from torchvision.models.resnet import BasicBlock
from torchvision.transforms import v2

from learned_affine.classifier import evaluate_classifier
from learned_affine.tasks.frozen import frozen
from tests.fits import IMAGES, LABELS, PAPER, SHORT, assert_same, mixed_state, quick, same_weights, silent, snapshot
from tests.subjects import Halves, small_net, vivid

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated")  # kinds that are still in use
DATA = [(IMAGES[:32], LABELS[:32])] * 3


def eager(training: bool = True) -> nn.Module:
    """Always the same net, its BatchNorm with statistics that are no round numbers, its parts in two modes."""
    net = small_net()
    torch.manual_seed(0)
    net(IMAGES)
    return mixed_state(net) if training else net.eval()


def exported() -> nn.Module:
    rows = {0: torch.export.Dim("rows")}
    return torch.export.export(eager(False), (IMAGES[:8],), dynamic_shapes=(rows,)).module()


class Wrapped(nn.Module):
    """Another net's output with ``.logits``, as in Hugging Face's models; replaces a buffer, and adds another one."""

    def __init__(self):
        super().__init__()
        self.net = small_net()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, images):
        self.calls = self.calls + 1
        if "seen" not in dict(self.named_buffers()):
            self.register_buffer("seen", torch.ones(()), persistent=False)
        return SimpleNamespace(logits=self.net(images))


def with_shared_weights() -> nn.Module:
    net = nn.Sequential(nn.Flatten(), nn.Linear(256, 8), nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 2))
    net[3].weight = net[2].weight
    return net


class Adapted(nn.Linear):
    """Merges its adapter into the weight in evaluation mode, as LoRA's layers do."""

    def __init__(self) -> None:
        super().__init__(256, 2)
        self.down, self.up, self.merged = nn.Parameter(torch.rand(1, 256)), nn.Parameter(torch.rand(2, 1)), False

    def train(self, mode: bool = True):
        super().train(mode)
        if mode == self.merged:
            self.weight.data += (-1 if mode else 1) * self.up @ self.down
            self.merged = not mode
        return self


class Written(nn.Linear):
    """Limits the norm of its weights in each pass, gives a buffer another size, and makes a parameter."""

    def __init__(self) -> None:
        super().__init__(256, 2)
        self.register_buffer("cache", torch.zeros(0))
        self.register_buffer("steps", torch.tensor(math.nan).expand(3))

    def forward(self, images):
        self.weight.data = torch.renorm(self.weight.data, 2, 0, 0.1)
        self.cache.data = torch.ones(len(images))
        self.made = nn.Parameter(torch.zeros(1))
        return super().forward(images)


def with_channels_last_and_hooks() -> nn.Module:
    net = eager().to(memory_format=torch.channels_last)
    net[0].register_forward_hook(lambda module, args, output: None)
    return net


def grey(model: nn.Module) -> nn.Module:
    """A model of torchvision's in a mixed state, for grey images."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.1)  # a new ViT's head is 0 and passes no gradient
    return mixed_state(nn.Sequential(nn.Conv2d(1, 3, 1), model))


KINDS = {
    "eager": eager,
    "scripted": lambda: torch.jit.script(eager()),
    "traced": lambda: torch.jit.trace(eager(False), IMAGES[:4]),
    "frozen": lambda: torch.jit.freeze(torch.jit.script(eager(False))),
    "optimized": lambda: torch.jit.optimize_for_inference(torch.jit.script(eager(False))),
    "exported": exported,
    "compiled": lambda: torch.compile(eager(), backend="eager"),
    "quantised": lambda: torch.ao.quantization.quantize_dynamic(eager(False), {nn.Linear}),
    "graph": lambda: torch.fx.symbolic_trace(eager()),
    "output by name, new buffers": Wrapped,
    "shared weights": with_shared_weights,
    "adapters": lambda: nn.Sequential(nn.Flatten(), Adapted()),
    "writes weights and buffers": lambda: nn.Sequential(nn.Flatten(), Written()),
    "channels last, hooks": with_channels_last_and_hooks,
}
LARGE = {
    "resnet": lambda: grey(models.ResNet(BasicBlock, [1, 1, 1, 1], num_classes=2)),
    "vit": lambda: grey(models.VisionTransformer(16, 8, 1, 2, 16, 32, num_classes=2)),
}


def stop(values):
    raise OSError("disk full")


def interrupt(values):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's job in the background has not
    signal.raise_signal(signal.SIGINT)


def loader_that_breaks():
    yield from DATA[:2]
    raise OSError("disk gone")


def fit(**options):
    return lambda classifier: quick(classifier, **{"data": DATA, "val_loader": DATA, **options})


USES = {  # what is done, and what it ends with
    "fit": (fit(), None),
    "callback": (fit(callbacks=stop), OSError),
    "Ctrl-C": (fit(callbacks=interrupt), KeyboardInterrupt),
    "loader": (lambda classifier: quick(classifier, loader_that_breaks()), OSError),
    "evaluate": (lambda classifier: vivid().evaluate(classifier, DATA), None),
    "evaluate_classifier": (lambda classifier: evaluate_classifier(classifier, DATA, progress=False), None),
}
CASES = {
    **{f"{kind}, {use}": (KINDS[kind], *USES[use]) for kind in KINDS for use in USES},
    **{
        f"{kind}, paper": ((KINDS | LARGE)[kind], fit(config=PAPER), None)
        for kind in ("eager", "output by name, new buffers", *LARGE)
    },
    "eager, predicted labels": (eager, fit(config=SHORT.replace(labels="predicted")), None),
    **{f"{kind}, fit": (LARGE[kind], fit(), None) for kind in LARGE},
}


@pytest.mark.parametrize(("make", "use", "error"), CASES.values(), ids=CASES)
def test_it_comes_back_as_it_was(make, use, error):
    classifier = make()
    before = snapshot(classifier)
    with contextlib.nullcontext() if error is None else pytest.raises(error):
        use(classifier)
    assert_same(before, classifier)


def test_inside_it_is_frozen():
    classifier = eager()
    before = snapshot(classifier)
    with frozen(classifier, torch.device("cpu")):
        assert not any(module.training for module in classifier.modules())
        assert not any(parameter.requires_grad for parameter in classifier.parameters())
        classifier.train()(IMAGES)  # would change the statistics of BatchNorm
    assert_same(before, classifier)


def test_a_preprocess_that_is_a_module_is_left_as_a_classifier_is():
    preprocess = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(0.9))
    before = snapshot(preprocess)
    learned = quick(data=DATA, val_loader=DATA, preprocess=preprocess)
    assert learned.history.info["held_out_accuracy"] == 1  # nothing is dropped
    assert learned.evaluate(Halves(), DATA)["clean_accuracy"] == 1
    assert evaluate_classifier(Halves(), DATA, preprocess=preprocess, progress=False)["accuracy"] == 1
    assert_same(before, preprocess)


@pytest.mark.parametrize("config", [SHORT, PAPER], ids=lambda config: config.objective)
def test_gradients_stay_as_they_were(config):
    """Also of a module within a function, which is not frozen, as nothing is known of it."""
    inner, outer = small_net().eval(), small_net()
    outer(IMAGES).sum().backward()
    before = [parameter.grad.clone() for parameter in outer.parameters()]
    quick(lambda images: inner(images), config=config)
    quick(outer, config=config)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in inner.parameters())
    assert all(torch.equal(p.grad, old) for p, old in zip(outer.parameters(), before, strict=True))


SAME = {  # the same operators run on the same numbers
    **{name: KINDS[name] for name in ("scripted", "exported", "graph")},
    "function": lambda: eager(False).__call__,
    "partial": lambda: functools.partial(torch.func.functional_call, net := eager(False), dict(net.named_parameters())),
    "no_grad": lambda: torch.no_grad()(eager(False).forward),
}


def test_every_kind_leads_to_the_policy_of_the_eager_module():
    plain = fit()(eager())
    for name, make in SAME.items():
        other = fit()(make())
        assert same_weights(plain, other) and plain.history["cost"] == other.history["cost"], name


def inference(images):
    with torch.inference_mode():
        return Halves()(images)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_fit_inside_no_grad_says_so(mode):
    classifier = eager()
    with mode(), pytest.raises(ValueError, match="fit must be called with gradients on"):
        quick(classifier)


def test_a_classifier_in_inference_mode_is_enough_for_all_but_the_papers_fit():
    assert same_weights(quick(inference), quick(Halves()))
    with pytest.raises(ValueError, match="pass a gradient"):
        quick(inference, config=PAPER)


@pytest.mark.parametrize("use", ["fit", "evaluate", "paper", "as an array"])
def test_a_model_that_writes_into_its_input_changes_no_image_and_no_number(use):
    def of(inplace):
        images, normalize = IMAGES.repeat(1, 3, 1, 1), v2.Normalize([0.5] * 3, [0.5] * 3, inplace=inplace)

        def by_numpy(x):  # which counts as no write to the tensor
            return torch.from_numpy(np.subtract(x.numpy(), 0.5, out=x.numpy() if inplace else None))

        preprocess = by_numpy if use == "as an array" else lambda x: normalize(x) + 1
        data, options = [(images[:32], LABELS[:32]), (images[32:], LABELS[32:])], {"preprocess": preprocess}
        classifier = Halves()
        if use == "evaluate":
            torch.manual_seed(0)
            found = sorted(vivid().evaluate(classifier, data, **options).items())
        else:
            config = PAPER if use == "paper" else SHORT
            fitted = quick(classifier, data, val_loader=None if use == "paper" else data, config=config, **options)
            found = [tensor.tolist() for tensor in fitted.localization.state_dict().values()]
        assert torch.equal(images, IMAGES.repeat(1, 3, 1, 1))
        return found

    assert of(True) == of(False)


def test_fits_in_threads_follow_each_other():
    """They share torch's generator, and here a classifier."""
    classifier, alone = small_net().train(), silent(config=SHORT, classifier=small_net())
    before = snapshot(classifier)
    with ThreadPoolExecutor(2) as pool:
        found = [*pool.map(lambda _: silent(config=SHORT, classifier=classifier), range(2))]
    assert_same(before, classifier)
    assert all(same_weights(one, alone) for one in found)


@pytest.mark.parametrize(
    ("classifier", "said"),
    [
        (small_net().to("meta"), " in memory, got some on the device meta"),
        (nn.Sequential(nn.Flatten(), nn.LazyLinear(2)), ", got some of lazy modules"),
    ],
)
def test_a_classifier_without_weights_is_refused(classifier, said):
    with pytest.raises(ValueError, match=f"classifier must have its weights{said}"):
        quick(classifier)


def test_a_classifier_with_a_sparse_buffer_comes_back_as_it_was():
    classifier = Halves()
    classifier.register_buffer("mixing", torch.eye(2).to_sparse())
    classifier.register_forward_hook(lambda module, *_: setattr(module, "mixing", 2 * module.mixing))
    quick(classifier)
    assert torch.equal(classifier.mixing.to_dense(), torch.eye(2))
