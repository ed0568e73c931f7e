"""What importing the package brings in."""

import subprocess
import sys


def test_optional_extras_are_not_imported():
    code = (
        "import sys, torch, torchvision.transforms.v2, kornia.geometry.transform\n"
        "before = set(sys.modules)\nimport learned_affine\n"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    optional = {"accelerate", "tensorboard", "matplotlib", "huggingface_hub", "sphinx", "albumentations"}
    assert "learned_affine" in done.stdout.split()
    assert not optional & set(done.stdout.split())
