"""The pages that reports write, between markers or as a whole."""

from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
EVIDENCE = DOCS / "evidence"
IMAGES = DOCS / "images"
LEFT = "†"  # stands behind what was measured by code that has left
LEFT_TOLD = f"{LEFT} Measured at commit 278965f; its code has left since."


def fill(path: Path, name: str, text: str) -> None:
    """Put ``text`` between the markers ``<!-- name -->`` and ``<!-- /name -->`` of a file."""
    content = path.read_text()
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, rest = content.split(start)
    path.write_text(f"{before}{start}\n{text}\n{end}{rest.split(end)[1]}")


def told_held_on(row: dict[str, Any]) -> str:
    """Which augmented images a fit held at its target, for a table."""
    return {"unseen": "held-out", "training": f"training {LEFT}"}[row["held_on"]]
