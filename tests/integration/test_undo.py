"""
Leads taken back: those that this ledger created and that are as it left them, and no others.

The sandbox's record is the judge: what it says of the deletes of this tool, and which requests it
received.
"""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.support.inprocess_cli import PUSH, SETTLE, VERIFY, InProcessCli, after_leads
from tests.support.journeys import contact
from tests.support.processes import Gate, Operator, Result, ended, kill

UNDO = f"undo --rate max --workers 4 --settle {SETTLE} --timeout 2 --retry-for 0 --json"


def told(result: Result) -> dict[str, Any]:
    """The result as JSON."""
    assert result.out, result.err
    found: dict[str, Any] = json.loads(result.out.splitlines()[-1])
    return found


def undo(shell: InProcessCli, words: str, code: int = 0) -> dict[str, Any]:
    result = shell.type(f"{UNDO} --yes {words}")
    assert result.code == code, (result.out, result.err)
    return told(result)


def lead_of(shell: InProcessCli, hubspot_id: str) -> str:
    """The id of the newest lead that a send of a contact created."""
    return str(
        shell.ask(
            "SELECT attempt.lead_id FROM attempt JOIN contact ON key = contact_key "
            f"WHERE hubspot_id = '{hubspot_id}' AND kind = 'create' "
            "AND outcome IN ('created', 'found') ORDER BY number DESC"
        )[0][0]
    )


def stands(shell: InProcessCli) -> dict[str, tuple[str, str | None]]:
    """State and hold of each contact."""
    rows = shell.ask("SELECT hubspot_id, state, held FROM contact ORDER BY key")
    return {one: (state, held) for one, state, held in rows}


def deletes(shell: InProcessCli) -> int:
    """How many deletes the sandbox has received."""
    return sum((one.method, one.path) == ("DELETE", "/api/leads") for one in shell.sandbox.received)


def there(shell: InProcessCli) -> set[str]:
    """The ids of the leads in use."""
    return {str(lead["id"]) for lead in shell.sandbox.held if lead.get("status") != "to_be_deleted"}


def harmless(shell: InProcessCli) -> None:
    """Nothing of a person's was deleted, by the sandbox's record."""
    lost = shell.sandbox.verdict().edits
    assert not (lost.deleted_edited or lost.deleted_unseen or lost.deleted_foreign)


def kept(result: dict[str, Any]) -> dict[str, str]:
    """Why each contact's lead was kept."""
    return {one["contact"]: one["why"] for one in result["kept"]}


def line(shell: InProcessCli, hubspot_id: str) -> str:
    return f"[HubSpot record: {shell.sandbox.portal_id}/{hubspot_id}]"


def on_listing(shell: InProcessCli, number: int, act: Callable[[], object]) -> None:
    """Do something when a page of leads is requested for the so-manieth time from now on."""
    pages: list[object] = []

    def watch(query: dict[str, Any]) -> bool:
        pages.append(query)
        if len(pages) == number:
            act()
        return False

    shell.sandbox.fault("list_error", where=watch)


@pytest.fixture
def pushed(three):
    done = three.type(PUSH)
    assert done.code == 0, done
    return three


# What is taken back


def test_all_of_ours_are_deleted_and_held_as_undone(pushed):
    leads = {lead_of(pushed, one) for one in "123"}
    result = undo(pushed, "--all")
    assert (result["deleted"], result["kept"], result["already_gone"]) == (3, [], 0)
    assert stands(pushed) == dict.fromkeys("123", ("mapped", "undone"))
    assert there(pushed) == set()
    assert {lead for (lead,) in pushed.ask("SELECT lead_id FROM former_lead")} == leads
    harmless(pushed)


def test_verified_ones_too(pushed):
    pushed.type(f"verify --settle {SETTLE}")
    assert stands(pushed)["1"] == ("verified", None)
    assert undo(pushed, "--all")["deleted"] == 3


def test_only_the_named_contacts(pushed):
    lead = lead_of(pushed, "2")
    assert undo(pushed, "ada2@x.example")["deleted"] == 1
    assert lead not in there(pushed)
    assert len(there(pushed)) == 2
    assert stands(pushed)["1"] == ("posted", None)


def test_an_email_names_the_contact_that_has_it_now(pushed):
    """Two contacts exchange their e-mails, in HubSpot and in LeadGenius."""
    for one, other in (("1", "2"), ("2", "1")):
        pushed.sandbox.change_contact(one, email=f"ada{other}@x.example")
        pushed.sandbox.change_lead(lead_of(pushed, one), email=f"ada{other}@x.example")
    assert pushed.type("stage").code == 0
    assert pushed.type(f"update --settle {SETTLE} --yes").out.startswith("0 updated · 2 there")
    undo(pushed, "ada2@x.example")
    assert there(pushed) == {lead_of(pushed, one) for one in "23"}
    assert stands(pushed)["1"] == ("mapped", "undone")


def test_only_what_a_run_created(three):
    three.type(f"{PUSH} --limit 1")
    three.type(PUSH)
    (first,) = three.ask("SELECT min(run_id) FROM attempt")[0]
    assert undo(three, f"--run {first}")["deleted"] == 1
    assert len(there(three)) == 2
    assert three.type(f"{UNDO} --yes --run 99").code == 2


def test_a_second_undo_sends_nothing(pushed):
    undo(pushed, "--all")
    before = deletes(pushed)
    result = undo(pushed, "--all")
    assert (result["deleted"], result["already_gone"], result["kept"]) == (0, 0, [])
    assert deletes(pushed) == before


@pytest.mark.parametrize("quirk", [None, "marked_deletes", "hidden_deletes"])
def test_what_is_undone_can_be_sent_again_once(pushed, quirk):
    if quirk:
        pushed.sandbox.change_quirks(quirk)
    undo(pushed, "1 2")
    assert stands(pushed)["1"] == ("mapped", "undone")
    pushed.type(PUSH)
    assert len(there(pushed)) == 1  # nothing is sent by itself
    assert pushed.type("retry --reason undone").code == 0
    assert pushed.type(PUSH).code == 0
    assert len(there(pushed)) == 3
    assert stands(pushed)["1"] == ("posted", None)
    assert pushed.type(f"verify --settle {SETTLE}").code == 0
    harmless(pushed)


# What is kept


def edit(shell: InProcessCli, hubspot_id: str, what: str) -> None:
    sandbox, lead_id = shell.sandbox, lead_of(shell, hubspot_id)
    if what == "edited":
        sandbox.change_lead(lead_id, firstName="Augusta")
    elif what == "status_changed":
        sandbox.change_lead(lead_id, status="contacted")
    elif what == "notes_added":
        sandbox.append_note(lead_id, "Called her on Monday")
    elif what == "no_record_line":
        sandbox.rewrite_note(lead_id, line(shell, hubspot_id), None)
    else:
        sandbox.move_lead(lead_id, sandbox.create_client("Another"))


KEPT = ["edited", "status_changed", "notes_added", "no_record_line", "other_client"]


@pytest.mark.parametrize("why", KEPT)
def test_what_people_changed_is_kept_and_named(pushed, why):
    edit(pushed, "2", why)
    lead = lead_of(pushed, "2")
    result = undo(pushed, "--all", code=1)
    assert kept(result) == {"2": why}
    assert result["deleted"] == 2
    assert lead in there(pushed)
    assert stands(pushed)["2"] == ("posted", None)
    harmless(pushed)


@pytest.mark.parametrize("why", KEPT[:3])
def test_what_people_change_after_the_first_listing_is_kept_too(pushed, why):
    # The page is read again before it is written: the edit is made between the two.
    on_listing(pushed, 2, lambda: edit(pushed, "2", why))
    result = undo(pushed, "--all", code=1)
    assert kept(result) == {"2": why}
    harmless(pushed)


def test_the_status_that_the_service_gave_is_no_edit(empty):
    empty.sandbox.change_quirks("status_new")
    empty.sandbox.add_contact(contact(1), contact_id="1")
    empty.stage()
    empty.type(PUSH)
    assert undo(empty, "--all")["deleted"] == 1


def test_a_listing_that_hides_fields_keeps_all(pushed):
    pushed.sandbox.change_quirks("short_listing")
    assert set(kept(undo(pushed, "--all", code=1)).values()) == {"not_shown"}
    assert deletes(pushed) == 0


def test_adopted_leads_only_when_asked_for(pushed):
    folder = pushed.folder
    for name in ("migrator.db", "migrator.db.lock"):
        (folder / name).unlink()
    assert pushed.type("stage").code == 0
    assert pushed.type(f"{PUSH} --take-over").code == 0
    assert pushed.ask("SELECT count(*) FROM attempt") == [(0,)]
    assert set(kept(undo(pushed, "--all", code=1)).values()) == {"adopted"}
    assert deletes(pushed) == 0
    assert undo(pushed, "--all --adopted")["deleted"] == 3


def test_another_lead_with_the_same_email_stays(three):
    stranger = three.sandbox.add_lead({"email": "bob@x.example", "lastName": "Bob"})
    assert three.type(PUSH).code == 0
    own = lead_of(three, "1")
    three.sandbox.change_lead(stranger, email="ada1@x.example")
    assert undo(three, "1")["deleted"] == 1
    assert stranger in there(three)
    assert own not in there(three)
    harmless(three)


def test_a_lead_that_is_gone_makes_its_contact_undone(pushed):
    pushed.sandbox.delete_lead(lead_of(pushed, "1"))
    result = undo(pushed, "--all")
    assert (result["deleted"], result["already_gone"]) == (2, 1)
    assert stands(pushed)["1"] == ("mapped", "undone")


def test_a_marked_lead_is_gone(pushed):
    pushed.sandbox.change_quirks("marked_deletes")
    pushed.sandbox.delete_lead(lead_of(pushed, "1"))
    result = undo(pushed, "--all")
    assert (result["deleted"], result["already_gone"]) == (2, 1)


# What LeadGenius does wrong


def test_an_answer_alone_proves_no_delete(pushed):
    pushed.sandbox.fault("delete:ignore")
    result = undo(pushed, "1")
    assert result["deleted"] == 1
    assert deletes(pushed) == 2
    assert len(there(pushed)) == 2


def test_a_lead_that_stays_listed_is_deleted_five_times_then_kept(pushed):
    pushed.sandbox.fault("delete:ignore", times=100)
    result = undo(pushed, "1", code=1)
    assert kept(result) == {"1": "still_listed"}
    assert deletes(pushed) == 5
    assert stands(pushed)["1"] == ("posted", None)


def test_an_update_that_is_not_listed_yet_is_no_edit(sandbox, tmp_path, monkeypatch, capsys):
    box = sandbox(contacts=0, read_lag_seconds=SETTLE / 2)
    shell = InProcessCli(tmp_path, box, monkeypatch, capsys)
    for number in range(1, 8):
        shell.sandbox.add_contact(contact(number, jobtitle="Clerk"), contact_id=str(number))
    for words in ("stage", PUSH, VERIFY):
        assert shell.type(words).code == 0
    # The first updates are read back, so only the last one may not be listed yet.
    for changed in ("123456", "7"):
        for one in changed:
            shell.sandbox.change_contact(one, jobtitle="Countess")
        assert shell.type("stage").code == 0
        assert shell.type(f"update --yes --rate max --settle {SETTLE}").code == 0
    result = undo(shell, "--all")
    assert (result["deleted"], result["kept"]) == (7, [])


def test_a_ghost_is_waited_for_and_not_deleted_again(sandbox, tmp_path, monkeypatch, capsys):
    shell = InProcessCli(
        tmp_path, sandbox(contacts=0, ghost_seconds=SETTLE / 2), monkeypatch, capsys
    )
    shell.sandbox.add_contact(contact(1), contact_id="1")
    shell.stage()
    shell.type(PUSH)
    assert undo(shell, "--all")["deleted"] == 1
    assert deletes(shell) == 1


@pytest.mark.parametrize("fault", ["drop_after_saving", "drop_before_saving", "save_late"])
def test_a_delete_in_doubt_is_settled_by_looking(pushed, fault):
    pushed.sandbox.fault(f"delete:{fault}")
    result = undo(pushed, "1")
    assert (result["deleted"], result["in_doubt"]) == (1, 0)
    assert len(there(pushed)) == 2
    assert stands(pushed)["1"] == ("mapped", "undone")


def test_a_delete_in_doubt_is_counted_where_its_contact_stands(pushed):
    # From the delete on nothing can be listed, so it stays in doubt.
    cut = partial(pushed.sandbox.outage, "/api/leads", method="GET")
    pushed.sandbox.fault("delete:drop_after_saving", where=lambda lead: cut() is None)
    assert pushed.type(f"{UNDO} --yes 1").code == 4
    report = json.loads(pushed.type("report --json").out)
    assert report["states"]["posted"] == {"free": 2, "in_doubt": 1, "held": 0, "total": 3}
    assert report["states"]["mapped"] == {"free": 0, "in_doubt": 0, "held": 0, "total": 0}
    assert (report["in_doubt"], report["sums"]["closes"]) == (1, True)
    plan = json.loads(pushed.type("plan --offline --json").out)
    assert [plan[name] for name in ("sendable", "would_send", "in_doubt")] == [0, 0, 1]


def test_a_refused_delete_is_kept(pushed):
    pushed.sandbox.fault("delete:refuse")
    result = undo(pushed, "1", code=1)
    assert kept(result) == {"1": "refused"}
    assert stands(pushed)["1"] == ("posted", None)
    assert undo(pushed, "1")["deleted"] == 1


def test_a_lead_that_is_deleted_meanwhile_is_no_failure(pushed):
    pushed.sandbox.fault("delete:not_found")
    result = undo(pushed, "1")
    # 404 said that it was gone, the listing said that it was not: so it went again.
    assert result["deleted"] == 1
    assert deletes(pushed) == 2


def test_a_send_in_doubt_is_settled_first(three):
    three.sandbox.fault("drop_after_saving", where=lambda lead: lead["email"] == "ada1@x.example")
    after_leads(three.sandbox, 1, lambda: three.sandbox.outage("/api/leads", method="GET"))
    assert three.type(PUSH).code == 4
    three.sandbox.calm()
    assert three.ask("SELECT count(*) FROM attempt WHERE outcome IS NULL") != [(0,)]
    assert undo(three, "--all")["in_doubt"] == 0
    assert there(three) == set()
    assert stands(three)["1"] == ("mapped", "undone")


def test_a_service_that_is_down_stops_it_and_it_can_be_repeated(pushed):
    pushed.sandbox.outage("/api", 503)
    assert pushed.type(f"{UNDO} --yes --all").code == 4
    pushed.sandbox.calm()
    assert undo(pushed, "--all")["deleted"] == 3


def test_the_views_know_of_it(pushed):
    undo(pushed, "1")
    shown = pushed.type("show 1")
    assert "deleted: " in shown.out
    report = pushed.type("report")
    assert "1   undone" in report.out
    assert pushed.type("report --html page.html").code == 0


# Before anything is deleted


def test_a_dry_run_deletes_nothing(pushed):
    edit(pushed, "3", "edited")
    result = pushed.type(f"{UNDO} --dry-run --all")
    assert result.code == 0
    found = told(result)
    assert (found["to_delete"], found["deleted"], kept(found)) == (2, 0, {"3": "edited"})
    assert deletes(pushed) == 0
    assert stands(pushed)["1"] == ("posted", None)


def test_what_would_be_deleted_is_shown_in_words(pushed):
    edit(pushed, "3", "edited")
    shown = pushed.type(UNDO.replace(" --json", "") + " --dry-run --all")
    assert lead_of(pushed, "1") in shown.err
    assert "it was edited in LeadGenius" in shown.err
    assert "2 leads to delete · 1 to keep" in shown.out


@pytest.mark.parametrize("words", ["--all", "", "--yes", "--all 1 --yes", "--all --gone --yes"])
def test_what_is_not_clear_is_refused(pushed, words):
    assert pushed.type(f"{UNDO} {words}").code == 2
    assert deletes(pushed) == 0


# Several leads of one contact


def copy_of(shell: InProcessCli, hubspot_id: str, **changes: Any) -> str:
    """A second lead of a contact, as one that arrived very late."""
    own = next(lead for lead in shell.sandbox.held if str(lead["id"]) == lead_of(shell, hubspot_id))
    values = {name: value for name, value in own.items() if name != "id"}
    return str(shell.sandbox.add_lead({**values, **changes}))


def test_of_several_leads_the_ledgers_own_stays(pushed):
    own = lead_of(pushed, "2")
    further = {copy_of(pushed, "2"), copy_of(pushed, "2")}
    assert pushed.type(f"verify --settle {SETTLE}").code == 1
    assert stands(pushed)["2"][1] == "doubled"
    result = undo(pushed, "--doubled")
    assert result["deleted"] == 2
    assert not further & there(pushed)
    assert own in there(pushed)
    assert stands(pushed)["2"] == ("verified", None)
    assert pushed.type(f"verify --settle {SETTLE}").code == 0


def test_an_edited_further_lead_is_kept(pushed):
    further = copy_of(pushed, "2", firstName="Augusta")
    result = undo(pushed, "--doubled", code=1)
    assert result["kept"] == [{"contact": "2", "lead": further, "why": "edited"}]
    assert deletes(pushed) == 0


def test_without_its_own_the_oldest_lead_stays(pushed):
    own = lead_of(pushed, "2")
    young = copy_of(pushed, "2", createdAt="2031-01-01T00:00:00Z")
    old = copy_of(pushed, "2", createdAt="2030-01-01T00:00:00Z")
    pushed.sandbox.delete_lead(own)
    assert undo(pushed, "--doubled")["deleted"] == 1
    assert old in there(pushed)
    assert young not in there(pushed)
    assert pushed.ask("SELECT lead_id FROM contact WHERE hubspot_id = '2'") == [(old,)]


def test_a_further_lead_stays_if_the_own_one_goes_in_the_last_moment(pushed):
    further = copy_of(pushed, "2")
    undo(pushed, "--dry-run --doubled")  # the copy is foreign at first, and noted
    on_listing(pushed, 2, lambda: pushed.sandbox.delete_lead(lead_of(pushed, "2")))
    result = undo(pushed, "--doubled", code=1)
    assert result["kept"] == [{"contact": "2", "lead": further, "why": "own_not_listed"}]
    assert further in there(pushed)


@pytest.fixture
def paged(sandbox, tmp_path, monkeypatch, capsys):
    """Six contacts were sent, and a page of the listing has one lead."""
    shell = InProcessCli(tmp_path, sandbox(contacts=0, page_limit=1), monkeypatch, capsys)
    for number in range(1, 7):
        shell.sandbox.add_contact(contact(number), contact_id=str(number))
    shell.stage()
    assert shell.type(PUSH).code == 0
    return shell


def test_each_lead_is_looked_at_on_its_own_page(paged):
    edit(paged, "4", "edited")
    assert kept(undo(paged, "--all", code=1)) == {"4": "edited"}
    assert there(paged) == {lead_of(paged, "4")}
    harmless(paged)


def test_own_and_further_leads_may_stand_on_different_pages(paged):
    further = [copy_of(paged, one) for one in "1223"]
    result = undo(paged, "--doubled")
    assert result["deleted"] == 4
    assert there(paged) == {lead_of(paged, one) for one in "123456"}
    assert not there(paged) & set(further)


# Contacts that HubSpot no longer has


@pytest.fixture
def erased(pushed):
    pushed.sandbox.erase_contact("2")
    assert pushed.type("stage").code == 0
    assert pushed.ask("SELECT gone FROM contact WHERE hubspot_id = '2'") == [("unknown",)]
    return pushed


def test_leads_of_contacts_that_are_gone(erased):
    lead = lead_of(erased, "2")
    assert undo(erased, "--gone")["deleted"] == 1
    assert lead not in there(erased)
    assert stands(erased) == {
        "1": ("posted", None),
        "2": ("mapped", "gone"),
        "3": ("posted", None),
    }
    erased.type("retry --reason gone")
    assert erased.type(PUSH).code == 0
    assert len(there(erased)) == 2


def test_a_contact_that_is_back_is_kept(pushed):
    pushed.sandbox.remove_contact("2")
    pushed.type("stage")
    pushed.sandbox.restore_contact("2")
    shown = told(pushed.type(f"{UNDO} --dry-run --gone"))
    assert (shown["to_delete"], kept(shown)) == (0, {"2": "back_at_hubspot"})
    assert kept(undo(pushed, "--gone", code=1)) == {"2": "back_at_hubspot"}
    assert deletes(pushed) == 0


def test_after_a_merge_the_successor_keeps_its_own_lead_and_the_other_goes(pushed):
    pushed.sandbox.merge_contacts("1", "2")
    assert pushed.type("stage").code == 0
    (new,) = pushed.ask("SELECT hubspot_id FROM contact WHERE key = 4")[0]
    assert pushed.ask("SELECT succeeded_by FROM contact WHERE key = 1") == [(4,)]
    first, second = lead_of(pushed, "1"), lead_of(pushed, "2")
    assert undo(pushed, "--gone")["deleted"] == 1
    assert second not in there(pushed)
    # Not updated yet, it carries the record line of the first one, whose send created it.
    assert undo(pushed, str(new))["deleted"] == 1
    assert first not in there(pushed)
    assert stands(pushed)[new] == ("mapped", "undone")
    harmless(pushed)


def test_what_hubspot_changed_meanwhile_is_mapped_again_before_it_is_sent(pushed):
    pushed.sandbox.change_contact("2", lastname="King")
    pushed.type("stage")
    undo(pushed, "2")
    pushed.type("retry --reason undone")
    assert stands(pushed)["2"] == ("extracted", None)
    for words in ("stage", PUSH):
        assert pushed.type(words).code == 0
    (lead,) = [one for one in pushed.sandbox.held if str(one["id"]) == lead_of(pushed, "2")]
    assert lead["lastName"] == "King"


def test_what_was_updated_is_still_ours(pushed):
    pushed.sandbox.change_contact("2", lastname="King")
    pushed.type("stage")
    assert pushed.type(f"update --yes --rate max --settle {SETTLE}").code == 0
    assert undo(pushed, "2")["deleted"] == 1
    harmless(pushed)


def test_a_contact_that_comes_back_in_between_is_kept(pushed):
    pushed.sandbox.remove_contact("2")
    pushed.type("stage")
    # The lead was listed, HubSpot asked; before the delete its page is read once more.
    on_listing(pushed, 2, lambda: pushed.sandbox.restore_contact("2"))
    pushed.patch.setattr("migrator.undo.source.LONGEST_LOOK_AT_CLAIM_SECONDS", 0.0)
    assert kept(undo(pushed, "--gone", code=1)) == {"2": "back_at_hubspot"}
    assert deletes(pushed) == 0


@pytest.mark.parametrize("path", ["/crm", "/account-info"])
def test_where_hubspot_cannot_be_asked_nothing_is_deleted(erased, path):
    erased.sandbox.outage(path, 503)
    result = erased.type(f"{UNDO} --yes --gone")
    assert result.code == 3, result
    assert deletes(erased) == 0


# Ended in the middle


def test_a_kill_in_the_middle_is_made_up_for(tmp_path, sandbox):
    operator = Operator(tmp_path, sandbox(contacts=12))
    operator.stage()
    assert operator.run(PUSH).code == 0
    leads = len(operator.sandbox.held)
    gate = Gate(operator, "delete:refuse", lambda: len(operator.sandbox.held) <= leads - 3)
    process = operator.start(f"{UNDO} --yes --all")
    gate.wait()
    kill(process)
    gate.open()
    assert operator.ask("SELECT count(*) FROM attempt WHERE outcome IS NULL")[0][0] > 0
    result = ended(operator.start(f"{UNDO} --yes --all"))
    assert result.code == 0, result
    found = told(result)
    assert (found["kept"], found["in_doubt"]) == ([], 0)
    assert operator.sandbox.held == []
    assert operator.ask("SELECT count(*) FROM contact WHERE lead_id IS NOT NULL") == [(0,)]
    lost = operator.sandbox.verdict().edits
    assert not (lost.deleted_edited or lost.deleted_foreign)


def test_a_kill_before_the_last_listing_leaves_the_proof_to_the_next_one(tmp_path, sandbox):
    operator = Operator(tmp_path, sandbox(contacts=12))
    operator.stage()
    assert operator.run(PUSH).code == 0
    leads = len(operator.sandbox.held)
    gate = Gate(operator, "list_error", lambda: not operator.sandbox.held)
    process = operator.start(f"{UNDO} --yes --all")
    gate.wait()
    kill(process)
    gate.open()
    sent = sum(one.method == "DELETE" for one in operator.sandbox.received)
    found = told(ended(operator.start(f"{UNDO} --yes --all")))
    assert (found["deleted"], found["already_gone"], found["kept"]) == (leads, 0, [])
    assert sum(one.method == "DELETE" for one in operator.sandbox.received) == sent == leads
    assert operator.ask("SELECT count(*) FROM contact WHERE lead_id IS NOT NULL") == [(0,)]
