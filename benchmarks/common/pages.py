"""The pages that reports write, between markers or as a whole."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
EVIDENCE = DOCS / "evidence"
ACCURACY = EVIDENCE / "accuracy.md"  # of which two benchmarks fill the tables
IMAGES = DOCS / "images"


def paragraphs(*texts: str) -> str:
    """Those that say something, with an empty line between."""
    return "\n\n".join(filter(None, texts))


def fill(path: Path, name: str, text: str) -> None:
    """Put ``text`` between the markers ``<!-- name -->`` and ``<!-- /name -->`` of a file."""
    content = path.read_text()
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, rest = content.split(start)
    path.write_text(f"{before}{start}\n{text}\n{end}{rest.split(end)[1]}")
