"""What holds of every benchmark: its two scripts, its line in the README, its imports, and the digests of its rows."""

import ast
import json
from pathlib import Path

import pytest

from benchmarks.common.digests import KINDS, SAME, digest, digest_now
from benchmarks.common.rows import RESULTS, read

ROOT = Path(__file__).parents[2]
QUESTIONS = sorted(path.parent.name for path in (ROOT / "benchmarks").glob("*/run.py"))
SCRIPTS = sorted((ROOT / "benchmarks").rglob("*.py"))
PUBLIC = ("", ".averaging", ".classifier", ".colour", ".diagnostics", ".kornia", ".losses", ".label_map", ".plots")


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_has_two_scripts_and_a_line_in_the_readme(question):
    for script in ("run", "report"):
        text = (ROOT / "benchmarks" / question / f"{script}.py").read_text()
        assert f"python -m benchmarks.{question}.{script}" in (ast.get_docstring(ast.parse(text)) or "")
        assert text.endswith('if __name__ == "__main__":\n    main()\n')
    assert (ROOT / "benchmarks" / "README.md").read_text().count(f"| `python -m benchmarks.{question}.run") == 1


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_import_of_what_is_not_public_gives_its_reason(path):
    lines = path.read_text().splitlines()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "learned_affine":
            public = (node.module or "").removeprefix("learned_affine") in PUBLIC
            beside = lines[node.lineno - 1] + lines[node.lineno - 2] + lines[node.lineno - 3]
            assert public or "# private: " in beside, lines[node.lineno - 1]


def test_rows_that_stay_valid_are_there_and_have_a_reason():
    codes = {row["code"] for path in RESULTS.glob("*.jsonl") for row in read(path) if "code" in row}
    for kind, entry in json.loads(SAME.read_text()).items():
        assert kind in KINDS and entry["rows"] in codes and len(entry["reason"].split()) > 5
        assert digest(kind) == (entry["rows"] if digest_now(kind) == entry["now"] else digest_now(kind))


def test_every_file_of_rows_is_read_by_a_script():
    text = "".join(path.read_text() for path in SCRIPTS)
    assert [path.name for path in RESULTS.iterdir() if f'"{path.name}"' not in text] == []
