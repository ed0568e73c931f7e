"""The page on averaging at test time: its table by hand."""

from benchmarks.pipelines.averaging import table
from benchmarks.pipelines.groups import Setting, grouped

WHERE = Setting("cifar10", 1000, "small", "scratch", 40)


def row(seed: int, gain: float) -> dict:
    one = {"accuracy": 0.5, "nll": 1.0}
    better = {"accuracy": 0.5 + gain, "nll": 1.0 - gain}
    views = {"one": one, "flip": one, "half": better, "policy": one}
    return {**WHERE._asdict(), "arm": "learned", "seed": seed, "views": views, "by_class": [0.5] * 10}


def test_gains_are_paired_by_seed():
    line = table(grouped([row(seed, 0.01 * seed) for seed in (1, 2, 3)])).splitlines()[2]
    assert "| 3 |" in line and "| +2.00 ± 2.48 points<br>-0.020 ± 0.025 nats |" in line  # 4.303 / sqrt(3)


def test_two_seeds_are_too_few_for_a_line():
    assert len(table(grouped([row(1, 0.01), row(2, 0.01)])).splitlines()) == 2
