"""The targets of a call's cost, and what of them was reached."""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

SIZES = (32, 96, 224, 512)
# operators of the first version's calls, commit 278965f, which knew no mirrors; on the CPU and, as on a GPU, on meta
FIRST = {
    ("cpu", 32, 1.0): 164,
    ("cpu", 32, 0.5): 187,
    ("meta", 32, 1.0): 164,
    ("meta", 32, 0.5): 190,
    ("meta", 224, 1.0): 174,
    ("meta", 224, 0.5): 200,
}
Group = dict[str, dict]
Groups = dict[tuple, Group]


class Target(NamedTuple):
    """How many times as long as another one method may take at most: of a section, size and kind.

    With ``least``, how many times as long it must take at least. ``two`` is the limit on two threads, if another one.
    """

    text: str
    limit: float
    key: tuple[str, int, str]
    one: str
    other: str
    least: bool = False
    two: float | None = None


def grouped(rows: list[dict]) -> Groups:
    """The rows of each section, number of threads, size and kind, by method."""
    groups: Groups = defaultdict(dict)
    for row in rows:
        groups[row["section"], row["threads"], row["size"], row["kind"]][row["method"]] = row
    return groups


def ratio(group: Group, one: str, other: str) -> float | None:
    """How many times as long as another a method takes; None if either was not measured."""
    return group[one]["seconds"] / group[other]["seconds"] if one in group and other in group else None


def all_targets() -> Iterator[Target]:
    """Every target that is a ratio of two methods."""
    for size, limit in zip(SIZES, (1.0, 0.85, 0.8, 0.8), strict=True):
        for end in (", zeros", ""):
            text = f"batch, {size} px, over `kornia.warp_affine` alone{end or ', reflection'}"
            key = ("batch", size, "float")
            yield Target(text, limit, key, f"ours{end}", f"kornia warp_affine{end}")
    for size in SIZES:
        key = ("batch", size, "float")
        yield Target(f"batch, {size} px, over kornia's `RandomAffine`", 0.8, key, "ours", "kornia RandomAffine")
    text = "batch, 32 px: a loop of `v2.RandomAffine` over ours"
    yield Target(text, 10, ("batch", 32, "float"), "v2.RandomAffine, loop", "ours", least=True)
    for size in SIZES:
        yield Target(
            f"batch, {size} px: p = 0.5 over p = 1", 0.6, ("batch", size, "float"), "ours, p=0.5", "ours", two=0.7
        )
    text = "batch, 224 px, over `grid_sample` with a ready grid"
    yield Target(text, 1.15, ("batch", 224, "float"), "ours", "grid_sample")
    for size, limit in ((32, 2.0), (96, 1.0), (224, 1.0)):
        text = f"one uint8 image, {size} px, over `v2.RandomAffine`, both with zeros"
        yield Target(text, limit, ("single", size, "uint8"), "ours, zeros", "v2.RandomAffine")
    for size in SIZES:
        yield Target(
            f"one PIL image, {size} px, over a uint8 tensor", 1.2, ("single", size, "uint8"), "ours, PIL", "ours"
        )
    text = "loader, two workers, 224 px, PIL: an epoch over `v2.RandomAffine`"
    yield Target(text, 1.15, ("loader", 224, "2"), "ours, zeros", "v2.RandomAffine")
    text = "a step of a fit, over that of the first version (no mirrors, no discriminator)"
    yield Target(text, 1.0, ("fit", 32, "fit"), "ours", "first version")
    yield Target("a step of a fit with mirrors, over one without", 1.25, ("fit", 32, "fit"), "ours, mirrors", "ours")


def table(groups: Groups) -> str:
    """Each target, what came out for one thread and for two, and whether it is met."""
    lines = ["| target | at most | 1 thread | 2 threads | |", "|---|---|---|---|---|"]
    lines += [line for target in all_targets() for line in judged(groups, target)]
    return "\n".join([*lines, *operators(groups), *memory(groups)])


def judged(groups: Groups, target: Target) -> list[str]:
    """The line of one target, or none where nothing was measured."""
    section, *rest = target.key
    found = [ratio(groups[(section, threads, *rest)], target.one, target.other) for threads in (1, 2)]
    limits = (target.limit, target.limit if target.two is None else target.two)
    pairs = [(value, limit) for value, limit in zip(found, limits, strict=True) if value is not None]
    if not pairs:
        return []
    reached = [value >= limit if target.least else round(value, 2) <= limit for value, limit in pairs]
    bound = f"{target.limit:g}" if target.two is None else f"{target.limit:g}, {target.two:g}"
    shown = ["" if value is None else f"{value:.2f}" for value in found]
    return [f"| {target.text} | {'at least ' * target.least}{bound} | {' | '.join(shown)} | {met(reached)} |"]


def met(reached: list[bool]) -> str:
    """In a word."""
    return "met" if all(reached) else "missed" if not any(reached) else "half"


def operators(groups: Groups) -> Iterator[str]:
    """The operators of a batched call, as a share of the first version's."""
    for (device, size, p), first in FIRST.items():
        group = groups["counts", 1, size, device]
        if group:
            share = group[f"ours, p={p:g}"]["operators"] / first
            where = "on the CPU" if device == "cpu" else "as on a GPU"
            text = f"operators of a batched call {where}, {size} px, p = {p:g}, over the first version's"
            yield f"| {text} | 0.6 | {share:.2f} | | {met([share <= 0.6])} |"


def memory(groups: Groups) -> Iterator[str]:
    """The largest number of bytes that a call holds, in batches."""
    for size in SIZES:
        group = groups["counts", 1, size, "cpu"]
        if group:
            times = max(row["times"] for row in group.values())
            text = f"memory of a call on a float batch, {size} px, in batches (the larger of p = 0.5 and 1)"
            yield f"| {text} | 2.2 | {times:.2f} | | {met([times <= 2.2])} |"
