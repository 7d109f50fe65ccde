"""
The whole way from `probe` to `undo`, at destinations that differ from the guide.

    python -m benchmarks.destinations
    python -m benchmarks.destinations --only "replacing PUT" --only "dropped field"

At each destination, real commands measure it, move a portal there, bring it up to date after both
services changed, and take everything back; then the same without the probe. The sandbox's own
record is the judge. With the probe nothing may be wrong; the table says what the probe found, and
what went worse without it. It ends with 1 if a destination was not found as it was set, if anything
is wrong with the probe, or if fewer than two are worse without it.
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.round_trip import Destination, Trip, make, worse
from migrator.mapping import FIELDS

# What the time between two listings, on a busy machine, adds to a measured time, and its share.
TOLERANCE_SECONDS, TOLERANCE_SHARE = 3.0, 0.25
# What a probe finds where nothing differs from the guide, but for what is measured.
BY_THE_GUIDE: Mapping[str, Any] = {
    "fields_kept": list(FIELDS),
    "notes_kept": True,
    "page_limit": None,
    "cursor": "lastKey",
    "total_is_page_size": True,
    "batch_saves": False,
    "phone": "error",
    "empty_string": "error",
    "dot_last_name": "error",
    "same_email": "second_lead",
    "update": {"partial": True, "null_clears": True, "empty_clears": False},
    "delete": "hard",
    "left_behind": [],
    "not_measured": [],
}


@dataclass(frozen=True)
class Case:
    """A destination, and what the probe has to find there otherwise than by the guide."""

    at: Destination
    found: Mapping[str, Any] = field(default_factory=dict)

    def differences(self, found: Mapping[str, Any]) -> Iterator[str]:
        """Where the result of a probe is not what was set, within the tolerance."""
        expected = {**BY_THE_GUIDE, "rate_limit": self.at.rate_limit, **self.found}
        for key, value in expected.items():
            if found[key] != value:
                yield f"{key} is {found[key]}, not {value}"
        for key, least in (("list_lag_s", self.at.lag), ("late_s", max(self.at.lag, self.at.late))):
            most = least + TOLERANCE_SECONDS + TOLERANCE_SHARE * least
            if found[key] is None or not least <= found[key] <= most:
                yield f"{key} is {found[key]}, not {least:g} to {most:g}"


RETRY = "retry --reason already_in_destination"
_NO_PHONE = [name for name in FIELDS if name != "phoneNumber"]
_SHOWN = sorted(["id", "firstName", "lastName", "email", "companyName", "title", "status"])
CASES = (
    Case(Destination("as the guide says")),
    Case(Destination("late commits, 2 s", "late_commit=2", late=2)),
    Case(Destination("late commits, 20 s", "late_commit=20", late=20)),
    Case(Destination("lag of 3 s", lag=3)),
    Case(
        Destination("short pages, nextToken", "page_limit=7 next_token real_total"),
        {"page_limit": 7, "cursor": "nextToken", "total_is_page_size": False},
    ),
    Case(
        Destination(
            "projection",
            f"listed_fields={','.join(_SHOWN)}",
            not_reached=frozenset({"notes", "phoneNumber", "companyUrl"}),
            is_hidden=True,
        ),
        {"listing_fields": _SHOWN},
    ),
    Case(Destination("marked deletes", "marked_deletes"), {"delete": "marked"}),
    Case(Destination("hidden deletes", "hidden_deletes"), {"delete": "hidden"}),
    Case(
        Destination("replacing PUT", "replacing_update empty_clears"),
        {"update": {"partial": False, "null_clears": True, "empty_clears": True}},
    ),
    Case(Destination("409 for the same e-mail", "unique_email"), {"same_email": "refused"}),
    Case(
        Destination(
            "the same e-mail updates",
            "updating_email",
            after_push=(RETRY, "push"),
        ),
        {"same_email": "updated"},
    ),
    Case(
        Destination(
            "batch that saves, odd values, no rate headers",
            "batch_saves phone_kept empty_string_dropped dot_last_name_kept no_rate_headers",
            rate_limit=None,
        ),
        {
            "batch_saves": True,
            "phone": "kept",
            "empty_string": "dropped",
            "dot_last_name": "kept",
        },
    ),
    Case(Destination("notes cut at 500 characters", "notes_limit=500"), {"notes_kept": 500}),
    Case(Destination("dropped field", "dropped_fields=phoneNumber"), {"fields_kept": _NO_PHONE}),
    Case(
        Destination("null ignored, empty clears", "null_ignored empty_clears"),
        {"update": {"partial": True, "null_clears": False, "empty_clears": True}},
    ),
    Case(
        Destination(
            "null ignored, empty refused", "null_ignored", not_reached=frozenset({"title"})
        ),
        {"update": {"partial": True, "null_clears": False, "empty_clears": False}},
    ),
    Case(
        Destination(
            "several at once",
            "late_commit=2 page_limit=7 next_token hidden_deletes replacing_update empty_clears "
            "notes_limit=500 dropped_fields=phoneNumber",
            lag=1,
            late=2,
        ),
        {
            "page_limit": 7,
            "cursor": "nextToken",
            "notes_kept": 500,
            "fields_kept": _NO_PHONE,
            "update": {"partial": False, "null_clears": True, "empty_clears": True},
            "delete": "hidden",
        },
    ),
)


@dataclass(frozen=True)
class Outcome:
    """What both round trips came to in a case."""

    case: Case
    probed: Trip
    unprobed: Trip

    @property
    def faults(self) -> list[str]:
        """What is wrong although it was probed."""
        # What people edited is kept by `undo`; what would overwrite leads of others is not freed.
        due = {"undo": 1, RETRY: 3}
        ends = (
            f"`{name}` ends with {code}"
            for name, code in self.probed.codes.items()
            if code != due.get(name, 0)
        )
        return [*self.case.differences(self.probed.found), *ends, *self.probed.faults]

    @property
    def worse(self) -> list[str]:
        """What is worse without the probe."""
        return list(worse(self.unprobed, self.probed))

    @property
    def row(self) -> str:
        """A line of the table."""
        found, at = self.probed.found, self.case.at
        cells = (
            at.name,
            f"`{at.quirks}` lag {at.lag:g} s, late by {at.late:g} s",
            f"`{json.dumps({key: found.get(key) for key in self.case.found})}` "
            f"listed after {found.get('list_lag_s')} s, late by {found.get('late_s')} s",
            "; ".join(self.faults) or "–",
            "; ".join(self.worse) or "–",
        )
        return f"| {' | '.join(cells)} |"

    def as_json(self) -> dict[str, Any]:
        """Everything."""
        trips = {"probed": asdict(self.probed), "unprobed": asdict(self.unprobed)}
        return {"at": self.case.at.name, "faults": self.faults, "worse": self.worse, **trips}


def tried(at: Destination, *, is_probed: bool) -> Trip:
    """Make a round trip there, in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        return make(at, Path(folder), is_probed=is_probed)


def main(words: Sequence[str] | None = None) -> int:
    """Make all round trips, and print the table."""
    args = _parser().parse_args(words)
    cases = [one for one in CASES if one.at.name in (args.only or [one.at.name])]
    began = time.monotonic()
    outcomes = list(_outcomes(cases, args.at_once))
    if args.json:
        args.json.write_text(json.dumps([one.as_json() for one in outcomes], indent=1) + "\n")
    wrong = sum(bool(one.faults) for one in outcomes)
    noisier = sum(bool(one.worse) for one in outcomes)
    minutes = (time.monotonic() - began) / 60
    print(
        f"\n{len(outcomes)} destinations: {wrong} wrong with the probe, {noisier} worse without it "
        f"· {minutes:.0f} min"
    )
    return 1 if wrong or noisier < min(2, len(outcomes)) else 0


def _outcomes(cases: Sequence[Case], at_once: int) -> Iterator[Outcome]:
    """Make the round trips, the longest first, and print a line of the table for each case."""
    print("| destination | quirks | found | wrong | worse without the probe |")
    print("| --- | --- | --- | --- | --- |")
    # A process for each sandbox, so that one that is busy delays no other.
    with ProcessPoolExecutor(at_once, mp_context=multiprocessing.get_context("spawn")) as pool:
        trips = {
            (one.at.name, is_probed): pool.submit(tried, one.at, is_probed=is_probed)
            for one in sorted(cases, key=lambda one: (one.at.rate_limit or 1, -one.at.late))
            for is_probed in (True, False)
        }
        for one in cases:
            probed, unprobed = (trips[one.at.name, is_it].result() for is_it in (True, False))
            outcome = Outcome(one, probed, unprobed)
            print(outcome.row, flush=True)
            yield outcome


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.destinations", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    names = [one.at.name for one in CASES]
    parser.add_argument("--only", action="append", choices=names, help="only this one")
    parser.add_argument("--at-once", type=int, metavar="N", default=6, help="round trips (6)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
