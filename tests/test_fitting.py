"""Stage 2: what a fit reaches, what it leaves as it was, and what it says when something is wrong."""

import json
import math
import warnings

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from learned_affine import AffineLimits, FitConfig, FitHistory, LearnedAffineAugment
from learned_affine.classifier import train_classifier
from learned_affine.diagnostics import (
    FitWarning,
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


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def snapshot(classifier: nn.Module) -> dict:
    """Everything of a classifier that a fit must leave alone; tensors as the same objects with the same bits."""
    tensors = {**dict(classifier.named_parameters()), **dict(classifier.named_buffers())}
    hooks = [name for name in vars(classifier) if name.endswith("hooks")]
    return {
        "tensors": {name: (id(one), one.dtype, one.device, one.stride(), bits(one)) for name, one in tensors.items()},
        "training": [module.training for module in classifier.modules()],
        "grads": [(p.requires_grad, None if p.grad is None else bits(p.grad)) for p in classifier.parameters()],
        "hooks": [[list(getattr(module, name, None) or ()) for name in hooks] for module in classifier.modules()],
        "attributes": [sorted(vars(module)) for module in classifier.modules()],
    }


def assert_same(before: dict, classifier: nn.Module) -> None:
    after = snapshot(classifier)
    for part, old in before.items():
        assert old == after[part], part


def mixed_state(classifier: nn.Module) -> nn.Module:
    """A classifier in a state that a careless restore would not bring back."""
    classifier.train()
    next(classifier.children()).eval()
    next(classifier.parameters()).requires_grad_(False)
    return classifier


# -- what it reaches --------------------------------------------------------------------------------------------------


def test_calibrated_fit_holds_the_target_and_widens_the_policy():
    config = FitConfig(target=0.4, steps=300)
    augment = fit(Halves(4.0), [(IMAGES, LABELS)], config=config, limits=AffineLimits.wide(), progress=False)
    history = augment.history
    assert sum(history["cross_entropy"][-50:]) / 50 == pytest.approx(0.4, rel=0.25)
    assert history["kl"][-1] < 0.5 * history["kl"][0]


def test_a_larger_target_gives_a_wider_policy():
    limits = AffineLimits.wide()
    ends = [
        fit(Halves(4.0), loader(32), config=FitConfig(target=target), limits=limits, progress=False).history["kl"][-1]
        for target in (0.12, 0.5)
    ]
    assert ends[1] < ends[0] - 0.5


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
    config = FitConfig(target=0.3, adversarial_weight=0.1)
    history = quick(val_loader=loader(), max_steps=8, config=config).history
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


# -- bad input ---------------------------------------------------------------------------------------------------------


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
        (no_gradient, None, {"config": FitConfig.pathwise(target=0.3)}, ValueError, "pass a gradient"),
        (lambda x: torch.zeros(len(x), 2), None, {}, ValueError, "depend on its input, got the same"),
        (lambda x: torch.zeros(len(x), 2), None, {"config": FitConfig.pathwise()}, ValueError, "pass a gradient"),
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
