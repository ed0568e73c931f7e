"""Do what a new user does: install the wheel into a fresh environment, then run the first pages as they stand.

README, the quick start and the page on photographs; the last one needs timm and scikit-image besides.

    python3 docs/new_user.py                     # everything from the package index: minutes
    .venv/bin/python docs/new_user.py --reuse    # dependencies of that Python, the package still from the wheel

Needs nothing but the standard library and pip.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("learned_affine", "setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE")
PAGES = (ROOT / "README.md", ROOT / "docs" / "quickstart.md", ROOT / "docs" / "photographs.md")
OF_PAGES = ("timm", "scikit-image")  # what the last one needs besides
WANTED = ("learned_affine/py.typed", "learned_affine/data/cifar10_v3.safetensors")


def main() -> None:
    """Wheel, environment, pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reuse", action="store_true", help="take the dependencies of the running Python")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        venv.create(Path(folder) / "venv", with_pip=True)
        python = Path(folder) / "venv" / "bin" / "python"
        install(python, build(python, Path(folder)), options.reuse)
        call(python, "-I", "-c", "import learned_affine, sys; sys.exit(sys.prefix not in learned_affine.__file__)")
        call(python, "-I", ROOT / "docs" / "run_blocks.py", *PAGES)


def build(python: Path, folder: Path) -> Path:
    """The wheel, from a copy of the sources, so that nothing of an earlier build gets in."""
    source = folder / "source"
    source.mkdir()
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, source / part)
    call(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, source)
    (wheel,) = folder.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    missing = [name for name in WANTED if name not in names]
    foreign = [name for name in names if not name.startswith("learned_affine")]
    if missing or foreign:
        raise SystemExit(f"{wheel.name}: missing {missing or 'nothing'}, foreign {foreign or 'nothing'}")
    print(f"{wheel.name}: {wheel.stat().st_size // 1024} kB, {len(names)} files", flush=True)
    return wheel


def install(python: Path, wheel: Path, reuse: bool) -> None:
    """The wheel and its dependencies, or only the wheel beside those of the running Python."""
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if not reuse:
        call(*pip, f"learned_affine[plot] @ {wheel.as_uri()}", *OF_PAGES)
        return
    call(*pip, "--no-deps", wheel)
    show = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(subprocess.run([python, "-c", show], capture_output=True, text=True, check=True).stdout.strip())
    running = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True).stdout
    (packages / "dependencies.pth").write_text(running)  # of which editable installs are not followed


def call(*command: object) -> None:
    """Run a command in an empty folder; what it prints is shown."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([str(part) for part in command], cwd=folder)
    if done.returncode:
        raise SystemExit(f"failed: {' '.join(str(part) for part in command)}")


if __name__ == "__main__":
    main()
