"""Means with their spread, and means of paired differences with their 95 % intervals (Student's t)."""

import math
import statistics

Runs = dict[int, dict]  # rows of one arm by seed
# 97.5 % points of Student's t for 1 to 9 degrees of freedom
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def half_width(gains: list[float]) -> float:
    """Of the 95 % interval of the mean; no bound where there is but one."""
    if len(gains) == 1:
        return math.inf
    t = STUDENT[min(len(gains) - 1, len(STUDENT)) - 1]
    return t * statistics.stdev(gains) / math.sqrt(len(gains))


def interval(gains: list[float], digits: int = 2) -> str:
    """Mean of paired differences, and the half-width of its 95 % interval where there are several."""
    mean = signed(statistics.mean(gains), digits)
    return mean if len(gains) == 1 else f"{mean} ± {half_width(gains):.{digits}f}"


def signed(value: float, digits: int = 1) -> str:
    """With its sign; +0.0 also for what rounds to 0 from below."""
    return f"{round(value, digits) + 0.0:+.{digits}f}"


def differences(runs: Runs, base: Runs, key: str = "clean") -> dict[int, float]:
    """Runs minus base in points, by the seeds that both have."""
    return {seed: 100 * (runs[seed][key] - base[seed][key]) for seed in sorted(set(runs) & set(base))}


def paired(runs: Runs, base: Runs) -> str:
    """The interval of clean accuracy, in points."""
    gains = differences(runs, base)
    return interval(list(gains.values())) if gains else ""


def spread(runs: Runs, key: str) -> str:
    """Mean and standard deviation in percent."""
    return about([100 * run[key] for run in runs.values()])


def about(values: list[float], digits: int = 1) -> str:
    """Mean, and standard deviation where there are several."""
    mean = f"{statistics.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.{digits}f}"
