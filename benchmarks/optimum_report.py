"""docs/optimum.md's table and its figure, from the rows of ``optimum.py`` alone."""

from pathlib import Path
from typing import Any

from rows import newest_version, read
from tables import fill

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"


def report(path: Path, code: str) -> None:
    """Fill the page between its markers; draw the figure where matplotlib is there."""
    rows, told = newest_version(read(path), code)
    picture = "![Regret over the fitting steps](images/optimum_regret.png)"
    text = "\n".join([table(rows), "", told, "", picture]) if rows else "No rows yet."
    fill(DOCS / "optimum.md", "optimum", text)
    if rows:
        draw(rows, DOCS / "images" / "optimum_regret.png")


def table(rows: list[dict[str, Any]]) -> str:
    """One line a fit."""
    lines = [
        "| data, limits | steps | seed | dual | J prior | J network | J best | KL of best | regret, share of gap | "
        "best Gaussian's share |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        gaussian = row["few_regret_of_gaussian"] / row["few_gap"]
        lines.append(
            f"| {row['data']} {row['size']:,}, {row['limits']} | {row['steps']} | {row['seed']} | {row['dual']:.1f} | "
            f"{row['prior']:.2f} | {row['network']:.2f} | {row['best']:.2f} | {row['kl_of_best']:.2f} | "
            f"{share(row):.1%} | {gaussian:.1%} (of {row['gaussian_images']} images; network "
            f"{row['few_regret'] / row['few_gap']:.1%}) |"
        )
    return "\n".join(lines)


def share(row: dict[str, Any]) -> float:
    """Regret as a share of the gap between prior and optimum."""
    return float(row["regret"] / row["gap"])


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Regret over the fitting steps, one line a fit."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.2), layout="constrained", facecolor="white")
    axis = figure.subplots()
    styles = [(colour, line) for line in ("-", "--", ":") for colour in (BLUE, ORANGE, GREEN, PURPLE)]
    for row, (colour, line) in zip(rows, styles, strict=False):
        steps = [int(step) for step in row["regret_by_step"]]
        shares = [100 * value / row["gap"] for value in row["regret_by_step"].values()]
        label = f"{row['data']}, {row['limits']}, {row['steps']} steps, seed {row['seed']}"
        axis.plot(steps, shares, line, color=colour, marker=".", label=label)
    axis.axhline(10, color="black", linewidth=0.8)
    axis.text(0, 10, " 10 %", fontsize=7, va="bottom")
    axis.set(xlabel="fitting steps", ylabel="regret, % of the gap prior to q*", yscale="log")
    axis.legend(fontsize=7)
    axis.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
