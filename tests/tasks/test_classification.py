"""What a classifier's outputs mean and cost, its temperature, and what stands before it."""

import math
from collections import OrderedDict, UserDict, namedtuple
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from learned_affine.tasks.model import Model, temperature_of
from tests.fits import IMAGES, LABELS

LOGITS = torch.tensor([[0.75, 0.25], [0.5, 0.5]]).log()


class ModelOutput(OrderedDict):
    """As Hugging Face's: a dict whose entries are attributes, too."""

    def __getattr__(self, name):
        return self[name]


Named = namedtuple("Named", "loss logits")
OUTPUTS = {
    "tensor": lambda logits: logits,
    "attribute": lambda logits: SimpleNamespace(logits=logits),
    "dict": lambda logits: {"logits": logits},
    "dict with more": lambda logits: {"loss": torch.zeros(()), "logits": logits, "hidden_states": [logits]},
    "ModelOutput": lambda logits: ModelOutput(loss=None, logits=logits),
    "UserDict": lambda logits: UserDict(logits=logits),
    "named tuple": lambda logits: Named(None, logits),
    "half precision": lambda logits: logits.bfloat16(),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_logits_come_as_a_tensor_or_by_name(name):
    model = Model(lambda images: OUTPUTS[name](LOGITS))
    torch.testing.assert_close(model.answer(IMAGES[:2]), LOGITS, rtol=1e-2 if name == "half precision" else 0, atol=0)


@pytest.mark.parametrize("output", [{"scores": LOGITS}, {"logits": "cat"}, (LOGITS, LOGITS), None, "cat"])
def test_other_outputs_are_named(output):
    with pytest.raises(TypeError, match=r"classifier must return logits, .* or a dict with 'logits', got "):
        Model(lambda images: output).answer(IMAGES[:2])


@pytest.mark.parametrize(("certain", "scale"), [(True, 0.1), (False, 100.0)])
def test_temperature_stays_within_its_bounds(certain, scale):
    """Always right: the surer the better. Always wrong: the less sure the better."""
    logits = nn.functional.one_hot(LABELS, 2).float().repeat(4000, 1)  # so many that nothing else decides
    labels = LABELS.repeat(4000)
    assert temperature_of(logits, labels if certain else 1 - labels) == pytest.approx(scale)


@pytest.mark.parametrize("count", [1, 5, 20, 300])
@pytest.mark.parametrize("margin", [0.5, 2.0, 8.0])
def test_where_all_of_few_images_are_right_the_temperature_stays_near_1(count, margin):
    """Where the slope of the summed cost is that of ``log(T)^2 / (2 * 0.5^2)``, found by bisection on ``log T``."""
    low, high = math.log(0.01), 0.0
    for _ in range(60):
        middle = (low + high) / 2
        surer = margin / math.exp(middle)
        slope = count * surer / (1 + math.exp(surer)) + middle / 0.25
        low, high = (middle, high) if slope < 0 else (low, middle)
    logits = torch.tensor([[margin, 0.0]]).repeat(count, 1)
    found = temperature_of(logits, torch.zeros(count, dtype=torch.long))
    assert found == pytest.approx(max(math.exp(low), 0.1), rel=0.013)  # the scales are 2.3 % apart
    assert found > 0.25 or count > 20
