"""Logins that are taken in and told of, and clients that are listed, created and chosen."""

import io
import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from migrator.errors import ExitCode
from migrator.ledger import Ledger
from migrator.ledger.runs import Runs
from migrator.ledger_errors import LedgerProblem, ledger_error
from tests.integration.test_terminal import read
from tests.support.inprocess_cli import PUSH, InProcessCli, stops
from tests.support.processes import Operator, kill

PASSWORD = "sandbox-password-not-a-secret"
HUBSPOT_S = "pat-na1-0000-4000-secret"


@pytest.fixture
def shell(sandbox, tmp_path, monkeypatch, capsys):
    shell = InProcessCli(tmp_path, sandbox(contacts=12), monkeypatch, capsys)
    monkeypatch.delenv("LEADGENIUS_CLIENT_ID")
    return shell


@pytest.fixture
def stranger(shell, monkeypatch):
    """Nobody's login is configured."""
    monkeypatch.delenv("LEADGENIUS_EMAIL")
    monkeypatch.delenv("LEADGENIUS_PASSWORD")
    return shell


class Keyboard(io.StringIO):
    """A terminal, as far as anybody asks; a password never comes this way."""

    def isatty(self) -> bool:
        return True


def piped(patch: pytest.MonkeyPatch, data: bytes | str) -> None:
    raw = data.encode() if isinstance(data, str) else data
    patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8"))


def kept(shell: InProcessCli) -> dict[str, Any]:
    return dict(json.loads((shell.folder / "auth.json").read_text()))


def keep(shell: InProcessCli, **document: Any) -> None:
    (shell.folder / "auth.json").write_text(json.dumps(document))


def status(shell: InProcessCli) -> dict[str, Any]:
    return dict(json.loads(shell.type("auth --status --json").out))


# Logging in


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_script_pipes_the_password_in(stranger, monkeypatch, end):
    piped(monkeypatch, PASSWORD + end)
    done = stranger.type(f"auth --email {stranger.sandbox.email} --password-stdin")
    assert done.code == ExitCode.DONE, done
    assert done.out.startswith(f"{stranger.sandbox.email} is logged in; the token is in ")
    assert kept(stranger)["email"] == stranger.sandbox.email
    assert PASSWORD not in done.out + done.err


def test_a_piped_password_goes_before_the_one_of_the_environment(shell, monkeypatch):
    monkeypatch.setenv("LEADGENIUS_PASSWORD", "of-yesterday")
    piped(monkeypatch, PASSWORD)
    assert shell.type("auth --password-stdin").code == ExitCode.DONE


def test_the_password_of_one_email_is_not_tried_for_another(shell, monkeypatch):
    piped(monkeypatch, "")
    words = "There is no terminal to ask for the password on."
    stops(shell.type("auth --email eve@example.com"), ExitCode.NOT_READY, words, "-stdin")
    assert not shell.sandbox.received


def test_without_a_terminal_it_says_what_scripts_do(stranger, monkeypatch):
    piped(monkeypatch, "")
    words = "LEADGENIUS_EMAIL and LEADGENIUS_PASSWORD, or: migrator auth --email"
    stops(stranger.type("auth"), ExitCode.NOT_READY, "no terminal to ask for the login on", words)


def test_a_password_is_not_piped_in_by_a_terminal_that_would_show_it(shell, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Keyboard(PASSWORD))
    stops(shell.type("auth --password-stdin"), ExitCode.USAGE, "would show the password")
    assert not shell.sandbox.received


@pytest.mark.parametrize("data", [b"\xff\xfe\x00 secret", b"x" * 5000])
def test_what_is_piped_in_and_is_no_password_is_not_shown(shell, monkeypatch, data):
    piped(monkeypatch, data)
    result = shell.type("auth --password-stdin")
    stops(result, ExitCode.NOT_READY, "Standard input is not a password")
    assert "secret" not in result.err
    assert "xxx" not in result.err


@pytest.mark.parametrize("text", ["", "\n"])
def test_nothing_piped_in_is_no_password(shell, monkeypatch, text):
    piped(monkeypatch, text)
    stops(shell.type("auth --password-stdin"), ExitCode.NOT_READY, "no password on")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("auth --email a@b.example", "no terminal to ask for the password on"),
        ("auth --password-stdin", "no password on standard input"),
    ],
)
def test_without_a_standard_input_there_is_no_password(shell, monkeypatch, words, why):
    monkeypatch.setattr(sys, "stdin", None)
    stops(shell.type(words), ExitCode.NOT_READY, why)


def test_a_token_of_hubspot_is_not_sent_to_leadgenius_as_a_password(shell, monkeypatch):
    piped(monkeypatch, HUBSPOT_S)
    result = shell.type("auth --password-stdin")
    stops(result, ExitCode.NOT_READY, "is an access token of HubSpot", "are the two swapped?")
    assert HUBSPOT_S not in result.err
    assert not shell.sandbox.received


def test_a_password_is_asked_for_and_never_echoed(tmp_path, sandbox):
    operator = Operator(tmp_path, sandbox(contacts=1))
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*operator.command, "auth"],
        cwd=tmp_path,
        env=operator.environment(LEADGENIUS_EMAIL="", LEADGENIUS_PASSWORD=""),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        start_new_session=True,
    )
    os.close(theirs)
    told = b""
    try:
        for prompt, line in ((b"e-mail: ", operator.sandbox.email), (b"password: ", PASSWORD)):
            while prompt not in told:
                told += read(ours)
            os.write(ours, f"{line}\n".encode())
        out, _ = process.communicate(timeout=30)
        told += read(ours)
    finally:
        kill(process)
        os.close(ours)
    assert process.returncode == ExitCode.DONE, told
    assert PASSWORD not in told.decode() + out
    assert out.startswith(operator.sandbox.email)  # and nothing of the prompts


# Whose login is kept


def test_a_kept_login_is_told_of_without_a_request(shell):
    assert shell.type("auth").code == ExitCode.DONE
    before = len(shell.sandbox.received)
    shown = shell.type("auth --status")
    assert shown.code == ExitCode.DONE
    for one in (shell.sandbox.email, shell.sandbox.url, "auth.json", "59 min left", "refresh"):
        assert one in shown.out
    assert len(shell.sandbox.received) == before


def test_the_status_for_machines_has_its_times_in_utc_and_no_secret(shell):
    assert shell.type("auth").code == ExitCode.DONE
    result = shell.type("auth --status --json")
    found = json.loads(result.out)
    left = datetime.fromisoformat(found["expires_at"]) - datetime.now(UTC)
    assert 3500 < left.total_seconds() <= 3600
    assert (found["usable"], found["kind"]) == (True, "token")
    assert found["renewed_by"] == ["refresh_token", "login"]
    for secret in (PASSWORD, "eyJ", "sandbox-refresh"):
        assert secret not in result.out


@pytest.mark.parametrize(
    ("document", "usable", "words"),
    [
        ({}, False, "There is no login for LeadGenius."),
        ({"token": "no-jwt"}, False, "nothing can renew it"),
        ({"token": "no-jwt", "refresh_token": "r"}, True, ""),
        ({"token": "eyJhbGciOiAieCJ9.eyJleHAiOiAxfQ.x"}, False, "nothing can renew it"),
        ({"token": "eyJhbGciOiAieCJ9.eyJleHAiOiAxfQ.x", "refresh_token": "r"}, True, ""),
        ({"api_key": "lgp_1", "user_id": "me"}, True, ""),
    ],
)
def test_what_is_kept_is_usable_or_the_next_command_is_told(stranger, document, usable, words):
    keep(stranger, **document)
    result = stranger.type("auth --status")
    assert result.code == (ExitCode.DONE if usable else ExitCode.NOT_READY)
    assert words in result.err
    assert ("next: migrator auth" in result.err) is not usable


@pytest.mark.parametrize("token", ["no-jwt", "eyJ.eyJ.eyJ", "eyJhbGciOiAieCJ9.eyJleHAiOiAiaiJ9.x"])
def test_a_token_that_does_not_tell_when_it_ends_is_called_unknown(shell, token):
    keep(shell, token=token)
    assert "its expiry is unknown" in shell.type("auth --status").out
    assert status(shell)["expires_at"] is None


def test_a_token_of_a_year_that_no_calendar_has_is_no_bug(shell):
    keep(shell, token="eyJhbGciOiAieCJ9.eyJleHAiOiAxZTMwfQ.x")
    assert "an impossible time" in shell.type("auth --status").out
    assert status(shell)["expires_at"] is None


def test_a_login_of_another_host_is_said_not_to_be_used(stranger):
    keep(stranger, token="theirs", base_url="https://elsewhere.example")
    result = stranger.type("auth --status")
    assert result.code == ExitCode.NOT_READY
    assert "(not used: it is of another host or account)" in result.out


# Clients


def listed(shell: InProcessCli) -> dict[str, Any]:
    return {one["client_id"]: one for one in json.loads(shell.type("clients --json").out)}


def test_clients_are_a_table_of_names_ids_and_descriptions(shell):
    shell.type(["clients", "--create", "Acme", "--description", "of 2026"])
    rows = [line.split("  ") for line in shell.type("clients").out.splitlines()]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert cells == [
        ["NAME", "CLIENT_ID", "PUSH", "DESCRIPTION"],
        ["Historic Contacts", "historic-contacts"],
        ["Acme", "acme", "chosen", "of 2026"],
    ]


def test_leads_are_counted_really_and_only_on_request(shell):
    for number in range(3):
        shell.sandbox.add_lead({"email": f"{number}@x.example"})
    assert "leads" not in listed(shell)["historic-contacts"]
    assert "/api/leads" not in [one.path for one in shell.sandbox.received]
    shell.type("clients --create Empty")
    found = json.loads(shell.type("clients --count --json").out)
    assert {one["client_id"]: one["leads"] for one in found} == {"historic-contacts": 3, "empty": 0}


def test_a_long_count_is_told_of_on_the_way(shell):
    shell.sandbox.fault("empty_page", times=10)
    assert "historic-contacts: 0 leads so far" in shell.type("clients --count").err


def test_a_created_client_is_the_one_that_the_first_push_takes(shell):
    made = shell.type("clients --create Acme")
    assert made.code == ExitCode.DONE
    assert "migrator.db remembers the client acme" in made.err
    assert shell.type("stage").code == ExitCode.DONE
    assert shell.type(PUSH).code == ExitCode.DONE
    assert {lead["client_id"] for lead in shell.sandbox.held} == {"acme"}
    assert listed(shell)["acme"]["push"] == "bound"


def test_the_ledger_that_is_made_for_a_choice_is_its_owners_alone(shell):
    shell.type("clients --use historic-contacts")
    assert (shell.folder / "migrator.db").stat().st_mode & 0o777 == 0o600
    assert listed(shell)["historic-contacts"]["push"] == "chosen"


def test_a_client_that_is_named_goes_before_the_chosen_one(shell, monkeypatch):
    shell.type("clients --create Acme")
    monkeypatch.setenv("LEADGENIUS_CLIENT_ID", "historic-contacts")
    assert "names another one, historic-contacts" in shell.type("clients --use acme").err
    assert listed(shell)["historic-contacts"]["push"] == "named"
    assert shell.type("stage").code == ExitCode.DONE
    assert shell.type(PUSH).code == ExitCode.DONE
    assert {lead["client_id"] for lead in shell.sandbox.held} == {"historic-contacts"}


def test_an_internal_id_is_not_chosen_and_the_right_one_is_named(shell):
    result = shell.type(f"clients --use {shell.sandbox.client_internal_id}")
    words = "next: migrator clients --use historic-contacts"
    stops(result, ExitCode.USAGE, "is the internal id of the client", "invisible", words)
    assert not (shell.folder / "migrator.db").exists()


def test_a_client_that_does_not_exist_is_not_chosen(shell):
    words = "next: migrator clients --use with one of: historic-contacts (Historic Contacts)"
    stops(shell.type("clients --use nowhere"), ExitCode.NOT_READY, "no client", words)
    assert not (shell.folder / "migrator.db").exists()


@pytest.mark.parametrize("name", ["Historic Contacts", "historic contacts "])
def test_no_second_client_of_a_name_is_created(shell, name):
    result = shell.type(["clients", "--create", name])
    words = "next: migrator clients --use historic-contacts"
    stops(result, ExitCode.NOT_READY, "There is a client 'Historic Contacts' already", words)
    assert len(listed(shell)) == 1


def test_a_name_of_nothing_is_no_name(shell):
    stops(shell.type(["clients", "--create", " "]), ExitCode.USAGE, "needs a name")
    assert not shell.sandbox.received


def test_a_description_alone_creates_nothing(shell):
    stops(shell.type("clients --description x"), ExitCode.USAGE, "of a client to create")


@pytest.fixture
def bound(shell):
    with Ledger.open_for_work(shell.folder / "migrator.db") as ledger:
        ledger.runs.bind(
            portal_id=shell.sandbox.portal_id,
            leadgenius_url=shell.sandbox.url,
            client_id=shell.sandbox.client_id,
        )
    return shell


def test_a_bound_ledger_takes_no_other_client(bound):
    bound.sandbox.create_client("Acme")
    result = bound.type("clients --use acme")
    words = "belongs to the client_id historic-contacts, not to acme"
    stops(result, ExitCode.LEDGER, words, "begin another ledger with --ledger")
    assert not bound.sandbox.received


def test_a_client_can_be_created_beside_a_bound_ledger_which_stays_as_it_is(bound):
    made = bound.type("clients --create Acme")
    assert made.code == ExitCode.DONE
    assert "stays with its own client, historic-contacts" in made.err
    assert "migrator clients --use acme --ledger NEW.db" in made.err
    assert listed(bound)["historic-contacts"]["push"] == "bound"


def test_to_choose_the_client_that_it_is_bound_to_changes_nothing(bound):
    done = bound.type("clients --use historic-contacts")
    assert done.code == ExitCode.DONE
    assert "is bound to the client historic-contacts already" in done.err


def test_a_client_that_is_created_but_not_remembered_is_not_taken_for_a_failure(shell):
    (shell.folder / "migrator.db.lock").write_text("of something else")
    result = shell.type("clients --create Acme")
    words = "The client acme is created, but not remembered."
    stops(result, ExitCode.LEDGER, words, "then: migrator clients --use acme")
    assert "acme" in listed(shell)


def test_a_client_that_a_full_disk_forgets_is_not_to_be_created_again(shell, monkeypatch):
    def full(self: Runs, client_id: str) -> None:
        raise ledger_error(LedgerProblem.DISK_FULL, shell.folder / "migrator.db")

    monkeypatch.setattr(Runs, "choose_client", full)
    words = "next: free some space, then migrator clients --use acme; nothing"
    stops(shell.type("clients --create Acme"), ExitCode.LEDGER, words)


def test_a_choice_waits_for_nobody_who_works_on_the_ledger(shell):
    with Ledger.open_for_work(shell.folder / "migrator.db"):
        stops(shell.type("clients --use historic-contacts"), ExitCode.BUSY, "Another process")


def test_clients_are_listed_beside_a_ledger_that_cannot_be_read(shell):
    (shell.folder / "migrator.db").write_text("no ledger at all, by any means, whatever it says")
    result = shell.type("clients")
    assert result.code == ExitCode.DONE
    assert "The ledger cannot tell which one is chosen" in result.err
    assert "historic-contacts" in result.out


def test_an_account_without_clients_says_what_to_type(shell):
    shell.sandbox.delete_client(takes_leads=False)
    result = shell.type("clients")
    assert (result.code, result.out) == (ExitCode.DONE, "")
    assert "migrator clients --create" in result.err


def test_a_wide_name_moves_no_column(shell):
    shell.sandbox.create_client("日本語")
    shell.sandbox.create_client("Ada")
    lines = shell.type("clients").out.splitlines()
    assert lines[2].startswith("日本語             client")
    assert lines[3].startswith("Ada                ada")


def test_on_a_terminal_a_long_description_is_cut_and_in_a_pipe_it_is_whole(shell, monkeypatch):
    shell.type(["clients", "--create", "Acme", "--description", "long " * 40])
    assert "long " * 39 + "long" in shell.type("clients").out
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    line = shell.type("clients").out.splitlines()[2]
    assert len(line) == 80
    assert line.endswith("...")
    monkeypatch.setenv("COLUMNS", "1")
    assert shell.type("clients").out.splitlines()[2] == "..."
