"""Labels that name a side: what they become in a mirror, in a fit and in training."""

import numpy as np
import PIL.Image
import pytest
import torch
from torch import nn
from torchvision import tv_tensors
from torchvision.transforms import v2

from learned_affine import AffineLimits, FitConfig, LearnedAffineAugment
from learned_affine.mirror_labels import MirrorLabels
from learned_affine.tasks.targets import LabelMirror, permuted_points
from tests.fits import SHORT, quick, same_weights, silent
from tests.subjects import Halves, Sides, blobs, flipping, sides

IMAGES, LABELS = blobs(64)
SWAP = [1, 0]
STILL = AffineLimits(angle=0, scale=1, shear=0, translate=0, symmetries="mirror")


def swapped(labels):
    return 1 - labels


# -- in a fit ---------------------------------------------------------------------------------------------------------


def test_the_fit_learns_to_mirror_what_only_the_label_forbids():
    """Classes 0 and 1 of ``sides`` are each other's mirror image: with the rule a mirror costs them nothing."""
    images, labels = sides(400, 1)
    options = {"classifier": Sides(), "data": [sides(400, 0)], "val_loader": [(images, labels)], "limits": STILL}
    options["config"] = FitConfig(rounds=2, images=2000)
    chances, added = [], []
    for rule in (None, [1, 0, 2, 3]):
        augment = silent(label_mirror=rule, **options)
        chances.append(float(augment.policy(images[labels < 2]).chances[:, 4].mean()))
        added.append(augment.history.info["classes_moved"][0]["cost"][4])
    assert chances[1] > 0.45 > 0.4 > chances[0]
    assert added[1] < 0.01 < 0.1 < added[0]


@pytest.mark.parametrize("task", [None, "binary"])
def test_a_permutation_and_its_function_give_the_same_policy(task):
    one, other = (quick(task=task, label_mirror=rule) for rule in (SWAP, swapped))
    assert same_weights(one, other) and not same_weights(one, quick(task=task))


def test_soft_and_several_labels_are_permuted_by_column():
    soft = nn.functional.one_hot(LABELS, 2).float()
    data = [(IMAGES, soft)] * 4
    assert same_weights(quick(data=data, label_mirror=SWAP), quick(data=[(IMAGES, LABELS)] * 4, label_mirror=SWAP))
    quick(data=data, label_mirror=SWAP, task="multi-label")


def test_predicted_labels_are_those_of_the_unmirrored_image_after_the_rule():
    predicted = quick(label_mirror=SWAP, config=SHORT.replace(labels="predicted"))
    assert same_weights(predicted, quick(label_mirror=SWAP))  # the classifier is always right


def test_evaluate_renames_what_it_mirrors():
    """Every image is mirrored or not, and Halves is right about both where the labels follow."""
    augment = flipping()
    told = augment.evaluate(Halves(), [(IMAGES, LABELS)], label_mirror=SWAP)
    assert told["accuracy"] == 1 and told["symmetry_chance"] == pytest.approx(0.5, abs=0.01)
    assert augment.evaluate(Halves(), [(IMAGES, LABELS)])["accuracy"] == pytest.approx(0.5, abs=0.15)


# -- in training ------------------------------------------------------------------------------------------------------


def test_labels_of_a_batch_follow_the_pixels():
    """``Halves`` reads the side off the pixels."""
    images, labels = MirrorLabels(flipping(), SWAP)(IMAGES, LABELS)
    moved = (images != IMAGES).flatten(1).any(1)
    assert 10 < int(moved.sum()) < 54
    assert torch.equal(labels, torch.where(moved, 1 - LABELS, LABELS))
    assert torch.equal(Halves()(images).argmax(-1), labels)


@pytest.mark.parametrize("rule", [SWAP, swapped])
def test_soft_labels_and_a_tuple(rule):
    soft = nn.functional.one_hot(LABELS, 2).float()
    images, labels = MirrorLabels(flipping(), SWAP)((IMAGES, soft))
    assert torch.equal(Halves()(images).argmax(-1), labels.argmax(-1))


def test_one_image_with_its_label():
    augment, seen = MirrorLabels(flipping(), SWAP), set()
    for row in range(40):
        image = v2.functional.to_pil_image(IMAGES[row])
        for made in (image, IMAGES[row], tv_tensors.Image(IMAGES[row])):
            for label in (int(LABELS[row]), LABELS[row]):
                moved, new = augment(made, label)
                assert type(new) is type(label)
                pixels = v2.functional.to_image(moved) if isinstance(moved, PIL.Image.Image) else moved
                seen.add((int(label), int(new)))
                assert int(Halves()(pixels[None].as_subclass(torch.Tensor)).argmax()) == int(new)
    assert seen == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_key_points_change_their_order_with_the_mirror():
    """Left and right eye: the point that was left is named right, and stands where the pixels are."""
    plain, flipped = [[4.0, 5.0], [12.0, 6.0], [8.0, 9.0]], [[4.0, 6.0], [12.0, 5.0], [8.0, 9.0]]
    points, seen = tv_tensors.KeyPoints(plain, canvas_size=(16, 16)), set()
    augment = MirrorLabels(flipping(), [1, 0, 2])
    for _ in range(20):
        image, target = augment(IMAGES[0], {"points": points, "name": "face"})
        seen.add(mirrored := bool((image != IMAGES[0]).any()))
        assert target["points"].tolist() == (flipped if mirrored else plain)
        assert isinstance(target["points"], tv_tensors.KeyPoints) and target["name"] == "face"
    assert seen == {False, True}


def test_it_stands_in_a_pipeline():
    images, labels = v2.Compose([MirrorLabels(flipping(), SWAP), v2.Normalize([0.5], [0.5])])(IMAGES, LABELS)
    assert torch.equal(Halves()(images / 2 + 0.5).argmax(-1), labels)


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "error", "message"),
    [
        ([0, 0], ValueError, r"label_mirror must be a permutation of 0 to 1, got \[0, 0\]"),
        ([1, 2], ValueError, r"label_mirror must be a permutation of 0 to 1, got \[1, 2\]"),
        ([1, 2, 0], ValueError, r"label_mirror must give every class back when it is used twice, got 0 to 1 to 2"),
        ("left", TypeError, r"label_mirror must be a permutation of class indices or a function, got 'left'"),
        ([0.0, 1.0], TypeError, r"label_mirror must be a permutation of class indices or a function, got \[0.0, 1.0\]"),
        ([1, 0, 2], ValueError, r"label_mirror must be a permutation of 2 classes, got one of 3"),
        (lambda labels: labels.tolist(), ValueError, r"label_mirror must return labels of the kind .* got list"),
        (lambda labels: labels[:1], ValueError, r"label_mirror must return labels .* Tensor of shape \(64,\), got"),
    ],
)
def test_a_rule_that_is_none_is_named(rule, error, message):
    with pytest.raises(error, match=message):
        quick(label_mirror=rule)


def test_the_wrapper_names_what_it_cannot_use():
    with pytest.raises(TypeError, match=r"augment must be a LearnedAffineAugment, got Identity"):
        MirrorLabels(nn.Identity(), SWAP)
    with pytest.raises(TypeError, match=r"the sample must be images and labels, got Tensor of shape \(64, 1, 16, 16\)"):
        MirrorLabels(flipping(), SWAP)(IMAGES)
    with pytest.raises(ValueError, match=r"label_mirror must be a permutation of 3 key points, got one of 2"):
        LabelMirror(SWAP)(
            tv_tensors.KeyPoints(torch.zeros(1, 3, 2), canvas_size=(4, 4)),
            torch.ones(1).bool(),
            permuted_points,
        )


# -- labels of every kind ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.bool])
def test_labels_of_any_kind_of_number_are_renamed_and_keep_their_kind(dtype):
    augment, labels = flipping(generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 1, 0, 1, 0, 0, 1]).to(dtype)
    _, renamed = MirrorLabels(augment, SWAP)(torch.rand(8, 3, 16, 16), labels)
    mirror = augment.last_parameters.mirror
    assert 0 < int(mirror.sum()) < 8 and renamed.dtype == dtype
    assert torch.equal(renamed.bool(), labels.bool() ^ mirror)


@pytest.mark.parametrize("ignored", [-1, -100, 255])
def test_a_label_that_is_no_class_stays(ignored):
    labels = torch.full((8,), ignored)
    assert torch.equal(MirrorLabels(flipping(generator=torch.Generator().manual_seed(0)), [1, 0, 2])(torch.rand(8, 3, 16, 16), labels)[1], labels)


@pytest.mark.parametrize("make", [list, np.array], ids=["list", "array"])
def test_lists_and_arrays_of_labels_come_back_as_such(make):
    augment = flipping(generator=torch.Generator().manual_seed(0))
    _, renamed = MirrorLabels(augment, SWAP)(torch.rand(8, 3, 16, 16), make([0, 1, 1, 0, 1, 0, 0, 1]))
    mirror = augment.last_parameters.mirror.int()
    assert type(renamed) is type(make([0]))
    assert list(renamed) == ((torch.tensor([0, 1, 1, 0, 1, 0, 0, 1]) + mirror) % 2).tolist()


@pytest.mark.parametrize("label", [1, True, np.int64(1), torch.tensor(1), torch.tensor(1, dtype=torch.uint8)])
def test_the_label_of_one_image_keeps_its_type(label):
    mirror_labels, seen = MirrorLabels(flipping(generator=torch.Generator().manual_seed(0)), SWAP), set()
    for _ in range(20):
        _, renamed = mirror_labels(torch.rand(3, 16, 16), label)
        assert type(renamed) is type(label)
        assert int(renamed) == 1 - int(mirror_labels.augment.last_parameters.mirror[0])
        seen.add(int(renamed))
    assert seen == {0, 1}


def test_a_clip_has_one_label():
    mirror_labels, seen = MirrorLabels(flipping(generator=torch.Generator().manual_seed(0)), SWAP), set()
    for _ in range(20):
        _, renamed = mirror_labels(tv_tensors.Video(torch.rand(4, 3, 16, 16)), 1)
        assert renamed == 1 - int(mirror_labels.augment.last_parameters.mirror[0])
        seen.add(renamed)
    assert seen == {0, 1}


def test_a_function_may_change_what_it_is_given():
    def in_place(labels):
        labels["y"] = 1 - labels["y"]
        return labels

    augment, given = flipping(generator=torch.Generator().manual_seed(0)), {"y": torch.zeros(8, dtype=torch.long)}
    _, renamed = MirrorLabels(augment, in_place)(torch.rand(8, 3, 16, 16), given)
    assert torch.equal(renamed["y"].bool(), augment.last_parameters.mirror)
    assert not given["y"].any()


def test_evaluate_refuses_a_permutation_of_other_classes():
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3))
    batch = torch.rand(8, 3, 16, 16), torch.arange(8) % 3
    for order in ([1, 0], [3, 1, 2, 0]):
        with pytest.raises(ValueError, match="label_mirror must be a permutation of 3 classes, got one of"):
            LearnedAffineAugment().evaluate(classifier, [batch], label_mirror=order)
