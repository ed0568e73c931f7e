"""Run the Python blocks of Markdown files as they stand: ``python docs/run_blocks.py README.md docs/quickstart.md``.

The blocks of a file share their names, as if typed one after the other. They run in a folder that is empty but for
``examples``, as in a checkout.
"""

import os
import re
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
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
        try:
            for block in blocks:
                above = text.count("\n", 0, block.start(1))  # so that an error shows the line of the page
                exec(compile("\n" * above + block.group(1), str(path), "exec"), names)
        finally:
            os.chdir(home)
    return names, len(blocks)


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
