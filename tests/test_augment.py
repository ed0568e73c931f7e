"""``LearnedAffineAugment`` as users call it: fit, evaluate, save and load, on the class, an instance and a subclass."""

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


def test_an_unknown_keyword_changes_nothing():
    augment, state = LearnedAffineAugment(), torch.get_rng_state()
    with pytest.raises(TypeError, match="did you mean 'seed'"):
        augment.fit(Halves(), loader(), sed=1)
    assert augment.history is None and torch.equal(torch.get_rng_state(), state)
