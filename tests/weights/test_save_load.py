"""One safe file or folder: what is saved comes back, whole or not at all, and only arguments can be changed."""

import json
import os

import pytest
import safetensors.torch
import torch

from learned_affine import AffineLimits, LearnedAffineAugment
from learned_affine.policy.network import LocalizationNetwork
from learned_affine.weights import WeightsError
from learned_affine.weights.locate import FILE
from tests.fits import ROUNDS, quick, same_weights
from tests.subjects import vivid
from tests.weights.fuzz import unpack

pytestmark = pytest.mark.filterwarnings("ignore:augment is not fitted")  # saved without a fit
load = LearnedAffineAugment.from_pretrained


@pytest.mark.parametrize("word", ["all", "mirror", "none"])
@pytest.mark.parametrize("given", [None, "none"])
def test_what_is_forbidden_comes_back_forbidden(tmp_path, word, given):
    augment = vivid(AffineLimits(symmetries=word), localization=LocalizationNetwork(1, symmetries=word))
    with torch.no_grad():
        augment.localization.head.bias[12:] = 0.0
    path = augment.save_pretrained(tmp_path / "a.safetensors")
    again = load(path) if given is None else load(path, limits=AffineLimits(symmetries=given))
    assert (again.limits.symmetries, again.localization.symmetries) == (given or word, word)
    codes = again.sample_parameters(torch.rand(512, 1, 8, 8)).codes().unique().tolist()
    assert codes == list(AffineLimits(symmetries=given or word).allowed_symmetries(8, 8))


def test_a_policy_that_is_saved_during_its_fit_has_the_chances_of_that_round(tmp_path):
    """While a fit is under way its network gives what transforms cost, and the price of a nat stands beside it."""
    augment, images, policies = LearnedAffineAugment(), torch.rand(8, 1, 16, 16), []

    def keep(values):
        augment.save_pretrained(tmp_path / f"{values['round']}.safetensors")
        policies.append(augment.policy(images))

    quick(augment=augment, callbacks=keep)
    assert augment.localization.price == 1 and len(policies) == ROUNDS
    for number, policy in enumerate(policies, 1):
        saved = load(tmp_path / f"{number}.safetensors").policy(images)
        torch.testing.assert_close(saved.chances, policy.chances.detach(), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(saved.width, policy.width.detach(), rtol=1e-4, atol=1e-6)
    assert not torch.allclose(policies[0].width, policies[-1].width, rtol=0.02)


@pytest.mark.filterwarnings("error:augment is not fitted")
@pytest.mark.parametrize("name", ["a.safetensors", "folder"])
def test_an_augmenter_that_is_not_fitted_is_saved_with_a_warning(tmp_path, name):
    with pytest.warns(UserWarning, match="augment is not fitted: what is saved makes the same small") as caught:
        path = LearnedAffineAugment().save_pretrained(tmp_path / name)
    assert [one.filename for one in caught] == [__file__]
    again = load(path)
    assert again.history is None, "what came from a file that was not fitted is not fitted either"
    with pytest.warns(UserWarning, match="augment is not fitted"):
        again.save_pretrained(tmp_path / "b.safetensors")
    quick().save_pretrained(tmp_path / "c.safetensors")
    load(tmp_path / "c.safetensors").save_pretrained(tmp_path / "d.safetensors")


CHANGES = {"p": 0.25, "strength": 0.25, "deterministic": True, "limits": AffineLimits(5)}
CHANGES |= {"padding_mode": "border", "interpolation": "nearest"}


@pytest.mark.parametrize("name", CHANGES)
def test_arguments_can_be_changed_at_loading(path, name):
    before, after = load(path), load(path, **{name: CHANGES[name]})
    assert getattr(after, name) == CHANGES[name] != getattr(before, name)
    assert all(getattr(after, other) == getattr(before, other) for other in {"fill", *CHANGES} - {name})


def test_what_was_loaded_within_wider_limits_can_be_saved(tmp_path):
    """A policy that knows no symmetries draws none, whatever its limits allow: the file says so."""
    augment = quick(limits=AffineLimits(symmetries="none"))
    path = augment.save_pretrained(tmp_path / "none.safetensors")
    wider = load(load(path, limits=AffineLimits(45)).save_pretrained(tmp_path / "wider.safetensors"))
    assert wider.limits == AffineLimits(45, symmetries="none") and same_weights(wider, augment)


def test_only_arguments_can_be_changed(path):
    named = "^from_pretrained takes no keyword 'localization': it takes revision, .*, generator$"
    with pytest.raises(TypeError, match=named):
        load(path, localization=None)
    with pytest.raises(ValueError, match=r"p must be in \[0, 1\], got 2") as caught:
        load(path, p=2)
    assert not isinstance(caught.value, WeightsError), "the file is not at fault"


def test_loading_draws_no_random_number(path):
    state = torch.get_rng_state()
    load(path, p=0.3)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_path_that_is_none_or_another_file_is_named(path):
    (path.parent / "notes").write_text("mine")
    with pytest.raises(FileExistsError, match=r"path must end in \.safetensors, or be a folder, got the .*notes'"):
        vivid().save_pretrained(path.parent / "notes")
    with pytest.raises(TypeError, match="path must be a path, got NoneType"):
        vivid().save_pretrained(None)


def test_a_class_whose_name_is_not_utf_8_is_no_obstacle(tmp_path):
    """As those of folders from an old archive; a folder was left half-written."""
    augment = quick()
    augment.history.info["class_names"] = ["caf\udce9", "tea"]
    assert load(augment.save_pretrained(tmp_path)).history.info["class_names"] == ["caf\udce9", "tea"]
    assert len(list(tmp_path.iterdir())) == 3


def test_the_same_fit_gives_the_same_bytes(tmp_path):
    fits = enumerate(8 * [quick(), quick()])  # safetensors writes its header in any order
    files = [fit.save_pretrained(tmp_path / f"{number}.safetensors") for number, fit in fits]
    assert len({path.read_bytes() for path in files}) == 1


def test_a_folder_holds_weights_configuration_and_card(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    described = json.loads(unpack((folder / FILE).read_bytes())[0]["__metadata__"]["learned_affine"])
    assert json.loads((folder / "config.json").read_text()) == described
    again = load(folder)
    assert again.limits == AffineLimits(7)
    assert same_weights(again, load(folder / FILE)) and same_weights(again, load(str(folder)))


@pytest.mark.parametrize(
    "name", ["a.pt", "a.pth", "A.PKL", "a.json", "a.txt", "a.safetensor", "a.safetensors.gz", "b.h5"]
)
def test_the_ending_of_another_kind_of_file_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=rf"path must end in \.safetensors, or be a folder, got '.*{name}'"):
        vivid().save_pretrained(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["CIFAR10_V3", "DEFAULT"])
def test_a_name_of_shipped_weights_is_no_path(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"path must not be the name of shipped weights, .* got {name}"):
        vivid().save_pretrained(name)


def test_a_full_disk_leaves_the_old_file(path, monkeypatch):
    before = path.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=f"No space left on device: {str(path)!r}"):
        vivid(AffineLimits(20)).save_pretrained(path)
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


def test_a_link_stays_a_link_and_the_file_has_the_users_permissions(path):
    link = path.with_name("link.safetensors")
    link.symlink_to(path.name)
    before = os.umask(0o077)
    try:
        assert vivid(AffineLimits(20)).save_pretrained(link) == link
    finally:
        os.umask(before)
    assert link.is_symlink() and load(path).limits.angle == 20 and path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", [FILE, "config.json"])
def test_another_models_folder_is_left_alone(tmp_path, name):
    theirs = b"another model's, of learned_affine"
    if name == FILE:  # one that holds an augmenter
        theirs = safetensors.torch.save({"learned_affine.head.weight": torch.ones(2), "backbone": torch.ones(3)})
    (tmp_path / name).write_bytes(theirs)
    with pytest.raises(FileExistsError, match=f"path must be a folder without another model's {name}, got "):
        vivid().save_pretrained(tmp_path)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(name, theirs)]
    ours = vivid().save_pretrained(tmp_path / "ours")
    assert vivid().save_pretrained(tmp_path / "ours") == ours
