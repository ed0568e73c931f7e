"""What a type checker tells a user: mypy over a small script, strict, as the package itself is checked."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAD = """
from pathlib import Path

import torch
from torch import nn
from torchvision.transforms import v2

from learned_affine import AffineLimits, FitConfig, LearnedAffineAugment


class Own(LearnedAffineAugment):
    def mine(self) -> int:
        return 1


def classify(images: torch.Tensor) -> torch.Tensor:
    return images.flatten(1)


net = nn.Flatten()
images = torch.rand(2, 1, 8, 8)
loader = [(images, torch.tensor([0, 1]))]
"""
AUGMENT = "learned_affine.augment.LearnedAffineAugment"
REVEALED = {
    "LearnedAffineAugment.fit(net, loader)": AUGMENT,
    "Own.fit(classify, loader)": "user.Own",
    "Own().fit(lambda images: images, loader, val_loader=loader, seed=1, callbacks=print, device='cpu')": "user.Own",
    "Own.fit(net, iter(loader), limits=AffineLimits(5), preprocess=v2.Resize(8), padding_mode='zeros')": "user.Own",
    "Own().evaluate(net, loader, draws=2)": "learned_affine.diagnostics.evaluation.Evaluation",
    "Own().save_pretrained('x')": "pathlib.Path",
    "Own.from_pretrained(Path('x'), p=1.0, fill=0.5)": "user.Own",
    "Own().sample_parameters(images)": "learned_affine.geometry.parameters.AffineParameters",
    "Own().warp(images, Own().sample_parameters(images))": "torch._tensor.Tensor",
    "FitConfig.paper('corrected', rounds=3)": "learned_affine.config.FitConfig",
    "FitConfig().replace(labels='predicted')": "learned_affine.config.FitConfig",
}
WRONG = {
    "LearnedAffineAugment.fit(net, loader, val_loder=loader)": "call-arg",
    "Own().evaluate(net, loader, drws=3)": "call-arg",
    "Own(padding='zeros')": "call-arg",
    "FitConfig(steps=3)": "call-arg",
    "Own(padding_mode='reflect')": "arg-type",
    "Own.from_pretrained('x', interpolation='cubic')": "arg-type",
    "FitConfig(objective='best')": "arg-type",
    "Own.fit(net, 3)": "arg-type",
    "Own.fit(3, loader)": "arg-type",
}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What mypy says of each line of the script that it says something of."""
    script = tmp_path_factory.mktemp("typing") / "user.py"
    lines = [*HEAD.splitlines(), *(f"reveal_type({call})" for call in REVEALED), *WRONG]
    script.write_text("\n".join(lines) + "\n")
    # the cache that `mypy` alone leaves here serves this run, too
    options = ["--config-file", str(ROOT / "setup.cfg"), "--cache-dir", str(ROOT / ".mypy_cache"), "--no-error-summary"]
    command = [sys.executable, "-m", "mypy", *options, "--hide-error-context", script.name]
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=script.parent, env=environment)
    assert not done.stderr and done.returncode == 1, done.stdout + done.stderr
    found = re.findall(r"^(.+?):(\d+): (?:note|error): (.*)$", done.stdout, re.M)
    assert {file for file, _, text in found if "defined in" not in text} == {"user.py"}
    said = {lines[int(number) - 1]: text for _, number, text in reversed(found) if "defined" not in text}
    assert set(said) == {f"reveal_type({call})" for call in REVEALED} | set(WRONG), "nothing else is wrong"
    return said


@pytest.mark.parametrize("call", REVEALED)
def test_types_are_revealed(told, call):
    assert told[f"reveal_type({call})"] == f'Revealed type is "{REVEALED[call]}"'


@pytest.mark.parametrize("call", WRONG)
def test_what_is_wrong_is_an_error(told, call):
    assert told[call].endswith(f"[{WRONG[call]}]")
