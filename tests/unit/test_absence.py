"""What HubSpot's answers to a read by id say: there, merged, archived or gone."""

import pytest

from migrator.hubspot_responses import (
    MERGED_IDS,
    Absence,
    absence_of,
    by_requested_id,
    merged_ids,
    unclear_ids,
)


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        (None, []),
        ("", []),
        ("7", ["7"]),
        ("9;7", ["9", "7"]),
        (" 9 ; 7;;9", ["9", "7"]),
        (7, ["7"]),
    ],
)
def test_former_ids_are_told_in_hubspots_order(value, ids):
    assert merged_ids({MERGED_IDS: value}) == ids


@pytest.mark.parametrize(
    ("row", "is_archive", "absence"),
    [
        (None, True, Absence("unknown")),
        ({"id": "1"}, False, None),
        ({"id": "1", "archived": False}, False, None),
        ({"id": "1", "archived": True}, False, Absence("archived")),
        ({"id": "1"}, True, Absence("archived")),
        ({"id": "1", "archived": True}, True, Absence("archived")),
        ({"id": "1", "archived": False}, True, None),
        ({"id": "2", "archived": False}, False, Absence("merged", "2")),
        ({"id": "2", "archived": True}, True, Absence("merged", "2")),
    ],
)
def test_a_row_tells_whether_its_contact_is_there(row, is_archive, absence):
    assert absence_of("1", row, is_archive=is_archive) == absence


def test_a_merged_record_stands_for_each_of_its_former_ids():
    merged = {"id": "5", "properties": {MERGED_IDS: "1;2;3"}}
    other = {"id": "4", "properties": {}}
    assert by_requested_id([other, merged], ["1", "2", "4", "6"]) == {
        "1": merged,
        "2": merged,
        "4": other,
    }


def test_a_single_row_is_the_one_that_was_asked_for():
    row = {"id": "5", "properties": None}
    assert by_requested_id([row], ["1"]) == {"1": row}
    assert by_requested_id([row], ["1", "2"]) == {}


def test_what_is_missing_is_unclear_only_beside_a_row_that_names_nothing_asked_for():
    known, stray = {"id": "1"}, {"id": "9"}
    assert unclear_ids([known], ["1", "2"]) == ()
    assert unclear_ids([known, stray], ["1", "2", "3"]) == ["2", "3"]
    assert unclear_ids([stray], ["2"]) == ()
