"""Means with their spread, and means of paired differences with their 95 % intervals (Student's t)."""

import math
import statistics

# 97.5 % points of Student's t for 1 to 9 degrees of freedom
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def interval(gains: list[float], digits: int = 2) -> str:
    """Mean of paired differences, and the half-width of its 95 % interval where there are several."""
    mean = f"{statistics.mean(gains):+.{digits}f}"
    if len(gains) == 1:
        return mean
    t = STUDENT[min(len(gains) - 1, len(STUDENT)) - 1]
    return f"{mean} ± {t * statistics.stdev(gains) / math.sqrt(len(gains)):.{digits}f}"


def paired(runs: dict[int, dict], base: dict[int, dict]) -> str:
    """The interval of clean accuracy, in points, over the seeds that both have."""
    gains = [100 * (run["clean"] - base[seed]["clean"]) for seed, run in runs.items() if seed in base]
    return interval(gains) if gains else ""


def spread(runs: dict[int, dict], key: str) -> str:
    """Mean and standard deviation in percent."""
    values = [100 * run[key] for run in runs.values()]
    return f"{statistics.mean(values):.1f}" + (f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else "")
