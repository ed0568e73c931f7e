"""The table of docs/quickstart.md, from the rows alone: ``python -m benchmarks.quick_start.report``."""

from typing import Any

from benchmarks.common.digests import digest
from benchmarks.common.intervals import about, interval
from benchmarks.common.pages import DOCS, fill
from benchmarks.common.rows import RESULTS, newest_version, read

ROWS = RESULTS / "quick_start.jsonl"
PAGE = DOCS / "quickstart.md"


def table(rows: list[dict[str, Any]]) -> str:
    """Accuracy of both trainings, and their paired difference."""
    rows, told = newest_version(rows, digest("quick start"))
    if not rows:
        return "Not measured yet."
    rows = [row for row in rows if row["page"] == rows[-1]["page"]]
    found = {name: [100 * row[name] for row in rows] for name in ("without", "with")}
    gains = [learned - none for none, learned in zip(found["without"], found["with"], strict=True)]
    seconds = min(row["seconds"] for row in rows)  # others ran beside other jobs
    lines = ["| the policy | test accuracy, % |", "|---|---:|"]
    lines += [f"| {name} | {about(values)} |" for name, values in found.items()]
    notes = f"{len(rows)} seeds, mean ± standard deviation. The gain is **{interval(gains)}** points (95 % interval)."
    notes += f" A run of this page took {seconds:.0f} s or more on one CPU core. {told}"
    return "\n".join([*lines, "", notes.rstrip()])


def main() -> None:
    """Fill the table."""
    fill(PAGE, "comparison", table(read(ROWS)))


if __name__ == "__main__":
    main()
