"""Every arm by its name, and the digest of the code that decides its numbers."""

from benchmarks.accuracy.arms import BASELINES
from benchmarks.accuracy.dials import DIALS
from benchmarks.accuracy.fitted_arms import FITTED, PAPERS
from benchmarks.common.digests import digest

ARMS = BASELINES | FITTED | PAPERS | DIALS
KINDS = {"": BASELINES, ", fitted": FITTED, ", by the paper's loss": PAPERS, ", one dial": DIALS}
# arms whose code has left, by the digest of their rows: commit 278965f has it
LEFT = {
    "6163e8dfcc92": (
        "learned, held on training images",
        "learned wide, held on training images",
        "learned, held on training images, shuffled",
    ),
    "cea330704deb": ("pathwise", "pathwise wide", "entropy target", "entropy target wide", "hardness"),
    "9a055ae6a63e": (
        "learned, held per class",
        "learned wide, held per class",
        "learned, weighted samples",
        "learned wide, weighted samples",
        "learned wide, wide start",
    ),
}
# by kind, the digest of the rows that the page shows: those of version 0.1, at the same commit
RECORD = {
    "": "482cfe495bd0",
    ", fitted": "6163e8dfcc92",
    ", by the paper's loss": "cea330704deb",
    ", one dial": "9a055ae6a63e",
}
LEFT_ARMS = {arm: code for code, arms in LEFT.items() for arm in arms}


def code_of(arm: str) -> str:
    """The digest of the code that decides an arm's numbers."""
    return digest(f"accuracy{kind_of(arm)}")


def shown_code_of(arm: str) -> str:
    """The digest of an arm's rows on the page."""
    return LEFT_ARMS.get(arm) or RECORD[kind_of(arm)]


def kind_of(arm: str) -> str:
    """Which files decide an arm's numbers."""
    (kind,) = (kind for kind, arms in KINDS.items() if arm in arms)
    return kind
