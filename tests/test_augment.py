"""``LearnedAffineAugment`` as users call it: fit, evaluate, save and load, on the class, an instance and a subclass."""

import importlib
import inspect

import pytest
import torch

from learned_affine import LearnedAffineAugment
from tests.fits import loader, quick, same_weights
from tests.subjects import Halves


class Own(LearnedAffineAugment):
    """A user's own subclass."""


def test_a_subclass_is_fitted_and_loaded_as_itself(tmp_path):
    own = quick(augment=Own)
    assert type(own) is Own
    again = Own.from_pretrained(own.save_pretrained(tmp_path / "own.safetensors"))
    assert type(again) is Own and same_weights(own, again)


NEAREST = {"val_loder": "val_loader", "validation_loader": "val_loader", "limit": "limits", "padding": "padding_mode"}
NEAREST |= {"sed": "seed"}


@pytest.mark.parametrize("keyword", NEAREST)
@pytest.mark.parametrize("owner", [LearnedAffineAugment, Own(), Own], ids=["class", "instance", "subclass"])
def test_an_unknown_keyword_of_fit_is_named_with_the_nearest_known_one_and_changes_nothing(owner, keyword):
    state = torch.get_rng_state()
    with pytest.raises(TypeError) as caught:
        owner.fit(Halves(), loader(), **{keyword: 1})
    assert str(caught.value) == f"fit takes no keyword {keyword!r}: did you mean {NEAREST[keyword]!r}?"
    assert getattr(owner, "history", None) is None and torch.equal(torch.get_rng_state(), state)


def test_an_unknown_keyword_that_is_near_to_none_is_told_them_all():
    with pytest.raises(TypeError, match=r"^fit takes no keyword 'zzz': it takes val_loader, config, .*, generator$"):
        LearnedAffineAugment.fit(Halves(), loader(), zzz=1)


@pytest.mark.parametrize(
    "name", ["losses", "classifier", "plots", "diagnostics", "kornia", "colour", "averaging", "tasks", "weights"]
)
def test_what_a_public_module_names_is_there(name):
    module = importlib.import_module(f"learned_affine.{name}")
    assert [one for one in getattr(module, "__all__", []) if not hasattr(module, one)] == []
    assert module.__doc__


def test_fit_and_from_pretrained_take_the_arguments_of_the_constructor():
    own = set(inspect.signature(LearnedAffineAugment).parameters)
    assert own < set(inspect.signature(LearnedAffineAugment.fit).parameters)
    assert own - {"localization"} < set(inspect.signature(LearnedAffineAugment.from_pretrained).parameters)
