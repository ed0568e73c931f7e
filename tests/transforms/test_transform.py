"""``LearnedAffineAugment`` as a citizen of torchvision: inputs, labels, containers, randomness."""

import copy
import math
import pickle
from dataclasses import replace

import PIL.Image
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel
from torchvision import transforms as v1
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2

from learned_affine import AffineLimits, AffineParameters, LearnedAffineAugment
from learned_affine.kornia import LearnedAffine
from tests.geometry.matrices import GONE
from tests.subjects import at_seed, symmetric, vivid


def test_p_leaves_the_others_bit_identical_and_says_so():
    images = torch.rand(64, 1, 13, 13)
    augment = vivid(p=0.25)
    out = augment(images)
    same = (out == images).flatten(1).all(1)
    assert 36 < same.sum() < 60 and not out.requires_grad
    assert torch.equal(augment.last_parameters.displacement() == 0, same)
    augment.p = 0
    assert augment(images) is images
    assert torch.equal(augment.last_parameters.stacked(), AffineParameters.identity(64).stacked())


def test_same_seed_same_draw_and_the_generator_is_its_own():
    images = torch.rand(4, 1, 8, 8)
    augment = vivid()
    first = at_seed(augment, images)
    assert torch.equal(at_seed(augment, images), first) and not torch.equal(augment(images), first)
    own = vivid(p=0.5, generator=torch.Generator().manual_seed(9))
    state = torch.get_rng_state()
    drawn = own(images)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(vivid(p=0.5, generator=torch.Generator().manual_seed(9))(images), drawn)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_and_pickles_draw_the_same_and_a_point_comes_back_from_an_oblong_image(again):
    augment, image = vivid(), tv_tensors.Image(torch.rand(3, 20, 16))
    other, point = again(augment), tv_tensors.KeyPoints([[10.0, 9.0]], canvas_size=(20, 16))
    there = at_seed(augment, image, point)
    assert all(map(torch.equal, at_seed(other, image, point), there))
    back = augment.apply(there, other.invert(augment.last_parameters, 20, 16))
    torch.testing.assert_close(back[1].as_subclass(torch.Tensor), point.as_subclass(torch.Tensor), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda t: v1.Compose([v1.ToTensor(), t]),
        lambda t: v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), t, v2.Normalize([0.5], [0.5])]),
        lambda t: v2.RandomApply([v2.Compose([v2.ToImage(), t])], p=1.0),
        lambda t: nn.Sequential(v2.ToImage(), t),
    ],
)
def test_containers(wrap):
    out = wrap(vivid())(PIL.Image.new("L", (11, 9), 100))
    assert out.shape == (1, 9, 11)


def test_inference_mode_and_autocast():
    images, augment = torch.rand(2, 3, 16, 16), vivid()
    expected = at_seed(augment, images)
    for mode in (torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16)):
        with mode:
            assert torch.equal(at_seed(augment, images), expected)


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8, torch.int64])
def test_compile_has_no_graph_break_and_gives_the_same(p, dtype):
    torch._dynamo.reset()
    augment, images = symmetric(p=p), (torch.rand(6, 3, 16, 16) * 100).to(dtype)
    compiled = torch.compile(augment, backend="eager", fullgraph=True)
    for seed in range(2):
        expected, drawn = at_seed(augment, images, seed=seed), augment.last_parameters
        out = at_seed(compiled, images, seed=seed)
        assert out.dtype == dtype and out.shape == images.shape
        torch.testing.assert_close(out, expected, atol=1e-3 if dtype.is_floating_point else 1, rtol=0)
        still = drawn.displacement() == 0
        assert torch.equal(out[still], images[still]) and (p != 0.5 or 0 < still.sum() < 6)
        if p > 0:
            assert torch.equal(augment.last_parameters.codes(), drawn.codes())
            torch.testing.assert_close(augment.last_parameters.stacked(), drawn.stacked())


# -- inside other people's models -------------------------------------------------------------------------------------


class Model(nn.Module):
    """A classifier that augments its own training images."""

    def __init__(self, augment):
        super().__init__()
        self.augment, self.linear = augment, nn.Linear(3 * 8 * 8, 2)

    def forward(self, images):
        return self.linear(self.augment(images).flatten(1))


SHELLS = {"the transform": lambda: vivid(), "kornia's": lambda: LearnedAffine(vivid(p=1.0))}


@pytest.fixture
def one_process(tmp_path):
    """A group of this process alone."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS.keys())
@pytest.mark.parametrize("wrap", [lambda model: model, nn.parallel.DistributedDataParallel], ids=["plain", "DDP"])
@pytest.mark.filterwarnings("ignore:`torch.distributed")
def test_a_model_trains_itself_and_not_the_policy_that_it_holds(shell, wrap, one_process):
    inner = Model(shell())
    policy = {name: value.clone() for name, value in inner.augment.state_dict().items()}
    model, images = wrap(inner), torch.rand(4, 3, 8, 8)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, weight_decay=0.1)
    averaged = AveragedModel(inner, use_buffers=True)
    before = inner.linear.weight.detach().clone()
    for _ in range(3):
        optimizer.zero_grad()
        model(images).square().sum().backward()
        optimizer.step()
        averaged.update_parameters(inner)
    assert not torch.equal(inner.linear.weight, before)
    for one_ in (inner, copy.deepcopy(inner), averaged.module):
        assert all(torch.equal(value, policy[name]) for name, value in one_.augment.state_dict().items())
        assert not any(parameter.requires_grad for parameter in one_.augment.parameters())
        assert one_(images).shape == (4, 2)
    assert averaged(images).requires_grad  # of the model's own layer


def test_a_models_own_apply_goes_through_it():
    seen = []
    Model(vivid()).apply(lambda module: seen.append(type(module).__name__))
    assert seen[-1] == "Model" and "LocalizationNetwork" in seen and "LearnedAffineAugment" in seen


BAD_ARGUMENTS = [
    ({"p": 1.5}, ValueError, r"p must be in \[0, 1\], got 1.5"),
    ({"strength": -0.1}, ValueError, "strength"),
    ({"padding_mode": "wrap"}, ValueError, "padding_mode must be one of"),
    ({"interpolation": "cubic"}, ValueError, "interpolation must be one of 'bilinear', 'nearest', .*, got 'cubic'"),
    ({"interpolation": InterpolationMode.LANCZOS}, ValueError, "interpolation must be one of .*, got 'lanczos'"),
    ({"p": True}, TypeError, "p must be a number, got bool"),
    ({"deterministic": 1}, TypeError, "deterministic must be a bool, got int: 1"),
    ({"fill": 1.0}, ValueError, "fill must be 0 unless"),
    ({"fill": "black", "padding_mode": "fill"}, TypeError, "fill must be a number"),
    ({"fill": math.nan, "padding_mode": "fill"}, ValueError, "fill must be finite, got nan"),
    ({"limits": 30}, TypeError, "limits must be AffineLimits"),
    ({"generator": 3}, TypeError, "generator must be a torch.Generator"),
]


@pytest.mark.parametrize(("options", "error", "named"), BAD_ARGUMENTS)
def test_arguments_are_checked_also_where_they_are_set_later(options, error, named):
    with pytest.raises(error, match=named):
        LearnedAffineAugment(**options)
    name, value = next(iter(options.items()))
    augment = LearnedAffineAugment(**{"p": 0.3, **{key: other for key, other in options.items() if key != name}})
    before = vars(augment).copy()
    with pytest.raises(error, match=named):
        setattr(augment, name, value)
    assert vars(augment) == before


def test_what_is_set_later_acts():
    images, augment = torch.rand(2, 3, 9, 9), vivid(p=0)
    augment.p, augment.padding_mode, augment.fill = 1, "fill", (0.1, 0.2, 0.3)
    augment.interpolation, augment.limits = InterpolationMode.NEAREST, AffineLimits(5)
    assert (augment.p, augment.interpolation) == (1.0, "nearest") and isinstance(augment.p, float)
    assert augment.warp(images, GONE)[0, :, 2, 2].tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert augment.sample_parameters(images).angle.abs().max() <= 5
    augment.deterministic = True
    assert torch.equal(augment(images), augment(images))
    augment.strength = 0.0
    assert torch.equal(augment(images), images)
    with pytest.raises(ValueError, match="fill must be 0 unless padding_mode is 'fill'"):
        augment.padding_mode = "reflection"
    augment.generator = torch.Generator().manual_seed(3)
    assert augment.padding_mode == "fill" and augment.generator is not None


# -- messages ---------------------------------------------------------------------------------------------------------

IMAGES, PARAMETERS = torch.rand(2, 3, 8, 8), AffineParameters.identity(2)


def changed(**values) -> AffineParameters:
    return replace(PARAMETERS, **{name: torch.full((2,), value) for name, value in values.items()})


SHAPE = r"images must have the shape \(B, C, H, W\)"
CALLS = {
    "warp without parameters": (lambda a: a.warp(IMAGES, None), TypeError, "parameters must be .*, got NoneType"),
    "warp of one image": (lambda a: a.warp(IMAGES[0], PARAMETERS), ValueError, SHAPE + r".*got \(3, 8, 8\)"),
    "warp of too many": (lambda a: a.warp(torch.rand(3, 3, 8, 8), PARAMETERS), ValueError, "of 1 or 3 images, got 2"),
    "warp of nothing": (lambda a: a.warp(torch.rand(2, 3, 0, 8), PARAMETERS), ValueError, "sides of at least 1"),
    "parameters of an image": (lambda a: a.sample_parameters(IMAGES[0]), ValueError, SHAPE),
    "replay of a dict": (lambda a: a.apply(IMAGES, {"angle": 3}), TypeError, "parameters must be .*, got dict"),
    "warp by no number": (lambda a: a.warp(IMAGES, changed(angle=math.nan)), ValueError, "parameters must be finite"),
    "warp to nothing": (lambda a: a.warp(IMAGES, changed(scale_x=0.0)), ValueError, "their scales not 0, got"),
    "a network of words": (lambda a: type(a)(localization="x"), TypeError, "localization must be .* got str: 'x'"),
    "replay of others": (lambda a: a.apply(IMAGES, AffineParameters.identity(3)), ValueError, "1 or 2 images, got 3"),
}


@pytest.mark.parametrize(("call", "error", "said"), CALLS.values(), ids=CALLS.keys())
def test_a_wrong_call_names_argument_rule_and_what_came(call, error, said):
    with pytest.raises(error, match=said):
        call(vivid())


def test_repr_is_one_line_that_tells_the_limits():
    text = repr(vivid(AffineLimits(10, 1.2, 5, 0.1)))
    assert "\n" not in text and "±10°" in text and "not fitted" in text and "p=1" in text
    assert "symmetries='mirror')" in repr(LearnedAffineAugment(AffineLimits(symmetries="mirror")))


def test_an_image_of_the_meta_device_does_not_take_the_network_along():
    augment, images = vivid(), torch.rand(2, 3, 8, 8)
    with pytest.raises(RuntimeError):
        augment(images.to("meta"))
    assert augment(images).shape == images.shape
