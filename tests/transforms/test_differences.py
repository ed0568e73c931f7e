"""Ours and ``v2.RandomAffine`` over the same inputs: they differ where docs/inputs.md says so, and nowhere else."""

import warnings
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from learned_affine import AffineLimits, LearnedAffineAugment
from learned_affine.transforms.pil import MODES
from tests.geometry.matrices import floating, symmetries_alone
from tests.subjects import vivid
from tests.transforms.pictures import DTYPES, FORMATS, Scan, boxes, pil, pixels

OURS, THEIRS = vivid(), v2.RandomAffine(30, (0.15, 0.15), (0.8, 1.3), 15)


def picture(*lead: int) -> tv_tensors.Image:
    return tv_tensors.Image(torch.rand(*lead, 3, 18, 24))


def scan() -> Scan:
    image = torch.rand(3, 9, 9).as_subclass(Scan)
    image.meta = "kept?"
    return image


def with_mode(format_, mode):
    return tv_tensors.wrap(boxes(format_), like=boxes(format_), clamping_mode=mode)


POINTS = tv_tensors.KeyPoints([[2.0, 3], [20, 11]], canvas_size=(18, 24))
MASK = tv_tensors.Mask(torch.rand(2, 18, 24) > 0.5)
INPUTS = {
    **{f"PIL {mode}": pil(mode) for mode in MODES},
    **{f"{dtype} tensor": pixels(dtype, 3, 9, 9) for dtype in DTYPES},
    **{f"{dtype} batch": pixels(dtype, 2, 3, 9, 9) for dtype in DTYPES},
    **{f"{dtype} Image": tv_tensors.Image(pixels(dtype, 3, 9, 9)) for dtype in DTYPES},
    **{f"{dtype} Video": tv_tensors.Video(pixels(dtype, 2, 3, 9, 9)) for dtype in DTYPES},
    **{f"{dtype} Mask": (picture(), tv_tensors.Mask(pixels(dtype, 2, 18, 24))) for dtype in DTYPES},
    **{f"{f} {mode}": (picture(), with_mode(f, mode)) for f in FORMATS for mode in ("soft", "hard", None)},
    "integer boxes": (picture(), tv_tensors.BoundingBoxes([[2, 3, 9, 9]], format="XYXY", canvas_size=(18, 24))),
    "no boxes": (picture(), tv_tensors.BoundingBoxes(torch.zeros(0, 4), format="XYXY", canvas_size=(18, 24))),
    "no masks": (picture(), tv_tensors.Mask(torch.ones(0, 18, 24))),
    "key points": (picture(), POINTS),
    "integer key points": (picture(), tv_tensors.KeyPoints([[2, 3]], canvas_size=(18, 24))),
    "a pixel": torch.rand(3, 1, 1),
    "two dimensions": torch.rand(9, 9),
    "no images": torch.rand(0, 3, 9, 9),
    "clips": tv_tensors.Video(torch.rand(2, 2, 3, 9, 9)),
    "an array": np.zeros((9, 9, 3), np.uint8),
    "a graph": torch.rand(3, 9, 9, requires_grad=True),
    "a parameter": torch.nn.Parameter(torch.rand(3, 9, 9)),
    "two images": (picture(), picture()),
    "PIL and a plain tensor": (pil("RGB"), torch.rand(3, 18, 24)),
    "a batch and targets": (picture(2), [boxes("XYXY")] * 2),
    "nested": {"a": (picture(), {"b": boxes("XYXY"), "m": MASK}), "c": [1, "x", None]},
    # where they differ
    **{f"{f} alone": boxes(f) for f in FORMATS},
    "key points alone": POINTS,
    "masks alone": MASK,
    "boxes beside a batch": (picture(2), boxes("XYXY")),
    "masks beside a batch": (picture(3), MASK),
    "an empty side": torch.rand(3, 0, 9),
    "a clip without frames": tv_tensors.Video(torch.rand(0, 3, 9, 9)),
    "complex numbers": torch.zeros(3, 9, 9, dtype=torch.complex64),
    "one dimension": torch.rand(5),
    "a class index": torch.tensor(3),
    "five channels": torch.rand(5, 9, 9),
    "channels last": torch.rand(9, 12, 3),
    "text": "a",
    "nothing": {},
    "images of two sizes": (picture(), tv_tensors.Image(torch.rand(3, 9, 9))),
    "a subclass": scan(),
    "channels_last memory": torch.rand(2, 3, 9, 9).to(memory_format=torch.channels_last),
}
DIFFER = {  # the row of docs/inputs.md that says so
    "labels without an image": [*(f"{f} alone" for f in FORMATS), "key points alone", "masks alone"],
    "labels beside a batch": ["boxes beside a batch", "masks beside a batch"],
    "what is no image": ["an empty side", "a clip without frames", "complex numbers", "one dimension", "a class index"],
    "channels": ["five channels", "channels last"],
    "a sample without an image": ["text", "nothing"],
    "images of two sizes in a sample": ["images of two sizes"],
    "attributes of a subclass": ["a subclass"],
    "memory format": ["channels_last memory"],
}


def seen(item):
    """All of what a user can tell without looking at values."""
    if isinstance(item, PIL.Image.Image):
        return item.mode, item.size, sorted(item.info), item.getpalette()
    if isinstance(item, dict):
        return {key: seen(value) for key, value in item.items()}
    if isinstance(item, tuple | list):
        return type(item), [seen(value) for value in item]
    if isinstance(item, torch.Tensor):
        box = isinstance(item, tv_tensors.BoundingBoxes)
        extra = (item.format, item.canvas_size, item.clamping_mode) if box else getattr(item, "meta", None)
        layout = item.ndim == 4 and item.is_contiguous(memory_format=torch.channels_last)
        return type(item), item.shape, item.dtype, item.requires_grad, layout, extra
    return item


def outcome(transform, sample):
    """What comes out, or what is raised."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            return seen(transform(sample))
        except Exception as error:
            return type(error)


@pytest.mark.parametrize("name", INPUTS)
def test_the_same_kinds_come_out_but_for_known_differences(name):
    known = {name for names in DIFFER.values() for name in names}
    same = outcome(OURS, INPUTS[name]) == outcome(THEIRS, INPUTS[name])
    assert same == (name not in known)


TURN = {"angle": 20.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
TURNED = floating(20, 1, 1, 0, 0, 0)
SHIFT = {"angle": 0.0, "translate": [1, 0], "scale": 1.0, "shear": [0.0, 0.0]}
SHIFTED = floating(0, 1, 1, 0, 1 / 8, 0)
PLAIN_AUGMENT = LearnedAffineAugment(padding_mode="zeros")


def each_images_own_draw(augment, theirs):
    images = torch.rand(1, 3, 9, 9).expand(4, -1, -1, -1)
    return len(torch.unique(augment(images), dim=0)) == 4 and len(torch.unique(theirs(images), dim=0)) == 1


def chance_of_being_augmented(augment, theirs):
    images = torch.rand(64, 3, 9, 9)
    left = (LearnedAffineAugment()(images) == images).flatten(1).all(1).sum()
    return 10 < left < 54 and not hasattr(theirs, "p")


def padding(augment, theirs):
    white = torch.ones(1, 9, 9)
    return augment(white).min() > 0.99 and any(theirs(white).min() == 0 for _ in range(20)) and theirs.fill == 0


def interpolation(augment, theirs):
    return augment.interpolation == "bilinear" and F.InterpolationMode(theirs.interpolation).value == "nearest"


def scale_and_shear(augment, theirs):
    drawn = augment.sample_parameters(torch.rand(4, 3, 9, 9))
    return bool((drawn.scale_x != drawn.scale_y).all()) and isinstance(theirs.make_params([picture()])["scale"], float)


def mirrors(augment, theirs):
    """Of a right angle's two arms the same one stays ahead."""
    mirrored = [0, 0]
    angle = tv_tensors.KeyPoints([[0.0, 0], [1, 0], [0, 1]], canvas_size=(18, 24))
    for _ in range(40):
        for place, transform in enumerate((augment, theirs)):
            points = transform((picture(), angle))[1].as_subclass(torch.Tensor)
            mirrored[place] += int(torch.linalg.det(points[1:] - points[0]) < 0)
    return 5 < mirrored[0] < 35 and mirrored[1] == 0


def key_points_of_a_flip(augment, theirs):
    ours = augment.apply(POINTS, symmetries_alone(4)).as_subclass(torch.Tensor)
    return torch.equal(ours, F.horizontal_flip(POINTS).as_subclass(torch.Tensor) + torch.tensor([1.0, 0.0]))


def boxes_that_are_not_moved(augment, theirs):
    beyond = tv_tensors.BoundingBoxes([[5.0, 5, 50, 60]], format="XYXY", canvas_size=(18, 24))
    still = {**TURN, "angle": 0.0}
    return torch.equal(augment.apply(beyond, symmetries_alone(0)), beyond) and F.affine(beyond, **still).max() == 24


def large_integers(augment, theirs):
    large = torch.full((1, 8, 8), 2**24 + 1)
    ours = PLAIN_AUGMENT.apply((picture(), tv_tensors.Mask(large)), SHIFTED)[1]
    return ours.max() == 2**24 + 1 and F.affine(tv_tensors.Mask(large), **SHIFT).max() == 2**24


def sixteen_bits(augment, theirs):
    grey = (torch.rand(1, 20, 20) * 60_000).round()
    image = PIL.Image.frombytes("I;16", (20, 20), grey.numpy().astype("<u2").tobytes())
    truth = PLAIN_AUGMENT.apply(grey, TURNED)[0, 4:16, 4:16]
    ours = F.pil_to_tensor(PLAIN_AUGMENT.apply(image, TURNED))[0, 4:16, 4:16].float()
    theirs = F.pil_to_tensor(F.affine(image, **TURN, interpolation=F.InterpolationMode.BILINEAR))[0, 4:16, 4:16]
    return (ours - truth).abs().max() <= 1 and (theirs.float() - truth).abs().max() > 1000


def edges_of_pil_images(augment, theirs):
    white = PIL.Image.new("L", (20, 20), 200)
    ours = F.pil_to_tensor(PLAIN_AUGMENT.apply(white, TURNED)).unique()
    theirs = F.pil_to_tensor(F.affine(white, **TURN, interpolation=F.InterpolationMode.BILINEAR)).unique()
    tensor = F.affine(F.pil_to_tensor(white), **TURN, interpolation=F.InterpolationMode.BILINEAR).unique()
    return len(ours) > 10 and len(tensor) > 10 and theirs.tolist() == [0, 200]


VALUES = {
    "draws of a batch": each_images_own_draw,
    "`p`": chance_of_being_augmented,
    "padding": padding,
    "interpolation": interpolation,
    "scale and shear": scale_and_shear,
    "mirrors": mirrors,
    "key points of a mirror": key_points_of_a_flip,
    "boxes that are not moved": boxes_that_are_not_moved,
    "integers above 2^24": large_integers,
    "PIL, 16 bits": sixteen_bits,
    "PIL, edges": edges_of_pil_images,
}


@pytest.mark.parametrize("name", VALUES)
def test_known_differences_in_values_are_there(name):
    assert VALUES[name](vivid(AffineLimits()), THEIRS)


def test_the_docs_name_each_known_difference_and_no_other():
    page = (Path(__file__).parents[2] / "docs" / "inputs.md").read_text()
    _, section = page.split("## Where it differs from `v2.RandomAffine`")
    rows = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("|")][2:]
    assert [row[0].strip() for row in rows] == [*VALUES, *DIFFER]
    assert all(len(row) == 3 and all(cell.strip() for cell in row) for row in rows)
