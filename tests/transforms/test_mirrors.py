"""Mirrors: everything in a sample follows torchvision's ``horizontal_flip``, and a mirror alone is exact."""

import PIL.Image
import pytest
import torch
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

from learned_affine import AffineLimits, AffineParameters, LearnedAffineAugment
from learned_affine.transforms.pil import MODES
from tests.geometry.matrices import one, only_mirrored, some
from tests.subjects import vivid
from tests.transforms.pictures import DTYPES, FORMATS, boxes, pil, pixels

STILL = AffineLimits(0, 1, 0, 0)
MIRROR = only_mirrored(True)
MOVED = one(20, 1.2, 0.9, 8, 0.1, -0.05).map(torch.Tensor.float)
MOVED_MIRROR = AffineParameters(*MOVED.tensors(), torch.tensor([True]))
AUGMENT = LearnedAffineAugment()


def flips(**options) -> LearnedAffineAugment:
    """An augmenter that does nothing but mirror, about half of the images."""
    return vivid(STILL, **options)


def flipped_where(images: torch.Tensor, mirror: torch.Tensor) -> torch.Tensor:
    return torch.stack([image.flip(-1) if bool(one_) else image for image, one_ in zip(images, mirror, strict=True)])


# -- a mirror alone is exact ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3, 9, 12), (1, 1, 1), (4, 8, 5, 1, 6)])
def test_a_mirror_alone_moves_pixels_bit_by_bit(dtype, shape):
    images = pixels(dtype, *shape)
    items = [images, tv_tensors.Image(images), *([tv_tensors.Video(images)] if images.ndim > 3 else [])]
    for item in items:
        out = AUGMENT.apply(item, MIRROR)
        assert type(out) is type(item) and torch.equal(out, F.horizontal_flip(item))
    mask = tv_tensors.Mask(images)
    assert torch.equal(AUGMENT.apply(mask, MIRROR), F.horizontal_flip(mask))


@pytest.mark.parametrize("mode", MODES)
def test_a_mirror_alone_and_the_identity_are_exact_for_pil(mode):
    image = pil(mode)
    out, same = AUGMENT.apply(image, MIRROR), AUGMENT.apply(image, only_mirrored(False))
    assert out.mode == same.mode == mode
    assert out.tobytes() == F.horizontal_flip(image).tobytes() and same.tobytes() == image.tobytes()


@pytest.mark.parametrize("format_", FORMATS)
def test_a_mirror_alone_moves_boxes_as_torchvision(format_):
    item = boxes(format_)
    _, out = AUGMENT.apply((tv_tensors.Image(torch.rand(3, 18, 24)), item), MIRROR)
    assert torch.equal(out, F.horizontal_flip(item)) and out.format == item.format


def test_key_points_stay_on_the_pixels_that_they_mark():
    image = torch.zeros(1, 18, 24)
    image[0, 4, 7] = 1
    points = tv_tensors.KeyPoints([[7.5, 4.5]], canvas_size=(18, 24))  # the centre of that pixel
    out, moved = AUGMENT.apply((tv_tensors.Image(image), points), MIRROR)
    row, column = out[0].nonzero()[0].tolist()
    assert moved.tolist() == [[column + 0.5, row + 0.5]] == [[16.5, 4.5]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", [0.5, 1.0])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_drawn_mirrors_are_exact(dtype, p, layout):
    augment, images = flips(p=p), pixels(dtype, 24, 3, 6, 5).to(memory_format=layout)
    out = augment(images)
    mirror = augment.last_parameters.mirror
    assert 0 < mirror.sum() < 24
    assert torch.equal(out, flipped_where(images, mirror)) and out.dtype == dtype
    assert out.is_contiguous(memory_format=layout)


MIXED = AffineParameters.cat([only_mirrored(False, True), MOVED, MOVED_MIRROR, MIRROR, only_mirrored(False)])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("padding_mode", ["reflection", "fill"])
def test_mirrors_are_exact_in_a_batch_with_moved_images(dtype, padding_mode):
    images = pixels(dtype, 6, 3, 14, 10)
    augment = LearnedAffineAugment(padding_mode=padding_mode)
    masks = tv_tensors.Mask(pixels(dtype, 6, 14, 10))
    for out in (augment.apply(images, MIXED), augment.warp(images, MIXED)):
        assert torch.equal(out[[0, 5]], images[[0, 5]]) and torch.equal(out[[1, 4]], images[[1, 4]].flip(-1))
        for row in (2, 3):
            alone = augment.apply(images[row], MIXED[row])
            torch.testing.assert_close(out[row], alone, atol=1e-5, rtol=0)  # one's map is computed in float64
            assert not torch.equal(out[row], images[row])
    _, out = augment.apply((tv_tensors.Image(images), masks), MIXED)
    assert torch.equal(out[[0, 5]], masks[[0, 5]]) and torch.equal(out[[1, 4]], masks[[1, 4]].flip(-1))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -3.4e38])
def test_a_mirror_alone_spreads_no_bad_pixel(value):
    images = torch.rand(2, 3, 9, 9)
    images[:, 1, 3, 2] = value
    out = AUGMENT.apply(images, only_mirrored(True, False))
    torch.testing.assert_close(out, flipped_where(images, torch.tensor([True, False])), rtol=0, atol=0, equal_nan=True)


def test_a_mirror_passes_a_gradient_on():
    images = torch.rand(4, 1, 5, 6, requires_grad=True)
    weights = torch.rand(4, 1, 5, 6)
    augment = flips()
    (weights * augment(images)).sum().backward()
    assert torch.equal(images.grad, flipped_where(weights, augment.last_parameters.mirror))


# -- mirrored and moved -----------------------------------------------------------------------------------------------


def test_images_are_moved_as_their_mirror_images():
    """First mirrored, then moved: so it is the flipped image that is moved, whatever its kind."""
    whole, photo = torch.rand(3, 18, 24), pil("RGB")
    for image, most in ((whole, 1e-4), (tv_tensors.Video(torch.rand(2, 3, 18, 24)), 1e-4), (whole.double(), 1e-5)):
        got, expected = AUGMENT.apply(image, MOVED_MIRROR), AUGMENT.apply(F.horizontal_flip(image), MOVED)
        torch.testing.assert_close(got, expected, atol=most, rtol=0)
    got, expected = (
        F.pil_to_tensor(AUGMENT.apply(image, parameters)).int()
        for image, parameters in ((photo, MOVED_MIRROR), (F.horizontal_flip(photo), MOVED))
    )
    assert (got - expected).abs().max() <= 1


def test_labels_are_moved_as_their_mirror_images():
    image = tv_tensors.Image(torch.rand(3, 18, 24))
    mask = tv_tensors.Mask(torch.rand(2, 18, 24) > 0.5)
    got, expected = (
        AUGMENT.apply((item, label), parameters)[1]
        for item, label, parameters in (
            (image, mask, MOVED_MIRROR),
            (F.horizontal_flip(image), F.horizontal_flip(mask), MOVED),
        )
    )
    assert (got != expected).float().mean() < 0.01  # but where the nearest of two pixels is a toss-up
    for format_ in FORMATS:
        item = tv_tensors.wrap(boxes(format_), like=boxes(format_), clamping_mode=None)
        got, expected = AUGMENT.apply(item, MOVED_MIRROR), AUGMENT.apply(F.horizontal_flip(item), MOVED)
        torch.testing.assert_close(got, expected, atol=1e-3, rtol=0)


def test_a_batch_with_targets_moves_each_with_its_image():
    augment, count = vivid(AffineLimits(20, 1.2, 5, 0.05)), 8
    images = tv_tensors.Image(torch.rand(count, 3, 18, 24))
    targets = [
        {
            "boxes": boxes("CXCYWHR"),
            "masks": tv_tensors.Mask(torch.rand(2, 18, 24) > 0.5),
            "points": tv_tensors.KeyPoints(torch.rand(3, 2) * 18, canvas_size=(18, 24)),
        }
        for _ in range(count)
    ]
    out_images, out = augment(images, targets)
    assert 0 < augment.last_parameters.mirror.sum() < count
    for row in range(count):
        alone = augment.apply((images[row], targets[row]), augment.last_parameters[row])
        torch.testing.assert_close(out_images[row], alone[0], atol=1e-5, rtol=0)
        assert all(torch.equal(out[row][name], alone[1][name]) for name in out[row])


@pytest.mark.parametrize("p", [0.5, 1.0])
def test_replay_and_inversion(p):
    augment = flips(p=p)
    image = tv_tensors.Image(torch.rand(16, 3, 9, 8))
    sample = (image, tv_tensors.Mask(torch.rand(16, 9, 8) > 0.5))
    out = augment(sample)
    parameters = augment.last_parameters
    again, back = augment.apply(out, augment.invert(parameters, 9, 8)), augment.apply(sample, parameters)
    for first, second, third, start in zip(out, back, again, sample, strict=True):
        assert torch.equal(first, second) and torch.equal(third, start)
    wide = vivid(AffineLimits(20, 1.2, 5, 0.05), p=p)
    whole = torch.rand(16, 3, 12, 12)
    assert torch.equal(wide.apply(wide(whole), AffineParameters.identity(1)), wide.apply(whole, wide.last_parameters))


def test_inversion_of_mirrored_and_moved_images():
    parameters = some(20, AffineLimits(180, 1.5, 20, 0.2), mirrors=True)
    points = tv_tensors.KeyPoints(torch.rand(20, 4, 2, dtype=torch.float64) * 20, canvas_size=(20, 24))
    there = AUGMENT.apply(points, parameters)
    back = AUGMENT.apply(there, AUGMENT.invert(parameters, 20, 24))
    torch.testing.assert_close(back, points, atol=1e-9, rtol=0)
    assert AUGMENT.invert(parameters, 20, 24).mirror.tolist() == parameters.mirror.tolist()


def test_a_clip_is_mirrored_as_a_whole():
    clips, augment = tv_tensors.Video(torch.rand(12, 4, 3, 6, 5)), flips()
    assert torch.equal(augment(clips), flipped_where(clips, augment.last_parameters.mirror))


# -- how often --------------------------------------------------------------------------------------------------------

COUNT = 20_000
TINY = torch.rand(1, 1, 2, 3).expand(COUNT, -1, -1, -1)


def share_of_flips(augment: LearnedAffineAugment) -> float:
    """Of many times the same image the share that came back mirrored; ``last_parameters`` says the same."""
    out = augment(TINY)
    flipped = (out == TINY.flip(-1)).flatten(1).all(1)
    assert torch.equal(flipped, augment.last_parameters.mirror)
    return flipped.float().mean().item()


@pytest.mark.parametrize(
    ("p", "strength", "chance"), [(1.0, 1.0, 0.05), (0.5, 1.0, 0.025), (1.0, 0.4, 0.02), (1.0, 0.0, 0.0)]
)
def test_an_unfitted_network_mirrors_one_image_in_twenty(p, strength, chance):
    """Times ``p``, times ``strength``; within 4.5 standard deviations of a binomial."""
    augment = LearnedAffineAugment(STILL, p=p, strength=strength)
    most = 4.5 * (chance * (1 - chance) / COUNT) ** 0.5
    assert share_of_flips(augment) == pytest.approx(chance, abs=most)


def test_no_image_is_mirrored_more_often_than_every_second_time():
    augment = LearnedAffineAugment(STILL, p=1.0)
    torch.nn.init.constant_(augment.localization.head.bias[27:], 9.0)
    assert share_of_flips(augment) == pytest.approx(0.5, abs=4.5 * (0.25 / COUNT) ** 0.5)


def test_the_mode_mirrors_nothing():
    augment = flips(deterministic=True)
    assert augment(TINY).equal(TINY) and not augment.last_parameters.mirror.any()


@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_pil_images_are_mirrored_as_often_and_in_the_same_draws_as_tensors(mode):
    image, augment = pil(mode, (6, 5)), flips()
    plain, mirrored = F.pil_to_tensor(image.convert("RGB")), 0
    for seed in range(40):
        torch.manual_seed(seed)
        out = augment(image)
        torch.manual_seed(seed)
        tensor = augment(plain)
        assert torch.equal(F.pil_to_tensor(out.convert("RGB")), tensor)
        mirrored += int(augment.last_parameters.mirror)
    assert 8 < mirrored < 32


# -- other people's machinery -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("p", [0.5, 1.0])
def test_a_compiled_transform_mirrors_the_same_images(backend, p):
    """There images are not told apart by what was drawn: a mirror goes through sampling, to the last digits."""
    torch._dynamo.reset()
    images, augment = torch.rand(16, 3, 8, 7), flips(p=p)
    compiled = torch.compile(augment, backend=backend, fullgraph=True)
    torch.manual_seed(3)
    expected = augment(images)
    torch.manual_seed(3)
    torch.testing.assert_close(compiled(images), expected, atol=1e-5, rtol=0)
    assert not torch.equal(expected, images)


class Same(Dataset):
    """The same image again and again, mirrored or not."""

    def __init__(self, augment, count=24):
        self.augment, self.count, self.image = augment, count, torch.rand(1, 4, 5)

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return self.augment(self.image), self.augment.last_parameters.mirror


def test_workers_mirror_too():
    data = Same(flips(generator=torch.Generator().manual_seed(3)))
    loader = DataLoader(data, 6, num_workers=2, multiprocessing_context="fork")
    torch.manual_seed(1)
    images, mirror = (torch.cat(parts) for parts in zip(*loader, strict=True))
    assert 4 < mirror.sum() < 20
    assert torch.equal(images, flipped_where(data.image.expand(24, -1, -1, -1), mirror[:, 0]))


def test_pil_images_of_a_list_of_targets_follow_their_image():
    augment = LearnedAffineAugment(p=1.0)
    depth = [pil("F", seed=0), pil("F", seed=1)]
    images = tv_tensors.Image(torch.rand(2, 3, 18, 24))
    _, out = augment.apply((images, [{"depth": one_} for one_ in depth]), only_mirrored(True, False))
    assert isinstance(out[0]["depth"], PIL.Image.Image)
    assert out[0]["depth"].tobytes() == F.horizontal_flip(depth[0]).tobytes()
    assert out[1]["depth"].tobytes() == depth[1].tobytes()
