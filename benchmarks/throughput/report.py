"""The tables of docs/evidence/performance.md and its picture, from the rows alone.

Run it as ``python -m benchmarks.throughput.report``.
"""

from collections import defaultdict
from pathlib import Path

from benchmarks.common.pages import EVIDENCE, IMAGES, fill
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
    "a batch, over a loop of `v2.RandomAffine`": ("batch", "float", "ours", "v2.RandomAffine, loop"),
    "a batch with p = 0.5, over p = 1": ("batch", "float", "ours, p=0.5", "ours"),
    "a batch with sharp interpolation, over bilinear": ("batch", "float", "ours, sharp", "ours"),
    "one uint8 image with sharp interpolation, over bilinear": ("single", "uint8", "ours, sharp", "ours"),
    "one uint8 image, over `v2.RandomAffine`, both with zeros": ("single", "uint8", "ours, zeros", "v2.RandomAffine"),
    "one PIL image, over `v2.RandomAffine` of PIL images": ("single", "uint8", "ours, PIL", "v2.RandomAffine, PIL"),
    "one PIL image, over the same as a uint8 tensor": ("single", "uint8", "ours, PIL", "ours"),
    "an epoch of a loader, over `v2.RandomAffine`": ("loader", "2", "ours, zeros", "v2.RandomAffine"),
}
Group = dict[str, dict]
Groups = dict[tuple, Group]
ON_GPU = ("ours", "kornia RandomAffine", "kornia warp_affine")
PARTS = ("grid_sample", "rest of the warp", "thumbnail", "rest of the draw", "other")


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
    """The ratios that matter most, by size."""
    lines = [f"| | {' | '.join(f'{size} px' for size in SIZES)} |", "|---|" + "---|" * len(SIZES)]
    for text, (section, kind, one, other) in SHORT.items():
        found = [[ratio(groups[section, threads, size, kind], one, other) for threads in (1, 2)] for size in SIZES]
        lines.append(f"| {text} | {' | '.join(', '.join(filter(None, map(cell, pair))) for pair in found)} |")
    return "\n".join(lines)


def cell(value: float | None) -> str:
    """A ratio."""
    return "" if value is None else f"{value:.2f}"


def gpu_table(groups: Groups) -> str:
    """What a GPU takes and holds, if one was there."""
    keys = [key for key in groups if key[0] == "gpu"]
    if not keys:
        return "`python -m benchmarks.throughput.run batch --device cuda` measures it."
    lines = ["| | size | images | µs per image | over ours | memory over the batch |", "|---|---|---|---|---|---|"]
    for key in keys:
        for method in filter(groups[key].__contains__, ON_GPU):
            row = groups[key][method]
            held = row["bytes"] / (row["batch"] * 3 * row["size"] ** 2 * 4)
            over, micro = cell(ratio(groups[key], method, "ours")), f"{1e6 * row['seconds'] / row['batch']:.3g}"
            lines.append(f"| {method} | {row['size']} | {row['batch']} | {micro} | {over} | {held:.2f} |")
    return "\n".join(lines)


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
    """Fill the page between its markers and draw the picture."""
    rows = read(ROWS)
    groups = grouped(rows)
    fill(PAGE, "short", short(groups))
    fill(PAGE, "gpu", gpu_table(groups))
    plot_parts(groups, IMAGES / "performance_parts.png")
    print(f"{len(rows)} rows in {len(groups)} groups")


if __name__ == "__main__":
    main()
