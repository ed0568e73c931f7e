"""Digests of the code that decides the numbers of a row: rows of two versions of it never stand in one table.

    python -m benchmarks.common.digests      # of each kind of row: the digest of its code, and that of its rows

A change that alters no number keeps the rows valid: ``results/same_method.json`` then says, for a kind of row, which
digest the code has now, which one its rows have, and why that is so.
"""

import ast
import functools
import hashlib
import json
from pathlib import Path

from benchmarks.common.pages import ROOT
from benchmarks.common.rows import RESULTS

SAME = RESULTS / "same_method.json"
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)
# of the package, files and whole folders: what decides the numbers of a fit and of a training with the policy
FIT = (
    *(f"learned_affine/{name}" for name in ("classifier", "config", "losses")),
    *(f"learned_affine/{name}" for name in ("geometry", "tasks", "fitting", "policy", "transforms")),
)
PIPELINES = (
    "learned_affine/classifier",
    *(f"benchmarks/pipelines/{name}" for name in ("resnet", "arms", "measures", "run")),
)
REAL = (
    *("learned_affine/classifier", "learned_affine/colour"),
    *(f"benchmarks/real/{name}" for name in ("data", "arms", "nets", "run")),
)
KINDS = {  # the files and folders of each kind of row
    "pipelines": PIPELINES,
    "pipelines, fitted": (*PIPELINES, *FIT),
    "invariances": (*FIT, "benchmarks/invariances/run", "benchmarks/invariances/glyphs"),
    "quick start": FIT,
    "real": REAL,
    "real, fitted": (*REAL, *FIT),
    "tasks": (*FIT, "learned_affine/label_map", "benchmarks/tasks/attributes", "benchmarks/tasks/run"),
    "three stages": FIT,
    "what to fit to": (*FIT, "benchmarks/what_to_fit_to/run"),
}


def digest(kind: str) -> str:
    """What a row of that kind has for ``code``: the digest of its files, or that of rows which stay valid."""
    now, same = digest_now(kind), json.loads(SAME.read_text()).get(kind, {})
    return str(same["rows"]) if same.get("now") == now else now


def digest_now(kind: str) -> str:
    """The digest of the files of a kind as they are, without comments and docstrings."""
    return hashlib.sha256("".join(map(bare, KINDS[kind])).encode()).hexdigest()[:12]


@functools.cache  # each of many arms asks for the digest of much the same files
def bare(name: str) -> str:
    """The code of a file, or of all files of a folder, without comments and docstrings."""
    folder = ROOT / name
    return "".join(map(bare_file, sorted(folder.glob("*.py")) if folder.is_dir() else [ROOT / f"{name}.py"]))


def bare_file(path: Path) -> str:
    """The code of one file."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)  # the same text by any version of Python, as a dump of the tree is not


if __name__ == "__main__":
    for one in KINDS:
        print(f"{one}: {digest_now(one)}, rows {digest(one)}")
