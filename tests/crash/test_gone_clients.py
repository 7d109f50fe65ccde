"""A client that somebody deletes while leads go to it, whether the service then says so or not."""

import json
from functools import partial

import pytest

from migrator.errors import ExitCode
from migrator.push.loop import LEADS_BETWEEN_CHECKS
from tests.support.inprocess_cli import PUSH, RESUME, VERIFY, InProcessCli, after_leads, stops, when
from tests.support.processes import Operator

MANY = 2 * LEADS_BETWEEN_CHECKS + 150
GONE = "LeadGenius no longer lists the client historic-contacts for this login: it was deleted"
AGAIN = "next: migrator clients, to see whose login it is; only if the client was deleted"


@pytest.fixture
def shell(sandbox, tmp_path, monkeypatch, capsys):
    operator = Operator(tmp_path, sandbox(contacts=40))
    operator.stage()
    return InProcessCli(tmp_path, operator.sandbox, monkeypatch, capsys)


@pytest.fixture
def crowded(sandbox, tmp_path, monkeypatch, capsys):
    operator = Operator(tmp_path, sandbox(contacts=MANY))
    operator.stage()
    return InProcessCli(tmp_path, operator.sandbox, monkeypatch, capsys)


def posts(shell: InProcessCli) -> int:
    return sum((one.method, one.path) == ("POST", "/api/leads") for one in shell.sandbox.received)


def test_a_client_that_is_not_found_any_more_stops_the_push_at_once(crowded):
    crowded.sandbox.calm()
    after_leads(crowded.sandbox, 10, lambda: crowded.sandbox.delete_client(takes_leads=False))
    stops(crowded.type(PUSH), ExitCode.NOT_READY, GONE, AGAIN)
    assert posts(crowded) < 40
    assert crowded.count("held = 'gave_up'") == 0


def test_a_client_that_takes_leads_into_the_void_is_noticed_soon(crowded):
    after_leads(crowded.sandbox, 10, lambda: crowded.sandbox.delete_client(takes_leads=True))
    stops(crowded.type(PUSH), ExitCode.NOT_READY, GONE, AGAIN)
    assert posts(crowded) < LEADS_BETWEEN_CHECKS + 100


def test_looking_whether_the_client_is_there_costs_one_request_in_a_hundred(crowded):
    assert crowded.type(PUSH).code == 0
    looks = sum(one.path == "/api/clients" for one in crowded.sandbox.received)
    # One before the first lead, one with the first listing and one after the last lead.
    assert 3 < looks <= 3 + posts(crowded) / 100


def test_a_client_that_goes_with_the_last_lead_is_noticed_at_the_end(shell):
    last = sum(one.lead is not None for one in shell.sandbox.expected())
    after_leads(shell.sandbox, last - 1, lambda: shell.sandbox.delete_client(takes_leads=True))
    stops(shell.type(PUSH), ExitCode.NOT_READY, GONE, AGAIN)


@pytest.mark.parametrize(("status", "told"), [(503, {}), (403, {}), (429, {"Retry-After": "3600"})])
def test_nothing_else_that_fails_at_the_end_spoils_a_push_that_has_sent_all(shell, status, told):
    last = sum(one.lead is not None for one in shell.sandbox.expected())
    fail = partial(shell.sandbox.outage, "/api/clients", status, b"", told)
    after_leads(shell.sandbox, last - 1, fail)
    assert shell.type(PUSH).code == 0
    shell.sandbox.calm()


def test_an_empty_list_of_a_client_that_is_gone_settles_nothing(shell):
    shell.sandbox.fault("drop_after_saving", times=3)
    after_leads(shell.sandbox, 5, lambda: shell.sandbox.delete_client(takes_leads=True))
    stops(shell.type(PUSH), ExitCode.NOT_READY, GONE, AGAIN)
    outcomes = dict(shell.ask("SELECT outcome, count(*) FROM attempt GROUP BY 1"))
    assert (outcomes[None], outcomes.get("absent")) == (3, None)


def test_leads_of_a_client_that_is_gone_are_not_called_missing(shell):
    assert shell.type(PUSH).code == 0
    when(
        shell.sandbox,
        lambda: shell.sandbox.received[-1].path == "/api/leads",
        lambda: shell.sandbox.delete_client(takes_leads=True),
    )
    stops(shell.type(VERIFY), ExitCode.NOT_READY, GONE, AGAIN)
    assert shell.count("held = 'missing'") == 0


@pytest.mark.parametrize("command", [PUSH, RESUME, VERIFY])
def test_every_command_says_so_afterwards(shell, command):
    assert shell.type(PUSH).code == 0
    shell.sandbox.delete_client(takes_leads=True)
    stops(shell.type(command), ExitCode.NOT_READY, GONE, AGAIN)


def test_a_new_client_and_a_new_ledger_are_the_way_on(shell):
    after_leads(shell.sandbox, 10, lambda: shell.sandbox.delete_client(takes_leads=True))
    stops(shell.type(PUSH), ExitCode.NOT_READY, GONE, AGAIN)
    (created,) = json.loads(shell.type("clients --create Again --json").out)
    client_id = created["client_id"]
    assert shell.type("stage --ledger new.db").code == 0
    rest = f"--ledger new.db --client-id {client_id}"
    assert shell.type(f"{PUSH} {rest}").code == 0
    assert shell.type(f"{VERIFY} {rest}").code == 0
    there = {lead["email"] for lead in shell.sandbox.leads(client_id)}
    wanted = [one.lead["email"] for one in shell.sandbox.expected() if one.lead]
    assert len(shell.sandbox.leads(client_id)) == len(wanted)
    assert there == set(wanted)
