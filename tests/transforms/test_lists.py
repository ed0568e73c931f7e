"""Lists of images, and mappings of other libraries: held to a plain loop over the images."""

from collections import UserDict, namedtuple

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils import _pytree as pytree
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

from learned_affine import AffineLimits
from tests.subjects import at_seed, symmetric, vivid
from tests.transforms.test_targets import assert_same, box, mask, points

LIMITS = AffineLimits(20, 1.2, 5, 0.1)
SIZE = (18, 24)
KINDS = {
    "PIL": F.to_pil_image,
    "tensor": lambda pixels: pixels,
    "uint8": lambda pixels: (255 * pixels).to(torch.uint8),
    "Image": tv_tensors.Image,
    "Video": lambda pixels: tv_tensors.Video(pixels.expand(2, -1, -1, -1).clone()),
}


def pictures(kind: str, count: int = 4, sizes: bool = False) -> list:
    generator = torch.Generator().manual_seed(count)
    shapes = [(3, SIZE[0] + 2 * sizes * row, SIZE[1]) for row in range(count)]  # with sizes one is square
    return [KINDS[kind](torch.rand(shape, generator=generator)) for shape in shapes]


def assert_equal(one, other):
    if isinstance(one, dict | UserDict):
        assert type(one) is type(other) and list(one) == list(other)
        one, other = list(one.values()), list(other.values())
    if isinstance(one, list | tuple):
        assert type(one) is type(other) and len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            assert_equal(left, right)
    else:
        assert type(one) is type(other)
        assert_same(*(F.pil_to_tensor(item) if isinstance(item, PIL.Image.Image) else item for item in (one, other)))


def one_by_one(augment, samples, seed=3):
    torch.manual_seed(seed)
    out, drawn = [], []
    for sample in samples:
        out.append(augment(sample))
        drawn.append(augment.last_parameters)
    return out, torch.cat([one.stacked() for one in drawn])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("sizes", [False, True])
def test_a_list_of_images_is_its_images_one_by_one(kind, p, sizes):
    augment, images = symmetric(LIMITS, p=p), pictures(kind, 6, sizes)
    expected, parameters = one_by_one(augment, images)
    out = at_seed(augment, images, seed=3)
    assert_equal(out, expected)
    assert torch.equal(augment.last_parameters.stacked(), parameters)
    assert len(torch.unique(parameters[:, 0])) == {0.0: 1, 1.0: 6}.get(p, len(torch.unique(parameters[:, 0])))
    assert_equal(augment.apply(images, augment.last_parameters), expected)


Views = namedtuple("Views", ["left", "right"])
ONE_SAMPLE = {
    "a tuple": lambda one, two: (one, two),
    "a namedtuple": Views,
    "columns of different names": lambda one, two: {"left": one, "right": two},
    "a list beside an image": lambda one, two: {"image": one, "more": [two, two.copy()]},
    "a list before an image": lambda one, two: {"more": [two, two.copy()], "image": one},
    "lists of different lengths": lambda one, two: [[one, two], [one, two, one]],
}


@pytest.mark.parametrize("put", ONE_SAMPLE.values(), ids=ONE_SAMPLE)
def test_images_of_one_sample_share_a_draw_as_in_torchvision(put):
    augment, image = vivid(LIMITS), pictures("PIL", 1)[0]
    sample = put(image, image.copy())
    out, structure = pytree.tree_flatten(augment(sample))
    assert structure == pytree.tree_structure(sample)
    assert len(augment.last_parameters) == 1
    for other in out[1:]:
        assert_equal(other, out[0])


IMAGE, GREY, NUMBERS = torch.rand(3, *SIZE), torch.rand(1, *SIZE), torch.ones(3, *SIZE, dtype=torch.int64)
UNKNOWN = {
    "an image and a mask": [IMAGE, GREY],
    "an image and integers": [IMAGE, NUMBERS],
    "two batches": [IMAGE[None], IMAGE[None].clone()],
    "a batch and its masks": [torch.rand(2, 3, *SIZE), torch.rand(2, *SIZE)],
}


@pytest.mark.parametrize("sample", UNKNOWN.values(), ids=UNKNOWN)
@pytest.mark.parametrize("put", [lambda sample: sample, lambda sample: {"a": sample}, lambda sample: (sample, "id")])
def test_plain_tensors_of_which_it_cannot_be_known_are_refused(sample, put):
    with pytest.raises(ValueError, match=r"a list of plain tensors must hold images .*wrap each in tv_tensors.Image"):
        vivid()(put(sample))
    wrapped = [tv_tensors.Image(sample[0]), *sample[1:]]
    assert vivid()(wrapped)[1] is sample[1]


def test_an_array_beside_a_tensor_of_its_size_is_refused():
    """The tensor may be its mask, which would be warped as the image; or the array the mask, and left behind."""
    augment, mask = vivid(), torch.zeros(1, *SIZE)
    for array in (np.zeros((*SIZE, 3), np.uint8), np.zeros((3, *SIZE)), np.zeros(SIZE), np.zeros((1, *SIZE, 3))):
        for sample in ({"image": array, "mask": mask}, (mask, array)):
            for call in (augment, lambda sample: augment.apply(sample, augment.sample_parameters(mask[None]))):
                with pytest.raises(TypeError, match=r"got ndarray .*beside a plain tensor of its height and width"):
                    call(sample)
    for array in (np.zeros((5, 4)), np.zeros((2, 17, 3)), np.zeros(3)):  # boxes, key points, labels
        assert augment((mask, array))[1] is array
    array = np.zeros(SIZE)
    assert augment((tv_tensors.Image(mask), array))[1] is array


def test_symbolic_tracing_says_what_to_do():
    """It would record the model without the transform."""
    model = nn.Sequential(vivid(), nn.Linear(8, 2))
    with pytest.raises(TypeError, match=r"got a Proxy: torch.fx cannot record random draws; .*is_leaf_module"):
        torch.fx.symbolic_trace(model)

    class Tracer(torch.fx.Tracer):
        def is_leaf_module(self, module, name):
            return module is model[0] or super().is_leaf_module(module, name)

    traced, images = torch.fx.GraphModule(model, Tracer().trace(model)), torch.rand(2, 3, 8, 8)
    assert torch.equal(at_seed(traced, images), at_seed(model, images))


class Record(dict):
    """A subclass of dict, which torch's pytree does not know."""

    skip = None


@pytest.mark.parametrize("kind", [UserDict, Record])
def test_other_mappings_are_as_dicts_wherever_they_stand_and_keep_their_attributes(kind):
    augment, images = vivid(LIMITS, p=0.5), tv_tensors.Image(torch.rand(4, 3, *SIZE))
    sample = kind({"image": images, "more": {"target": [kind({"boxes": box(i)}) for i in range(4)]}})
    sample.skip = "a"
    found, boxes = at_seed(augment, images, [box(i) for i in range(4)])
    for out in (at_seed(augment, sample), augment.apply(sample, augment.last_parameters)):
        assert type(out) is kind and out is not sample and out.skip == "a" and sample["image"] is images
        assert_same(out["image"], found)
        assert_equal(out["more"]["target"], [kind({"boxes": one}) for one in boxes])


labels = st.sampled_from(["number", "text", "boxes", "mask", "points", "array", "depth", "nested"])
LABEL = {
    "number": lambda i: i,
    "text": str,
    "boxes": box,
    "mask": mask,
    "points": lambda i: points(i, 2),
    "array": lambda i: np.full(2, i),
    "depth": lambda i: tv_tensors.Image(torch.rand(1, *SIZE, generator=torch.Generator().manual_seed(i))),
    "nested": lambda i: {"a": [box(i), i], "b": (mask(i, 2),)},
}
AUGMENTS = {p: vivid(LIMITS, p=p) for p in (0.0, 0.5, 1.0)}


@given(
    st.lists(st.sampled_from(["PIL", "Image", "Video"]), min_size=1, max_size=4),
    st.dictionaries(labels, st.sampled_from([list, tuple]), max_size=4),
    st.sampled_from(list(AUGMENTS)),
    st.sampled_from([dict, UserDict, Record]),
    st.booleans(),
)
def test_samples_of_mixed_kinds_are_their_rows_one_by_one(kinds, found, p, wrap, last):
    augment, count = AUGMENTS[p], len(kinds)
    images = [pictures(kind, 1)[0] for kind in kinds]
    columns = {name: container(LABEL[name](i) for i in range(count)) for name, container in found.items()}
    columns = {**columns, "image": images} if last else {"image": images, **columns}
    if count == 1:
        columns = {key: list(column) for key, column in columns.items()}
    expected, parameters = one_by_one(augment, [{key: one[i] for key, one in columns.items()} for i in range(count)])
    out = at_seed(augment, wrap(columns), seed=3)
    assert type(out) is wrap and torch.equal(augment.last_parameters.stacked(), parameters)
    for key, column in out.items():
        assert type(column) is type(columns[key])
        for row, got in enumerate(column):
            if isinstance(got, np.ndarray):
                assert got is columns[key][row]
            else:
                assert_equal(got, expected[row][key])


GAPS = "a list of images must have no gaps, got None at place 1 of 4"
NO_BATCH = "a tuple of 2 plain tensors is no batch, .* give the images as a list"
NO_ROW = "a batch of 4 images needs its .* in a list of 4 targets"
REFUSED = [
    # what torchvision's detection references collate: the first image alone would move, and all boxes
    ((tuple(pictures("tensor", 2)), ({"boxes": box()},) * 2), NO_BATCH),
    *(({"image": [*pictures(kind, 1), None, *pictures(kind, 2)]}, GAPS) for kind in ("PIL", "Image")),
    *(({"image": pictures("PIL"), "label": label}, NO_ROW) for label in (box(), mask(0, 4))),
]


@pytest.mark.parametrize(("sample", "said"), REFUSED)
def test_lists_that_are_no_batch_are_refused(sample, said):
    with pytest.raises(ValueError, match=said):
        vivid(LIMITS)(sample)
    vivid(LIMITS)(pictures("tensor", 2), ({"boxes": box()},) * 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{}, {"interpolation": "sharp"}, {"padding_mode": "fill", "fill": [0.1, 0.2, 0.3]}])
def test_torchs_default_device_decides_nothing(kind, options):
    """On "meta" nothing of a call may land: noise is drawn on the CPU, and images are where they are."""
    image, own = pictures(kind, 1)[0], torch.Generator()
    augment = vivid(LIMITS, p=0.9, generator=own, **options)
    for sample in (image, pictures(kind, 3), (image, box()), *([image[None]] if kind == "tensor" else [])):
        found = []
        for device in ("cpu", "meta"):
            own.manual_seed(5)
            with torch.device(device):
                found.append(augment(sample))
        assert_equal(*found)
