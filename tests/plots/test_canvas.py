"""What holds for every picture: no text overlaps, nothing else is touched, no strength moves nothing."""

import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from learned_affine import AffineLimits, FitHistory, plots
from tests.fits import loader, quick
from tests.subjects import blobs, seeded, symmetric, vivid

IMAGES, LABELS = blobs(6)
DATA = [(IMAGES, LABELS)]


def row_titles(figure):
    """What stands beside the rows, of all its columns."""
    return [label.get_text() for axis in figure.axes for label in axis.get_yticklabels()]


def cells(figure, xs=None, height=16, width=16):
    """The pixels round the ticks of a sheet, ``(rows, columns, H, W, 3)``, in columns of one's own where given."""
    axis = figure.axes[0]
    pixels, xs = torch.tensor(axis.images[0].get_array()), axis.get_xticks() if xs is None else xs
    tops, lefts = ([int(one - side / 2) for one in of] for of, side in ((axis.get_yticks(), height), (xs, width)))
    rows = [torch.stack([pixels[top : top + height, left : left + width] for left in lefts]) for top in tops]
    return torch.stack(rows)


def pictures():
    images, labels = blobs(40, classes=10)
    yield plots.plot_before_after(vivid(), images[:10])
    yield plots.plot_policies({"as learned": vivid(), "too strong": vivid()}, images[:8])
    yield plots.plot_parameters(vivid(), images, labels, names=[f"class {number}" for number in range(10)])
    for count in (1, 10, 24):
        yield plots.plot_symmetries(symmetric(), blobs(count)[0], names=["a long name of a class"] * count)
    for size in ((32, 96), (96, 32), (64, 64)):  # wide and upright ones were too narrow for their texts
        yield plots.plot_summary(vivid(AffineLimits.wide()), [(torch.rand(4, 3, *size), torch.arange(4))])
    yield from (quick(val_loader=loader()).history.plot(), FitHistory().plot())  # of no rounds, too


def texts_of(axis):
    """The texts of an axis that are drawn; matplotlib keeps tick labels beyond its limits, too."""
    ticks = []
    for side in (axis.xaxis, axis.yaxis):
        low, high = sorted(side.get_view_interval())
        ticks += [tick.label1 for tick in side.get_major_ticks() if low <= tick.get_loc() <= high]
    legend = axis.get_legend().get_texts() if axis.get_legend() else []
    found = [axis.title, axis.xaxis.label, axis.yaxis.label, *axis.texts, *legend, *ticks]
    return [text for text in found if text.get_visible() and text.get_text().strip()]


def test_no_text_overlaps_and_the_size_fits_a_page():
    for figure in pictures():
        figure.canvas.draw()
        boxes = [(text.get_text(), text.get_window_extent()) for axis in figure.axes for text in texts_of(axis)]
        for (one, a), (two, b) in itertools.combinations(boxes, 2):
            gap_x = max(a.x0, b.x0) - min(a.x1, b.x1)
            gap_y = max(a.y0, b.y0) - min(a.y1, b.y1)
            assert max(gap_x, gap_y) > -1, f"{one!r} overlaps {two!r}"
        assert figure.get_figwidth() <= 12 and math.prod(figure.get_size_inches()) < 100
        assert figure.get_facecolor() == (1.0, 1.0, 1.0, 1.0)


@pytest.mark.parametrize(("plot", "axes"), [(plots.plot_parameters, 6), (plots.plot_symmetries, 1)])
def test_labels_may_be_of_any_kind_and_negative_ones_are_none(plot, axes):
    """They have neither a row nor the name of the last class."""
    given = LABELS.where(torch.arange(6) > 1, -1)
    for labels in (given, given.tolist(), given.numpy(), given.to(torch.int16)):
        figure = plot(vivid(), IMAGES, labels, names=["$a", "b$"])
        assert row_titles(figure)[:2] == ["$a", "b$"] and len(figure.axes) == axes


EACH = {"parameters": plots.plot_parameters, "symmetries": plots.plot_symmetries}
LABELLED = r"labels must be class indices of shape \(6,\), one per image, got"
NAMED = "names must have one for each class, at least 2, got 1"
REFUSED = {
    **{
        f"labels of {name}, {kind}": (partial(plot, vivid(), IMAGES, wrong), LABELLED)
        for name, plot in EACH.items()
        for kind, wrong in {"floats": LABELS.float(), "few": LABELS[:5], "a word": "x", "rows": IMAGES[:, 0, 0]}.items()
    },
    **{f"names of {name}": (partial(plot, vivid(), IMAGES, LABELS, names=["a"]), NAMED) for name, plot in EACH.items()},
    "names of summary": (partial(plots.plot_summary, vivid(), DATA, np.array(["a"])), NAMED),
    "a path for names": (partial(plots.plot_summary, vivid(), DATA, "page.png"), "must be a list of names, got 'p"),
    "a name each": (partial(plots.plot_symmetries, vivid(), IMAGES, names=["cat", "dog"]), "got 6 with 2"),
    "17 images": (partial(plots.plot_before_after, vivid(), torch.rand(17, 1, 8, 8)), "images must be 1 to 16 .* 17"),
    "no images": (partial(plots.plot_before_after, vivid(), IMAGES[:0]), "images must be 1 to 16 .*got 0"),
    "a list of images": (partial(plots.plot_before_after, vivid(), [IMAGES]), "images must be a tensor"),
    "25 images": (partial(plots.plot_symmetries, vivid(), torch.rand(25, 3, 8, 8)), "1 to 24 .* with 25: choose"),
    "none of a class": (partial(plots.plot_symmetries, vivid(), *DATA[0], per_class=0), "per_class must be at least 1"),
    "43 classes": (
        partial(plots.plot_parameters, vivid(), torch.rand(43, 1, 8, 8), torch.arange(43)),
        r"labels must be of 1 to 20 classes, got 43: choose some, .*images\[some\], labels\[some\]",
    ),
    "121 classes": (
        partial(plots.plot_summary, vivid(), [(torch.rand(121, 1, 8, 8), torch.arange(121))]),
        "loader must give images of 1 to 120 classes to fit a picture, got 121",
    ),
    "no history": (partial(plots.plot_history, vivid().history), "that of a fitted augmenter, a FitHistory, got None"),
    "no draws": (partial(plots.plot_policies, {"": vivid()}, IMAGES, draws=0), "draws must be at least 1, got 0"),
}


@pytest.mark.parametrize(("call", "said"), REFUSED.values(), ids=REFUSED)
def test_what_makes_no_picture_is_named(call, said):
    with pytest.raises((TypeError, ValueError), match=said):
        call()


def test_dollars_are_no_maths(tmp_path):
    names = ["5 $ to 9 $", r"$\broken$"]
    for figure in (
        plots.plot_parameters(vivid(), IMAGES, LABELS, names=names),
        plots.plot_symmetries(vivid(), IMAGES, LABELS, names),
        plots.plot_summary(vivid(), DATA, names),
        plots.plot_policies({"5 $ to 9 $": vivid(), r"$\broken$": vivid()}, IMAGES),
    ):
        figure.savefig(tmp_path / "a.svg")
        dollars = [text for axis in figure.axes for text in texts_of(axis) if "$" in text.get_text()]
        assert len(dollars) >= 2 and not any(text.get_parse_math() for text in dollars)


def test_pictures_leave_randomness_alone():
    augment, draw = vivid(generator=seeded(4)), seeded(1)
    own, generators = augment.generator, (torch.default_generator, augment.generator, draw)
    before = [one.get_state() for one in generators]
    plots.plot_before_after(augment, IMAGES)
    plots.plot_parameters(augment, IMAGES, LABELS)
    plots.plot_symmetries(augment, IMAGES)
    plots.plot_summary(augment, DataLoader(TensorDataset(IMAGES, LABELS), 4, shuffle=True, generator=draw))
    assert augment.generator is own
    assert all(torch.equal(one.get_state(), state) for one, state in zip(generators, before, strict=True))


@pytest.mark.parametrize("name", ["", "epoch0.5", "page"])
def test_a_path_that_is_no_picture_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"path must be a file that ends in \.png, \.svg or \.pdf, got "):
        plots.plot_symmetries(vivid(), torch.rand(1, 3, 8, 8), path=tmp_path / name)
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError, match=r"path must be in a folder that exists, got .*nowhere"):
        plots.plot_symmetries(vivid(), torch.rand(1, 3, 8, 8), path=tmp_path / "nowhere" / "page.png")


@pytest.mark.parametrize("opaque", [1.0, 255])
def test_an_image_with_an_alpha_is_drawn_on_a_plain_ground(opaque):
    """As the network sees it: black icons on nothing were black squares."""
    icon = torch.zeros(1, 4, 16, 16, dtype=torch.float32 if opaque == 1 else torch.uint8)
    icon[:, 3, 4:8, 4:8] = opaque
    sheet = plots.plot_symmetries(vivid(), icon).axes[0].images[0].get_array()
    assert float(sheet[:16, :16].min()) == 0 and float(sheet[:16, :16].max()) == 1
    filled = vivid(padding_mode="fill", fill=(1.0, 1.0, 1.0, 0.0))  # of as many channels as the images have
    for figure in (
        *(plots.plot_before_after(augment, icon) for augment in (vivid(), filled)),
        plots.plot_policies({"as learned": vivid(), "filled": filled}, icon),
        plots.plot_summary(filled, [icon]),
    ):
        assert float(figure.axes[0].images[0].get_array().std()) > 0.1
        assert float(figure.axes[0].images[0].get_array()[0, 0].min()) == 1  # the ground is white
