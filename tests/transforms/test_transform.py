"""``LearnedAffineAugment`` as a citizen of torchvision: inputs, labels, containers, randomness."""

import copy
import pickle

import PIL.Image
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import datasets, tv_tensors
from torchvision import transforms as v1
from torchvision.transforms import v2

from learned_affine import AffineLimits, AffineParameters, LearnedAffineAugment
from tests.subjects import blobs, vivid


def test_every_image_of_a_batch_gets_its_own_parameters():
    augment = vivid()
    augment(torch.rand(1, 1, 8, 8).expand(6, -1, -1, -1))
    assert len(augment.last_parameters) == 6
    assert len(set(augment.last_parameters.angle.tolist())) == 6


def test_p_leaves_the_others_bit_identical_and_says_so():
    images = torch.rand(64, 1, 13, 13)
    augment = vivid(p=0.5)
    out = augment(images)
    same = (out == images).flatten(1).all(1)
    assert 15 < same.sum() < 50
    assert torch.equal(augment.last_parameters.displacement() == 0, same)
    assert augment(images[:0]).shape == (0, 1, 13, 13)


def test_p_zero_returns_the_input_itself():
    images = torch.rand(2, 3, 8, 8)
    augment = vivid(p=0)
    assert augment(images) is images
    assert torch.equal(augment.last_parameters.stacked(), AffineParameters.identity(2).stacked())


def test_same_seed_same_draw_and_the_generator_is_its_own():
    images = torch.rand(4, 1, 8, 8)
    augment = vivid()
    torch.manual_seed(3)
    first = augment(images)
    torch.manual_seed(3)
    assert torch.equal(augment(images), first) and not torch.equal(augment(images), first)
    own = vivid(generator=torch.Generator().manual_seed(9))
    state = torch.get_rng_state()
    drawn = own(images)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(vivid(generator=torch.Generator().manual_seed(9))(images), drawn)


def test_deterministic_draws_the_mode():
    images = blobs(4)[0]
    augment = vivid(deterministic=True)
    assert torch.equal(augment(images), augment(images))


def test_apply_replays_bitwise_and_invert_undoes():
    augment = vivid(AffineLimits(20, 1.2, 5, 0.05), p=0.5)
    images = torch.rand(8, 3, 20, 20)
    out = augment(images)
    assert torch.equal(augment.apply(images, augment.last_parameters), out)
    parameters = augment.sample_parameters(images)
    point = tv_tensors.KeyPoints([[10.0, 9.0]], canvas_size=(20, 20))
    image = tv_tensors.Image(images[0])
    there = augment.apply((image, point), parameters[0])
    back = augment.apply(there, augment.invert(parameters[0], 20, 20))
    torch.testing.assert_close(back[1].as_subclass(torch.Tensor), torch.tensor([[10.0, 9.0]]), atol=1e-3, rtol=0)


def test_warp_is_differentiable_in_image_and_parameters_and_calls_are_not():
    augment = vivid()
    images = torch.rand(2, 1, 8, 8, requires_grad=True)
    out = augment.warp(images, augment.sample_parameters(images))
    out.square().sum().backward()
    assert images.grad.abs().sum() > 0 and augment.localization.head.weight.grad.abs().sum() > 0
    assert not augment(torch.rand(2, 1, 8, 8)).requires_grad


@pytest.mark.parametrize("generator", [None, torch.Generator().manual_seed(4)])
def test_pickle_and_deepcopy_draw_the_same(generator):
    augment, images = vivid(generator=generator), torch.rand(4, 1, 8, 8)
    copies = [pickle.loads(pickle.dumps(augment)), copy.deepcopy(augment)]
    torch.manual_seed(0)
    expected = augment(images)
    for one in copies:
        torch.manual_seed(0)
        assert torch.equal(one(images), expected)


def test_state_dict_round_trip():
    augment, other = vivid(), LearnedAffineAugment(p=1)
    other.load_state_dict(augment.state_dict())
    images = torch.rand(4, 1, 8, 8)
    torch.manual_seed(0)
    expected = augment(images)
    torch.manual_seed(0)
    assert torch.equal(other(images), expected)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda t: v1.Compose([v1.ToTensor(), t]),
        lambda t: v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), t, v2.Normalize([0.5], [0.5])]),
        lambda t: v2.RandomApply([v2.Compose([v2.ToImage(), t])], p=1.0),
        lambda t: v2.RandomChoice([v2.Compose([v2.ToImage(), t])]),
        lambda t: nn.Sequential(v2.ToImage(), t),
    ],
)
def test_containers(wrap):
    out = wrap(vivid())(PIL.Image.new("L", (11, 9), 100))
    assert out.shape == (1, 9, 11)


def test_torchvision_dataset_with_wrapped_targets():
    data = datasets.FakeData(4, (3, 16, 16), 10, transform=v2.Compose([v2.ToImage(), vivid()]))
    image, label = data[0]
    assert image.shape == (3, 16, 16) and 0 <= int(label) < 10


def voc_folder(root):
    """One image with one object, as Pascal VOC lays it out."""
    base = root / "VOCdevkit" / "VOC2012"
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (base / name).mkdir(parents=True)
    PIL.Image.new("RGB", (40, 30), (90, 30, 60)).save(base / "JPEGImages" / "a.jpg")
    (base / "ImageSets" / "Main" / "train.txt").write_text("a\n")
    box = "<bndbox><xmin>10</xmin><ymin>8</ymin><xmax>20</xmax><ymax>18</ymax></bndbox>"
    size = "<size><width>40</width><height>30</height><depth>3</depth></size>"
    (base / "Annotations" / "a.xml").write_text(
        f"<annotation>{size}<object><name>cat</name>{box}</object></annotation>"
    )
    return root


def test_torchvision_detection_dataset_wrapped_for_v2(tmp_path):
    augment = vivid(AffineLimits(10, 1.1, 5, 0.05))
    data = datasets.VOCDetection(
        str(voc_folder(tmp_path)), "2012", "train", transforms=v2.Compose([v2.ToImage(), augment])
    )
    image, target = datasets.wrap_dataset_for_transforms_v2(data)[0]
    assert image.shape == (3, 30, 40) and isinstance(target["boxes"], tv_tensors.BoundingBoxes)
    start = tv_tensors.BoundingBoxes(
        [[10, 8, 20, 18]], format="XYXY", canvas_size=(30, 40), dtype=target["boxes"].dtype
    )
    expected = augment.apply((tv_tensors.Image(torch.zeros(3, 30, 40)), start), augment.last_parameters)[1]
    assert torch.equal(target["boxes"], expected) and not torch.equal(target["boxes"], start)


class Still(Dataset):
    """The same image again and again, augmented."""

    def __init__(self, augment, count=8):
        self.augment, self.count = augment, count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return self.augment(torch.linspace(0, 1, 64).reshape(1, 8, 8))


@pytest.mark.parametrize("context", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_workers_draw_distinct_and_repeatable(context, own):
    generator = torch.Generator().manual_seed(7) if own else None
    loader = DataLoader(Still(vivid(generator=generator)), 1, num_workers=2, multiprocessing_context=context)
    runs = []
    for _ in range(2 if context == "fork" else 1):
        torch.manual_seed(2)
        runs.append(torch.cat(list(loader)))
    assert len(torch.unique(runs[0], dim=0)) == 8
    assert all(torch.equal(run, runs[0]) for run in runs)
    if context == "fork":
        assert not torch.equal(torch.cat(list(loader)), runs[0])  # the next epoch draws anew


def test_inference_mode_and_autocast():
    images, augment = torch.rand(2, 3, 16, 16), vivid()
    torch.manual_seed(0)
    expected = augment(images)
    torch.manual_seed(0)
    with torch.inference_mode():
        assert torch.equal(augment(images), expected)
    torch.manual_seed(0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(augment(images), expected)


def test_compile_has_no_graph_break_for_plain_tensors():
    torch._dynamo.reset()
    compiled = torch.compile(vivid(), backend="eager", fullgraph=True)
    assert compiled(torch.rand(2, 3, 16, 16)).shape == (2, 3, 16, 16)


def test_networks_range_and_place_do_not_matter():
    augment, images = vivid(), torch.rand(2, 3, 16, 16)
    normalise = v2.Normalize([0.5, 0.4, 0.3], [0.2, 0.3, 0.25])
    torch.manual_seed(0)
    before = normalise(augment(images))
    torch.manual_seed(0)
    torch.testing.assert_close(augment(normalise(images)), before, atol=2e-3, rtol=0)


@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        ({"p": 1.5}, ValueError, r"p must be in \[0, 1\], got 1.5"),
        ({"p": "often"}, TypeError, "p must be a number"),
        ({"strength": -0.1}, ValueError, "strength"),
        ({"padding_mode": "wrap"}, ValueError, "padding_mode must be one of"),
        ({"interpolation": "cubic"}, ValueError, "interpolation must be one of"),
        ({"fill": 1.0}, ValueError, "fill must be 0 unless"),
        ({"fill": "black", "padding_mode": "fill"}, TypeError, "fill must be a number"),
        ({"limits": 30}, TypeError, "limits must be AffineLimits"),
        ({"generator": 3}, TypeError, "generator must be a torch.Generator"),
    ],
)
def test_arguments_are_checked(options, error, named):
    with pytest.raises(error, match=named):
        LearnedAffineAugment(**options)


def test_repr_is_one_line_that_tells_the_limits():
    text = repr(vivid(AffineLimits(10, 1.2, 5, 0.1)))
    assert "\n" not in text and "±10°" in text and "not fitted" in text and "p=1" in text
