"""`migrator update`, as it is typed: what it asks, prints and exits with."""

import json

import pytest

from tests.support.inprocess_cli import PUSH, VERIFY, InProcessCli
from tests.support.journeys import contact

UPDATE = "update --settle 0.4"


@pytest.fixture
def changed(empty: InProcessCli) -> InProcessCli:
    """A client with everything sent and verified, and one contact changed at HubSpot since."""
    for number in range(6):
        empty.sandbox.add_contact(contact(number, jobtitle=f"Clerk {number}"))
    for words in ("stage", PUSH, VERIFY):
        assert empty.type(words).code == 0
    empty.sandbox.change_contact(first(empty), jobtitle="Countess")
    assert empty.type("stage").code == 0
    return empty


def first(terminal: InProcessCli) -> str:
    ((one,),) = terminal.ask("SELECT hubspot_id FROM contact WHERE lead_id IS NOT NULL LIMIT 1")
    return str(one)


def puts(terminal: InProcessCli) -> int:
    return sum(one.method == "PUT" for one in terminal.sandbox.received)


def test_without_a_terminal_it_wants_a_word(changed: InProcessCli) -> None:
    done = changed.type(UPDATE)
    assert done.code == 2
    assert "There is no terminal to ask on" in done.err
    assert "migrator update --dry-run" in done.err
    assert puts(changed) == 0


def test_a_dry_run_shows_each_field_and_writes_nothing(changed: InProcessCli) -> None:
    done = changed.type(f"{UPDATE} --dry-run --json")
    assert done.code == 0
    result = json.loads(done.out.splitlines()[-1])
    (row,) = result["plan"]
    assert (row["contact"], row["field"], row["what"]) == (first(changed), "title", "change")
    assert (row["there"], row["new"]) == (row["sent"], "Countess")
    assert result["updated"] == 0
    shown = changed.type(f"{UPDATE} --dry-run").err
    assert "Countess" in shown and "title" in shown
    assert puts(changed) == 0
    assert "Next: migrator update" in changed.type("report").out


def test_a_yes_writes_and_a_second_run_has_nothing_to_do(changed: InProcessCli) -> None:
    done = changed.type(f"{UPDATE} --yes")
    assert (done.code, puts(changed)) == (0, 1)
    assert "1 updated" in done.out
    listed = len(changed.sandbox.received)
    again = changed.type(f"{UPDATE} --yes --json")
    assert again.code == 0
    result = json.loads(again.out.splitlines()[-1])
    names = ("updated", "already", "conflicts", "not_cleared", "missing", "in_doubt")
    assert [result[name] for name in names] == [0] * 6
    assert "Next: migrator verify" in changed.type("report").out
    # It asks whether the client is there, and lists nothing.
    assert len(changed.sandbox.received) - listed <= 2


def test_a_conflict_is_left_for_a_person_with_exit_code_1(changed: InProcessCli) -> None:
    one = first(changed)
    ((lead_id,),) = changed.ask(f"SELECT lead_id FROM contact WHERE hubspot_id = '{one}'")
    changed.sandbox.change_lead(lead_id, title="Boss")
    done = changed.type(f"{UPDATE} --yes")
    assert done.code == 1
    assert "1 in conflict" in done.out
    done = changed.type(f"{UPDATE} --yes {one} --prefer hubspot")
    assert (done.code, puts(changed)) == (0, 1)


def test_only_those_that_are_named_are_written(changed: InProcessCli) -> None:
    other = next(
        one
        for (one,) in changed.ask("SELECT hubspot_id FROM contact WHERE lead_id IS NOT NULL")
        if one != first(changed)
    )
    assert changed.type(f"{UPDATE} --yes {other}").code == 0
    assert puts(changed) == 0
    assert changed.type(f"{UPDATE} --yes nobody@x.example").code == 2


def test_a_rate_that_is_too_low_for_looks_is_refused(changed: InProcessCli) -> None:
    done = changed.type("undo --all --yes --rate 1")
    assert done.code == 2
    assert "--rate 1 is too low" in done.err
