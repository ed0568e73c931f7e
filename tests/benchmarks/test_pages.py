"""What the pages say is what the reports write from the committed rows."""

import importlib
from pathlib import Path

import matplotlib.figure
import pytest

ROOT = Path(__file__).parents[2]
WRITERS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "benchmarks").rglob("*.py")
    if "def main" in (text := path.read_text()) and any(call in text for call in (" fill(", "PAGE.write_text("))
)


@pytest.mark.parametrize("name", WRITERS)
def test_a_page_is_what_its_report_writes(name, monkeypatch):
    written = []

    def compare(path, text):
        written.append(path)
        assert path.read_text() == text, f"python -m {name}"

    monkeypatch.setattr(Path, "write_text", compare)
    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", lambda *_, **__: None)
    monkeypatch.setattr("sys.argv", [name])
    importlib.import_module(name).main()
    assert written
