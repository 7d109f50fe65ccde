"""The way from `probe` to `undo` at one destination; `benchmarks.destinations` has many."""

from dataclasses import replace

from benchmarks.destinations import CASES
from benchmarks.round_trip import make


def test_what_a_probe_found_makes_all_that_follows_right(tmp_path):
    several = CASES[-1]
    quick = several.at.quirks.replace("late_commit=2", "late_commit=0.5")
    case = replace(several, at=replace(several.at, quirks=quick, lag=0.3, late=0.5))
    trip = make(case.at, tmp_path, is_probed=True)
    assert [*case.differences(trip.found), *trip.faults] == []
    assert trip.codes == {**dict.fromkeys(trip.codes, 0), "undo": 1}, "what people edited is kept"
