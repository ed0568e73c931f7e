"""Judging a policy."""

import pytest
import torch

from learned_affine import AffineLimits, LearnedAffineAugment
from tests.fits import assert_same, loader, mixed_state, snapshot
from tests.subjects import Halves, blobs, small_net, vivid


def test_identity_changes_nothing():
    found = LearnedAffineAugment(AffineLimits(0, 1, 0, 0)).evaluate(Halves(), loader())
    assert found["displacement"] == 0 and found["agreement"] == 1 and found["visible_area"] == 1
    assert found["accuracy"] == found["clean_accuracy"] == 1
    assert found["within_angle"] == found["between_angle"] == 0


def test_a_wide_policy_shows_and_prints_as_a_table():
    found = vivid(AffineLimits.wide(), padding_mode="zeros").evaluate(Halves(), loader())
    assert found["displacement"] > 0.2 and found["agreement"] < 1 and found["between_angle"] > 0
    assert str(found).count("\n") == len(found) - 1


def test_classifier_is_untouched_and_errors_are_clear():
    classifier = mixed_state(small_net())
    before = snapshot(classifier)
    vivid().evaluate(classifier, [blobs(8)[0]])
    assert_same(before, classifier)
    with pytest.raises(ValueError, match="at least one batch"):
        vivid().evaluate(Halves(), [])
    with pytest.raises(ValueError, match="draws"):
        vivid().evaluate(Halves(), [torch.rand(2, 1, 8, 8)], draws=1)
