"""What records or vectorises a call: ``torch.func``, ``torch.export``, ``torch.jit.trace``, held to a plain loop."""

import pytest
import torch
from torch.func import grad, vmap

from learned_affine import AffineLimits
from tests.geometry.matrices import symmetry
from tests.subjects import at_seed, symmetric, vivid
from tests.transforms.test_lists import one_by_one

IMAGES = torch.rand(6, 3, 14, 14, generator=torch.Generator().manual_seed(0))
NEAR = {"atol": 1e-5, "rtol": 0}
MODES = {
    "mode": {"deterministic": True},
    "drawn": {},
    "sharp": {"interpolation": "sharp"},
    "half": {"p": 0.5},
    "none": {"p": 0.0},
}
modes = pytest.mark.parametrize("options", MODES.values(), ids=MODES)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8])
def test_vmap_is_a_loop_over_images_and_over_batches(dtype):
    augment, images = vivid(deterministic=True), (200 * IMAGES).to(dtype)
    expected, _ = one_by_one(augment, images)
    atol = 1 if dtype == torch.uint8 else 2e-3  # of 200
    torch.testing.assert_close(vmap(augment)(images), torch.stack(expected), atol=atol, rtol=0)
    batches = images.unflatten(0, (2, 3))
    torch.testing.assert_close(vmap(augment)(batches).flatten(0, 1), torch.stack(expected), atol=atol, rtol=0)
    assert augment(images).shape == images.shape and len(augment.last_parameters) == 6


@pytest.mark.parametrize("generator", [None, 4])
def test_vmap_draws_as_its_randomness_says(generator):
    options = {} if generator is None else {"generator": torch.Generator().manual_seed(generator)}
    augment, same = vivid(**options), IMAGES[:1].expand(6, -1, -1, -1)
    assert len(torch.unique(vmap(augment, randomness="different")(same), dim=0)) == 6
    assert len(torch.unique(vmap(augment, randomness="same")(same), dim=0)) == 1
    assert augment.last_parameters is None
    with pytest.raises(RuntimeError, match="randomness"):
        vmap(augment)(same)


def test_vmap_leaves_images_alone_bit_by_bit_as_p_says():
    images = torch.rand(64, 3, 8, 8)
    same = (vmap(vivid(p=0.5), randomness="different")(images) == images).flatten(1).all(1)
    assert 15 < same.sum() < 50


def test_vmap_and_gradients_of_a_warp_are_a_loop():
    augment, unit, (mirror, turns) = vivid(), torch.rand(6, 6) * 2 - 1, symmetry(range(1, 7))

    def warp(image, point, *symmetry):
        parameters = augment.limits.parameters(point[None], *(one[None] for one in symmetry))
        return augment.warp(image[None], parameters)[0]

    def loss(point, image, *symmetry):
        return warp(image, point, *symmetry).square().sum()

    expected = torch.stack([warp(*each) for each in zip(IMAGES, unit, mirror, turns, strict=True)])
    torch.testing.assert_close(vmap(warp)(IMAGES, unit, mirror, turns), expected, **NEAR)
    leaf = unit.clone().requires_grad_()
    sum(loss(*each) for each in zip(leaf, IMAGES, mirror, turns, strict=True)).backward()
    torch.testing.assert_close(vmap(grad(loss))(unit, IMAGES, mirror, turns), leaf.grad, atol=1e-3, rtol=1e-3)


@modes
@pytest.mark.filterwarnings("ignore:While compiling, we found certain side effects")  # last_parameters
@pytest.mark.parametrize(("count", "strict"), [(1, False), (6, False), (6, True)])
def test_an_exported_transform_draws_as_it_does(options, strict, count):
    augment, images = symmetric(AffineLimits(20, 1.2, 5, 0.1), **options), IMAGES[:count]
    exported = torch.export.export(augment, (images,), strict=strict).module()
    for seed in range(3):
        expected = at_seed(augment, images, seed=seed)
        torch.testing.assert_close(at_seed(exported, images, seed=seed), expected, **NEAR)


@modes
@pytest.mark.parametrize("count", [1, 2, 6])
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:`torch.jit")
def test_a_traced_transform_draws_as_it_does_whatever_was_drawn_while_it_was_traced(options, count):
    augment, images = symmetric(AffineLimits(20, 1.2, 5, 0.1), **options), IMAGES[:count]
    for at in range(5):
        torch.manual_seed(at)
        traced = torch.jit.trace(augment, (images,), check_trace=False)
        for seed in range(2):
            expected = at_seed(augment, images, seed=seed)
            torch.testing.assert_close(at_seed(traced, images, seed=seed), expected, **NEAR)
