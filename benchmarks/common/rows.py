"""Result rows of the benchmarks: one JSON object a line."""

import argparse
import json
import math
from contextlib import suppress
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results"


def read(path: Path) -> list[dict[str, Any]]:
    """All rows, oldest first; none where there is no file. A line that is no row, or half of one, is left out."""
    rows = []
    for line in path.read_bytes().decode(errors="replace").splitlines() if path.exists() else []:
        with suppress(json.JSONDecodeError):
            rows.append(json.loads(line))
    return [row for row in rows if isinstance(row, dict)]


def rows_file(text: str) -> Path:
    """Of a command-line option: a file that rows can be added to, which is tried before anything is trained."""
    path = Path(text)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"must be a file that can be written, got {error}") from None
    return path


def has(path: Path, key: dict[str, Any]) -> bool:
    """Whether a run of that key is there."""
    return any(key.items() <= row.items() for row in read(path))


def append(path: Path, row: dict[str, Any]) -> None:
    """Add a row; numbers keep five significant digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.exists() and path.read_bytes()[-1:] not in (b"", b"\n")
    with path.open("a") as file:
        file.write(("\n" if half else "") + json.dumps(rounded(row)) + "\n")


def rounded(value: Any) -> Any:
    """Plain values for JSON: five significant digits, no NaN."""
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list | tuple) else value


def newest_version(rows: list[dict[str, Any]], code: str) -> tuple[list[dict[str, Any]], str]:
    """The rows of this version of the code, or of the newest that has any, and a sentence where any others are there.

    Rows of two versions never stand in one table.
    """
    if not rows:
        return [], ""
    chosen = code if any(row["code"] == code for row in rows) else rows[-1]["code"]
    mine = [row for row in rows if row["code"] == chosen]
    age = "this version" if chosen == code else f"an earlier version ({chosen})"
    left = len(rows) - len(mine)
    if chosen == code and not left:
        return mine, ""  # docs/measured.md says so of all pages
    return mine, f"Rows of {age} of the code" + (f"; {left} rows of others are left out." if left else ".")
