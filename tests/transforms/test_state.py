"""A policy's weights mean shares of its limits: loading them into other limits is not silent."""

import io
import warnings

import pytest
import torch
from torch import nn

from learned_affine import AffineLimits, LearnedAffineAugment
from learned_affine.kornia import LearnedAffine
from tests.subjects import vivid

HOLDERS = {
    "itself": lambda limits: vivid(limits),
    "in a model": lambda limits: nn.ModuleDict({"augment": vivid(limits), "linear": nn.Linear(2, 2)}),
    "kornia's": lambda limits: LearnedAffine(vivid(limits)),
}
holders = pytest.mark.parametrize("holder", HOLDERS.values(), ids=HOLDERS.keys())


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@holders
@pytest.mark.parametrize("way", [lambda state: state, through_a_file], ids=["in hand", "through a file"])
def test_other_limits_are_said_and_the_same_are_not(holder, way):
    limits = AffineLimits(angle=90, translate=0.3)
    state = way(holder(limits).state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        holder(limits).load_state_dict(state)
    other = holder(None)
    said = r"limits\.angle=90.0 \(here it is 30.0\), limits\.translate=0\.3 \(here it is 0.15\), .*set the limits"
    with pytest.warns(UserWarning, match=said) as found:
        other.load_state_dict(state)
    assert len(found) == 1 and "scale" not in str(found[0].message).replace("draws scale", "")
    assert all(torch.equal(value, state[name]) for name, value in other.state_dict().items())


def test_a_state_without_limits_loads_in_silence():
    """As of an earlier version, of a file of tensors alone, or of a dict that was made anew."""
    state, augment = dict(vivid(AffineLimits(angle=90)).state_dict()), LearnedAffineAugment()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        augment.load_state_dict(state)
    assert {f"localization.{name}" for name in augment.localization.state_dict()} == set(state)
    assert all(torch.equal(value, state[name]) for name, value in augment.state_dict().items())
