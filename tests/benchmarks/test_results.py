"""The accuracy benchmark's report: its figures against rows whose differences are known by hand."""

import json

import pytest

from benchmarks.accuracy import claims, report
from benchmarks.accuracy.all_arms import ARMS, LEFT_ARMS, shown_code_of
from benchmarks.accuracy.arms import BASELINES, GRID
from benchmarks.accuracy.dials import DIALS
from benchmarks.accuracy.fitted_arms import FITTED, PAPERS
from benchmarks.common import tables
from benchmarks.common.digests import digest
from benchmarks.common.intervals import differences, interval
from benchmarks.common.rows import read


def row(clean: float, unseen: float = 0.5, **values: float) -> dict:
    return {"clean": clean, "affine": clean / 2, "unseen": unseen, "fit_seconds": 0.0, "seconds": 10.0, **values}


REST = {"worst_of_10": 0.1, "nll": 1.0, "calibration_error": 0.1}


def test_interval_by_hand():
    # deviation 1, three values: 4.303 / sqrt(3)
    assert interval([1.0, 2.0, 3.0]) == "+2.00 ± 2.48"
    assert interval([-1.0]) == "-1.00"


def test_the_best_of_the_grid_is_chosen_on_unseen_images_and_costs_all_ten():
    arms = {name: {0: row(clean=0.9 - 0.01 * place, unseen=0.1 * place)} for place, name in enumerate(GRID)}
    best = claims.with_best_of_grid(arms)["best of the grid"][0]
    assert best["clean"] == pytest.approx(0.81)  # the last point: worst on test images, best on unseen ones
    assert best["fit_seconds"] + best["seconds"] == pytest.approx(100)


def test_no_best_of_a_grid_with_a_point_missing():
    arms = {name: {0: row(0.5)} for name in list(GRID)[1:]}
    assert "best of the grid" not in claims.with_best_of_grid(arms)


def test_differences_are_paired_by_seed():
    arms = {"learned": {0: row(0.6), 1: row(0.7)}, "none": {1: row(0.65), 2: row(0.1)}}
    assert claims.between(arms, "learned", "none") == {1: pytest.approx(5.0)}
    assert differences(arms["learned"], arms["none"], "affine") == {1: pytest.approx(2.5)}


def test_a_fixed_strength_is_held_against_by_the_mean_over_data_sets():
    name = next(iter(GRID))
    groups = {
        "one": {"learned": {0: row(0.6), 1: row(0.62)}, name: {0: row(0.5), 1: row(0.52)}},
        "two": {"learned": {0: row(0.6), 1: row(0.6)}, name: {0: row(0.62), 1: row(0.62)}},
    }
    assert claims.fixed_strengths(groups, "small") == [
        f"| learned minus {name}, clean | mean of 2, small | above 0 | +4.00 ± 0.00 | yes | 2 |"
    ]
    assert claims.fixed_strengths({**groups, "three": {"learned": {0: row(0.6)}}}, "small") == []


def test_a_target_is_met_by_the_mean_and_where_that_is_asked_by_the_interval():
    gain, worse = claims.GAINS["fashion-mnist"], claims.WORSE
    assert gain.reached(1.2, 0.3) and not gain.reached(0.9, 0.3) and not gain.reached(1.2, 1.3)
    assert claims.ABOVE_0.reached(0.2, 0.1) and not claims.ABOVE_0.reached(0.2, 0.3)
    assert worse.reached(-0.6, 9.0) and not worse.reached(-0.4, 0.1)
    assert claims.at_least(-0.3).reached(-0.2, 9.0) and not claims.at_least(-0.3).reached(-0.4, 0.1)
    one_seed = claims._line("", "", {0: 2.0}, gain)
    assert one_seed == ["|  |  | +1.0 | +2.00 | **no** | 1 |"]


def test_arms_stand_in_the_order_of_their_paired_gains():
    # the second seed is an easy one, which only one arm has: its mean is the higher, its gain the lower
    arms = {
        "none": {0: row(0.5, stage_1_seconds=10.0, **REST), 1: row(0.9, stage_1_seconds=10.0, **REST)},
        "learned": {0: row(0.52, stage_1_seconds=10.0, **REST)},
        "learned wide": {0: row(0.51, stage_1_seconds=10.0, **REST), 1: row(0.91, stage_1_seconds=10.0, **REST)},
    }
    assert [line.split(" | ")[0] for line in report.table(arms).splitlines()[2:]] == [
        "| learned",
        "| learned wide",
        "| none",
    ]


def test_an_ablation_is_held_against_the_default_with_the_same_limits():
    one = {"learned wide": {0: row(0.6)}, "learned": {0: row(0.5)}, "learned wide, tolerance 0.3": {0: row(0.62)}}
    two = {**one, "learned p 1": {0: row(0.4), 1: row(0.1)}}
    assert claims.ablations({"one": one, "two": two}).splitlines()[2:] == [
        "| learned p 1 |  | -10.00 (1) |  |  |",
        "| learned wide, tolerance 0.3 | +2.00 (1) | +2.00 (1) | +2.00 (1) | +1.00 (1) |",
    ]
    names = {arm for changed in claims.CHANGED.values() for arm in changed}
    assert names < {*ARMS, *LEFT_ARMS}


def test_every_arm_has_one_name_and_each_kind_of_arm_its_own_digest():
    kinds = (BASELINES, FITTED, PAPERS, DIALS)
    assert len(ARMS) == sum(map(len, kinds)) and not set(ARMS) & set(LEFT_ARMS)
    assert len({shown_code_of(next(iter(kind))) for kind in kinds}) == len(kinds)
    assert len(GRID) == 10 and set(GRID) < set(BASELINES)


def test_an_arm_whose_code_has_left_is_marked_and_has_rows():
    arms = {"learned": {0: row(0.5)}, "hardness": {0: row(0.6)}}
    assert claims.ablations({"one": arms}).splitlines()[2].startswith("| hardness † | +10.00 (1) |")
    found = {(one["arm"], one["code"]) for one in read(report.ROWS)}
    assert {(arm, shown_code_of(arm)) for arm in LEFT_ARMS} <= found


def test_a_later_run_of_three_stages_takes_the_place_of_an_earlier_one(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "ROWS", tmp_path / "rows.jsonl")
    options = {"data": "icons", "preset": "default", "limits": "modest", "seed": 0, "out": "runs", "root": "data"}
    options["download"] = False
    accuracy = {arm: {"clean": 0.5, "sides": 0.25, "others": 0.625} for arm in tables.ARMS}
    (tmp_path / "results.json").write_text(json.dumps({"options": options, "accuracy": accuracy}))
    (tmp_path / "rows.jsonl").touch()
    tables.add(tmp_path / "results.json")
    tables.add(tmp_path / "results.json")
    (run,) = read(tables.ROWS)
    assert run["code"] == digest("three stages") and not {"out", "root"} & set(run["options"])
    assert tables.demo([run]).splitlines()[2] == "| no augmentation | 50.0 | 25.0 | 62.5 |"
    assert tables.older([run]) == ""
    assert tables.older([run, {**run, "code": "other"}]).startswith(" 1 of these rows")
