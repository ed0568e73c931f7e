"""``LearnedAffineAugment`` as users call it: fit, evaluate, save and load, on the class, an instance and a subclass."""

import pytest
import torch

from learned_affine import AffineLimits, LearnedAffineAugment
from learned_affine.augment import LearnedAffineAugment as Defined
from learned_affine.diagnostics import Evaluation
from tests.fits import SETTLED, SHORT, few_steps, loader, quick, same_weights
from tests.subjects import Halves, vivid


class Own(LearnedAffineAugment):
    """A user's own subclass."""


def test_fit_on_the_class_makes_one_and_on_an_instance_fits_that_one():
    made = quick(limits=AffineLimits(10), p=0.3, padding_mode="zeros")
    assert type(made) is Defined and (made.limits.angle, made.p, made.padding_mode) == (10, 0.3, "zeros")
    instance = LearnedAffineAugment(localization=made.localization)
    assert quick(augment=instance) is instance and instance.history.rounds == SHORT.rounds + SETTLED


def test_a_subclass_is_fitted_and_loaded_as_itself(tmp_path):
    own = quick(augment=Own)
    assert type(own) is Own
    again = Own.from_pretrained(own.save_pretrained(tmp_path / "own.safetensors"))
    assert type(again) is Own and same_weights(own, again)


def test_evaluate_takes_its_keywords_and_gives_a_table():
    found = vivid().evaluate(Halves(), loader(), draws=2, max_images=20)
    assert isinstance(found, Evaluation) and "clean_accuracy" in str(found)


def test_fit_on_an_instance_takes_no_arguments_of_the_constructor():
    with pytest.raises(TypeError, match=r"^fit on an instance takes no constructor arguments, got limits, p$"):
        LearnedAffineAugment().fit(Halves(), loader(), limits=AffineLimits(5), p=1.0)


# -- unknown keywords -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keyword", "nearest"),
    [
        ("val_loder", "val_loader"),
        ("validation_loader", "val_loader"),
        ("callback", "callbacks"),
        ("label_maps", "label_map"),
        ("limit", "limits"),
        ("padding", "padding_mode"),
    ],
)
@pytest.mark.parametrize("owner", [LearnedAffineAugment, Own(), Own], ids=["class", "instance", "subclass"])
def test_an_unknown_keyword_of_fit_is_named_with_the_nearest_known_one(owner, keyword, nearest):
    with pytest.raises(TypeError) as caught:
        owner.fit(Halves(), loader(), **{keyword: 1})
    assert str(caught.value) == f"fit takes no keyword {keyword!r}: did you mean {nearest!r}?"


def test_an_unknown_keyword_that_is_near_to_none_is_told_them_all():
    with pytest.raises(TypeError, match=r"^fit takes no keyword 'zzz': it takes val_loader, config, .*, generator$"):
        LearnedAffineAugment.fit(Halves(), loader(), zzz=1)
    with pytest.raises(TypeError, match=r"^from_pretrained takes no keyword 'zzz': it takes revision, .*, generator$"):
        LearnedAffineAugment.from_pretrained("CIFAR10_V3", zzz=1)


@pytest.mark.parametrize(
    ("keyword", "nearest"), [("revison", "revision"), ("paddingmode", "padding_mode"), ("strengh", "strength")]
)
@pytest.mark.parametrize("owner", [LearnedAffineAugment, Own])
def test_an_unknown_keyword_of_from_pretrained_is_named_with_the_nearest_known_one(owner, keyword, nearest):
    with pytest.raises(TypeError) as caught:
        owner.from_pretrained("CIFAR10_V3", **{keyword: 1})
    assert str(caught.value) == f"from_pretrained takes no keyword {keyword!r}: did you mean {nearest!r}?"


def test_arguments_by_name_and_by_place_are_known():
    options = {"config": SHORT, "progress": False}
    with few_steps():
        LearnedAffineAugment().fit(classifier=Halves(), loader=loader(), **options)
        LearnedAffineAugment.fit(Halves(), loader=loader(), **options)
    assert LearnedAffineAugment.from_pretrained(source="CIFAR10_V3", p=0.2).p == 0.2


def test_missing_and_double_arguments_are_pythons_own_errors():
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'loader'"):
        LearnedAffineAugment.fit(Halves())
    with pytest.raises(TypeError, match="multiple values for argument 'loader'"):
        LearnedAffineAugment.fit(Halves(), loader(), loader=loader())


def test_an_unknown_keyword_changes_nothing():
    augment, state = LearnedAffineAugment(), torch.get_rng_state()
    with pytest.raises(TypeError, match="did you mean 'seed'"):
        augment.fit(Halves(), loader(), sed=1)
    assert augment.history is None and torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("word", ["all", "mirror", "none"])
def test_its_text_says_its_symmetries(word):
    assert f"symmetries='{word}')" in repr(LearnedAffineAugment(AffineLimits(symmetries=word)))
