"""Run the Python blocks of Markdown files as they stand: ``python docs/run_blocks.py README.md docs/quickstart.md``.

The blocks of a file share their names, as if typed one after the other. They run in a folder that is empty but for
``examples``, as in a checkout, and for ``data``, pictures of two classes in folders, as ``ImageFolder`` wants them.
"""

import os
import re
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
PICTURES = {"train": 60, "heldout": 50}  # of each class
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def run(path: Path, changes: Mapping[str, str] | None = None) -> tuple[dict[str, Any], int]:
    """Run the blocks of one file in a folder of its own.

    Args:
        path: the page.
        changes: text of the page, and what stands in its place.

    Returns:
        The names that the blocks made, and how many blocks there are.
    """
    text = path.read_text()
    for old, new in (changes or {}).items():
        if text.count(old) != 1:
            raise SystemExit(f"{path} must have {old!r} once, got it {text.count(old)} times")
        text = text.replace(old, new)
    names: dict[str, Any] = {"__name__": "__main__"}
    blocks, home = list(BLOCK.finditer(text)), os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("examples").symlink_to(ROOT / "examples")
        make_pictures(Path("data"))
        try:
            for block in blocks:
                above = text.count("\n", 0, block.start(1))  # so that an error shows the line of the page
                exec(compile("\n" * above + block.group(1), str(path), "exec"), names)
        finally:
            os.chdir(home)
    return names, len(blocks)


def make_pictures(folder: Path) -> None:
    """Noise in folders, the left half bright for one class and the right half for the other."""
    draw = np.random.default_rng(0)
    for part, count in PICTURES.items():
        for name, bright in {"left": slice(0, 32), "right": slice(32, 64)}.items():
            own = folder / part / name
            own.mkdir(parents=True)
            for number in range(count):
                pixels = draw.integers(0, 128, (64, 64, 3), dtype=np.uint8)
                pixels[:, bright] += 100
                Image.fromarray(pixels).save(own / f"{number}.png")


def main() -> None:
    """Run each file."""
    for path in [Path(name).resolve() for name in sys.argv[1:]]:
        start = time.perf_counter()
        _, count = run(path)
        if count == 0:
            raise SystemExit(f"{path} has no Python block")
        print(f"{path.name}: {count} blocks ran in {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
