"""Stage 2: what a fit reaches, what it leaves as it was, and what it says when something is wrong."""

import copy
import json
import math
import warnings

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from torchvision import models
from torchvision.transforms import v2

from learned_affine import AffineLimits, FitConfig, FitHistory, LearnedAffineAugment
from learned_affine.classifier import train_classifier
from learned_affine.diagnostics import (
    DestroyedImagesWarning,
    DiscriminatorWarning,
    FitWarning,
    IdentityCollapseWarning,
    IgnoresImageWarning,
    PixelRangeWarning,
    StoppedFitWarning,
    TargetWarning,
    check_fit,
)
from learned_affine.history import KEYS
from tests.subjects import Halves, blobs, small_net

IMAGES, LABELS = blobs(64)
fit = LearnedAffineAugment.fit


def loader(batch: int = 16, shuffle: bool = False) -> DataLoader:
    return DataLoader(TensorDataset(IMAGES, LABELS), batch, shuffle=shuffle)


def quick(classifier=None, data=None, **options):
    """A short fit with a given target."""
    options = {"config": FitConfig(target=0.3), "max_steps": 3, "progress": False, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return fit(classifier or Halves(), loader() if data is None else data, **options)


def snapshot(classifier: nn.Module) -> dict:
    return {
        "tensors": {key: value.clone() for key, value in classifier.state_dict(keep_vars=False).items()},
        "training": [module.training for module in classifier.modules()],
        "grads": [(p.requires_grad, p.grad is None) for p in classifier.parameters()],
        "strides": [p.stride() for p in classifier.parameters()],
        "hooks": [len(module._forward_hooks) for module in classifier.modules()],
    }


def assert_same(before: dict, classifier: nn.Module) -> None:
    after = snapshot(classifier)
    for key, value in before.pop("tensors").items():
        assert torch.equal(value, after["tensors"][key]), key
    assert before == {key: value for key, value in after.items() if key != "tensors"}


def mixed_state(classifier: nn.Module) -> nn.Module:
    """A classifier in a state that a careless restore would not bring back."""
    classifier.train()
    next(classifier.children()).eval()
    next(classifier.parameters()).requires_grad_(False)
    return classifier


# -- the classifier comes back as it was ------------------------------------------------------------------------------


def raising(error: BaseException):
    def callback(values):
        raise error

    return callback


@pytest.mark.parametrize("error", [None, RuntimeError("boom"), KeyboardInterrupt()])
def test_classifier_is_untouched(error):
    classifier = mixed_state(small_net())
    before = snapshot(classifier)
    if error is None:
        quick(classifier)
    else:
        with pytest.raises(type(error)):
            quick(classifier, callbacks=raising(error))
    assert_same(before, classifier)


def test_classifier_is_untouched_after_a_broken_loader():
    def broken():
        yield IMAGES[:8], LABELS[:8]
        raise OSError("disk gone")

    classifier = mixed_state(small_net())
    before = snapshot(classifier)
    with pytest.raises(OSError, match="disk gone"):
        quick(classifier, broken())
    assert_same(before, classifier)


@pytest.mark.parametrize(
    "make",
    [
        lambda: models.resnet18(num_classes=2),
        lambda: models.mobilenet_v3_small(num_classes=2),
        lambda: models.VisionTransformer(32, 8, 1, 2, 16, 32, num_classes=2),
        lambda: models.convnext_tiny(num_classes=2),
    ],
    ids=["resnet", "mobilenet", "vit", "convnext"],
)
def test_torchvision_models_are_untouched(make):
    classifier = mixed_state(make()).to(memory_format=torch.channels_last)
    images = torch.rand(4, 3, 32, 32)
    before = snapshot(classifier)
    quick(classifier, [(images, torch.tensor([0, 1, 0, 1]))], max_steps=1)
    assert_same(before, classifier)


# -- loaders ----------------------------------------------------------------------------------------------------------


class Endless(IterableDataset):
    """No length, and epochs of changing length."""

    def __iter__(self):
        return iter([(IMAGES[0], 0), (IMAGES[1], 1), (IMAGES[2], 0)])


@pytest.mark.parametrize(
    "data",
    [
        [(IMAGES, LABELS, "more")],
        [{"image": IMAGES, "label": LABELS}],
        [{"pixel_values": IMAGES, "labels": LABELS}],
        DataLoader(Endless(), 2),
        [(IMAGES[:1], LABELS[:1])],
        [(IMAGES[:4], LABELS[:4]), (torch.rand(3, 1, 20, 24), LABELS[:3])],
        [((IMAGES * 255).to(torch.uint8), LABELS)],
        [(IMAGES, LABELS.tolist())],
    ],
    ids=["more fields", "dict", "hugging face", "iterable", "one image", "mixed sizes", "uint8", "list labels"],
)
def test_loaders(data):
    assert quick(data=data).history.info["steps"] == 3


def test_iterator_is_used_up_once():
    assert quick(data=iter([(IMAGES, LABELS)] * 2)).history.info["steps"] == 2


def test_dict_keys_by_name():
    data = [{"scan": IMAGES, "kind": LABELS}]
    assert quick(data=data, image_key="scan", label_key="kind").history.info["steps"] == 3
    with pytest.raises(ValueError, match=r"image_key must be one of image.*keys scan, kind"):
        quick(data=data)


def test_images_alone_do_for_objectives_without_labels():
    config = FitConfig.entropy_target(target=0.5)
    assert quick(data=[IMAGES], config=config).history.info["steps"] == 3
    assert quick(data=[IMAGES], config=FitConfig(labels="predicted", target=0.3)).history.info["steps"] == 3


def test_network_looks_at_the_loaders_channels():
    images = torch.rand(4, 3, 16, 16)
    assert quick(data=[(images, LABELS[:4])]).localization.channels == 3
    assert quick().localization.channels == 1


def test_preprocess_stands_before_the_classifier():
    seen = []
    classifier = Halves()
    classifier.register_forward_pre_hook(lambda module, args: seen.append(args[0].mean().item()))
    quick(classifier, preprocess=v2.Normalize([-1.0], [1.0]))
    assert min(seen) > 1


# -- what it reaches --------------------------------------------------------------------------------------------------


def test_calibrated_fit_holds_the_target_and_widens_the_policy():
    config = FitConfig(target=0.4, steps=300)
    augment = fit(Halves(4.0), [(IMAGES, LABELS)], config=config, limits=AffineLimits.wide(), progress=False)
    history = augment.history
    assert sum(history["cross_entropy"][-50:]) / 50 == pytest.approx(0.4, rel=0.25)
    assert history["kl"][-1] < 0.5 * history["kl"][0]


def test_a_larger_target_gives_a_wider_policy():
    ends = [
        fit(Halves(), loader(32), config=FitConfig(target=target, steps=200), progress=False).history["kl"][-1]
        for target in (0.12, 0.5)
    ]
    assert ends[1] < ends[0]


@pytest.mark.parametrize("config", [FitConfig.entropy_target(), FitConfig.hardness(), FitConfig.hardness(None)])
def test_other_objectives_lower_their_loss(config):
    augment = fit(Halves(), loader(32), val_loader=loader(), config=config.replace(steps=60), progress=False)
    assert augment.history["loss"][-1] < augment.history["loss"][0]


@pytest.mark.parametrize(("sign", "direction"), [("printed", -1), ("corrected", 1)])
def test_papers_sign_decides_where_the_entropy_goes(sign, direction):
    classifier = small_net()
    train_classifier(classifier, loader(), epochs=15, progress=False)
    config = FitConfig.paper(sign, epochs=15, learning_rate=5e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        entropy = fit(classifier, loader(), config=config, progress=False).history["entropy"]
    assert direction * (entropy[-1] - entropy[0]) > 0.02


def test_paper_corrected_runs_away_and_says_so():
    classifier = small_net()
    train_classifier(classifier, loader(), epochs=15, progress=False)
    config = FitConfig.paper("corrected", epochs=40, learning_rate=3e-3)
    with pytest.warns(FitWarning, match=r"destroys the images|not finite"):
        augment = fit(classifier, loader(), config=config, padding_mode="zeros", progress=False)
    assert augment.history["displacement"][-1] > 0.2


def test_same_seed_same_policy_and_global_randomness_is_left_alone():
    state = torch.get_rng_state()
    first, second = quick(data=loader(shuffle=True)), quick(data=loader(shuffle=True))
    assert torch.equal(torch.get_rng_state(), state)
    for one, two in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, two)
    other = quick(data=loader(shuffle=True), seed=1)
    assert not torch.equal(first.localization.features[1].weight, other.localization.features[1].weight)


def test_fit_on_an_instance_keeps_its_arguments():
    augment = LearnedAffineAugment(AffineLimits(10), localization=None, p=0.3)
    assert quick_instance(augment) is augment
    assert augment.p == 0.3 and augment.limits.angle == 10 and augment.history.epochs == 1
    with pytest.raises(TypeError, match="no constructor arguments, got p"):
        augment.fit(Halves(), loader(), p=1.0)


def quick_instance(augment):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return augment.fit(Halves(), loader(), config=FitConfig(target=0.3), max_steps=2, progress=False)


def test_history_has_every_key_and_is_json(tmp_path):
    history = quick(val_loader=loader(), max_steps=8).history
    assert history.epochs == 2 and set(history) == set(KEYS)
    path = history.save(tmp_path / "history.json")
    again = FitHistory.from_dict(json.loads(path.read_text()))
    assert {key: again[key] for key in KEYS} == {key: history[key] for key in KEYS}


def test_callbacks_see_every_step():
    seen = []
    quick(callbacks=[seen.append], max_steps=5)
    assert [values["step"] for values in seen] == [1, 2, 3, 4, 5]
    assert all(math.isfinite(values["entropy"]) for values in seen)


def test_tensorboard_gets_files(tmp_path):
    pytest.importorskip("tensorboard")
    quick(log_dir=tmp_path, max_steps=4)
    assert list(tmp_path.glob("events*"))


# -- bad input and alarms ---------------------------------------------------------------------------------------------


def no_gradient(images):
    with torch.no_grad():
        return Halves()(images)


@pytest.mark.parametrize(
    ("classifier", "data", "options", "error", "named"),
    [
        (Halves(), [], {}, ValueError, "at least one batch"),
        (Halves(), 5, {}, TypeError, "loader must be iterable, got int"),
        (3, None, {}, TypeError, "classifier must be callable"),
        (lambda x: x.mean((1, 2, 3))[:, None], None, {}, ValueError, "m >= 2"),
        (lambda x: x.mean((1, 2, 3)), None, {}, ValueError, "m >= 2"),
        (lambda x: "cat", None, {}, TypeError, "must return logits"),
        (lambda x: Halves()(x) * math.nan, None, {}, ValueError, "finite logits"),
        (no_gradient, None, {}, ValueError, "pass a gradient"),
        (lambda x: torch.zeros(len(x), 2), None, {}, ValueError, "pass a gradient"),
        (Halves(), [(IMAGES * math.nan, LABELS)], {}, ValueError, "finite images"),
        (Halves(), [(IMAGES[:, 0], LABELS)], {}, ValueError, r"\(B, C, H, W\)"),
        (Halves(), [(["a.png"], LABELS)], {}, TypeError, "images as a tensor"),
        (Halves(), [(IMAGES, LABELS + 1)], {}, ValueError, r"labels must be within \[0, 2\)"),
        (Halves(), [IMAGES], {}, ValueError, "must give labels"),
        (Halves(), [(IMAGES, LABELS[:3])], {}, ValueError, "one class index an image"),
        (Halves(), None, {"max_steps": 0}, ValueError, "max_steps"),
        (Halves(), None, {"config": "paper"}, TypeError, "config must be a FitConfig"),
        (Halves(), None, {"resume": True}, ValueError, "resume=True needs checkpoint"),
        (Halves(), None, {"resume": "nowhere"}, FileNotFoundError, "resume must be"),
    ],
)
def test_errors_name_what_is_wrong(classifier, data, options, error, named):
    with pytest.raises(error, match=named):
        quick(classifier, data, **options)


@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        ({"objective": "best"}, ValueError, "objective must be one of"),
        ({"steps": 0}, ValueError, "steps must be at least 1"),
        ({"steps": 1.5}, TypeError, "steps must be an int"),
        ({"learning_rate": -1.0}, ValueError, "learning_rate"),
        ({"objective": "hardness", "target": 2.0}, ValueError, "target"),
        ({"adversarial_weight": math.nan}, ValueError, "adversarial_weight"),
    ],
)
def test_dials_are_checked(options, error, named):
    with pytest.raises(error, match=named):
        FitConfig(**options)


def history_of(**values):
    """One epoch with nothing to complain of, but for ``values``."""
    fine = {
        "displacement": 0.1,
        "visible_area": 0.9,
        "agreement": 0.9,
        "between_image_variance": 0.2,
        "discriminator_loss": 1.0,
        "entropy": 1.0,
        "cross_entropy": 0.5,
    }
    config = values.pop("config", FitConfig())
    history = FitHistory(info={"config": config.to_dict(), "steps": 400, "target": 0.5, "classes": 10})
    history.add(**{**fine, **values})
    return history


@pytest.mark.parametrize(
    ("values", "alarm"),
    [
        ({}, None),
        ({"displacement": 0.001}, IdentityCollapseWarning),
        ({"visible_area": 0.1}, DestroyedImagesWarning),
        ({"agreement": 0.1}, DestroyedImagesWarning),
        ({"between_image_variance": 1e-9}, IgnoresImageWarning),
        ({"discriminator_loss": 0.001}, DiscriminatorWarning),
        ({"discriminator_loss": 2 * math.log(2)}, DiscriminatorWarning),
        ({"cross_entropy": 2.0}, TargetWarning),
        ({"entropy": 0.2, "config": FitConfig.entropy_target()}, TargetWarning),
    ],
)
def test_alarms(values, alarm):
    found = check_fit(history_of(**values), 10, False)
    assert [type(one) for one in found] == ([] if alarm is None else [alarm])


def test_pixel_range_alarm():
    with pytest.warns(PixelRangeWarning, match=r"within \[0, 1\]"):
        fit(
            Halves(),
            [(IMAGES * 255, LABELS)],
            preprocess=v2.Normalize([0.5], [0.5]),
            config=FitConfig(target=0.3),
            max_steps=1,
            progress=False,
        )


def test_without_unseen_images_the_target_is_a_guess_and_says_so():
    with pytest.warns(TargetWarning, match="without val_loader"):
        augment = fit(Halves(), loader(), max_steps=1, progress=False)
    assert augment.history.info["target_source"].startswith("guess")


class Breaks(nn.Module):
    """Passes a gradient that is not finite, from its third call on."""

    def __init__(self):
        super().__init__()
        self.calls = 0
        self.inner = Halves()

    def forward(self, images):
        self.calls += 1
        logits = self.inner(images)
        if self.calls > 4 and logits.requires_grad:
            logits.register_hook(lambda grad: grad * math.nan)
        return logits


def test_a_gradient_that_is_not_finite_stops_the_fit_and_keeps_the_last_good_weights():
    saved = []
    augment = LearnedAffineAugment(localization=None)

    def keep(values):
        saved.append(copy.deepcopy(augment.localization.state_dict()))

    with pytest.warns(StoppedFitWarning, match="not finite"):
        augment.fit(Breaks(), loader(), config=FitConfig(target=0.3), callbacks=keep, progress=False)
    assert 0 < len(saved) < 20
    for key, value in augment.localization.state_dict().items():
        assert torch.equal(value, saved[-1][key]) and torch.isfinite(value).all()
