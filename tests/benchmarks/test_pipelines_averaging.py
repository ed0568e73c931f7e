"""The page on averaging at test time: its table by hand."""

from benchmarks.pipelines.averaging import table
from benchmarks.pipelines.groups import Setting, grouped

WHERE = Setting("cifar10", 1000, "small", "stages", 40)


def row(seed: int, gain: float) -> dict:
    one = {"accuracy": 0.5, "nll": 1.0}
    better = {"accuracy": 0.5 + gain, "nll": 1.0 - gain}
    views = {"one": one, "flip": one, "half": better, "policy": one}
    return {**WHERE._asdict(), "arm": "learned", "seed": seed, "views": views, "by_class": [0.5] * 10}


def test_gains_are_paired_by_seed():
    line = table(grouped([row(seed, 0.01 * seed) for seed in (1, 2, 3)]), ("learned",)).splitlines()[2]
    assert "| learned | 3 |" in line and "| +2.00 ± 2.48 points<br>-0.020 ± 0.025 nats |" in line  # 4.303 / sqrt(3)


def test_one_seed_has_no_interval():
    line = table(grouped([row(1, 0.01)]), ("learned",)).splitlines()[2]
    assert "| +1.00 points<br>-0.010 nats |" in line and "nan" not in line
