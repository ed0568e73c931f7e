"""What was learned in words, and as a label map: against tables worked out by hand, and a fit whose truth is known."""

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from learned_affine import AffineLimits, LearnedAffineAugment, plots
from learned_affine.diagnostics.summary import circles_in, proposal_words, ranges_of, symmetry_text
from learned_affine.fitting.history import FitHistory
from learned_affine.tasks import SingleLabel
from learned_affine.tasks.targets import LabelMap
from tests.fits import SHORT, quick, silent
from tests.plots.test_canvas import row_titles
from tests.subjects import COMPASS, STILL, Compass, compass, vivid

IMAGES, LABELS = compass(120)
NAMES = ["arrow-left", "arrow-right", "check", "heart"]


def row(index: int, chance: list[float], right: list[float]) -> dict:
    return {"class": index, "images": 9, "chance": chance, "right": right}


INFO = {
    "classes": 4,
    "class_names": NAMES,
    "classes_moved": [
        row(0, [0.52, 0, 0, 0, 0, 0, 0.48, 0], [1.0, 0, 0, 0, 0, 0, 0.9, 0]),
        row(3, [0.5, 0, 0, 0, 0.5, 0, 0, 0], [1.0, 0, 0, 0, 1.0, 0, 0, 0]),
    ],
    "recognised": {"4": {"0": [1, 0.92, 1.0], "1": [0, 0.9, 0.9], "2": [3, 0.8, 1.0], "3": [3, 1.0, 1.0]}, "1": {}},
}


def fitted(info: dict) -> LearnedAffineAugment:
    augment = LearnedAffineAugment()
    augment.history = FitHistory(info=info)
    return augment


@pytest.mark.parametrize(
    ("becomes", "count", "circles"),
    [
        ({0: (1, 0.9), 1: (0, 0.5)}, 2, [[0, 1]]),
        ({0: (1, 0.9), 1: (0, 0.49)}, 2, []),  # too few
        # as measured: a mirrored S is a 2 by half of the images, but not as surely as a 2 is
        ({0: (1, 1.0, 1.02), 1: (0, 0.53, 0.44)}, 2, []),
        ({0: (1, 0.9), 1: (2, 0.9), 2: (2, 1.0)}, 2, []),  # not back
        ({0: (0, 1.0)}, 2, []),
        ({0: (1, 0.9)}, 2, []),  # nothing is known of class 1
        ({3: (1, 0.9), 1: (2, 0.9), 2: (0, 0.9), 0: (3, 0.9)}, 4, [[0, 3, 1, 2]]),
        ({0: (1, 0.9), 1: (0, 0.9)}, 4, []),
        ({0: (1, 0.9), 1: (2, 0.9), 2: (0, 0.9)}, 4, []),  # three are no symmetry
        ({0: (1, 0.9), 1: (2, 0.9), 2: (3, 0.9), 3: (1, 0.9)}, 4, []),  # back, but not to the first
        ({0: (1, 1.0), 1: (2, 1.0), 2: (3, 1.0), 3: (4, 1.0), 4: (0, 1.0)}, 4, []),
    ],
)
def test_circles_are_found_only_where_every_class_becomes_the_next(becomes, count, circles):
    assert circles_in({str(one): [*to, 0.8][:3] for one, to in becomes.items()}, count) == circles


def test_pairs_are_proposed_and_told_in_words():
    """Check becomes a heart, but a heart does not become a check."""
    assert fitted(INFO).proposed_label_map() == {"mirror": [1, 0, 2, 3]}
    assert proposal_words(INFO) == ["arrow-left mirrored is recognised as arrow-right, 92 %, and back, 90 %"]
    unnamed = {key: value for key, value in INFO.items() if key != "class_names"}
    assert proposal_words(unnamed) == ["class 0 mirrored is recognised as class 1, 92 %, and back, 90 %"]


def test_what_the_fit_was_told_is_not_proposed_again():
    assert fitted({**INFO, "label_map": {"mirror": "swapped"}}).proposed_label_map() == {}
    assert fitted({**INFO, "label_map": {"quarter_turn": [0, 1, 2, 3]}}).proposed_label_map() != {}


@pytest.mark.parametrize("label_map", [None, COMPASS])
def test_a_fit_proposes_the_map_that_is_true(label_map):
    """Its classes are the sides of an image, which all eight symmetries rename; the classifier reads them exactly."""
    options = {"classifier": Compass(), "data": [compass()], "val_loader": [(IMAGES, LABELS)], "limits": STILL}
    augment = silent(config=SHORT.replace(target=0.5), label_map=label_map, **options)
    told = augment.evaluate(Compass(), [(IMAGES, LABELS)])
    if label_map is not None:
        assert augment.proposed_label_map() == {} and told.proposals == []
        return
    assert augment.proposed_label_map() == COMPASS
    LabelMap(augment.proposed_label_map())
    words = [
        "class 1 mirrored is recognised as class 3, 100 %, and back, 100 %",
        "class 0 rotated by 90 degrees is recognised as class 1, 100 %, then as class 2, 100 %, then as class 3, "
        "100 %, and back, 100 %",
    ]
    assert told.proposals == words and str(told).endswith("\n".join(words))
    assert augment.summary().endswith("\n".join(words))


def test_the_table_shows_the_symmetries_that_were_judged():
    assert symmetry_text(INFO, "all").splitlines()[1:4] == [
        "            images   as it is       flip  upside-down",
        "arrow-left       9  0.52 100%     -   0%    0.48  90%",
        "heart            9  0.50 100%  0.50 100%       -   0%",
    ]
    assert symmetry_text({}, "all") == "Symmetries were not judged class by class."
    assert "moved training images that" in symmetry_text({**INFO, "held_on": "training"}, "all").splitlines()[0]
    assert "as fitted; now limits.symmetries is 'mirror'" in symmetry_text(INFO, "mirror")
    too_few = symmetry_text({"classes": 4, "classes_moved": []}, "all")
    assert too_few.startswith("Symmetries were judged on too few held-out images of each class")


def test_evaluate_tells_the_chances_of_each_class():
    augment = LearnedAffineAugment()
    told = augment.evaluate(Compass(), [(IMAGES, LABELS)])
    expected = augment.policy(IMAGES).chances
    assert list(told.chances) == [f"class {one}" for one in range(4)]
    for one, chances in enumerate(told.chances.values()):
        assert chances == pytest.approx(expected[one == LABELS].mean(0).tolist(), abs=1e-5)
    assert "class 3" in str(told) and "upside-down" in str(told)


def test_ranges_are_the_standard_deviation_of_all_draws():
    augment = vivid(AffineLimits(symmetries="none"))
    images = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    drawn = augment.sample_parameters(images.repeat(4000, 1, 1, 1)).stacked().std(0)
    mean, deviation = augment.policy(images).moments(augment.limits)
    rotation, scale, shear, shift = ranges_of(mean, deviation)
    assert (rotation, shear) == pytest.approx((float(drawn[0]), float(drawn[3])), rel=0.03)
    assert scale == pytest.approx(float(drawn[1:3].square().mean().sqrt()), rel=0.03)
    assert shift == pytest.approx(float(drawn[4:].square().mean().sqrt()), rel=0.03)
    text = augment.summary(images, [0, 0, 0, 2, 2, 2])
    assert text.startswith("The augmenter is not fitted.")
    assert [line.split()[:3] for line in text.splitlines()[-2:]] == [["class", "0", "3"], ["class", "2", "3"]]


@pytest.mark.parametrize("classes", [2, 5], ids=["fewer", "more"])
@pytest.mark.parametrize("own", [True, False], ids=["own names", "no names"])
def test_another_data_set_keeps_its_own_names(classes, own):
    """The fit knows four classes; its names are used where the data set has none, and as long as they suffice."""
    dataset = TensorDataset(torch.rand(10, 3, 8, 8), torch.arange(10) % classes)
    if own:
        dataset.classes = [f"own {one}" for one in range(classes)]
    expected = dataset.classes if own else NAMES[:2] if classes == 2 else [f"class {one}" for one in range(5)]
    loader, augment = DataLoader(dataset, 5), fitted({**INFO, "classes_moved": []})
    lines = augment.summary(loader).split("drawn:\n")[1].splitlines()[1:]
    assert [line[: line.index("  ")] for line in lines] == expected
    marked = [f"{name}\n(few images)" for name in expected]
    assert row_titles(plots.plot_summary(augment, loader)) == marked
    classifier = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, classes))
    if own or classes == 5:  # a classifier of two classes has none of the names of four
        assert list(augment.evaluate(classifier, loader).chances) == expected


def test_names_of_other_classes_than_the_labels_are_not_used():
    """As of a dataset with a target_transform that joins its seven classes to four."""
    dataset = TensorDataset(torch.rand(10, 3, 8, 8), torch.arange(10) % 3)
    dataset.classes = [f"fine {one}" for one in range(7)]
    info = {key: value for key, value in INFO.items() if key != "class_names"}
    augment = fitted({**info, "classes": 4, "classes_moved": []})
    lines = augment.summary(DataLoader(dataset, 5)).split("drawn:\n")[1].splitlines()[1:]
    assert [line[: line.index("  ")] for line in lines] == ["class 0", "class 1", "class 2"]


@pytest.mark.parametrize("ignored", [-1, -100, 255])
def test_images_without_a_label_are_left_out(ignored):
    """As by the fit, which says what stands for no label; an augmenter of no fit takes negative ones for it."""
    images, labels = compass(40)
    mixed = torch.where(torch.arange(40) < 10, ignored, labels)
    task = SingleLabel(ignore_index=ignored)
    augment = quick(Compass(), [(images, mixed)], val_loader=[(IMAGES, LABELS)], task=task)
    found = [augment] if ignored > 0 else [augment, vivid(localization=augment.localization)]
    for one in found:
        assert one.summary([(images, mixed)]) == one.summary([(images[10:], labels[10:])])
        rows = [plots.plot_summary(one, [data]) for data in ((images, mixed), (images[10:], labels[10:]))]
        assert [len(row.axes[0].get_yticks()) for row in rows] == [4, 4]
    with pytest.raises(ValueError, match="loader must give at least one image that has a label, got none in 1 batch"):
        plots.plot_summary(augment, [(images[:10], mixed[:10])])


ONE_HOT = torch.nn.functional.one_hot(LABELS, 4)


@pytest.mark.parametrize(
    "labels",
    [ONE_HOT, ONE_HOT.bool(), ONE_HOT.float(), (LABELS > 1).float(), LABELS[:, None, None].expand(-1, 8, 8), None],
    ids=["several", "several, bool", "soft", "chances", "masks", "none"],
)
def test_images_without_class_indices_are_one_row(labels):
    data = [IMAGES] if labels is None else [(IMAGES, labels)]
    augment = vivid()
    augment.history = FitHistory(info=INFO)
    assert augment.summary(data) == augment.summary(IMAGES)
    figure = plots.plot_summary(augment, data)
    assert row_titles(figure) == ["all"] and len(figure.axes[0].texts) == 11


def test_a_loader_gives_the_same_ranges_as_its_images_also_by_keys_of_its_own():
    augment, images, labels = vivid(), torch.rand(6, 3, 8, 8), torch.tensor([0, 0, 0, 2, 2, 2])
    loader, keys = [(images[:2], labels[:2]), (images[2:], labels[2:])], {"image_key": "scan", "label_key": "finding"}
    named = [{"scan": images, "finding": labels, "label": labels + 1}]
    assert augment.summary(loader) == augment.summary(named, **keys) == augment.summary(images, labels)
    assert row_titles(plots.plot_summary(augment, named, **keys)) == ["class 0", "class 2"]
    assert augment.summary([part for part, _ in loader]) == augment.summary(images)
    with pytest.raises(ValueError, match="labels must be left out where images are a loader"):
        augment.summary(loader, labels)
    with pytest.raises(ValueError, match="images must give at least one batch, got none"):
        augment.summary([])
    with pytest.raises(TypeError, match=r"images must be a tensor .* or a loader of them, got int"):
        augment.summary(3)
