"""docs/evidence/performance.md and its two pictures, from the rows alone.

Run it as ``python -m benchmarks.throughput.report``.
"""

import statistics
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.common.pages import EVIDENCE, IMAGES
from benchmarks.common.rows import RESULTS, read

ROWS = RESULTS / "throughput.jsonl"
PAGE = EVIDENCE / "performance.md"
SIZES = (32, 96, 224, 512)
# of Okabe and Ito, told apart by the colour-blind; the hatches tell them apart in print
COLOURS = ("#0072B2", "#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#F0E442", "#999999")
HATCHES = ("", "//", "..", "xx", "\\\\", "++", "oo", "--")
Group = dict[str, dict]
Groups = dict[tuple, Group]

HEAD = """# Performance

Made by `python -m benchmarks.throughput.report` from `benchmarks/results/throughput.jsonl`: 2 CPU cores, {versions}.
Each figure is a ratio of medians of one run in which the cases took turns, with nothing else at work. Absolute times
mean little. "ours" is a policy that fills its limits, p = 1, reflection padding, bilinear; the others have the same
limits. Batches: 128 images at 32 px, 64 at 96, 32 at 224, 8 at 512. "kept": batches again, in a process that keeps the
memory that it frees. There was no GPU: the section for it (`python -m benchmarks.throughput.run gpu`) has not been run.

## Targets
"""
BOUNDS = """## What bounds each case

![Where the time of a call goes](../images/performance_parts.png)

- **Large batches: sampling.** `grid_sample` and the grid that kornia makes for it are nearly everything; the rest is
  mostly the thumbnail of 16 pixels a cell. Fresh memory has to be mapped page by page: a call on eight images of 512 px
  was seen to map 14,000 pages, which took 15 of its 55 ms, and in another run of the same program none; it is why runs
  of the same case differ. The last two columns of the table, and the tables headed "kept", are of processes that keep
  what they free (glibc: `MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=4294967296`): no page is mapped twice
  there, and runs agree better. `p` is applied before: the images left alone cost a copy, and the others are warped in
  pieces of 2^18 pixels a thread, whose grids are in memory at hand. At p = 0.5, 224 px, two threads and memory kept, of
  9.5 ms (p = 1: 12.8) 6.4 are sampling, 0.5 gathering what was chosen, 0.7 the draw, and 1.5 the copy of what was left
  alone and of what was warped into the result: two threads halve the first, hardly the copies, which is why one thread
  is nearer to the target. A copy of the rows that were left alone, and not of all, would save 0.2 of these, and cost
  more than it saves at 32 px. Cutting a whole batch (p = 1) so was tried, too: in turn with other methods, as between
  the steps of a training, it took 0.9 of the time (mean of three runs at 96, 224 and 512 px), called again and again,
  as in the tables below, 1.05 to 1.4 of it, for the copy into the result; it is not done.
- **Batches at 32 px: fixed cost.** kornia's call costs about as much for its matrices as for a small image's pixels;
  on top come the thumbnail (reads each pixel), one product of a matrix with 768 inputs an image, and about forty
  operators on six numbers an image.
- **One small image: operators, each on a handful of numbers.** At 32 px `grid_sample` takes a twentieth of kornia's
  `warp_affine`; the rest of that call is Python and some sixty operators that normalise and invert one 3x3 matrix
  (twice in closed form, of which one inverts a constant) and lay out the grid. Alone it takes {alone} times as long
  as the whole of `v2.RandomAffine`, so that at most {left} of the 2.5 are left for everything that makes the warp a
  learned one: thumbnail, network, six parameters, matrix. What was taken away here: the second conversion of each
  image, the second look for the rows that `p` chose, a scatter of the triangular factor, and all operators on the way
  to the matrix, which is computed in plain numbers. What would lift it: a `warp_affine` that takes matrices already
  normalised, from destination to source, which the six parameters give without an inversion. The package keeps to
  kornia's function, so that there is one place where pixels are sampled. Augmenting the batch after collation costs
  {batched} of a single call an image.
- **One large image: sampling again**, with reflection, which costs more than the zeros that `v2.RandomAffine` pads
  with; with `padding_mode="zeros"` see the table.
- **uint8** is converted to float once, for the thumbnail and the warp together: torch and kornia sample floats only.
  Back again it is rounded, and clamped only where a fill may lie outside the range.
- **PIL** adds the two copies between PIL's interleaved and torch's planar pixels; the bands are put together by PIL.
- **Workers**: see the table of loaders; each worker does on one core what one thread does above.
- **channels_last** comes back as it went in, at the price of a copy, since `grid_sample` answers in planes.
- **torch.compile** has no graph break on plain tensors; see its table: inductor writes the
  sampling out itself, which on these cores takes longer than the operator that it replaces.
"""


def grouped(rows: list[dict]) -> Groups:
    """The rows of each section, number of threads, size and kind, by method."""
    groups: Groups = defaultdict(dict)
    for row in rows:
        groups[row["section"], row["threads"], row.get("size"), row.get("kind")][row["method"]] = row
    return groups


def ratio(group: Group, one: str, other: str) -> float | None:
    """How many times as long as another a method takes; None if either was not measured."""
    return group[one]["seconds"] / group[other]["seconds"] if one in group and other in group else None


class Target(NamedTuple):
    """How many times as long as another one method may take at most: of a section, size and kind.

    With ``least``, how many times as long it must take at least.
    """

    text: str
    limit: float
    key: tuple[str, int, str]
    one: str
    other: str
    least: bool = False


def all_targets() -> Iterator[Target]:
    """Every target that is a ratio of two methods."""
    ours, kornia, single = "ours", "kornia RandomAffine", "v2.RandomAffine"
    for size, limit in ((32, 1.5), (96, 1.15), (224, 1.15)):
        text = f"batch, {size} px, over `kornia.warp_affine` alone"
        yield Target(text, limit, ("batch", size, "float"), ours, "kornia warp_affine")
    for size in SIZES:
        yield Target(f"batch, {size} px, over `kornia` `RandomAffine`", 1, ("batch", size, "float"), ours, kornia)
    text = "batch, 32 px: a loop of `v2.RandomAffine` over ours"
    yield Target(text, 8, ("batch", 32, "float"), "v2.RandomAffine, loop", ours, least=True)
    for size in SIZES:
        yield Target(f"batch, {size} px: p = 0.5 over p = 1", 0.65, ("batch", size, "float"), "ours, p=0.5", ours)
    for size, limit in ((32, 2.5), (224, 1.0)):
        yield Target(f"one image, {size} px, over `v2.RandomAffine`", limit, ("single", size, "float"), ours, single)
    yield Target("the same with zeros for padding, 224 px", 1.0, ("single", 224, "float"), "ours, zeros", single)
    for size in SIZES:
        text = f"one PIL image, {size} px, over a uint8 tensor"
        yield Target(text, 1.3, ("parts", size, "one"), "ours, PIL", "ours, uint8")
    for size in SIZES:
        yield Target(f"one image, {size} px, over `kornia` `RandomAffine`", 1, ("single", size, "float"), ours, kornia)
    for kind, name in (("batch", "batch"), ("one", "one image")):
        text = f"localization with thumbnail, {name}, 224 px, share of all"
        yield Target(text, 0.15, ("parts", 224, kind), "draw", ours)


def targets(groups: Groups) -> str:
    """Each target, what came out for one thread and for two, and for batches with memory kept; met as it comes."""
    lines = ["| target | at most | 1 thread | 2 threads | | kept: 1 | 2 |", "|---|---|---|---|---|---|---|"]
    lines += [line for target in all_targets() for line in judged(groups, target)]
    one = [groups["parts", 1, size, "one"]["network"]["seconds"] for size in (32, 512)]
    change = one[1] / one[0]
    what = "localization network, one image, 512 px over 32 px"
    lines.append(f"| {what} | 1 (no change) | {change:.2f} | | {met(0.8 < change < 1.25)} | | |")
    took = groups["import", 1, None, None]["learned_affine"]["seconds"]
    what = "import beyond torch, torchvision, kornia"
    lines.append(f"| {what} | 100 ms | {1e3 * took:.0f} ms | | {met(took < 0.1)} | | |")
    return "\n".join(lines)


def judged(groups: Groups, target: Target) -> list[str]:
    """The line of one target, or none where nothing was measured."""
    section, *rest = target.key
    places = [(section, 1), (section, 2)] + [("kept", 1), ("kept", 2)] * (section == "batch")
    found = [ratio(groups[(*place, *rest)], target.one, target.other) for place in places]
    values = [value for value in found[:2] if value is not None]
    if not values:
        return []
    reached = min(values) >= target.limit if target.least else max(values) <= target.limit
    bound = f"at least {target.limit:g}" if target.least else f"{target.limit:g}"
    shown = ["" if value is None else f"{value:.2f}" for value in found] + ["", ""]
    return [f"| {target.text} | {bound} | {shown[0]} | {shown[1]} | {met(reached)} | {shown[2]} | {shown[3]} |"]


def met(reached: bool) -> str:
    """In a word."""
    return "met" if reached else "missed"


def table(groups: Groups, section: str, threads: int, kind: str) -> str:
    """Times of all methods as multiples of ours, and of ours in microseconds an image."""
    sizes = [size for size in SIZES if groups.get((section, threads, size, kind))]
    if not sizes:
        return ""
    found = [groups[section, threads, size, kind] for size in sizes]
    lines = [
        f"### {section}, {kind}, {threads} thread{'s' * (threads > 1)}\n",
        "| | " + " | ".join(f"{size} px" for size in sizes) + " |",
        "|---|" + "---|" * len(sizes),
        "| ours, µs an image | "
        + " | ".join(f"{1e6 * g['ours']['seconds'] / g['ours']['batch']:.0f}" for g in found)
        + " |",
    ]
    for method in found[0]:
        if method != "ours":
            values = [ratio(group, method, "ours") for group in found]
            lines.append(f"| {method} | " + " | ".join("" if v is None else f"{v:.2f}" for v in values) + " |")
    return "\n".join(lines) + "\n"


def loader_table(groups: Groups) -> str:
    """Epochs of a loader as multiples of one without augmentation."""
    keys = [key for key in groups if key[0] == "loader"]
    if not keys:
        return ""
    lines = [
        "### DataLoader, PIL images, times of an epoch without augmentation\n",
        "| | " + " | ".join(f"{size} px, {workers} workers" for _, _, size, workers in keys) + " |",
        "|---|" + "---|" * len(keys),
    ]
    for method in groups[keys[0]]:
        values = [ratio(groups[key], method, "no augmentation") for key in keys]
        lines.append(f"| {method} | " + " | ".join(f"{value:.2f}" for value in values) + " |")
    return "\n".join(lines) + "\n"


def bars(axes: Any, found: dict[str, Group], methods: list[str], base: str) -> None:
    """Grouped bars, one group a size, as multiples of ``base``."""
    for place, method in enumerate(methods):
        heights = [ratio(group, method, base) or 0 for group in found.values()]
        centres = [index + (place - len(methods) / 2 + 0.5) * 0.8 / len(methods) for index in range(len(found))]
        style = {"color": COLOURS[place], "hatch": HATCHES[place], "edgecolor": "black", "linewidth": 0.5}
        axes.bar(centres, heights, 0.8 / len(methods), label=method, **style)
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_xticks(range(len(found)), list(found))
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def plot(groups: Groups, path: Path) -> None:
    """Times of batches over kornia's warp alone, and of single images over ``v2.RandomAffine``."""
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    found = {f"{size} px": groups["batch", 1, size, "float"] for size in SIZES}
    methods = ["ours", "ours, p=0.5", "grid_sample", "kornia RandomAffine", "v2.RandomAffine, one draw"]
    bars(left, found, [*methods, "v2.RandomAffine, loop"], "kornia warp_affine")
    left.set(title="float batch, 1 thread", ylabel="time over kornia's warp_affine alone")
    found = {f"{size} px": groups["single", 1, size, "float"] for size in SIZES}
    methods = [
        "ours",
        "ours, p=0.5",
        "grid_sample",
        "kornia RandomAffine",
        "v2.TrivialAugmentWide",
        "kornia warp_affine",
    ]
    bars(right, found, methods, "v2.RandomAffine")
    right.set(title="one float image, 1 thread", ylabel="time over v2.RandomAffine")
    for axes in (left, right):
        axes.legend(fontsize=7, ncols=2)
        axes.set_ylim(top=axes.get_ylim()[1] * 3)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def plot_parts(groups: Groups, path: Path) -> None:
    """What a call is made of, each part timed alone, as shares of the whole call."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 3.6), layout="constrained")
    cases = [(kind, size) for kind in ("batch", "one") for size in (224, 32)]
    names = (
        "grid_sample",
        "rest of kornia's warp_affine",
        "thumbnail",
        "network",
        "rest of the draw",
        "matrix",
        "other",
    )
    for row, (kind, size) in enumerate(cases):
        time = {name: value["seconds"] for name, value in groups["parts", 1, size, kind].items()}
        draw = max(0.0, time["draw"] - time["thumbnail"] - time["network"])
        kornia = max(0.0, time["kornia warp_affine"] - time["grid_sample"])
        parts = [time["grid_sample"], kornia, time["thumbnail"], time["network"], draw, time["matrix"]]
        parts.append(max(0.0, time["ours"] - sum(parts)))
        start = 0.0
        for place, part in enumerate(parts):
            style = {"color": COLOURS[place], "hatch": HATCHES[place], "edgecolor": "black", "linewidth": 0.5}
            axes.barh(row, part / time["ours"], left=start, label=None if row else names[place], **style)
            start += part / time["ours"]
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(cases)), [f"{'one image' if kind == 'one' else kind}, {size} px" for kind, size in cases])
    axes.set_xlabel("share of the whole call (parts timed alone, in a warm cache: other is what they leave)")
    figure.legend(loc="outside upper center", ncols=4, fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Write the page and draw the pictures."""
    groups = grouped(read(ROWS))
    newest = next(iter(next(iter(groups.values())).values()))["versions"]
    versions = ", ".join(f"{name} {number}" for name, number in newest.items())
    small, batch = groups["single", 1, 32, "float"], groups["batch", 1, 32, "float"]
    alone = ratio(small, "kornia warp_affine", "v2.RandomAffine") or 0.0
    batched = batch["ours"]["seconds"] / batch["ours"]["batch"] / small["ours"]["seconds"]
    bounds = BOUNDS.format(alone=f"{alone:.1f}", left=f"{2.5 - alone:.1f}", batched=f"{batched:.1%}")
    parts = [HEAD.format(versions=versions), targets(groups), "", bounds, "## Everything", ""]
    parts += ["Time of each over that of ours.\n", "![Times beside others](../images/performance.png)", ""]
    for section, kinds in (("batch", ("float", "uint8")), ("kept", ("float",)), ("single", ("float", "uint8", "pil"))):
        parts += [table(groups, section, threads, kind) for threads in (1, 2) for kind in kinds]
    parts += [loader_table(groups), table(groups, "compile", 1, "float"), table(groups, "gpu", 1, "float")]
    PAGE.write_text("\n".join(part for part in parts if part is not None).rstrip() + "\n")
    plot(groups, IMAGES / "performance.png")
    plot_parts(groups, IMAGES / "performance_parts.png")
    print(f"{statistics.mean(len(group) for group in groups.values()):.0f} methods in each of {len(groups)} groups")


if __name__ == "__main__":
    main()
