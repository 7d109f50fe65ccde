"""What a probe found out: what differs from the guide, and what comparisons make of it."""

import json
import math
from typing import Any

import pytest

from migrator.comparison import Clearing, LeadStorage, compare_lead
from migrator.findings import Findings
from migrator.mapping import FIELDS

AS_THE_GUIDE_SAYS = Findings(
    latency_ms={"median": 80, "p95": 200, "max": 400},
    list_lag_s=1.0,
    late_s=12.0,
    listing_fields=("id", "notes", *FIELDS),
    fields_kept=FIELDS,
    notes_kept=True,
    cursor="lastKey",
    total_is_page_size=True,
    batch_saves=False,
    phone="error",
    empty_string="error",
    dot_last_name="error",
    same_email="second_lead",
    update={"partial": True, "null_clears": False, "empty_clears": False},
    delete="hard",
)
NOTES = "Imported\n[HubSpot record: 1/2]\nStatus: new\nMessage: hello"


def test_a_service_that_is_as_the_guide_says_differs_in_nothing() -> None:
    assert AS_THE_GUIDE_SAYS.differs_from_guide() == []
    assert Findings().differs_from_guide() == [], "what was not measured is no difference"


def test_findings_are_the_same_after_they_were_kept() -> None:
    kept = json.loads(json.dumps(AS_THE_GUIDE_SAYS.as_json()))
    assert Findings.of_json(kept) == AS_THE_GUIDE_SAYS
    assert Findings.of_json({**kept, "of_a_newer_version": 1}) == AS_THE_GUIDE_SAYS


@pytest.mark.parametrize(
    "odd",
    [
        {"late_s": math.nan, "list_lag_s": math.inf},
        {"late_s": -1, "list_lag_s": 10**400},
        {"late_s": "12", "list_lag_s": True},
        {"latency_ms": {"median": 80}},
        {"latency_ms": 80, "update": True},
        {"update": {"partial": "no"}},
        {"notes_kept": 0, "page_limit": 0, "rate_limit": -5},
        {"notes_kept": 1.5, "page_limit": "7", "rate_limit": True},
        {"listing_fields": "email", "fields_kept": [1], "not_measured": {"late": 1}},
        {"same_email": "merged", "phone": ["kept"], "delete": 1, "cursor": "next"},
        {"total_is_page_size": 1, "batch_saves": "yes", "left_behind": 7},
    ],
)
def test_what_is_no_possible_finding_was_not_measured(odd: dict[str, Any]) -> None:
    found = Findings.of_json(odd)
    assert found == Findings()
    assert found.settle_s == 60


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"late_s": 45.5}, "as late as 45.5 s after it was sent: --settle is at least 91."),
        ({"listing_fields": ("id", *FIELDS)}, "A listing does not show notes."),
        ({"fields_kept": FIELDS[1:]}, f"accepted and not stored: {FIELDS[0]}."),
        ({"notes_kept": False}, "accepted and not stored: notes."),
        ({"notes_kept": 2000}, "Notes are cut after 2,000 characters."),
        ({"page_limit": 25}, "at most 25, not 1,000."),
        ({"cursor": "nextToken"}, "called nextToken."),
        ({"total_is_page_size": False}, "counts all leads"),
        ({"batch_saves": True}, "it is not used all the same."),
        ({"phone": "dropped"}, "A field phone (guide, bug 3) is dropped, and no error."),
        ({"empty_string": "kept"}, "An empty text (guide, rule 1) is kept, and no error."),
        ({"dot_last_name": "kept"}, "A last name of a dot (guide, bug 6) is kept, and no error."),
        ({"same_email": "refused"}, "with the same e-mail is refused"),
        ({"same_email": "updated"}, "overwrites that one"),
        ({"rate_limit": 1000}, "1,000 requests a minute are allowed."),
        ({"update": {"partial": False}}, "whole leads are sent."),
        ({"update": {"partial": True, "null_clears": True}}, "is cleared."),
        ({"delete": "marked"}, "stays listed, with a mark."),
        ({"delete": "hidden"}, "only hidden from listings."),
    ],
)
def test_what_differs_is_said_in_a_sentence(found: dict[str, Any], words: str) -> None:
    (sentence,) = Findings(**found).differs_from_guide()
    assert words in sentence


@pytest.mark.parametrize(
    ("update", "clearing"),
    [
        (None, None),
        ({"partial": True, "null_clears": None, "empty_clears": False}, None),
        ({"partial": True, "null_clears": True, "empty_clears": True}, Clearing.NULL),
        ({"partial": True, "null_clears": False, "empty_clears": True}, Clearing.EMPTY),
        ({"partial": False, "null_clears": False, "empty_clears": False}, Clearing.NULL),
    ],
)
def test_a_field_is_cleared_in_the_way_that_was_found(
    update: dict[str, bool | None] | None, clearing: Clearing | None
) -> None:
    assert LeadStorage.of(Findings(update=update)).clearing is clearing


@pytest.mark.parametrize(
    ("limit", "whole"),
    [
        (len(NOTES), NOTES),
        (len(NOTES) - 1, NOTES.rpartition("\n")[0]),
        (NOTES.index("\nMessage"), NOTES.rpartition("\n")[0]),
        (NOTES.index("\nMessage") - 1, "Imported\n[HubSpot record: 1/2]"),
        (3, ""),
    ],
)
def test_only_whole_lines_of_cut_notes_count(limit: int, whole: str) -> None:
    storage = LeadStorage(notes_limit=limit)
    assert storage.whole_lines(NOTES) == whole
    listed = NOTES[:limit]
    assert storage.without_remnant(listed, NOTES).strip() == whole
    more = f"{whole}\nA line of somebody"
    assert storage.without_remnant(more, NOTES) == more


def test_the_rest_of_a_cut_line_is_replaced_and_what_others_wrote_stays() -> None:
    storage = LeadStorage(notes_limit=len(NOTES) - 2)
    new = NOTES.replace("Status: new\nMessage: hello", "Status: old")
    change = compare_lead({"notes": NOTES}, {"notes": new}, {"notes": NOTES[:-2]}, storage=storage)
    assert change.changes == {"notes": new}
    theirs = f"{NOTES[:-9]}\nTheirs"
    change = compare_lead({"notes": NOTES}, {"notes": new}, {"notes": theirs}, storage=storage)
    assert (change.changes["notes"] or "").endswith("Theirs")
    longer = new.replace("Status: old", "Status: older")  # would cut the line of others
    change = compare_lead({"notes": NOTES}, {"notes": longer}, {"notes": theirs}, storage=storage)
    assert (change.changes, [*change.conflicts]) == ({}, ["notes"])


def test_a_change_beyond_the_cut_rests() -> None:
    storage = LeadStorage(notes_limit=len(NOTES) - 2)
    new = NOTES.replace("hello", "good-bye")
    change = compare_lead({"notes": NOTES}, {"notes": new}, {"notes": NOTES[:-2]}, storage=storage)
    assert (change.not_kept, change.changes, change.is_left) == (["notes"], {}, False)
    assert change.base_now == {"notes": new}


@pytest.mark.parametrize(
    ("kept", "is_cut"), [(None, False), (True, False), (2000, False), (40, True), (False, True)]
)
def test_the_record_line_has_to_be_stored_whole(kept: bool | int | None, is_cut: bool) -> None:
    assert Findings(notes_kept=kept).cuts_off_record_line("Imported", "1234567") is is_cut
