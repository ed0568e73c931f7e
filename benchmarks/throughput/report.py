"""docs/evidence/performance.md and its picture, from the rows alone.

Run it as ``python -m benchmarks.throughput.report``.
"""

from collections import defaultdict
from pathlib import Path

from benchmarks.common.pages import EVIDENCE, IMAGES
from benchmarks.common.rows import RESULTS, read

ROWS = RESULTS / "throughput.jsonl"
PAGE = EVIDENCE / "performance.md"
# of Okabe and Ito, told apart by the colour-blind; the hatches tell them apart in print
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
HATCHES = ("", "//", "..", "xx", "\\\\")
SIZES = (32, 96, 224, 512)
SHORT = {  # what is compared: the section and kind, a method, and the one that it is divided by
    "a batch, over kornia's `RandomAffine`": ("batch", "float", "ours", "kornia RandomAffine"),
    "a batch, over `kornia.warp_affine` alone": ("batch", "float", "ours", "kornia warp_affine"),
    "a batch, over `grid_sample` alone with a ready grid": ("batch", "float", "ours", "grid_sample"),
    "a batch, over a loop of `v2.RandomAffine`": ("batch", "float", "ours", "v2.RandomAffine, loop"),
    "a batch with p = 0.5, over p = 1": ("batch", "float", "ours, p=0.5", "ours"),
    "one uint8 image, over `v2.RandomAffine`, both with zeros": ("single", "uint8", "ours, zeros", "v2.RandomAffine"),
    "one PIL image, over the same as a uint8 tensor": ("single", "uint8", "ours, PIL", "ours"),
    "an epoch of a loader, over `v2.RandomAffine`": ("loader", "2", "ours, zeros", "v2.RandomAffine"),
}
Group = dict[str, dict]
Groups = dict[tuple, Group]
PARTS = ("grid_sample", "rest of the warp", "thumbnail", "rest of the draw", "other")

HEAD = """# Performance

Made by `python -m benchmarks.throughput.report` from `benchmarks/results/throughput.jsonl`: {machine}, {versions}.
A figure is a ratio of medians of one run in which the cases alternated. On one thread the time is the processor's, on
two threads and in a loader it is the wall's. Nothing else was run, but the machine is a shared one: the last digit
means little. "ours" is a policy that fills its limits, p = 1, reflection padding, bilinear, with
all symmetries; the others have the same limits. Batches: 128 images at 32 px, 64 at 96, 32 at 224, 8 at 512.

## In short

Our time divided by that of the other, on one thread and on two: below 1 ours is faster.
"""
BOUNDS = """
## What bounds each case

![Where the time of a call goes](../images/performance_parts.png)

- **A batch: sampling.** The grid is an outer sum, computed from the six numbers without a matrix, and piece by piece,
  so that it stays in the cache. What remains is `grid_sample`, the copy of each piece into the result, and the look at
  the images that `kornia.warp_affine` alone does not take. At 32 px that is a third of the call: a thumbnail, a product
  with 768 inputs an image, and some sixty operators on a few numbers an image.
- **p = 0.5**: the images that are left alone cost a copy. The others are gathered, and warped piece by piece straight
  into the result. At 32 px the operators that do not grow with the batch are most of what is left.
- **One image: operators on a handful of numbers.** `v2.RandomAffine` draws six numbers. Ours looks at the image first:
  a thumbnail, two small products, a layer norm. The draw and the map are computed in plain numbers. At 96 px the
  thumbnail reads sixteen pixels a cell in twenty small operators, which is why it is the worst size.
- **uint8** is converted to float once, since torch samples floats only. **PIL** gives its bytes once each way.
- **A GPU**: the proxy is the number of operators, counted on torch's meta device, where an operator that waits for
  data raises. There are none. Bad pixels (NaN, no-data values) are looked for by masks there, in eight operators.
- **Memory**: the result, the grid of a piece, and for p = 0.5 the chosen images. Of a uint8 batch one float copy.

Not taken: kornia_rs 0.2.0, which comes with kornia, as a sampler for one uint8 image. From a tensor and back it
takes 0.58, 0.91 and 1.08 of our time at 32, 96 and 224 px. It is within one grey level inside the image, but up to 250
off at its border, since it does not mix with the zeros around, and it knows no reflection. OpenCV would be a new
dependency.
"""


def grouped(rows: list[dict]) -> Groups:
    """The rows of each section, number of threads, size and kind, by method."""
    groups: Groups = defaultdict(dict)
    for row in rows:
        groups[row["section"], row["threads"], row["size"], row["kind"]][row["method"]] = row
    return groups


def ratio(group: Group, one: str, other: str) -> float | None:
    """How many times as long as another a method takes; None if either was not measured."""
    return group[one]["seconds"] / group[other]["seconds"] if one in group and other in group else None


def short(groups: Groups) -> str:
    """The ratios that matter most, by size; then what a batched call asks of the machine."""
    lines = [f"| | {' | '.join(f'{size} px' for size in SIZES)} |", "|---|" + "---|" * len(SIZES)]
    for text, (section, kind, one, other) in SHORT.items():
        found = [[ratio(groups[section, threads, size, kind], one, other) for threads in (1, 2)] for size in SIZES]
        lines.append(f"| {text} | {' | '.join(', '.join(filter(None, map(cell, pair))) for pair in found)} |")
    for what, device, key in (
        ("operators of a batched call on the CPU, p = 1", "cpu", "operators"),
        ("the same as on a GPU", "meta", "operators"),
        ("bytes that a call on a float batch holds, in batches, p = 1", "cpu", "times"),
    ):
        counts = (groups["counts", 1, size, device].get("ours, p=1", {}).get(key, "") for size in SIZES)
        lines.append(f"| {what} | {' | '.join(f'{count:.3g}' if count else '' for count in counts)} |")
    return "\n".join(lines)


def cell(value: float | None) -> str:
    """A ratio."""
    return "" if value is None else f"{value:.2f}"


def table(groups: Groups, section: str, threads: int, kind: str, base: str = "ours") -> str:
    """Times of all methods as multiples of ours, and of ours in microseconds an image."""
    sizes = [size for size in SIZES if groups.get((section, threads, size, kind))]
    if not sizes:
        return ""
    found = [groups[section, threads, size, kind] for size in sizes]
    times = (f"{1e6 * group[base]['seconds'] / group[base]['batch']:.3g}" for group in found)
    lines = [
        f"### {section}, {kind}, {threads} thread{'s' * (threads > 1)}\n",
        "| | " + " | ".join(f"{size} px" for size in sizes) + " |",
        "|---|" + "---|" * len(sizes),
        f"| {base}, µs an image | {' | '.join(times)} |",
    ]
    for method in found[0]:
        if method != base:
            lines.append(f"| {method} | {' | '.join(cell(ratio(group, method, base)) for group in found)} |")
    return "\n".join(lines) + "\n"


def gpu_table(groups: Groups) -> str:
    """What a GPU takes, waits and holds, if one was there."""
    keys = [key for key in groups if key[0] == "gpu"]
    if not keys:
        return "### GPU\n\nNot measured yet: `python -m benchmarks.throughput.run batch --device cuda`.\n"
    lines = [
        f"### GPU: {next(iter(groups[keys[0]].values()))['machine']}\n",
        "| | size | images | µs an image | over ours | waits for the GPU | memory over the batch |",
        "|---|---|---|---|---|---|---|",
    ]
    for key in keys:
        for method, row in groups[key].items():
            batch = row["batch"] * 3 * row["size"] ** 2 * 4
            over = cell(ratio(groups[key], method, "ours"))
            micro = f"{1e6 * row['seconds'] / row['batch']:.3g}"
            held = f"{row['bytes'] / batch:.2f}"
            lines.append(f"| {method} | {row['size']} | {row['batch']} | {micro} | {over} | {row['waits']} | {held} |")
    return "\n".join(lines) + "\n"


def shares(time: dict[str, float]) -> list[float]:
    """The parts of a call as shares of the whole, each timed alone."""
    warp = max(0.0, time["warp"] - time["grid_sample"])
    draw = max(0.0, time["draw"] - time["thumbnail"])
    parts = [time["grid_sample"], warp, time["thumbnail"], draw]
    return [part / time["ours"] for part in [*parts, max(0.0, time["ours"] - sum(parts))]]


def plot_parts(groups: Groups, path: Path) -> None:
    """What a call is made of, each part timed alone, as shares of the whole call."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 3.6), layout="constrained")
    cases = [(kind, size) for kind in ("batch", "one") for size in (224, 96, 32)]
    for row, (kind, size) in enumerate(cases):
        time = {name: value["seconds"] for name, value in groups["parts", 1, size, kind].items()}
        start = 0.0
        for place, part in enumerate(shares(time)):
            style = {"color": COLOURS[place], "hatch": HATCHES[place], "edgecolor": "black", "linewidth": 0.5}
            axes.barh(row, part, left=start, label=None if row else PARTS[place], **style)
            start += part
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(cases)), [f"{'one image' if kind == 'one' else kind}, {size} px" for kind, size in cases])
    axes.set_xlabel("share of the whole call (parts timed alone, in a warm cache: other is what they leave)")
    figure.legend(loc="outside upper center", ncols=5, fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Write the page and draw the picture."""
    rows = read(ROWS)
    groups = grouped(rows)
    on_cpu = [row for row in rows if row["section"] != "gpu"]
    versions = ", ".join(f"{name} {number}" for name, number in on_cpu[0]["versions"].items())
    parts = [HEAD.format(machine=on_cpu[0]["machine"], versions=versions), short(groups)]
    parts += [BOUNDS, "## Everything\n", "Time of each over that of ours.\n"]
    for threads in (1, 2):
        parts += [table(groups, "batch", threads, kind) for kind in ("float", "uint8")]
        parts += [table(groups, "single", threads, "uint8")]
    parts += [table(groups, "loader", 1, "2").replace("loader, 2, 1 thread", "loader, two workers"), gpu_table(groups)]
    PAGE.write_text("\n".join(part for part in parts if part).rstrip() + "\n")
    plot_parts(groups, IMAGES / "performance_parts.png")
    print(f"{len(rows)} rows in {len(groups)} groups")


if __name__ == "__main__":
    main()
