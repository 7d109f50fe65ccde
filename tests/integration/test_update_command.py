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


def lead_id_of(terminal: InProcessCli, hubspot_id: str) -> str:
    ((one,),) = terminal.ask(f"SELECT lead_id FROM contact WHERE hubspot_id = '{hubspot_id}'")
    return str(one)


def second(terminal: InProcessCli) -> str:
    """Another contact than the first."""
    ((one,),) = terminal.ask(
        f"SELECT max(hubspot_id) FROM contact WHERE hubspot_id <> '{first(terminal)}'"
    )
    return str(one)


def title(terminal: InProcessCli, lead_id: str) -> str:
    return next(str(one["title"]) for one in terminal.sandbox.held if one["id"] == lead_id)


@pytest.fixture
def ignored(changed: InProcessCli) -> InProcessCli:
    """LeadGenius took one update, and took the next one without effect; `verify` named it."""
    assert changed.type(f"{UPDATE} --yes").code == 0
    assert changed.type(VERIFY).code == 0
    changed.sandbox.change_contact(second(changed), jobtitle="Duchess")
    changed.sandbox.fault("update:ignore")
    for words, code in (("stage", 0), (f"{UPDATE} --yes", 0), (VERIFY, 1)):
        assert changed.type(words).code == code
    return changed


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
    changed.sandbox.change_lead(lead_id_of(changed, one), title="Boss")
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


def test_an_update_without_effect_is_different_until_it_is_settled(ignored: InProcessCli) -> None:
    hubspot_id = second(ignored)
    assert ignored.type(VERIFY).code == 1
    assert ignored.type("retry --reason different").code == 0
    assert ignored.type(VERIFY).code == 1
    assert ignored.count(f"hubspot_id = '{hubspot_id}' AND held = 'different'") == 1
    assert ignored.type(f"{UPDATE} --yes --prefer hubspot").code == 0
    assert title(ignored, lead_id_of(ignored, hubspot_id)) == "Duchess"
    assert ignored.type(VERIFY).code == 0
    assert ignored.type("audit").code == 0


def test_an_update_without_effect_is_settled_where_hubspot_takes_its_change_back(
    ignored: InProcessCli,
) -> None:
    hubspot_id = second(ignored)
    had = title(ignored, lead_id_of(ignored, hubspot_id))
    ignored.sandbox.change_contact(hubspot_id, jobtitle=had)
    for words in ("stage", f"{UPDATE} --yes", VERIFY, "audit"):
        assert ignored.type(words).code == 0
    assert ignored.count("edited IS NOT NULL") == 0


def test_what_was_verified_after_an_earlier_update_is_an_edit_beside_one_without_effect(
    ignored: InProcessCli,
) -> None:
    hubspot_id = first(ignored)
    lead_id = lead_id_of(ignored, hubspot_id)
    ((before,),) = ignored.ask(
        f"SELECT before ->> 'title' FROM attempt WHERE lead_id = '{lead_id}' AND kind = 'update'"
    )
    ignored.sandbox.change_lead(lead_id, title=before)
    ignored.sandbox.change_contact(hubspot_id, phone="+44 20 7946 0018")
    ignored.sandbox.fault("update:ignore")
    for words, code in (("stage", 0), (f"{UPDATE} --yes", 0), (VERIFY, 1), (VERIFY, 1)):
        assert ignored.type(words).code == code
    ignored.sandbox.change_lead(lead_id, phone="+44 20 7946 0018")
    ignored.type(VERIFY)
    assert ignored.ask(
        f"SELECT state, held, edited FROM contact WHERE hubspot_id = '{hubspot_id}'"
    ) == [("verified", None, "title")]
