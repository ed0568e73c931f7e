"""Labels that name a side or a direction: what they become in a symmetry, in a fit and in training."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torchvision import tv_tensors
from torchvision.transforms import v2

from learned_affine import LearnedAffineAugment
from learned_affine.label_map import MappedLabels
from learned_affine.tasks import Binary
from learned_affine.tasks.targets import LabelMap
from tests.fits import IMAGES, LABELS, SHORT, quick, silent
from tests.geometry.matrices import symmetries_alone
from tests.subjects import COMPASS, STILL, Compass, Halves, blobs, compass, flipping, seeded, symmetric

SWAP = {"mirror": [1, 0]}
TURN = COMPASS["quarter_turn"]


def everything() -> LearnedAffineAugment:
    """Gives an image each of the eight symmetries as often, and does nothing else."""
    return symmetric(STILL, channels=1)


# -- the rules --------------------------------------------------------------------------------------------------------


def test_labels_follow_all_eight_symmetries_as_pixels_do():
    """Of each class in each symmetry, moved by the augmenter itself and read off the pixels: indices and columns."""
    augment, drawn = LearnedAffineAugment(), symmetries_alone(*range(8))
    for label, image in enumerate(compass(4)[0]):
        moved, before = augment.warp(image.expand(8, -1, -1, -1), drawn), torch.full((8,), label)
        for one in (before, F.one_hot(before, 4).float()):
            after = LabelMap(COMPASS)(one, drawn.mirror, drawn.quarter_turns)
            assert torch.equal(Compass()(moved).argmax(-1), after if one is before else after.argmax(-1))


@pytest.mark.parametrize(("key", "codes"), [("mirror", [4]), ("quarter_turn", [1, 2, 3])])
def test_one_rule_alone_leaves_labels_as_they_are_in_all_but_its_own_move(key, codes):
    """Both rules together rename in all of them, as the test above reads off the pixels."""
    both, alone = LabelMap(COMPASS).orders(4), LabelMap({key: COMPASS[key]}).orders(4)
    for code in range(8):
        assert torch.equal(alone[code], both[code] if code in codes else torch.arange(4))


# -- in a fit ---------------------------------------------------------------------------------------------------------


def test_the_fit_moves_what_only_the_labels_forbid():
    """With the whole map all eight symmetries cost nothing; without, each but one makes half of the labels wrong."""
    options = {"classifier": Compass(), "data": [compass()], "val_loader": [compass(120)], "limits": STILL}
    chances = []
    for label_map, codes in ((None, 4), (COMPASS, 8)):
        fitted = silent(label_map=label_map, config=SHORT.replace(target=0.5), **options)
        chances.append(fitted.policy(compass(120)[0]).chances.mean(0))
        right = [row["right"][:codes] for row in fitted.history.info["classes_moved"]]
        assert right == 4 * [[1.0] * 8 if label_map else [1.0, 0.0, 0.0, 0.0]]
    assert float(chances[0][0]) > 0.3 and float(chances[1].min()) > 0.1


def test_a_map_of_the_flip_alone_forbids_nothing_that_is_free_without_it():
    """Where the bright half is left or right, an image upside down keeps its label, and one rotated by 180 does not."""
    options = {"classifier": Halves(), "data": [blobs(64)], "val_loader": [blobs(48)], "limits": STILL}
    for label_map, flipped in ((None, 0.0), (SWAP, 1.0)):
        fitted = quick(label_map=label_map, config=SHORT.replace(target=0.5), **options)
        assert [row["right"][::2] for row in fitted.history.info["classes_moved"]] == 2 * [[1.0, 0.0, flipped, 1.0]]
        assert float(fitted.policy(IMAGES).chances.mean(0)[6]) > 0.2


# -- in training ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["a batch", "a list", "one by one"])
def test_labels_follow_the_pixels_in_training(way):
    images, labels = compass()
    augment = MappedLabels(everything(), COMPASS)
    if way == "one by one":
        moved, new = zip(*(augment(*pair) for pair in zip(images, labels.tolist(), strict=True)), strict=True)
    else:
        moved, new = augment(images, labels) if way == "a batch" else augment([*images], labels.tolist())
    new = torch.as_tensor(new)
    assert torch.equal(Compass()(torch.stack([*moved])).argmax(-1), new)
    assert len(torch.unique(4 * labels + new)) == 16


def test_labels_follow_their_own_draw_while_another_thread_draws():
    (images, labels), mapped, others = compass(), MappedLabels(everything(), COMPASS), []

    def meanwhile(*_):
        if not others:
            others.append(len(images))
            mapped.augment(images)

    mapped.augment.register_forward_hook(meanwhile)
    moved, new = mapped(images, labels)
    assert others and torch.equal(Compass()(moved).argmax(-1), new)


def test_key_points_change_their_order_with_the_symmetry():
    """Of points at the four sides of a square, the first is always the one at the top."""
    around = torch.tensor([[8.0, 2], [14, 8], [8, 14], [2, 8]])
    points = tv_tensors.KeyPoints(around, canvas_size=(16, 16))
    augment = MappedLabels(everything(), COMPASS)
    for _ in range(20):
        _, target = augment(IMAGES[0], {"points": points, "name": "face"})
        torch.testing.assert_close(target["points"].as_subclass(torch.Tensor), around)
        assert isinstance(target["points"], tv_tensors.KeyPoints) and target["name"] == "face"


@pytest.mark.parametrize("container", [list, tuple])
def test_key_points_in_a_list_or_a_tuple_stay_key_points_in_one(container):
    one = tv_tensors.KeyPoints(torch.tensor([[3.0, 5.0], [12.0, 5.0]]), canvas_size=(16, 16))  # at the same height
    augment = MappedLabels(flipping(generator=seeded()), SWAP)
    _, targets = augment(IMAGES[:8], container(one.clone() for _ in range(8)))
    mirror = augment.augment.last_parameters.mirror
    assert 0 < int(mirror.sum()) < 8 and type(targets) is container
    assert all(isinstance(points, tv_tensors.KeyPoints) for points in targets)
    for points, flipped in zip(targets, mirror.tolist(), strict=True):  # the first is always the one on the left
        expected = torch.tensor([[4.0, 5.0], [13.0, 5.0]] if flipped else [[3.0, 5.0], [12.0, 5.0]])
        torch.testing.assert_close(points.as_subclass(torch.Tensor), expected)


# -- bad input --------------------------------------------------------------------------------------------------------


def evaluate(**options):
    return symmetric(channels=1).evaluate(Halves(), [(IMAGES, LABELS)], **options)


@pytest.mark.parametrize(
    ("label_map", "error", "message"),
    [
        ([1, 0], TypeError, r'label_map must be a dict such as \{"mirror": \[1, 0\]\}, got \[1, 0\]'),
        ({"flip": [1, 0]}, ValueError, r"label_map must have no other keys than 'mirror' and 'quarter_turn', got .*"),
        ({"mirror": [0, 0]}, ValueError, r"label_map\['mirror'\] must be a permutation of 0 to 1, got \[0, 0\]"),
        ({"mirror": [1, 2, 0]}, ValueError, r"give every class back when it is used twice, got 0 to 1 to 2$"),
        ({"quarter_turn": [1, 2, 0]}, ValueError, r"when it is used four times, got 0 to 1 to 2 to 0 to 1$"),
        ({"mirror": "left"}, TypeError, r"label_map\['mirror'\] must be a permutation of .* or a function, got 'left'"),
        ({"mirror": [0.0, 1.0]}, TypeError, r"must be a permutation of class indices or a function, got \[0.0, 1.0\]"),
        ({"quarter_turn": TURN}, ValueError, r"\['quarter_turn'\] must be a permutation of 2 classes, got .* 4"),
        ({"mirror": lambda labels: labels.float()}, ValueError, r"'torch.int64 \(.*, got 'torch.float32 \("),
        ({"mirror": lambda x: x + 1}, ValueError, r"^label_map's labels must be within \[0, 2\), .* [01] to 2"),
    ],
)
def test_a_rule_that_is_none_is_named(label_map, error, message):
    for call in (quick, evaluate):
        with pytest.raises(error, match=message):
            call(label_map=label_map)


def test_a_map_without_rules_renames_nothing():
    """As a proposal that proposes nothing."""
    renamed = MappedLabels(flipping(), LearnedAffineAugment().proposed_label_map())(IMAGES, LABELS)[1]
    assert torch.equal(renamed, LABELS)


def test_the_keyword_of_version_0_2_says_what_to_use():
    for call in (quick, evaluate):
        with pytest.raises(TypeError, match=r"no keyword 'label_mirror' any more: use label_map=\{\"mirror\": ...\}"):
            call(label_mirror=[1, 0])


# -- labels of every kind ---------------------------------------------------------------------------------------------


SIDES = [0, 1, 1, 0, 1, 0, 0, 1]
DTYPES = [torch.int64, torch.int32, torch.uint8, torch.bool]
KINDS = [list, tuple, partial(np.array, dtype=np.int32), *(partial(torch.tensor, dtype=dtype) for dtype in DTYPES)]


def swapped(labels):
    return type(labels)(1 - one for one in labels) if isinstance(labels, list | tuple) else labels ^ (labels == labels)


@pytest.mark.parametrize("label_map", [SWAP, {"mirror": swapped}], ids=["permutation", "function"])
@pytest.mark.parametrize("make", KINDS)
def test_the_labels_of_a_batch_keep_their_kind(make, label_map):
    augment, given = flipping(generator=seeded()), make(SIDES)
    _, renamed = MappedLabels(augment, label_map)(torch.rand(8, 1, 16, 16), given)
    mirror = augment.last_parameters.mirror.int()
    assert 0 < int(mirror.sum()) < 8 and type(renamed) is type(given)
    assert getattr(renamed, "dtype", None) == getattr(given, "dtype", None)
    assert [int(one) for one in renamed] == (torch.tensor(SIDES) ^ mirror).tolist()


@pytest.mark.parametrize("item", [IMAGES[0], v2.functional.to_pil_image(IMAGES[0]), tv_tensors.Video(IMAGES[:4])])
@pytest.mark.parametrize(
    ("label", "flipped"),
    [
        *((1, 0), (True, False), (np.int64(1), 0), (torch.tensor(1), 0), (torch.tensor(1, dtype=torch.uint8), 0)),
        *((0.9, 1 - 0.9), (np.float32(0.75), 0.25), (np.array([0.75, 0.25]), [0.25, 0.75])),
        *(([0.9, 0.1], [0.1, 0.9]), ([1, 0], [0, 1])),
    ],
)
def test_the_label_of_one_image_or_clip_keeps_its_kind(item, label, flipped):
    mapped, seen = MappedLabels(flipping(generator=seeded()), SWAP), set()
    for _ in range(20):
        _, renamed = mapped(item, label)
        mirror = bool(mapped.augment.last_parameters.mirror[0])
        assert type(renamed) is type(label) and np.array_equal(renamed, flipped if mirror else label)
        seen.add(mirror)
    assert seen == {False, True}


def test_a_function_may_change_what_it_is_given():
    def in_place(labels):
        labels["y"] = 1 - labels["y"]
        return labels

    augment, given = flipping(generator=seeded()), {"y": torch.zeros(8, dtype=torch.long)}
    _, renamed = MappedLabels(augment, {"mirror": in_place})(torch.rand(8, 1, 16, 16), given)
    assert torch.equal(renamed["y"].bool(), augment.last_parameters.mirror)
    assert not given["y"].any()


@pytest.mark.parametrize("shape", [(8,), (8, 1)])
@pytest.mark.parametrize("chance", [True, False])
def test_chances_of_a_yes_follow_as_the_fit_has_them(shape, chance):
    """A fit reads them as the two probabilities of no and yes, whose columns change places."""
    given = torch.tensor([0.9, 0.2, 0.0, 1.0, -100.0, -1.0, 255.0, 0.7])
    given = (given if chance else given.round().long()).view(shape)
    augment = flipping(generator=seeded())
    _, renamed = MappedLabels(augment, SWAP)(torch.rand(8, 1, 16, 16), given)
    expected, flat = Binary().labels(given, 8), given.flatten()
    known = (flat >= 0) & (flat <= 1)
    swapped = expected.flip(1)[:, 1] if chance else 1 - expected
    expected = torch.where(augment.last_parameters.mirror & known, swapped, flat).view(shape)
    assert renamed.dtype == given.dtype
    torch.testing.assert_close(renamed, expected)


FORM = r"^label_map\['mirror'\] must return labels of the form "
CLASSES = r"label_map must be a permutation of 2 classes for labels Tensor of shape "
COUNT = "labels must be one for each of 8 images, got "
MANY = LABELS[:8]
REFUSED = {
    "three classes for two": (torch.rand(8, 2), [1, 0, 2], CLASSES + r"\(8, 2\), got one of 3"),
    "three classes for a yes": (torch.rand(8), [1, 0, 2], CLASSES + r"\(8,\), got one of 3"),
    "another key": ({"y": MANY, "m": MANY}, lambda given: {"y": given["y"]}, FORM + r".*'m': .* got \{'y': [^m]*\}"),
    "another shape": ({"y": MANY}, lambda given: {"y": given["y"][:3]}, FORM + r".*\(8,\)'\}, got \{'y': '.*\(3,\)"),
    "another length": ([*MANY], lambda given: given[:-1], FORM + ".*got "),
    "one of eight": (torch.tensor([1]), [1, 0], COUNT),
    "one": (torch.tensor(1), [1, 0], COUNT),
    "three of eight": (torch.tensor([0, 1, 0]), [1, 0], COUNT),
    "two in a list": ([0, 1], [1, 0], COUNT),
}


@pytest.mark.parametrize(("labels", "rule", "message"), REFUSED.values(), ids=REFUSED)
def test_labels_that_the_map_does_not_fit_are_refused(labels, rule, message):
    with pytest.raises(ValueError, match=message):
        MappedLabels(flipping(generator=seeded()), {"mirror": rule})(torch.rand(8, 1, 16, 16), labels)


@pytest.mark.parametrize("label", ["left", {"name": "left"}, [[0], [0, 1]]])
@pytest.mark.parametrize("images", [IMAGES[0], IMAGES[:2]], ids=["one", "batch"])
def test_a_label_that_no_permutation_moves_is_refused_whatever_is_drawn(images, label):
    mapped = MappedLabels(LearnedAffineAugment(p=0.0), SWAP)
    with pytest.raises(ValueError, match="label_map must be of functions where labels are no numbers and hold no key"):
        mapped(images, label)


@pytest.mark.parametrize("images", [{"x": torch.rand(2, 1, 8, 8)}, tuple(torch.rand(2, 1, 8, 8)), "no image"])
def test_images_are_one_a_batch_or_a_list(images):
    """Labels of a batch that is not seen as one were permuted by column, where there are as many as classes."""
    with pytest.raises(TypeError, match=r"images must be one image, a batch \(B, C, H, W\), or a list, got "):
        MappedLabels(everything(), SWAP)(images, torch.tensor([0, 0]))
