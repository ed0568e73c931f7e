"""Run the Python blocks of Markdown files as they stand: ``python docs/run_blocks.py README.md docs/quickstart.md``.

The blocks of a file share their names, as if typed one after the other, in an empty folder. The README says that
``classifier``, ``loader`` and ``val_loader`` are yours: it is given stand-ins for them.
"""

import os
import re
import sys
import tempfile
import time
from pathlib import Path

BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def stand_ins() -> dict[str, object]:
    """A linear classifier of random images, and two loaders."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(0)

    def loader() -> DataLoader:
        return DataLoader(TensorDataset(torch.rand(128, 3, 32, 32), torch.arange(128) % 10), batch_size=32)

    classifier = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 10))
    return {"classifier": classifier, "loader": loader(), "val_loader": loader()}


def run(path: Path) -> int:
    """Run the blocks of one file; their number."""
    text = path.read_text()
    names: dict[str, object] = {"__name__": "__main__"} | (stand_ins() if path.name == "README.md" else {})
    blocks = list(BLOCK.finditer(text))
    for block in blocks:
        above = text.count("\n", 0, block.start(1))  # so that an error shows the line of the page
        exec(compile("\n" * above + block.group(1), str(path), "exec"), names)
    return len(blocks)


def main() -> None:
    """Run each file in a folder of its own."""
    for path in [Path(name).resolve() for name in sys.argv[1:]]:
        start, home = time.perf_counter(), os.getcwd()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            count = run(path)
            os.chdir(home)
        if count == 0:
            raise SystemExit(f"{path} has no Python block")
        print(f"{path.name}: {count} blocks ran in {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
