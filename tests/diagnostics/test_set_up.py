"""A wrong set-up is named: the wrong pixels, classes or outputs, and what a fit remembers of how it was set up."""

import copy
import pickle
import warnings
from collections import UserDict
from unittest import mock

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset
from torchvision.transforms import v2

from learned_affine import FitConfig, LearnedAffineAugment
from learned_affine.diagnostics import FitWarning
from learned_affine.fitting import learn
from learned_affine.tasks.batches import class_names
from tests.fits import IMAGES, LABELS, ROUNDS, SHORT, loader, quick
from tests.subjects import Halves, Sides, blobs, flipping, sides

HELD_OUT = blobs(200)
MEASURED = FitConfig(rounds=1, images=64)  # the target, that is


def darker(images: torch.Tensor) -> torch.Tensor:
    return images - 1


class Darkness(nn.Module):
    """Compares the halves of images that 1 was taken off; of others it gives the wrong answer, or always class 0."""

    def forward(self, images):
        wrong = (images.amax((1, 2, 3)) > 0).float()[:, None]
        images, half = images + 1 - wrong[..., None, None], images.shape[-1] // 2
        left, right = images[..., :half].mean((1, 2, 3)), images[..., half:].mean((1, 2, 3))
        return 20 * torch.stack([left, right], dim=1) * (1 - 2 * wrong)


def said(classifier, **options) -> list[str]:
    """What a short fit says of its set-up."""
    options = {"data": loader(64), "config": MEASURED, **options}
    with warnings.catch_warnings(record=True) as found, mock.patch.object(learn, "STEPS", 2):
        warnings.simplefilter("always")
        LearnedAffineAugment.fit(classifier, options.pop("data"), progress=False, **options)
    return [str(one.message) for one in found if getattr(one.message, "kind", "") == "setup"]


@pytest.mark.parametrize("config", [MEASURED, SHORT])
@pytest.mark.parametrize("val_loader", [[HELD_OUT], None])
def test_a_forgotten_preprocess_is_named(config, val_loader):
    options = {"config": config, "val_loader": val_loader}
    (text,) = said(Darkness(), **options)
    assert "wrong on 100 % of" in text and "preprocess" in text and "order" in text
    assert said(Darkness(), preprocess=darker, **options) == []


def test_a_wrong_order_of_classes_in_val_loader_is_named():
    (text,) = said(Halves(), val_loader=[(HELD_OUT[0], 1 - HELD_OUT[1])])
    assert "0 % of held-out images" in text and "order" in text and "chance" in text


def test_what_cannot_be_known_is_not_said():
    assert said(Halves(), data=[IMAGES], config=SHORT.replace(labels="predicted")) == []
    loss = lambda output, targets: nn.functional.cross_entropy(output, 1 - targets, reduction="none")  # noqa: E731
    assert said(Halves(), loss=loss, val_loader=[HELD_OUT]) == []


def test_a_fit_says_how_right_the_classifier_is(capsys):
    labels = LABELS.clone()
    labels[:16] = 1 - labels[:16]  # a quarter
    augment = quick(data=[(IMAGES, labels)], val_loader=[HELD_OUT], config=MEASURED, progress=True)
    assert augment.history.info["training_accuracy"] == 0.75 and augment.history.info["held_out_accuracy"] == 1
    assert "right on 75.0 % of training images and 100.0 % of held-out ones" in "".join(capsys.readouterr())


def test_evaluate_preprocesses_as_the_fit_did_as_long_as_that_is_known(tmp_path):
    """A copy knows it, also where it does not pickle; a file does not, and says so."""

    def right(augment, **options):
        return augment.evaluate(Darkness(), [HELD_OUT], **options)["clean_accuracy"]

    named, nameless = (
        quick(Darkness(), loader(64), preprocess=one, val_loader=[HELD_OUT]) for one in (darker, lambda x: darker(x))
    )
    for same in (named, copy.deepcopy(named), pickle.loads(pickle.dumps(named)), copy.deepcopy(nameless)):
        assert right(same) == 1 and right(same, preprocess=nn.Identity()) == 0
    with pytest.warns(FitWarning, match="setup: preprocess must be given .* that of the fit, <lambda>, stays behind"):
        right(pickle.loads(pickle.dumps(nameless)))
    loaded = LearnedAffineAugment.from_pretrained(named.save_pretrained(tmp_path / "a.safetensors"))
    with pytest.warns(FitWarning, match="setup: preprocess must be given"):
        right(loaded)
    assert right(loaded, preprocess=darker) == 1


class Named(TensorDataset):
    classes = ("left", "right", "faint", "bright")


def test_classes_are_named_where_the_data_names_them():
    """Of a fit, and of a policy that flips half of all images."""
    named, augment = DataLoader(Subset(Subset(Named(*sides(160, 0)), range(160)), range(160)), 32), flipping()
    found, plain = augment.evaluate(Sides(), named, draws=16), augment.evaluate(Sides(), [sides(160, 0)], draws=16)
    name = Named.classes[int(found["worst_class"])]
    assert name in ("left", "right") and f"0000  {name}" in str(found)
    assert not any(name in str(plain) for name in Named.classes)
    info = quick(Sides(), named, val_loader=named).history.info
    assert info["class_names"] == list(Named.classes)


def test_other_classes_in_val_loader_are_named():
    """As a folder without images of one class numbers the others anew."""
    one, other = Named(*sides(160, 0)), Named(*sides(160, 1))
    other.classes = ("left", "faint", "bright")
    (text,) = said(Sides(), data=DataLoader(one, 160), val_loader=DataLoader(other, 160))
    assert "class 1 is 'right' in loader and 'faint' in val_loader" in text
    other.classes = one.classes[:3]
    (text,) = said(Sides(), data=DataLoader(one, 160), val_loader=DataLoader(other, 160))
    assert "class 3 is 'bright' in loader and none in val_loader" in text


def test_chance_is_that_of_all_images():
    """Whatever the first ones are: here of one label alone, on which all guesses agree."""
    data, labels = IMAGES[LABELS.argsort()], nn.functional.one_hot(LABELS.sort().values, 2).float()
    never = lambda images: Halves()(images) - 10  # noqa: E731
    augment = quick(never, [(data, labels)], val_loader=[(data, labels)], task="multi-label")
    assert augment.history.info["chance"] == pytest.approx(0.5)


def test_other_names_than_classes_name_none():
    data = Named(*sides(160, 0))
    data.classes = ("left", "right")
    assert class_names(DataLoader(data), 4) is None and class_names([sides(4, 0)], 4) is None
    data.classes = None
    assert class_names(DataLoader(data), 4) is None


def test_integers_that_preprocess_does_not_take_are_named():
    data = [((255 * IMAGES).to(torch.uint8), LABELS)]
    with pytest.raises(TypeError, match=r"preprocess .*uint8, .*put v2.ToDtype\(torch.float32, scale=True\) before it"):
        quick(data=data, preprocess=v2.Normalize([0.5], [0.5]))
    scaled = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5], [0.5])])
    assert quick(data=data, preprocess=scaled).history.rounds == ROUNDS


class BatchFeature(UserDict):
    """What an image processor returns, which says nothing of an attribute that it lacks."""

    def __getattr__(self, name):
        try:
            return self.data[name]
        except KeyError:
            raise AttributeError from None


def test_an_image_processor_is_no_preprocess():
    processor = lambda images: BatchFeature({"pixel_values": [image.numpy() for image in images]})  # noqa: E731
    expected = r"preprocess must return a tensor, got BatchFeature: .*v2.Normalize\(processor.image_mean"
    with pytest.raises(TypeError, match=expected):
        quick(preprocess=processor)
    with pytest.raises(TypeError, match=expected):
        LearnedAffineAugment().evaluate(Halves(), loader(), preprocess=processor)


def test_a_softmax_at_the_end_is_named():
    (text,) = said(nn.Sequential(Halves(), nn.Softmax(1)), val_loader=[HELD_OUT])
    assert "softmax" in text and "logits" in text
    assert said(nn.Sequential(Halves(), nn.LogSoftmax(1)), val_loader=[HELD_OUT]) == []
    many = [(IMAGES, nn.functional.one_hot(LABELS, 2).float())]
    chances = nn.Sequential(Halves(), nn.Softmax(1))
    assert len([text for text in said(chances, data=many, task="multi-label") if "softmax" in text]) == 1
