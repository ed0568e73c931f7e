"""What users import is there, with one signature of ``fit`` and the arguments of the constructor."""

import importlib
import inspect

import pytest

from learned_affine import LearnedAffineAugment


@pytest.mark.parametrize(
    "name", ["losses", "classifier", "plots", "diagnostics", "kornia", "colour", "averaging", "tasks", "weights"]
)
def test_what_a_public_module_names_is_there(name):
    module = importlib.import_module(f"learned_affine.{name}")
    assert [one for one in getattr(module, "__all__", []) if not hasattr(module, one)] == []
    assert module.__doc__


def test_fit_has_one_signature_on_the_class_and_on_an_instance():
    fits = [one.fit for one in (LearnedAffineAugment, LearnedAffineAugment(), type("Own", (LearnedAffineAugment,), {}))]
    assert len({str(inspect.signature(fit)) for fit in fits}) == 1


def test_fit_and_from_pretrained_take_the_arguments_of_the_constructor():
    own = set(inspect.signature(LearnedAffineAugment).parameters)
    assert own < set(inspect.signature(LearnedAffineAugment.fit).parameters)
    assert own - {"localization"} < set(inspect.signature(LearnedAffineAugment.from_pretrained).parameters)
