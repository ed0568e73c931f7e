"""docs/evidence/results.md and its appendix from the rows alone: means, spread, paired differences, claims.

Run it as ``python -m benchmarks.accuracy.report``.
"""

import statistics
from collections import defaultdict

from benchmarks.accuracy.all_arms import ARMS, LEFT_ARMS, shown_code_of
from benchmarks.accuracy.claims import Arms, ablations, claims, in_short, shown_name, with_best_of_grid
from benchmarks.common.intervals import Runs, differences, paired, spread
from benchmarks.common.pages import EVIDENCE, LEFT_TOLD, fill
from benchmarks.common.rows import RESULTS, read

ROWS = RESULTS / "accuracy.jsonl"
PAGE = EVIDENCE / "results.md"
APPENDIX = EVIDENCE / "results_tables.md"
Groups = dict[tuple, Arms]
COLUMNS = [
    "stage 3 with",
    "seeds",
    "clean %",
    "minus none",
    "affine %",
    "worst of 10 %",
    "NLL",
    "ECE %",
    "fit / stage 1",
    "stage 3 / stage 1",
]


def main() -> None:
    """Fill the pages between their markers; rows of another version of an arm's code are counted, and left out."""
    codes = {arm: shown_code_of(arm) for arm in (*ARMS, *LEFT_ARMS)}
    found = read(ROWS)
    mine = [row for row in found if row["code"] == codes.get(row["arm"])]
    groups = grouped(mine)
    models, others = sorted_out(groups)
    fill(APPENDIX, "claims", f"{claims(models, others)}\n\n{LEFT_TOLD}")
    fill(APPENDIX, "ablations", f"{ablations(models['small'])}\n\n{LEFT_TOLD}")
    fill(APPENDIX, "tables", f"{LEFT_TOLD}{left_out(len(found) - len(mine))}\n\n{tables(groups)}")
    fill(PAGE, "in-short", in_short(models["small"]))
    print(f"written: {PAGE}, {APPENDIX}")


def left_out(count: int) -> str:
    """A sentence on rows that no table shows."""
    return f" {count} rows of other versions of the code are left out." if count else ""


def sorted_out(groups: Groups) -> tuple[dict[str, dict[str, Arms]], dict[str, Arms]]:
    """The arms at 1,000 images by model and data, and those of other sizes that the default has a row in."""
    models: dict[str, dict[str, Arms]] = {model: {} for model in ("small", "resnet")}
    others = {}
    for (data, size, model, epochs), arms in groups.items():
        if epochs == 40 and size == 1000 and model in models:
            models[model][data] = arms
        elif epochs == 40 and "learned" in arms:
            others[f"{data}, {model}, {size:,} images"] = arms
    return models, others


def tables(groups: Groups) -> str:
    """All rows, a table for each data set, size and model."""
    parts = []
    for (data, size, model, epochs), arms in groups.items():
        parts.append(f"### {data}, {size:,} training images, {model}, {epochs} + {epochs} epochs\n\n{table(arms)}\n")
    return "\n".join(parts)


def grouped(rows: list[dict]) -> Groups:
    """Rows by data, size, model and epochs, then by arm and seed."""
    groups: Groups = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        groups[row["data"], row["size"], row["model"], row["epochs"]][row["arm"]][row["seed"]] = row
    return {key: with_best_of_grid(dict(arms)) for key, arms in sorted(groups.items())}


def table(arms: Arms) -> str:
    """One line an arm, that which gains most first."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    none = arms.get("none", {})
    # arms have different seeds: only what is paired tells which is better
    gains = {arm: statistics.mean(differences(runs, none).values() or [-100.0]) for arm, runs in arms.items()}
    for arm in sorted(arms, key=lambda arm: -gains[arm]):
        runs = arms[arm]
        fit, training = (
            statistics.mean(run[key] / run["stage_1_seconds"] for run in runs.values())
            for key in ("fit_seconds", "seconds")
        )
        columns = [
            shown_name(arm),
            str(len(runs)),
            spread(runs, "clean"),
            paired(runs, none) if arm != "none" else "",
            spread(runs, "affine"),
            spread(runs, "worst_of_10"),
            f"{mean(runs, 'nll'):.3f}",
            f"{100 * mean(runs, 'calibration_error'):.1f}",
            f"{fit:.2f}" if fit > 0.005 else "",
            f"{training:.2f}",
        ]
        lines.append("| " + " | ".join(columns) + " |")
    return "\n".join(lines)


def mean(runs: Runs, key: str) -> float:
    """Over the seeds."""
    return statistics.mean(run[key] for run in runs.values())


if __name__ == "__main__":
    main()
