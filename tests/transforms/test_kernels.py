"""How images of every memory layout, with a graph, and of a type of the user's follow what was drawn."""

import pytest
import torch
from torchvision import tv_tensors

from learned_affine.geometry import warp
from learned_affine.transforms import kernels
from tests.subjects import STILL, at_seed, symmetric, vivid
from tests.transforms.pictures import Photo


@pytest.mark.parametrize("p", [0.5, 1.0])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("limits", [STILL, None])
def test_a_batch_in_pieces_is_the_batch_in_one_and_keeps_its_memory_format(monkeypatch, p, dtype, layout, limits):
    images = (torch.rand(9, 3, 12, 12) * 255).to(dtype).to(memory_format=layout)
    augment, outs = symmetric(limits, p=p), []
    for pixels in (2**30, 2 * 144, 1):
        monkeypatch.setattr(warp, "PIECE", pixels)
        outs.append(at_seed(augment, images))
    assert torch.equal(outs[0], outs[1]) and torch.equal(outs[0], outs[2])
    assert all(out.is_contiguous(memory_format=layout) for out in outs)


@pytest.mark.parametrize("p", [0.5, 1.0])
def test_a_graph_through_the_pixels_is_kept(p):
    images = torch.rand(8, 1, 9, 9, requires_grad=True)
    vivid(p=p)(images).sum().backward()
    assert (images.grad.flatten(1).abs().sum(1) > 0).all()


class Depth(tv_tensors.TVTensor):
    """A type of the user's own that is none that this package knows."""


@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (2, 0, 3, 8, 8), (0, 2, 3, 8, 8)])
def test_a_batch_without_images_comes_back(shape):
    assert vivid()(torch.rand(shape)).shape == shape


def test_kernels_are_looked_up_by_type_and_its_bases():
    photo, depth = Photo(torch.rand(3, 8, 8)), Depth(torch.rand(1, 8, 8))
    warped, same = vivid()(photo, depth)
    assert warped.shape == photo.shape and not torch.equal(warped.as_subclass(torch.Tensor), photo)
    assert same is depth


def test_every_type_of_torchvision_has_a_kernel():
    types = {one for one in vars(tv_tensors).values() if isinstance(one, type) and issubclass(one, torch.Tensor)}
    assert tv_tensors.KeyPoints in types and types <= set(kernels.KERNELS)
