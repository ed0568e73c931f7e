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
LEFT_ARMS = {arm: code for code, arms in LEFT.items() for arm in arms}


def code_of(arm: str) -> str:
    """The digest of the code that decides an arm's numbers."""
    if arm in LEFT_ARMS:
        return LEFT_ARMS[arm]
    (kind,) = (kind for kind, arms in KINDS.items() if arm in arms)
    return digest(f"accuracy{kind}")
