"""The table of docs/pretrained.md, from the rows alone: ``python -m benchmarks.transfer.report``."""

from benchmarks.common.intervals import paired, spread
from benchmarks.common.pages import DOCS, fill
from benchmarks.common.rows import read
from benchmarks.transfer.run import BASE, EPOCHS, HOMES, ROWS, SETTINGS, TEST, TRAIN, digest

PAGE = DOCS / "pretrained.md"


def main() -> None:
    """Fill the page between its markers."""
    fill(PAGE, "transfer", transfer(list(HOMES)))
    print(f"written: {PAGE}")


def rows() -> list[dict]:
    """Committed rows, those of other policies than the shipped ones left out."""
    return [row for row in read(ROWS) if "policy" not in row or row["digest"] == digest(row["policy"])]


def runs_of(policy: str, setting: str, arm: str) -> dict[int, dict]:
    """The runs of an arm by seed; those without a policy are of the data alone."""
    abroad = [data for data in HOMES.values() if data != HOMES[policy]]
    wanted = {"setting": setting, "arm": arm, "data": HOMES[policy] if setting != "abroad" else abroad[0]}
    wanted |= {"policy": policy} if arm == "policy" else {}
    return {row["seed"]: {"clean": row["accuracy"]} for row in rows() if wanted.items() <= row.items()}


def transfer(policies: list[str]) -> str:
    """One line a policy and setting."""
    lines = [
        "| policy | used | seeds | without % | gain by the policy |",
        "|---|---|---|---|---|",
    ]
    for policy in policies:
        for name, setting in SETTINGS.items():
            runs = runs_of(policy, name, "policy")
            base = runs_of(policy, BASE.get(name, name), "none")
            if name == "abroad":  # compared to what those images are learned to without
                other = next(one for one, data in HOMES.items() if data != HOMES[policy])
                base = runs_of(other, "home", "none")
            base = {seed: run for seed, run in base.items() if seed in runs}
            if runs:
                numbers = f"{spread(base, 'clean')} | {paired(runs, base)}"
                lines.append(f"| {policy} | {setting.title} | {len(runs)} | {numbers} |")
    if len(lines) == 2:
        return "Not measured yet."
    told = (
        f"SmallConvNet from scratch on {TRAIN} images, {EPOCHS} epochs, accuracy on {TEST:,} test images: mean ± "
        "standard\ndeviation; gains in points, paired by seed, with 95 % intervals."
    )
    return "\n".join([*lines, "", told])


if __name__ == "__main__":
    main()
