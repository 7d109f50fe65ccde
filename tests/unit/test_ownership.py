"""A lead is deleted only if it is as we left it (life, section 4)."""

from collections.abc import Mapping
from typing import Any

import pytest

from migrator.comparison import KeepReason, why_kept
from migrator.mapping import record_line

RECORD = record_line("4711", "101")
NOTES = f"Imported\n{RECORD}\nStatus: OPEN"
BASE = {"email": "ada@x.example", "title": "Engineer", "notes": NOTES}
LISTED = {**BASE, "id": "L1", "client_id": "acme", "status": "new"}


def kept(
    there: Mapping[str, Any], base: Mapping[str, str | None] = BASE, **options: Any
) -> KeepReason | None:
    known = {"portal_id": "4711", "contact_id": "101", "client_id": "acme", "made_status": "new"}
    return why_kept(base, there, **{**known, **options})


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"email": "Ada@X.example", "title": " Engineer"},
        {"notes": f"Imported \r\n\r\n {RECORD}\r\nStatus: OPEN\r\n"},
        {"city": "Paris", "updatedAt": "2026-02-02"},  # enriched by LeadGenius
    ],
)
def test_a_lead_as_we_left_it_is_deleted(changed: dict[str, Any]) -> None:
    assert kept({**LISTED, **changed}) is None


def test_a_field_that_we_would_have_sent_and_a_person_filled_in_is_an_edit() -> None:
    there = {**LISTED, "phoneNumber": "+33 1"}
    assert kept(there) is None
    assert kept(there, would_send={"title", "phoneNumber"}) is KeepReason.EDITED
    assert kept({**LISTED, "phoneNumber": None}, would_send={"phoneNumber"}) is None


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"client_id": "other"}, "other_client"),
        ({"notes": f"Imported\n{RECORD[:-1]}\nStatus: OPEN"}, "no_record_line"),
        ({"notes": NOTES.replace("101", "102")}, "no_record_line"),
        ({"notes": NOTES.replace("4711", "4712")}, "no_record_line"),
        ({"notes": None}, "no_record_line"),
        ({"email": "a@y.example"}, "edited"),
        ({"title": "CTO"}, "edited"),
        ({"title": None}, "edited"),
        ({"title": ["Engineer"]}, "edited"),
        ({"notes": f"Imported\n{RECORD}"}, "edited"),
        ({"notes": NOTES.replace("OPEN", "WON")}, "edited"),
        ({"status": "contacted"}, "status_changed"),
        ({"status": None}, "status_changed"),
        ({"notes": f"{NOTES}\nCalled on Monday"}, "notes_added"),
        ({"notes": f"{NOTES}\n{record_line('4711', '102')}"}, "notes_added"),
    ],
)
def test_a_lead_that_is_not_as_we_left_it_is_kept(changed: dict[str, Any], reason: str) -> None:
    assert kept({**LISTED, **changed}) is KeepReason(reason)


def test_what_is_not_shown_cannot_be_as_we_left_it() -> None:
    for name in BASE:
        there = {field: value for field, value in LISTED.items() if field != name}
        assert kept(there) is KeepReason.NOT_SHOWN
        assert kept(there, shown=[name]) not in (None, KeepReason.NOT_SHOWN)
    without = {name: value for name, value in LISTED.items() if name != "notes"}
    assert kept(without, {}) is KeepReason.NOT_SHOWN
    assert kept(LISTED, {}) is KeepReason.NOTES_ADDED


def test_a_status_that_we_sent_is_compared_like_any_field() -> None:
    base = {**BASE, "status": "sent"}
    assert kept({**LISTED, "status": "sent"}, base) is None
    assert kept(LISTED, base) is KeepReason.EDITED


def test_a_status_that_was_never_seen_must_not_be_there() -> None:
    assert kept(LISTED, made_status=None) is KeepReason.STATUS_CHANGED
    assert kept({**LISTED, "status": None}, made_status=None) is None
    assert kept({**LISTED, "status": ""}, made_status="") is None


def test_an_adopted_lead_is_deleted_only_on_request_and_as_we_would_send_it() -> None:
    assert kept(LISTED, is_adopted=True) is KeepReason.ADOPTED
    assert kept(LISTED, is_adopted=True, allow_adopted=True) is None
    for name in BASE:
        unknown = {**BASE, name: None}
        assert kept(LISTED, unknown, is_adopted=True, allow_adopted=True) is KeepReason.EDITED
    empty = {**LISTED, "title": None}
    unknown = {**BASE, "title": None}
    assert kept(empty, unknown, is_adopted=True, allow_adopted=True) is KeepReason.EDITED
