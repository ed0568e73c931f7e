"""Every dtype: integers are rounded and clamped, and complex numbers are refused."""

import pytest
import torch
from torchvision import tv_tensors

from learned_affine import AffineParameters, LearnedAffineAugment
from tests.geometry.matrices import GONE, floating
from tests.subjects import vivid
from tests.transforms.pictures import INTEGERS, pixels


@pytest.mark.parametrize("dtype", INTEGERS)
def test_the_largest_and_the_least_values_stay_what_they_are(dtype):
    """float64 holds 53 bits: of 64-bit integers the largest come within its rounding, and none wraps round."""
    least, most = torch.iinfo(dtype).min, torch.iinfo(dtype).max
    images = torch.tensor([least, most]).to(dtype) if dtype != torch.uint64 else torch.tensor([0, -1]).view(dtype)
    images = torch.stack([images[:1].expand(64), images[1:].expand(64)]).view(2, 1, 8, 8)
    out = LearnedAffineAugment(padding_mode="border").warp(images, floating(20, 1.1, 1, 3, 0.05, 0))
    slack = 2**12 if dtype in (torch.int64, torch.uint64) else 0
    assert all(least <= value <= least + slack for value in out[0].flatten().tolist())
    assert all(most - slack <= value <= most for value in out[1].flatten().tolist())


@pytest.mark.parametrize("dtype", INTEGERS[:-1])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest", "bicubic", "sharp"])
def test_warp_rounds_integers(dtype, interpolation):
    """The warp of the values as float64, clamped and rounded."""
    augment, images = vivid(interpolation=interpolation), pixels(dtype, 16, 3, 12, 12, most=127)
    parameters = augment.sample_parameters(images)
    out = augment.warp(images, parameters)
    exact = augment.warp(images.double(), parameters).clamp(torch.iinfo(dtype).min, torch.iinfo(dtype).max)
    apart = out.double() - exact.round()
    assert out.dtype == dtype and apart.abs().max() <= 1 and (apart != 0).double().mean() < 0.01
    assert (out.double() - exact).mean().abs() < 0.02  # cutting off would make it half a level darker


@pytest.mark.parametrize("dtype", INTEGERS[:-2])
@pytest.mark.parametrize("fill", [300.0, 2.0**40, -7.0, -(2.0**40)])
def test_a_fill_beyond_the_dtype_is_clamped_not_wrapped_round(dtype, fill):
    bounds = torch.iinfo(dtype)
    augment = LearnedAffineAugment(padding_mode="fill", fill=fill)
    sevens = torch.full((1, 1, 8, 8), 7).to(dtype)
    for out in (augment.warp(sevens, GONE), augment.apply(sevens, GONE)):
        assert out[0, 0, 1, 1].item() == min(max(int(fill), bounds.min), bounds.max)


COMPLEX = torch.randn(2, 3, 8, 8, dtype=torch.complex64)
WITH_COMPLEX = {
    "sample_parameters": lambda a: a.sample_parameters(COMPLEX),
    "warp": lambda a: a.warp(COMPLEX, AffineParameters.identity(2)),
    "warp with a gradient": lambda a: a.warp(COMPLEX.clone().requires_grad_(), a.sample_parameters(COMPLEX.real)),
    "apply": lambda a: a.apply(COMPLEX, a.sample_parameters(COMPLEX.real)),
    "an image beside the first": lambda a: a(tv_tensors.Image(COMPLEX.real), tv_tensors.Image(COMPLEX)),
    "a clip beside the first": lambda a: a(tv_tensors.Image(COMPLEX.real[0]), tv_tensors.Video(COMPLEX)),
    "a mask": lambda a: a(tv_tensors.Image(COMPLEX.real), tv_tensors.Mask(COMPLEX)),
}


@pytest.mark.parametrize("call", WITH_COMPLEX.values(), ids=WITH_COMPLEX)
@pytest.mark.parametrize("dtype", ["complex32", "complex64", "complex128"])
@pytest.mark.filterwarnings("ignore:ComplexHalf")
def test_complex_numbers_are_refused_wherever_they_come_in(call, dtype, monkeypatch):
    monkeypatch.setitem(globals(), "COMPLEX", COMPLEX.to(getattr(torch, dtype)))
    with pytest.raises(TypeError, match=rf"(images|an image|a mask) must have a real dtype, got torch\.{dtype}"):
        call(vivid())
