"""What a call costs, beside what one would use instead: interleaved medians, as rows in ``results/throughput.jsonl``.

    python -m benchmarks.throughput.run batch --threads 1      # and: single, loader, parts, counts
    python -m benchmarks.throughput.run batch --device cuda    # the batch on a GPU, about a minute
    python -m benchmarks.throughput.report                     # the page

Rows of a section, device and number of threads are replaced by a newer run of it.
"""

import argparse
import gc
import itertools
import json
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version

import torch

from benchmarks.common.counting import counted
from benchmarks.common.rows import read, rounded, rows_file
from benchmarks.throughput.cases import BATCHES, EPOCH, ON_GPU, SECTIONS, Cases, ours
from benchmarks.throughput.report import ROWS
from examples.datasets import count

CHANCE = 8  # calls that a time is the mean of at least, where chance decides how many images are warped


def clock_of(section: str) -> Callable[[], float]:
    """The seconds of a section: of the GPU when all is done, of one thread its processor's, else those of the wall.

    The processor's time hardly depends on what else the machine does.
    """
    if section == "gpu":
        return lambda: (torch.cuda.synchronize(), time.perf_counter())[1]
    return time.process_time if torch.get_num_threads() == 1 and section != "loader" else time.perf_counter


def interleaved(cases: Cases, rounds: int, slice_: float, clock: Callable[[], float]) -> dict[str, dict[str, float]]:
    """Median and quartiles of the seconds a call, all cases in turn, ``rounds`` times, ``slice_`` seconds each."""
    calls = {}
    for name, case in cases.items():
        case()
        start = clock()
        case()
        least = CHANCE if "p=" in name else 1
        calls[name] = max(least, int(slice_ / max(1e-5, clock() - start)))
    found: dict[str, list[float]] = {name: [] for name in cases}
    gc.collect()
    for _ in range(rounds):
        for name, case in cases.items():
            case()  # the case before has left the cache and the memory at hand in another state
            start = clock()
            for _ in range(calls[name]):
                case()
            found[name].append((clock() - start) / calls[name])
    return {name: spread(values) for name, values in found.items()}


def spread(values: list[float]) -> dict[str, float]:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4)
    return {"seconds": middle, "low": low, "high": high, "rounds": len(values)}


def timed(section: str) -> list[dict]:
    """All rows of a section that is timed."""
    make, sizes, kinds = SECTIONS[section]
    gpu, rows = section == "gpu", []
    for size, kind in itertools.product(sizes, kinds):
        with torch.no_grad():
            cases = make(size, kind)
            rounds = {"loader": 7, "gpu": 25, "single": 41}.get(section, 15)
            found = interleaved(cases, rounds, 0.015, clock_of(section))
        of_section = {"single": 1, "loader": EPOCH, "gpu": ON_GPU.get(size)}
        batch = 1 if kind == "one" else of_section.get(section, BATCHES[size])
        more = {name: on_gpu(case) for name, case in cases.items()} if gpu else {}
        rows += [
            {"method": name, "size": size, "kind": kind, "batch": batch, **row, **more.get(name, {})}
            for name, row in found.items()
        ]
        print(section, size, kind, {name: round(1e3 * row["seconds"], 3) for name, row in found.items()}, flush=True)
    return rows


@torch.no_grad()
def on_gpu(case: Callable[[], object]) -> dict[str, float]:
    """How often a call waits for the GPU, as torch itself tells, and the bytes that it takes at most."""
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        case()
    torch.cuda.set_sync_debug_mode("default")
    waits = sum("synchroniz" in str(one.message) for one in told)
    return {"waits": waits, "bytes": torch.cuda.max_memory_allocated() - before}


def counts() -> list[dict]:
    """Operators and bytes of a call; on the meta device, which has no data, it is what a GPU would be asked for."""
    rows = []
    torch.is_autocast_enabled = lambda kind: False  # which does not know the meta device
    for (size, batch), device, p in itertools.product(BATCHES.items(), ("cpu", "meta"), (1.0, 0.5)):
        images = torch.rand(batch, 3, size, size).to(device)
        found = counted(ours(p=p), images)
        row = {"method": f"ours, p={p:g}", "size": size, "kind": device, "batch": batch, "operators": found.total}
        rows.append({**row, "waits": sum(found.waiting.values()), "times": found.most / images.nbytes})
    return rows


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", choices=("batch", "single", "parts", "loader", "counts"))
    parser.add_argument("--threads", type=count, default=1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rows", type=rows_file, default=ROWS, help="the file that rows are put into")
    return parser.parse_args()


def main() -> None:
    """Measure one section."""
    options = parse()
    gpu = options.device == "cuda"
    if gpu and not torch.cuda.is_available():
        return print("no GPU here: nothing measured")
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    section = "gpu" if gpu else options.section
    shared = {
        "section": section,
        "threads": options.threads,
        "machine": torch.cuda.get_device_name() if gpu else f"{os.cpu_count()} CPU cores",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "torchvision", "kornia")},
    }
    made = counts() if section == "counts" else timed(section)
    kept = [row for row in read(options.rows) if (row["section"], row["threads"]) != (section, options.threads)]
    rows = kept + [rounded({**shared, **row}) for row in made]
    options.rows.write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
