"""docs/averaging.md: averaging at test time, from the rows of the pipelines.

Run it as ``python -m benchmarks.pipelines.averaging``.
"""

from benchmarks.common.intervals import Runs, interval
from benchmarks.common.pages import DOCS, fill
from benchmarks.common.rows import read
from benchmarks.pipelines.groups import Arms, Setting, grouped
from benchmarks.pipelines.report import ROWS, head, line, valid

PAGE = DOCS / "averaging.md"
VIEWS = {"flip": "image + its mirror image", "half": "policy, half its strength", "policy": "policy, whole strength"}
UNITS = {"accuracy": (100, 2, "points"), "nll": (1, 3, "nats")}  # each as a factor, its digits, its name
FEWEST = 3  # seeds of a line


def main() -> None:
    """Fill the page between its markers."""
    groups = grouped(valid(read(ROWS))[0])
    fill(PAGE, "with", table(groups))
    print(f"written: {PAGE}")


def table(groups: dict[Setting, Arms]) -> str:
    """What averaging adds to one view, a line per classifier that was trained with the policy."""
    lines = head("data, classifier", "seeds", *VIEWS.values())
    for setting, arms in groups.items():
        runs = {seed: run for seed, run in arms.get("learned", {}).items() if "views" in run}
        if len(runs) >= FEWEST:
            cells = ("<br>".join(gain(runs, view, key) for key in UNITS) for view in VIEWS)
            lines.append(line(setting.what, str(len(runs)), *cells))
    return "\n".join(lines)


def gain(runs: Runs, view: str, key: str) -> str:
    """Mean difference to one view, with its interval where there are several seeds."""
    factor, digits, unit = UNITS[key]
    found = [factor * (run["views"][view][key] - run["views"]["one"][key]) for run in runs.values()]
    return f"{interval(found, digits)} {unit}"


if __name__ == "__main__":
    main()
