"""The quick start's comparison over five seeds, by the blocks of the page themselves.

python -m benchmarks.quick_start.run       # about a minute a seed on one core; resumable
python -m benchmarks.quick_start.report    # the table in docs/quickstart.md
"""

import hashlib
import runpy
import time

import torch

from benchmarks.common.digests import digest
from benchmarks.common.pages import DOCS
from benchmarks.common.rows import append, has
from benchmarks.quick_start.report import PAGE, ROWS

SEEDS = 5
LINE = "seed, epochs = 0, 20"


def main() -> None:
    """Run what has no row yet."""
    torch.set_num_threads(1)
    blocks = runpy.run_path(str(DOCS / "run_blocks.py"))
    page = "".join(blocks["BLOCK"].findall(PAGE.read_text()))
    for seed in range(SEEDS):
        key = {"seed": seed, "code": digest("quick start"), "page": hashlib.sha256(page.encode()).hexdigest()[:12]}
        if has(ROWS, key):
            continue
        start = time.perf_counter()
        names, _ = blocks["run"](PAGE, {LINE: LINE.replace("0", str(seed), 1)})
        append(ROWS, {**key, **names["accuracy"], "seconds": time.perf_counter() - start})


if __name__ == "__main__":
    main()
