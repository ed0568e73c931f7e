"""Digests of the code that decides the numbers of a row: rows of two versions of it never stand in one table.

    python -m benchmarks.common.digests      # of each kind of row: the digest of its code, and that of its rows

A change that alters no number keeps the rows valid: ``results/same_method.json`` then says, for a kind of row, which
digest the code has now, which one its rows have, and why that is so.
"""

import ast
import functools
import hashlib
import json

from benchmarks.common.pages import ROOT
from benchmarks.common.rows import RESULTS

SAME = RESULTS / "same_method.json"
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)
# of the package: what decides the numbers of every training, of every warp, and of a fit
TRAINING = ("learned_affine/classifier", "learned_affine/geometry/parameters")
WARPING = (
    "learned_affine/geometry/warp",
    "learned_affine/transforms/sampling",
    "learned_affine/transforms/transform",
)
LOSS = (
    "learned_affine/config",
    "learned_affine/losses",
    "learned_affine/objectives/adversary",
    "learned_affine/objectives/objective",
    "learned_affine/objectives/target",
    "learned_affine/tasks/classification",
    "learned_affine/tasks/model",
)
STEP = ("learned_affine/fitting/estimators", "learned_affine/fitting/trainer")
PAPER = (*LOSS, *STEP, "learned_affine/policy/raw_head", "learned_affine/policy/thumbnail")
FITTING = (
    *PAPER,
    "learned_affine/fitting/natural_gradient",
    "learned_affine/objectives/constraint",
    "learned_affine/policy/distribution",
    "learned_affine/policy/network",
    "learned_affine/tasks/reservoir",
)
STAGES = (*TRAINING, *WARPING, *(f"benchmarks/accuracy/{name}" for name in ("arms", "resnet", "stages")))
FITTED = "benchmarks/accuracy/fitted_arms"
PIPELINES = (
    "learned_affine/classifier",
    "benchmarks/accuracy/resnet",
    "benchmarks/pipelines/arms",
    "benchmarks/pipelines/measures",
    "benchmarks/pipelines/run",
)
KINDS = {  # the files of each kind of row
    "accuracy": STAGES,
    "accuracy, fitted": (*STAGES, *FITTING, FITTED),
    "accuracy, by the paper's loss": (*STAGES, *PAPER, FITTED),
    "accuracy, one dial": (*STAGES, *FITTING, FITTED, "benchmarks/accuracy/dials"),
    "collapse": (*TRAINING, *FITTING, "benchmarks/collapse/run", "benchmarks/collapse/images"),
    "invariances": (*TRAINING, *FITTING, "benchmarks/invariances/run", "benchmarks/invariances/glyphs"),
    "optimum": (*TRAINING, *FITTING, "benchmarks/optimum/run"),
    "pipelines": PIPELINES,
    "pipelines, fitted": (*PIPELINES, *TRAINING, *WARPING, *FITTING, "learned_affine/policy/mirrors"),
    "quick start": (*TRAINING, *WARPING, *FITTING, "learned_affine/policy/mirrors"),
    "tasks": (
        *TRAINING,
        *WARPING,
        *FITTING,
        "learned_affine/mirror_labels",
        "learned_affine/policy/mirrors",
        "learned_affine/tasks/targets",
        "benchmarks/tasks/attributes",
        "benchmarks/tasks/run",
    ),
    "three stages": (*TRAINING, *WARPING, *FITTING),
    "what to fit to": (*TRAINING, *WARPING, *FITTING, "learned_affine/policy/mirrors", "benchmarks/what_to_fit_to/run"),
}


def digest(kind: str) -> str:
    """What a row of that kind has for ``code``: the digest of its files, or that of rows which stay valid."""
    now, same = digest_now(kind), json.loads(SAME.read_text()).get(kind, {})
    return str(same["rows"]) if same.get("now") == now else now


def digest_now(kind: str) -> str:
    """The digest of the files of a kind as they are, without comments and docstrings."""
    return hashlib.sha256("".join(map(bare, KINDS[kind])).encode()).hexdigest()[:12]


@functools.cache  # each of many arms asks for the digest of much the same files
def bare(file: str) -> str:
    """The code of a file, without comments and docstrings."""
    tree = ast.parse((ROOT / f"{file}.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)  # the same text by any version of Python, as a dump of the tree is not


if __name__ == "__main__":
    for one in KINDS:
        print(f"{one}: {digest_now(one)}, rows {digest(one)}")
