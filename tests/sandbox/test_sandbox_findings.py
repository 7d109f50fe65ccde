"""The stand-in itself: what a probe found of a destination, as the options of a sandbox."""

from typing import Any

import pytest

from migrator.sandbox import Sandbox, sandbox_options

# What `migrator probe` finds of a destination that is as the guide says.
AS_THE_GUIDE_SAYS: dict[str, Any] = {
    "latency_ms": None,
    "list_lag_s": 0.0,
    "late_s": None,
    "settle_s": 120,
    "listing_fields": None,
    "fields_kept": None,
    "notes_kept": True,
    "page_limit": None,
    "cursor": "lastKey",
    "total_is_page_size": True,
    "batch_saves": False,
    "phone": "error",
    "empty_string": "error",
    "dot_last_name": "error",
    "same_email": "second_lead",
    "rate_limit": None,
    "update": {"partial": True, "null_clears": True, "empty_clears": False},
    "delete": "hard",
    "left_behind": [],
}
OTHERWISE: list[tuple[dict[str, Any], list[str]]] = [
    ({"late_s": 8.25}, ["late_commit=8.250"]),
    ({"listing_fields": ["email", "id"]}, ["listed_fields=email,id"]),
    ({"listing_fields": []}, ["listed_fields=id"]),
    ({"listing_fields": ["email", "Company Size", "a,b", ""]}, ["listed_fields=email,id"]),
    (
        {"listing_fields": ["email"], "delete": "marked"},
        ["marked_deletes", "listed_fields=deletedAt,deletedBy,email,id,status"],
    ),
    ({"notes_kept": 500}, ["notes_limit=500"]),
    ({"notes_kept": False}, ["dropped_fields=notes"]),
    ({"page_limit": 25}, ["page_limit=25"]),
    ({"cursor": "nextToken"}, ["next_token"]),
    ({"total_is_page_size": False}, ["real_total"]),
    ({"batch_saves": True}, ["batch_saves"]),
    ({"phone": "kept"}, ["phone_kept"]),
    ({"phone": "dropped"}, ["phone_dropped"]),
    ({"empty_string": "kept"}, ["empty_string_kept"]),
    ({"empty_string": "dropped"}, ["empty_string_dropped"]),
    ({"dot_last_name": "kept"}, ["dot_last_name_kept"]),
    ({"dot_last_name": "dropped"}, ["dot_last_name_dropped"]),
    ({"same_email": "refused"}, ["unique_email"]),
    ({"same_email": "updated"}, ["updating_email"]),
    ({"update": {"partial": False}}, ["replacing_update"]),
    ({"update": {"null_clears": False}}, ["null_ignored"]),
    ({"update": {"empty_clears": True}}, ["empty_clears"]),
    ({"delete": "hidden"}, ["hidden_deletes"]),
    ({"delete": "marked"}, ["marked_deletes"]),
]


@pytest.mark.parametrize(
    "findings", [{}, AS_THE_GUIDE_SAYS, dict.fromkeys(AS_THE_GUIDE_SAYS), {"later": "unknown"}]
)
def test_what_is_missing_or_null_is_as_the_guide_says(findings):
    assert sandbox_options(findings) == {"quirks": []}


@pytest.mark.parametrize(("found", "quirks"), OTHERWISE)
def test_what_was_found_otherwise_is_a_quirk(found, quirks):
    assert sandbox_options({**AS_THE_GUIDE_SAYS, **found})["quirks"] == quirks
    Sandbox(contacts=0, **sandbox_options(found))  # each is one that a sandbox knows


@pytest.mark.parametrize(
    ("found", "options"),
    [
        ({"list_lag_s": 3.5}, {"read_lag_seconds": 3.5}),
        ({"late_s": 8.25}, {"late_seconds": 8.25}),
        ({"rate_limit": 100}, {"rate_limit": 100}),
    ],
)
def test_numbers_are_options_of_the_sandbox(found, options):
    assert {**sandbox_options(found), "quirks": []} == {**options, "quirks": []}


def test_the_latency_has_the_median_and_the_95th_percentile_that_were_found():
    low, high = sandbox_options({"latency_ms": {"median": 200, "p95": 290, "max": 900}})[
        "latency_seconds"
    ]
    assert (low + high) / 2 == pytest.approx(0.2)
    assert low + 0.95 * (high - low) == pytest.approx(0.29)
    same = sandbox_options({"latency_ms": {"median": 200, "p95": 200, "max": 200}})
    assert same["latency_seconds"] == (0.2, 0.2)


@pytest.mark.parametrize(
    ("notes", "has_notes"), [(None, True), (True, False), (500, False), (False, True)]
)
def test_fields_that_were_not_kept_are_dropped_and_the_notes_by_their_own_finding(notes, has_notes):
    found = {"fields_kept": ["firstName", "lastName", "email", "title"], "notes_kept": notes}
    [dropped] = [one for one in sandbox_options(found)["quirks"] if one.startswith("dropped")]
    names = dropped.removeprefix("dropped_fields=").split(",")
    assert {"companyUrl", "phoneNumber"} < set(names)
    assert not {"firstName", "lastName", "email", "title"} & set(names)
    assert ("notes" in names) is has_notes
