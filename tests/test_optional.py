"""The package imports without its optional parts, and each says at the point of use how to get it."""

import subprocess
import sys

WITHOUT = """
import importlib, os, pkgutil, sys

class Missing:  # what an environment without the extras looks like
    names = {"matplotlib", "accelerate", "huggingface_hub", "timm", "lightning", "transformers"}

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
import torch
import learned_affine
for module in pkgutil.walk_packages(learned_affine.__path__, "learned_affine."):
    importlib.import_module(module.name)
from learned_affine import FitHistory, LearnedAffineAugment
from learned_affine.plots import plot_before_after

images = torch.rand(4, 1, 8, 8)
loader = [(images, torch.tensor([0, 1, 0, 1]))]
classifier = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
uses = [
    lambda: plot_before_after(LearnedAffineAugment(), images),
    lambda: FitHistory().plot(),
    lambda: LearnedAffineAugment.from_pretrained("someone/something"),
    lambda: os.environ.update(WORLD_SIZE="2") or LearnedAffineAugment.fit(classifier, loader),
]
for use in uses:
    try:
        use()
    except ImportError as error:
        print(error)
"""


def test_missing_parts_name_their_extras(tmp_path):
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    named = [line.rpartition("pip install ")[2] for line in done.stdout.splitlines()]
    assert named == [f"learned_affine[{extra}]" for extra in ("plot", "plot", "hub", "train")]
