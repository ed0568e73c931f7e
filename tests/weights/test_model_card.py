"""The model card, read by the hub's own reader."""

import pytest

from learned_affine import AffineLimits, LearnedAffineAugment
from learned_affine.policy.network import LocalizationNetwork
from learned_affine.weights.model_card import MARK
from tests.subjects import flipping, vivid

huggingface_hub = pytest.importorskip("huggingface_hub")
pytestmark = pytest.mark.filterwarnings("ignore:augment is not fitted")  # saved without a fit
load = LearnedAffineAugment.from_pretrained


def test_the_card_is_one_that_the_hub_can_read(folder):
    augment = load(folder)
    augment.history.info |= {"licence": 'MIT"\ninjected: yes', "data": "a | b\nc"}
    augment.save_pretrained(folder)
    card = huggingface_hub.ModelCard.load(folder / "README.md")
    assert card.data.library_name == "learned_affine" and "data-augmentation" in card.data.tags
    assert card.data.license == 'mit"\ninjected: yes' and "injected" not in card.data.to_dict()
    for said in (r"| data | a \| b c |", "Rotation within ±7°", "| displacement |"):
        assert said in card.text


def test_the_card_says_whether_images_are_flipped(tmp_path):
    vivid().save_pretrained(tmp_path)
    assert "It flips an image and rotates it by right angles, each by a" in (tmp_path / "README.md").read_text()
    flipping().save_pretrained(tmp_path)
    assert "It flips an image left-right by a chance of its own" in (tmp_path / "README.md").read_text()
    network = LocalizationNetwork(symmetries="none")
    vivid(AffineLimits(symmetries="none"), localization=network).save_pretrained(tmp_path)
    assert "It never flips an image or rotates it" in (tmp_path / "README.md").read_text()


def test_a_card_that_was_edited_is_left_alone(folder):
    card = folder / "README.md"
    card.write_text(card.read_text() + "\nmore")
    load(folder).save_pretrained(folder)
    assert "more" not in card.read_text(), "with its mark it is ours to write anew"
    card.write_text(card.read_text().replace(MARK, "mine"))
    load(folder).save_pretrained(folder)
    assert "mine" in card.read_text()
