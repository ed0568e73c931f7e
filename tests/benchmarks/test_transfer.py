"""The transfer benchmark: its settings are what they are called, and no run is made twice."""

import pytest
import torch

from benchmarks.transfer import run as transfer
from learned_affine import list_weights


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", transfer.SETTINGS)
def test_a_setting_gives_its_classifier_what_it_takes(name, channels):
    setting = transfer.SETTINGS[name]
    images = setting.prepare(torch.rand(4, channels, 28, 28))
    seen = []
    batch = setting.pipeline(lambda some: seen.append(some.dtype) or some)(images)
    assert setting.classifier(images.shape[1])(batch).shape == (4, 10)
    assert seen == [torch.uint8 if name == "uint8" else torch.float32]
    assert batch.shape[-1] == (21 if name == "shrunk" else 28)
    assert batch.shape[1] == ({1: 3, 3: 1}[channels] if name == "channels" else channels)
    torch.testing.assert_close(
        batch, transfer.normalize(images) if setting.normalized else images, rtol=0, atol=1 / 255
    )


def test_every_policy_and_setting_is_run_once_a_seed():
    keys = transfer.runs([0, 1], [0, 1, 2])
    assert len({tuple(sorted(key.items())) for key in keys}) == len(keys)
    policies = {(key["policy"], key["setting"], key["seed"]) for key in keys if key["arm"] == "policy"}
    wanted = {(name, setting, seed) for name in list_weights() for setting in transfer.SETTINGS for seed in (0, 1)}
    assert policies == wanted | {(name, "home", 2) for name in list_weights()}
    bases = {(key["data"], key["setting"], key["seed"]) for key in keys if key["arm"] == "none"}
    for key in keys:
        assert (key["data"], transfer.BASE.get(key["setting"], key["setting"]), key["seed"]) in bases, key
