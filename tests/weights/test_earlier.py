"""Files of earlier formats draw what they always drew: held to a plain draw, number by number, by another reader."""

import json
import math

import pytest
import torch
from safetensors import safe_open
from torch.nn import functional as F

from learned_affine import AffineLimits, LearnedAffineAugment, LearnedAffineAugment_Weights
from learned_affine.geometry.parameters import NAMES
from tests.weights.fuzz import EARLIER

load = LearnedAffineAugment.from_pretrained
# fitted before there were mirrors: six numbers are drawn an image, and no seventh
FILES = sorted(EARLIER.glob("*.safetensors")) + [
    LearnedAffineAugment_Weights[name].path for name in ("FASHION_MNIST_V1", "CIFAR10_V1")
]
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


class Plain:
    """A policy of formats 1 and 2 as its file has it, in float64 and in loops."""

    def __init__(self, path):
        with safe_open(path, "pt") as file:
            self.described = json.loads(file.metadata()["learned_affine"])
            self.weights = {name: file.get_tensor(name).double() for name in file.keys()}  # noqa: SIM118
        self.network, self.arguments = self.described["localization"], self.described["arguments"]
        self.is_raw = self.network["head"] == "raw"

    def images(self, count):
        """Images as large as the thumbnail, so that none is averaged."""
        side = self.network["size"]
        return torch.rand(count, self.network["channels"], side, side, generator=torch.Generator().manual_seed(1))

    def output(self, image):
        """What the head gives for one image."""
        weights, features = self.weights, None
        if not self.network["per_image"]:
            features = torch.ones(self.network["width"], dtype=torch.float64)
        else:
            image = image.double()
            planes = [(plane - plane.mean()) / plane.std(correction=0) for plane in image]
            hidden = weights["features.1.weight"] @ torch.stack(planes).flatten() + weights["features.1.bias"]
            hidden = (hidden - hidden.mean()) / (hidden.var(correction=0) + 1e-5).sqrt()
            hidden = hidden * weights["features.2.weight"] + weights["features.2.bias"]
            features = torch.where(hidden < 0, 0.1 * hidden, hidden)
        return (weights["head.weight"] @ features + weights["head.bias"]).tolist()

    def draw(self, image, noise):
        """The six parameters of one image, from six numbers."""
        output, limits = self.output(image), self.described["limits"]
        entries, drawn = iter(output[6:]), []
        for row in range(6):
            z = output[row]
            for column in range(row):
                z += 0.9 * next(entries) * float(noise[column])
            z += 0.09 * math.exp(min(max(next(entries), -6), 3)) * float(noise[row])
            share = self.arguments["strength"] * math.tanh(z)
            name = NAMES[row]
            if name.startswith("scale"):
                drawn.append(limits["scale"] ** share)
            else:
                drawn.append(limits[name.partition("_")[0]] * share)
        return drawn


def drawn_by(augment, images):
    torch.manual_seed(3)
    parameters = augment.sample_parameters(images)
    return parameters.stacked(), torch.get_rng_state(), parameters


@every_file
def test_it_draws_what_a_plain_draw_does(path):
    plain, augment = Plain(path), load(path)
    images = plain.images(8)
    found, state, parameters = drawn_by(augment, images)
    torch.manual_seed(3)
    noise = None if plain.is_raw else torch.randn(8, 6)
    assert torch.equal(torch.get_rng_state(), state), "not one number more or less"
    assert not bool(parameters.mirror.any())
    if not plain.is_raw:
        expected = torch.tensor([plain.draw(*pair) for pair in zip(images, noise, strict=True)])
        extent = torch.tensor(augment.limits.extent())
        torch.testing.assert_close(found / extent, expected / extent, rtol=0, atol=2e-5)


@pytest.mark.parametrize("path", [path for path in FILES if "raw" in path.stem], ids=lambda path: path.stem)
def test_a_raw_head_warps_by_the_matrix_that_it_gives(path):
    """From output to input, in coordinates from -1 to 1; ours goes from input to output, in pixels."""
    plain, images = Plain(path), Plain(path).images(8)
    hidden, weights = torch.stack([image - image.mean() for image in images.double()]), plain.weights
    hidden = hidden / hidden.std((1, 2, 3), correction=0, keepdim=True)
    for layer in ("features.0", "features.2"):
        hidden = F.conv2d(hidden, weights[f"{layer}.weight"], weights[f"{layer}.bias"], stride=2, padding=1).relu()
    hidden = F.linear(hidden.flatten(1), weights["features.5.weight"], weights["features.5.bias"]).relu()
    theta = F.linear(hidden, weights["head.weight"], weights["head.bias"]).view(8, 2, 3)
    half = images.shape[-1] / 2
    to_pixels = torch.tensor([[half, 0, half - 0.5], [0, half, half - 0.5], [0, 0, 1]], dtype=torch.float64)
    bottom = torch.tensor([0.0, 0, 1], dtype=torch.float64).expand(8, 1, 3)
    backward = to_pixels @ torch.cat([theta, bottom], 1) @ to_pixels.inverse()
    forward = torch.cat([load(path).sample_parameters(images).double().matrix(*images.shape[-2:]), bottom], 1)
    assert torch.allclose(theta[0], theta[1], atol=1e-3) == (path.stem == "format_1_raw"), "which is not fitted"
    torch.testing.assert_close(forward @ backward, torch.eye(3).double().expand(8, 3, 3), atol=1e-4, rtol=0)


@every_file
@pytest.mark.parametrize("p", [1.0, 0.5])
def test_a_call_draws_as_many_numbers_as_before(path, p):
    augment, images = load(path, p=p), Plain(path).images(8)
    torch.manual_seed(3)
    augment(images)
    state = torch.get_rng_state()
    torch.manual_seed(3)
    if p < 1:
        torch.rand(8)
    if not Plain(path).is_raw:
        torch.randn(8, 6)
    assert torch.equal(torch.get_rng_state(), state)


@every_file
def test_it_knows_no_mirrors(path):
    augment = load(path)
    assert augment.limits.mirror is False and not getattr(augment.localization, "mirrors", False)
    for changed in (load(path, limits=AffineLimits()), augment):  # whose limits allow what the network does not know
        assert not bool(changed.sample_parameters(Plain(path).images(64)).mirror.any())
