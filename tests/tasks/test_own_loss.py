"""A loss of the user's own: its targets move with the image, and its budget is a share of itself."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision import tv_tensors

from learned_affine import AffineLimits, FitConfig
from learned_affine.tasks.targets import take
from tests.fits import IMAGES, LABELS, PAPER, quick, same_weights
from tests.subjects import STILL, Halves

INSIDE = (IMAGES[:, 0] > 0.5).float()  # (B, H, W), the blob
MASKS = tv_tensors.Mask(INSIDE.bool())
X = (INSIDE * (torch.arange(16) + 0.5)).sum((1, 2)) / INSIDE.sum((1, 2))
Y = (INSIDE * (torch.arange(16) + 0.5)[:, None]).sum((1, 2)) / INSIDE.sum((1, 2))
POINTS = tv_tensors.KeyPoints(torch.stack([X, Y], 1)[:, None], canvas_size=(16, 16))  # (B, 1, 2)
BOXES = [
    {"boxes": tv_tensors.BoundingBoxes([[x - 4, y - 4, x + 4, y + 4]], format="XYXY", canvas_size=(16, 16))}
    for x, y in zip(X.tolist(), Y.tolist(), strict=True)
]
MEASURED = FitConfig(rounds=1, images=96)  # the target, that is
SWAP = {"mirror": [1, 0]}
difference, mean = partial(F.cross_entropy, reduction="none"), partial(torch.mean, dim=(1, 2, 3))
AS_IT_IS = nn.Identity()  # a model whose output is the image itself
PROBES = 3  # the first calls, which look whether the loss depends on the images
NEAREST = {"interpolation": "nearest", "padding_mode": "zeros", "limits": AffineLimits.wide()}


def fit(loss, targets, model=AS_IT_IS, held_out=None, **options):
    data = [(IMAGES[rows], take(targets, rows.tolist())) for rows in torch.arange(64).split(16)]
    options = {"config": MEASURED, "val_loader": data if held_out is None else held_out, **options}
    return quick(model, data, loss=loss, **options)


@pytest.mark.parametrize("form", ["a batch of masks", "a list of masks", "in a dict", "in a list of dicts"])
def test_masks_are_where_the_pixels_are(form):
    """Both by the nearest pixel, and both filled with 0: bit by bit, whatever the warp, mirrored or not."""
    several = [tv_tensors.Mask(mask.as_subclass(torch.Tensor)) for mask in MASKS]
    targets = {
        "a batch of masks": MASKS,
        "a list of masks": several,
        "in a dict": {"mask": MASKS, "number": torch.arange(64)},
        "in a list of dicts": [{"mask": one} for one in several],
    }[form]
    seen = []

    def loss(output, target):
        target = target["mask"] if isinstance(target, dict) else target
        if isinstance(target, list):
            target = torch.stack([one["mask"] if isinstance(one, dict) else one for one in target])
        seen.append((len(output), torch.equal(output[:, 0] > 0.5, target.as_subclass(torch.Tensor))))
        return output.mean((1, 2, 3))

    data = [(INSIDE[rows][:, None], take(targets, rows.tolist())) for rows in torch.arange(64).split(16)]
    quick(AS_IT_IS, data, val_loader=data, loss=loss, config=MEASURED, **NEAREST)
    assert sum(count for count, _ in seen) > 6 * 64
    assert all(same for _, same in seen[PROBES:])


def centre(images):
    """Where the bright pixels are, ``(B, 2)`` continuous."""
    weight, steps = images[:, 0] * (images[:, 0] > 0.2), torch.arange(16) + 0.5
    total = weight.sum((1, 2)).clamp_min(1e-6)
    return torch.stack([(weight * steps).sum((1, 2)) / total, (weight * steps[:, None]).sum((1, 2)) / total], 1)


@pytest.mark.parametrize("targets", [POINTS, BOXES], ids=["key points", "boxes"])
def test_key_points_and_boxes_are_where_the_pixels_are(targets):
    seen = []

    def loss(output, target):
        if isinstance(target, list):
            target = torch.stack([(one["boxes"][0, :2] + one["boxes"][0, 2:]) / 2 for one in target])[:, None]
        away = (centre(output) - target.as_subclass(torch.Tensor)[:, 0]).norm(dim=1)
        seen.append(float(away.max()))
        return away + 1

    fit(loss, targets, limits=AffineLimits(angle=10, scale=1.05, shear=3, translate=0.02), padding_mode="zeros")
    assert max(seen[PROBES:]) < 1.5


FORMS = {
    "tensors": lambda target: target,
    "key points": lambda target: tv_tensors.KeyPoints(target[..., None].repeat(1, 1, 2), canvas_size=(16, 16)),
    "dicts": lambda target: {"number": target, "none": None},
    "other keys": lambda target: {"number": target, f"of {target.shape[1]}": target},
}


@pytest.mark.parametrize("form", FORMS)
def test_targets_may_have_another_shape_in_each_batch(form):
    """Each target stays that of its image: symmetries alone do not change an image's mean."""
    seen = []

    def loss(output, target):
        target = target["number"] if isinstance(target, dict) else target
        flat = target.as_subclass(torch.Tensor).flatten(1)
        right = form == "key points" or torch.allclose(flat, mean(output)[:, None].expand_as(flat))  # points move
        seen.append((target.shape[1], right))
        return mean(output)

    each = zip(IMAGES.split(16), (3, 5, 4, 3), strict=True)  # padded to another length each
    data = [(images, FORMS[form](mean(images)[:, None].repeat(1, length))) for images, length in each]
    quick(AS_IT_IS, data, val_loader=data, loss=loss, limits=STILL)
    assert all(right for _, right in seen[PROBES:])
    assert {length for length, _ in seen[PROBES + 8 :]} == {3, 4, 5}  # the fit's own, once both loaders are read


def test_the_budget_is_a_share_of_the_loss():
    """In the loss's mean as its unit: at most a tenth, and 3 % without any gap. The target is in the loss's own."""
    augment = fit(difference, LABELS, Halves(4.0))
    info = augment.history.info
    charged = max(info[f"resampling_{augment.interpolation}"], 0.0)
    unit = float(difference(Halves(4.0)(IMAGES), LABELS).mean().detach())
    assert info["task"] == "own loss" and info["held_out_cost"] == pytest.approx(unit, rel=1e-5)
    assert augment.history.last()["budget"] == pytest.approx(0.03, rel=1e-3)
    assert info["target"] == pytest.approx((1.03 + charged) * unit, rel=1e-3)
    again = fit(difference, LABELS, Halves(4.0), config=FitConfig(rounds=1, images=64, target=1.5 * info["target"]))
    assert again.history.info["target"] == pytest.approx(1.5 * info["target"])
    assert again.history.last()["budget"] == pytest.approx(1.5 * (1.03 + charged) - 1, rel=1e-3)
    worse = [(IMAGES, torch.where(torch.arange(64) % 8 == 0, 1 - LABELS, LABELS))]
    assert fit(difference, LABELS, Halves(4.0), worse).history.last()["budget"] == pytest.approx(0.1, rel=1e-3)


def test_the_policy_does_not_depend_on_the_unit_of_the_loss():
    one, other = (
        fit(lambda output, target, unit=unit: unit * difference(output, target), LABELS, Halves(4.0))
        for unit in (1.0, 2.0**10)
    )
    assert same_weights(one, other)
    assert one.history["cost"] == other.history["cost"]


def test_evaluate_tells_the_loss():
    config = MEASURED.replace(target=0.5)  # far above what the images cost as they are
    augment = fit(difference, LABELS, Halves(4.0), config=config)
    told = augment.evaluate(Halves(4.0), [(IMAGES, LABELS)], loss=difference)
    plain = float(F.cross_entropy(Halves(4.0)(IMAGES), LABELS).detach())
    assert told["clean_loss"] == pytest.approx(plain, rel=1e-5) and told["loss"] > plain
    assert {"own_gain", "displacement", "symmetry_chance"} < set(told) and not {"accuracy", "entropy"} & set(told)


ONE_EACH = r"loss must return one number per image, a tensor of shape \(16,\), got "
NO_LOSSES = {
    "a scalar": (lambda output, target: output.mean(), ONE_EACH + r"Tensor of shape \(\): .* reduction='none'"),
    "another shape": (lambda output, target: output[:, 0], ONE_EACH + r"Tensor of shape \(16, 16, 16\)"),
    "NaN": (lambda output, target: mean(output) * torch.nan, r"loss must return finite numbers, got NaN or infinity"),
    "negative": (lambda output, target: -mean(output), r"loss must be above 0 in the mean, .* got -0\.\d+ on images"),
    "a word": ("cross entropy", r"loss must be a function of output and targets, got str"),
    "constant": (lambda output, target: torch.ones(len(output)), r"classifier must give a loss that depends on its"),
}


@pytest.mark.parametrize(("loss", "message"), NO_LOSSES.values(), ids=NO_LOSSES)
def test_a_loss_that_is_none_is_named(loss, message):
    with pytest.raises((TypeError, ValueError), match=message):
        fit(loss, LABELS)


@pytest.mark.parametrize(
    ("more", "got"),
    [
        ((16, 16), "tuple"),
        (torch.tensor(3), r"Tensor of shape \(\)"),
        (LABELS[:3], "a dict of values for 16 and 3 images"),
        ({"a": LABELS[:3]}, "a dict of values for 16 and 3 images"),
    ],
)
def test_each_value_of_a_dict_has_a_row_for_each_image(more, got):
    data = [(IMAGES[:16], {"m": LABELS[:16], "more": more})]
    with pytest.raises((TypeError, ValueError), match=rf"loader must give targets as .*, or dicts of these, got {got}"):
        quick(AS_IT_IS, data, loss=difference)


@pytest.mark.parametrize(
    ("targets", "options", "message"),
    [
        (None, {}, "loader must give targets beside its images for loss=, got none"),
        (LABELS, {"config": FitConfig(labels="predicted")}, "labels must be 'given' where loss is"),
        (LABELS, {"config": PAPER}, "task must be one of classes for the paper's objective, got 'own loss'"),
        (LABELS, {"label_map": SWAP}, "label_map must be of functions where the targets hold no key points"),
    ],
)
def test_what_does_not_go_together_is_named(targets, options, message):
    with pytest.raises(ValueError, match=message):
        fit(difference, targets, Halves(4.0), **options)


def test_a_loss_that_writes_into_its_targets_changes_nothing():
    """As code that replaces the label of what is to be ignored does."""

    def loss(output, target, writes):
        losses = (output[:, 0] - torch.stack([one["mask"] for one in target])).square().mean((1, 2)) + 0.1
        for one in target if writes else ():
            one["mask"].zero_()
        return losses

    plain = MASKS.as_subclass(torch.Tensor).float()
    targets = [{"mask": one.clone()} for one in plain]
    fits = [fit(partial(loss, writes=writes), targets) for writes in (True, False)]
    assert fits[0].history.info["target"] == fits[1].history.info["target"]
    assert same_weights(*(one.localization for one in fits))
    assert torch.equal(torch.stack([one["mask"] for one in targets]), plain)
