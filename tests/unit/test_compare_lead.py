"""An update writes only fields that HubSpot changed and LeadGenius did not (life, section 3)."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.comparison import (
    Clearing,
    LeadChange,
    LeadStorage,
    Preference,
    adopted_base,
    compare_lead,
)
from migrator.mapping import email_key, record_line
from tests.unit.test_mapping import patiently

RECORD = record_line("4711", "101")
NOTES = f"Imported\n{RECORD}\nStatus: OPEN"
BASE = {
    "firstName": "Ada",
    "lastName": "Lovelace",
    "email": "ada@x.example",
    "title": "Engineer",
    "notes": NOTES,
}
WON = NOTES.replace("OPEN", "WON")
MINE = f"{NOTES}\nmine"
LISTED = {**BASE, "id": "L1", "client_id": "acme", "status": "new", "createdAt": "2026-01-01"}


def left_of(change: LeadChange) -> dict[str, Any]:
    """What a change has to say, without what is empty and without the bases."""
    assert json.loads(json.dumps(dataclasses.asdict(change))) == dataclasses.asdict(change)
    bases = ("base_now", "base_after", "overrode")
    return {name: value for name, value in vars(change).items() if value and name not in bases}


def test_nothing_differs() -> None:
    change = compare_lead(BASE, BASE, LISTED)
    assert change.is_nothing
    assert change.base_now == change.base_after == BASE


@pytest.mark.parametrize(
    ("new", "there", "left"),
    [
        ({"title": "CTO"}, {}, {"changes": {"title": "CTO"}}),
        ({"title": "CTO"}, {"title": " CTO "}, {"already": ["title"]}),
        (
            {"title": "CTO"},
            {"title": "Boss"},
            {"conflicts": {"title": {"sent": "Engineer", "there": "Boss", "new": "CTO"}}},
        ),
        (
            {"title": "CTO", "email": "a@y.example"},
            {"title": "Boss"},
            {
                "changes": {"email": "a@y.example"},
                "conflicts": {"title": {"sent": "Engineer", "there": "Boss", "new": "CTO"}},
            },
        ),
        # edited there, the same at HubSpot
        ({}, {"title": "Boss", "email": "b@y.example", "notes": "mine", "status": "won"}, {}),
        # an e-mail is one whatever its case; one that a person changed is an edit like any other
        ({"email": "ADA@x.example"}, {}, {}),
        ({"email": "a@y.example"}, {"email": "A@Y.example"}, {"already": ["email"]}),
        (
            {"email": "a@y.example"},
            {"email": "Ada@X.example"},
            {"changes": {"email": "a@y.example"}},
        ),
        (
            {"email": "a@y.example"},
            {"email": "b@y.example"},
            {
                "conflicts": {
                    "email": {"sent": "ada@x.example", "there": "b@y.example", "new": "a@y.example"}
                }
            },
        ),
        # never sent: an empty field is filled, a value of others stays
        ({"city": "London"}, {"city": None}, {"changes": {"city": "London"}}),
        ({"city": "London"}, {"city": "London"}, {"already": ["city"]}),
        (
            {"city": "London"},
            {"city": "Paris"},
            {"conflicts": {"city": {"sent": "", "there": "Paris", "new": "London"}}},
        ),
        # a value that is no text is no empty one
        (
            {"keywords": "a"},
            {"keywords": ["b"]},
            {"conflicts": {"keywords": {"sent": "", "there": '["b"]', "new": "a"}}},
        ),
        ({"zip": "5"}, {"zip": 5}, {"already": ["zip"]}),
        # not shown
        ({"city": "London"}, {}, {"not_shown": ["city"]}),
        # notes
        ({"notes": WON}, {"notes": MINE}, {"changes": {"notes": f"{WON}\nmine"}}),
        ({"notes": WON}, {"notes": f"mine\n{WON}"}, {"already": ["notes"]}),
        (
            {"notes": WON},
            {"notes": MINE.replace("OPEN", "open?")},
            {
                "conflicts": {
                    "notes": {
                        "sent": NOTES,
                        "there": MINE.replace("OPEN", "open?"),
                        "new": f"{WON}\nmine",
                    }
                }
            },
        ),
    ],
)
def test_a_field_is_changed_or_there_or_in_conflict(
    new: dict[str, str], there: dict[str, Any], left: dict[str, Any]
) -> None:
    change = compare_lead(BASE, {**BASE, **new}, {**LISTED, **there})
    assert left_of(change) == left
    wanted = {**BASE, **new}
    for name in wanted:
        is_left = name in change.conflicts or name in change.not_shown
        after = BASE.get(name) if is_left else wanted[name]
        assert change.base_after.get(name) == after
        assert change.base_now.get(name) == (BASE.get(name) if name in change.changes else after)
    assert change.is_already == (list(left) == ["already"])
    assert change.is_nothing == (not left)


def test_a_field_that_other_leads_show_is_empty_in_this_one() -> None:
    change = compare_lead(BASE, {**BASE, "city": "London"}, LISTED, shown=["city"])
    assert left_of(change) == {"changes": {"city": "London"}}


@pytest.mark.parametrize(
    ("there", "clearing", "left"),
    [
        ("Engineer", None, {"not_cleared": ["title"]}),
        ("Boss", None, {"not_cleared": ["title"]}),
        (None, None, {"already": ["title"]}),
        ("Engineer", Clearing.NULL, {"changes": {"title": None}}),
        ("Engineer", Clearing.EMPTY, {"changes": {"title": ""}}),
        ("", Clearing.NULL, {"already": ["title"]}),
        (
            "Boss",
            Clearing.NULL,
            {"conflicts": {"title": {"sent": "Engineer", "there": "Boss", "new": ""}}},
        ),
    ],
)
def test_a_value_that_became_empty_is_cleared_only_in_a_way_that_is_known(
    there: str | None, clearing: Clearing | None, left: dict[str, Any]
) -> None:
    new = {name: value for name, value in BASE.items() if name != "title"}
    change = compare_lead(
        BASE, new, {**LISTED, "title": there}, storage=LeadStorage(clearing=clearing)
    )
    if left.get("changes") == {"title": None}:
        assert change.changes == {"title": None}
    assert left_of(change) == left
    is_told = "changes" in left or "already" in left
    assert ("title" in change.base_after) != is_told


def test_notes_that_became_empty_keep_others_lines() -> None:
    new = {name: value for name, value in BASE.items() if name != "notes"}
    assert compare_lead(BASE, new, {**LISTED, "notes": MINE}).changes == {"notes": "mine"}
    assert left_of(compare_lead(BASE, new, LISTED)) == {"not_cleared": ["notes"]}


def test_an_adopted_lead_has_what_it_shows_as_base_and_the_rest_is_unknown() -> None:
    there = {**LISTED, "title": "Boss", "email": "ADA@x.example", "notes": MINE}
    del there["lastName"]
    base = adopted_base(BASE, there)
    assert base == {**BASE, "title": None, "lastName": None}
    assert left_of(compare_lead(base, BASE, there)) == {
        "conflicts": {"title": {"sent": None, "there": "Boss", "new": "Engineer"}},
        "not_shown": ["lastName"],
    }
    emptied = {name: value for name, value in BASE.items() if name != "title"}
    assert compare_lead(base, emptied, there).not_cleared == ["title"]
    corrected = compare_lead(base, {**BASE, "title": "Boss"}, there)
    assert left_of(corrected) == {"already": ["title"], "not_shown": ["lastName"]}
    assert corrected.base_now["title"] == "Boss"


def test_a_preference_decides_only_fields_in_conflict() -> None:
    new = {**BASE, "title": "CTO", "lastName": "King", "notes": WON}
    there = {
        **LISTED,
        "title": "Boss",
        "firstName": "A.",
        "notes": f"Status: open?\nmine\n{RECORD}",
    }
    hubspot = compare_lead(BASE, new, there, prefer=Preference.HUBSPOT)
    assert left_of(hubspot) == {
        "changes": {
            "title": "CTO",
            "lastName": "King",
            "notes": f"Status: WON\nmine\n{RECORD}",
        }
    }
    assert hubspot.overrode == {"title": "prefer", "notes": "prefer"}
    assert hubspot.base_now == BASE
    assert hubspot.base_after == new
    kept = compare_lead(BASE, new, there, prefer=Preference.LEADGENIUS)
    assert left_of(kept) == {"changes": {"lastName": "King"}, "kept": ["notes", "title"]}
    assert kept.base_now == {**new, "lastName": "Lovelace"}
    assert kept.base_after == new
    # The field rests until HubSpot changes it again.
    assert compare_lead(kept.base_after, new, {**there, "lastName": "King"}).is_nothing
    again = compare_lead(kept.base_after, {**new, "title": "CEO"}, {**there, "lastName": "King"})
    assert again.conflicts == {"title": {"sent": "CTO", "there": "Boss", "new": "CEO"}}


def test_keeping_a_line_in_conflict_still_writes_the_others() -> None:
    told = {**BASE, "notes": f"{NOTES}\nOwner: Ada"}
    new = {**BASE, "notes": f"{WON}\nOwner: Bob"}
    there = {**LISTED, "notes": f"{MINE.replace('OPEN', 'open?')}\nOwner: Ada"}
    kept = compare_lead(told, new, there, prefer=Preference.LEADGENIUS)
    notes = f"{MINE.replace('OPEN', 'open?')}\nOwner: Bob"
    assert left_of(kept) == {"changes": {"notes": notes}}
    assert compare_lead(kept.base_after, new, {**there, "notes": notes}).is_nothing


@pytest.mark.parametrize("prefer", Preference)
def test_a_decision_applies_while_the_value_is_the_one_that_was_decided_on(
    prefer: Preference,
) -> None:
    new, there = {**BASE, "title": "CTO"}, {**LISTED, "title": "Boss"}

    def decide(seen: str, value: str, **listed: str) -> LeadChange:
        decided = {"title": {"there": seen, "value": value}}
        return compare_lead(BASE, new, {**there, **listed}, decided=decided, prefer=prefer)

    assert decide("Boss", "Chief").changes == {"title": "Chief"}
    assert decide("Boss", "Chief").overrode == {"title": "amend"}
    assert decide("Boss", "Chief", title="Engineer").overrode == {}
    assert decide("Boss", "Chief").base_after == new
    assert left_of(decide("Boss", "Boss")) == {"kept": ["title"]}
    assert decide("Boss", "Boss").base_now == new
    # edited since, no longer in conflict, and not possible
    assert decide("Boss", "Chief", title="Bigger boss") == compare_lead(
        BASE, new, {**there, "title": "Bigger boss"}, prefer=prefer
    )
    assert decide("Boss", "Chief", title="Engineer").changes == {"title": "CTO"}
    assert list(decide("Boss", "").conflicts) == ["title"]


def test_decided_notes_keep_the_record_line() -> None:
    new, there = {**BASE, "notes": WON}, {**LISTED, "notes": MINE.replace("OPEN", "open?")}
    decided = {"notes": {"there": there["notes"], "value": "all mine"}}
    change = compare_lead(BASE, new, there, decided=decided)
    assert change.changes == {"notes": f"{RECORD}\nall mine"}
    # What is there stays as it is, with the line or without.
    there["notes"] = decided["notes"]["there"] = decided["notes"]["value"] = "all mine"
    assert left_of(compare_lead(BASE, new, there, decided=decided)) == {"kept": ["notes"]}


def test_what_verify_holds_as_different_is_in_conflict_although_hubspot_is_as_before() -> None:
    there = {**LISTED, "title": "Boss", "notes": MINE.replace("OPEN", "open?")}
    disputed = ["title", "notes"]
    asked = compare_lead(BASE, BASE, there, disputed=disputed)
    assert asked.conflicts == {
        "title": {"sent": "Engineer", "there": "Boss", "new": "Engineer"},
        "notes": {"sent": NOTES, "there": there["notes"], "new": MINE},
    }
    written = compare_lead(BASE, BASE, there, disputed=disputed, prefer=Preference.HUBSPOT)
    assert written.changes == {"title": "Engineer", "notes": MINE}
    kept = compare_lead(BASE, BASE, there, disputed=disputed, prefer=Preference.LEADGENIUS)
    assert left_of(kept) == {"kept": ["notes", "title"]}


@pytest.mark.parametrize("prefer", [Preference.ASK, Preference.HUBSPOT])
def test_the_email_of_another_contacts_lead_is_never_written(prefer: Preference) -> None:
    new = {**BASE, "email": "Bob@X.example"}
    taken = frozenset({"bob@x.example"})
    conflict = {"sent": "ada@x.example", "there": "ada@x.example", "new": "Bob@X.example"}
    decided = {"email": {"there": "ada@x.example", "value": "bob@x.example"}}
    change = compare_lead(BASE, new, LISTED, taken_emails=taken, prefer=prefer, decided=decided)
    assert left_of(change) == {"conflicts": {"email": conflict}}
    assert change.base_after == BASE
    # What is there can be kept, and another one written.
    kept = compare_lead(BASE, new, LISTED, taken_emails=taken, prefer=Preference.LEADGENIUS)
    assert left_of(kept) == {"kept": ["email"]}
    assert kept.base_now == new
    decided["email"]["value"] = "c@y.example"
    change = compare_lead(BASE, new, LISTED, taken_emails=taken, prefer=prefer, decided=decided)
    assert change.changes == {"email": "c@y.example"}
    # It is there already.
    there = {**LISTED, "email": "bob@x.example"}
    assert compare_lead(BASE, new, there, taken_emails=taken).already == ["email"]


def test_a_successor_takes_over_the_lead_of_its_predecessor() -> None:
    successor = record_line("4711", "202")
    new = {**BASE, "email": "a@y.example", "notes": WON.replace(RECORD, successor)}
    change = compare_lead(BASE, new, {**LISTED, "notes": MINE})
    assert change.changes == {"email": "a@y.example", "notes": f"{new['notes']}\nmine"}
    assert change.base_after == new


NAMES = ("title", "city", "email")
VALUES = ("", "one@x.example", "ONE@x.example", "two@x.example", "three@x.example")
LEAD = st.fixed_dictionaries({name: st.sampled_from(VALUES) for name in NAMES})
UNKNOWN = st.fixed_dictionaries({name: st.sampled_from([*VALUES, None]) for name in NAMES})


@patiently
@given(
    base=UNKNOWN,
    new=LEAD,
    there=st.dictionaries(st.sampled_from([*NAMES, "other"]), st.sampled_from([*VALUES, None])),
    prefer=st.sampled_from(Preference),
    clearing=st.sampled_from([None, *Clearing]),
    disputed=st.sets(st.sampled_from(NAMES)),
    taken=st.sets(st.sampled_from(VALUES[1:]).map(email_key)),
)
def test_an_update_ends_and_overwrites_no_edit(
    base: dict[str, str | None],
    new: dict[str, str],
    there: dict[str, Any],
    prefer: Preference,
    clearing: Clearing | None,
    disputed: set[str],
    taken: set[str | None],
) -> None:
    new = {name: value for name, value in new.items() if value}
    base = {name: value for name, value in base.items() if value != ""}
    options: Any = {"storage": LeadStorage(clearing=clearing), "taken_emails": taken}
    change = compare_lead(base, new, there, prefer=prefer, disputed=disputed, **options)
    for name, value in change.changes.items():
        assert value == (new.get(name) or (None if clearing is Clearing.NULL else ""))
        if prefer is Preference.ASK:  # only what LeadGenius was told is overwritten
            told, shown = base.get(name, ""), there[name] or ""
            assert told is not None
            assert told == shown or (name == "email" and told.lower() == shown.lower())
    assert not change.changes.keys() & {*change.conflicts, *change.already, *change.kept}

    # Once it is written, the same comparison has nothing to write, and no preference to apply.
    result = {**there, **change.changes}
    again = compare_lead(change.base_after, new, result, prefer=prefer, **options)
    assert not (again.changes or again.already or again.kept)
    assert again.conflicts.keys() <= change.conflicts.keys()
    if not change.is_left:
        assert change.base_after == new
    # After a write that did not land, it is written again.
    if not disputed:
        once_more = compare_lead(change.base_now, new, there, prefer=prefer, **options)
        assert once_more.changes == change.changes
