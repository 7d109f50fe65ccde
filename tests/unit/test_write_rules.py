"""What the audit says of updates and deletes whose evidence is not there."""

import json
from dataclasses import replace
from typing import Any

import pytest

from migrator.audit.records import Attempt, ContactEvidence, FormerBase, JourneyBinding
from migrator.audit.write_rules import base, deletes, values

BINDING = JourneyBinding("42", "http://leadgenius", "acme", is_forgotten=False)
_NOTHING: Any = dict.fromkeys(Attempt._fields)
CREATE = Attempt(**{**_NOTHING, "number": 1, "kind": "create", "outcome": "created"})
UPDATE = CREATE._replace(number=2, kind="update", outcome="updated", lead_id="lead-1")
DELETE = UPDATE._replace(kind="delete", outcome="deleted")


def contact(*attempts: Attempt, is_erased: bool = False) -> ContactEvidence:
    empty: Any = dict.fromkeys(ContactEvidence._fields, ())
    more = {"hubspot_id": "1", "lead": "{}", "lead_id": "lead-1", "is_erased": is_erased}
    return ContactEvidence(**{**empty, "predecessors": {}, **more, "attempts": attempts})


@pytest.mark.parametrize(("is_forgotten", "is_erased"), [(True, False), (False, True)])
def test_what_was_erased_need_not_be_there(is_forgotten, is_erased):
    binding = replace(BINDING, is_forgotten=is_forgotten)
    assert list(values(contact(UPDATE, is_erased=is_erased), binding)) == []
    adopted = DELETE._replace(overrode='{"adopted": true}')
    assert list(deletes(contact(adopted, is_erased=is_erased), binding)) == []


def test_an_update_says_what_it_overwrote():
    assert list(values(contact(UPDATE), BINDING)) == ["send 2 does not say what it overwrote"]


def test_a_delete_of_a_lead_that_no_send_made_says_which_it_was():
    assert list(deletes(contact(DELETE), BINDING)) == [
        "send 2 deletes lead lead-1, which no send made",
        "send 2 does not say which lead it deletes",
    ]
    adopted = DELETE._replace(overrode='{"adopted": true}')
    assert list(deletes(contact(adopted), BINDING)) == ["send 2 does not say which lead it deletes"]
    made = CREATE._replace(lead_id="lead-1")
    assert list(deletes(contact(made, DELETE), BINDING)) == []


LEFT = {"client_id": "acme", "status": "new", "title": "CTO", "notes": "[HubSpot record: 42/1]"}


@pytest.mark.parametrize(
    ("there", "wrong"),
    [
        ({}, None),
        ({"client_id": "other"}, "client_id"),
        ({"title": "Boss"}, "title"),
        ({"status": "contacted"}, "status"),
        ({"notes": "[HubSpot record: 42/1]\nCall her"}, "notes"),
        ({"notes": ""}, "record line, notes"),
        ({"notes": "[HubSpot record: 42/2]"}, "record line, notes"),
        ({"notes": "[HubSpot record: 43/1]"}, "record line, notes"),
    ],
)
def test_what_was_not_as_it_was_left_before_a_delete_is_named(there, wrong):
    made = CREATE._replace(lead_id="lead-1", made_status="new")
    delete = DELETE._replace(before=json.dumps({**LEFT, **there}))
    told = json.dumps({name: LEFT[name] for name in ("title", "notes")})
    fault = f"send 2 deletes lead lead-1, which was not as it was left: {wrong}"
    found = list(deletes(contact(made, delete)._replace(lead=told), BINDING))
    assert found == ([] if wrong is None else [fault])


@pytest.mark.parametrize(("there", "is_left"), [("{}\nCall her", True), ("{}", False)])
def test_notes_are_cut_where_leadgenius_cuts_them_and_not_before(there, is_left):
    line = LEFT["notes"]
    made = CREATE._replace(lead_id="lead-1", made_status="new")
    delete = DELETE._replace(before=json.dumps({**LEFT, "notes": there.format(line)}))
    told = json.dumps({"notes": f"{line}\nCall her\nSoon"})
    binding = replace(BINDING, notes_limits=(len(f"{line}\nCall her"),))
    found = list(deletes(contact(made, delete)._replace(lead=told), binding))
    assert (found == []) is is_left


@pytest.mark.parametrize(
    ("update", "holds"),
    [
        (UPDATE, True),
        (UPDATE._replace(outcome="found"), True),
        (UPDATE._replace(outcome="refused"), False),
        (UPDATE._replace(kind="create"), False),
        (UPDATE._replace(number=3), False),  # sent after the base had become another one
    ],
)
def test_what_leadgenius_was_told_changed_by_an_update_that_it_had_taken(update, holds):
    told = '{"phone": "2"}'
    changed = contact(update._replace(base=told))._replace(
        lead=told, bases=[FormerBase(2, "lead-1", '{"phone": "1"}', None)]
    )
    fault = "phone of its lead became a value that was neither sent nor HubSpot's"
    assert list(base(changed, BINDING)) == ([] if holds else [fault])
