"""The checklist before a migration: each thing is tried, nothing is changed, all of it is told."""

import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from migrator.errors import ExitCode
from migrator.ledger import Ledger
from tests.support.inprocess_cli import PUSH, InProcessCli

HUBSPOT_S = "pat-na1-0000-4000-secret"
JWT = "eyJhbGciOiAieCJ9.eyJleHAiOiAxfQ.secret"


@pytest.fixture
def shell(sandbox, tmp_path, monkeypatch, capsys):
    box = sandbox(contacts=120, hubspot_rate_limit=190)
    return InProcessCli(tmp_path, box, monkeypatch, capsys)


class Found:
    """What a preflight found, by "group name"."""

    def __init__(self, shell: InProcessCli) -> None:
        self.result = shell.type("preflight --json")
        document = json.loads(self.result.out)
        self.ready, self.hubspot = document["ready"], document["hubspot"]
        self.checks = {f"{one['group']} {one['name']}": one for one in document["checks"]}

    @property
    def failed(self) -> list[str]:
        return [name for name, check in self.checks.items() if check["ok"] is False]

    @property
    def skipped(self) -> list[str]:
        return [name for name, check in self.checks.items() if check["ok"] is None]

    def fails(self, name: str, *words: str) -> None:
        """It is the only one that fails, in these words, with a next command."""
        assert self.failed == [name], self.result.out
        assert self.result.code == ExitCode.NOT_READY
        assert not self.ready
        assert f"Not ready: 1 check fails ({name})." in self.result.err
        check = self.checks[name]
        for one in words:
            assert one in f"{check['found']} next: {check['next']}"


def files(folder: Path) -> dict[str, str]:
    """What is in them; SQLite lays two empty ones beside a ledger that is only read."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.stat().st_size and not path.name.endswith("-shm")
    }


# All is well


def test_where_all_is_well_everything_was_tried(shell):
    found = Found(shell)
    assert found.ready
    assert found.result.code == ExitCode.DONE
    assert not found.failed + found.skipped
    methods = {one.path: one.method for one in shell.sandbox.received}
    assert methods == {
        "/account-info/v3/details": "GET",
        "/crm/v3/objects/contacts": "GET",
        "/crm/v3/objects/companies/batch/read": "POST",
        "/crm/v3/objects/contacts/search": "POST",
        "/api/auth": "POST",
        "/api/clients": "GET",
        "/api/leads": "GET",
    }


def test_each_item_of_the_guides_list_has_a_line(shell):
    names = " ".join(Found(shell).checks)
    for item in (
        "LeadGenius login",
        "HubSpot token",
        "LeadGenius client",
        "HubSpot associations",
        "HubSpot companies scope",
        "Rules field names",
        "Rules no empty strings",
        "Rules names",
        "Rules one by one",
        "Rules token refresh",
        "Rules five first",
    ):
        assert item in names


def test_nothing_is_written_anywhere(shell):
    before = files(shell.folder)
    assert Found(shell).ready
    assert files(shell.folder) == before == {}
    assert not list(Path.home().iterdir())
    for words in ("auth", "stage", PUSH):
        assert shell.type(words).code == ExitCode.DONE
    before = files(shell.folder)
    held = len(shell.sandbox.held)
    assert Found(shell).ready
    assert files(shell.folder) == before
    assert len(shell.sandbox.held) == held


def test_it_tells_the_limits_the_quota_and_how_many_contacts_there_are(shell):
    found = Found(shell)
    assert found.hubspot == {
        "portal_id": shell.sandbox.portal_id,
        "contacts": 120,
        "stage_requests": 8,
        "requests": 190,
        "interval_seconds": 10.0,
        "daily": 250_000,
        "left_today": 249_000,
    }
    words = "190 requests in 10 s, 249,000 of 250,000 left today, a stage makes up to 8"
    assert found.checks["HubSpot quota"]["found"] == words


def test_a_stage_makes_no_more_requests_than_were_foretold(shell):
    foretold = Found(shell).hubspot["stage_requests"]
    before = len(shell.sandbox.received)
    assert shell.type("stage").code == ExitCode.DONE
    assert 0.5 * foretold < len(shell.sandbox.received) - before <= foretold


def test_the_next_command_is_the_next_step_of_the_journey(shell):
    assert shell.type("preflight").out.endswith("\nReady. Next: migrator stage\n")
    assert shell.type("stage").code == ExitCode.DONE
    assert shell.type("preflight").out.endswith("\nReady. Next: migrator push\n")
    assert shell.type(PUSH + " --limit 5").code == ExitCode.DONE
    found = Found(shell)
    assert "bound to 99000042, " in found.checks["Ledger journey"]["found"]


# HubSpot


def test_without_any_credentials_it_says_which_and_where_it_looked(shell, monkeypatch):
    for name in ("HUBSPOT_ACCESS_TOKEN", "LEADGENIUS_EMAIL", "LEADGENIUS_PASSWORD"):
        monkeypatch.delenv(name)
    found = Found(shell)
    assert found.failed == ["HubSpot credentials", "LeadGenius credentials"]
    hubspot, leadgenius = (found.checks[name] for name in found.failed)
    env = str(shell.folder / ".env")
    assert (
        f"HUBSPOT_ACCESS_TOKEN is not set, neither in the environment nor in {env} (there"
        in (hubspot["found"])
    )
    assert hubspot["next"] == f"put HUBSPOT_ACCESS_TOKEN=… into {env}"
    for one in ("LEADGENIUS_EMAIL and LEADGENIUS_PASSWORD", env, "auth.json does not exist"):
        assert one in leadgenius["found"]
    assert leadgenius["next"] == "migrator auth"
    assert not shell.sandbox.received


def test_credentials_of_a_dotenv_are_said_to_be_from_there(shell, monkeypatch):
    monkeypatch.delenv("HUBSPOT_ACCESS_TOKEN")
    path = shell.folder / ".env"
    path.write_text(f"HUBSPOT_ACCESS_TOKEN={shell.sandbox.hubspot_token}\n")
    path.chmod(0o600)
    found = Found(shell)
    assert found.checks["HubSpot credentials"]["found"].endswith(f"is set in {path}")
    assert found.checks["Settings .env"]["found"] == f"{path} is read"


def test_a_wrong_token_fails_once_and_the_rest_of_hubspot_waits(shell, monkeypatch):
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "pat-na1-of-nobody")
    found = Found(shell)
    found.fails("HubSpot token", "is not valid", "next: set HUBSPOT_ACCESS_TOKEN to the")
    assert set(found.skipped) >= {"HubSpot contacts scope", "HubSpot quota", "Rules mapping"}
    assert found.checks["LeadGenius leads"]["ok"]
    assert found.checks["HubSpot portal"]["found"] == "not tried: token must pass first"


@pytest.mark.parametrize(
    ("name", "value", "check", "place"),
    [
        ("HUBSPOT_ACCESS_TOKEN", JWT, "HubSpot credentials", "/crm"),
        ("LEADGENIUS_PASSWORD", HUBSPOT_S, "LeadGenius credentials", "/api"),
        ("LGP_API_KEY", HUBSPOT_S, "LeadGenius credentials", "/api"),
    ],
)
def test_swapped_tokens_are_told_and_neither_shown_nor_sent(
    shell, monkeypatch, name, value, check, place
):
    monkeypatch.setenv(name, value)
    found = Found(shell)
    found.fails(check, name, "are the two swapped?", f"next: set {name} to ")
    assert value not in found.result.out + found.result.err
    assert not [one for one in shell.sandbox.received if one.path.startswith(place)]


def test_a_token_that_may_not_tell_its_portal_is_tried_all_the_same(shell, monkeypatch):
    shell.sandbox.fault("account_forbidden", times=2)
    found = Found(shell)
    found.fails("HubSpot portal", "so the portal's id is unknown", "set HUBSPOT_PORTAL_ID")
    assert found.checks["HubSpot contacts scope"]["ok"]
    monkeypatch.setenv("HUBSPOT_PORTAL_ID", shell.sandbox.portal_id)
    assert Found(shell).ready


def lacking(scope: str) -> bytes:
    errors = [{"context": {"requiredScopes": [scope]}}]
    return json.dumps({"category": "MISSING_SCOPES", "errors": errors}).encode()


@pytest.mark.parametrize("what", ["contacts", "companies"])
def test_a_missing_scope_is_named_beside_what_was_tried(shell, what):
    scope = f"crm.objects.{what}.read"
    shell.sandbox.outage(f"/crm/v3/objects/{what}", 403, lacking(scope))
    words = f"The HubSpot token lacks the scope {scope}. next: add it to the private app"
    found = Found(shell)
    found.fails(f"HubSpot {what} scope", words)
    assert (found.checks["Rules mapping"]["ok"] is None) is (what == "contacts")


def test_a_malformed_token_is_called_so(shell):
    for path in ("/crm", "/account-info"):
        shell.sandbox.outage(path, 530, b"<html>error code: 1016</html>")
    Found(shell).fails("HubSpot token", "it is malformed: cut short")


def test_contacts_that_come_without_their_companies_are_a_failure(shell):
    contact = {"id": "1", "properties": {"email": "a@b.example", "associatedcompanyid": "7"}}
    body = json.dumps({"results": [contact]}).encode()
    shell.sandbox.outage("/crm/v3/objects/contacts", 200, body, method="GET")
    Found(shell).fails("HubSpot associations", "without their companies")


def test_a_portal_without_contacts_has_nothing_to_try_the_rules_on(sandbox, tmp_path, request):
    shell = InProcessCli(tmp_path, sandbox(contacts=0), *map(request.getfixturevalue, PATCHES))
    found = Found(shell)
    assert found.ready
    assert found.checks["Rules mapping"]["found"] == "not tried: HubSpot has no contact"
    assert found.checks["HubSpot companies scope"]["ok"]
    assert found.checks["HubSpot contacts"]["found"] == "0 contacts in total"


PATCHES = ("monkeypatch", "capsys")


def test_contacts_that_cannot_be_counted_beforehand_are_no_failure(shell):
    shell.sandbox.outage("/crm/v3/objects/contacts/search", 403, b"{}")
    found = Found(shell)
    assert found.ready
    assert "cannot be counted in advance" in found.checks["HubSpot contacts"]["found"]
    assert found.hubspot["stage_requests"] is None
    assert found.checks["Ledger disk"]["ok"]


def test_a_quota_that_does_not_last_for_a_stage_is_a_failure(sandbox, tmp_path, request):
    box = sandbox(contacts=120, hubspot_rate_limit=190, hubspot_daily=(250_000, 7))
    shell = InProcessCli(tmp_path, box, *map(request.getfixturevalue, PATCHES))
    words = "7 of 250,000 left today, a stage makes up to 8. next: migrator preflight again after"
    Found(shell).fails("HubSpot quota", words)


def test_a_hubspot_that_tells_no_limits_is_no_failure(shell, sandbox, tmp_path, monkeypatch):
    monkeypatch.setenv("HUBSPOT_BASE_URL", sandbox(contacts=5).url)
    found = Found(shell)
    assert found.ready
    assert found.checks["HubSpot quota"]["ok"] is None


# LeadGenius


@pytest.mark.parametrize("url", ["http://[::1", "nowhere", "http://lg.example.com", "https://x:y"])
def test_an_address_that_is_none_is_told_and_nothing_opened(shell, monkeypatch, url):
    monkeypatch.setenv("LEADGENIUS_BASE_URL", url)
    found = Found(shell)
    found.fails(
        "LeadGenius credentials",
        "LEADGENIUS_BASE_URL is",
        "set LEADGENIUS_BASE_URL to a valid value",
    )
    assert found.checks["HubSpot quota"]["ok"]


def test_a_wrong_password_leaves_the_client_untried(shell, monkeypatch):
    monkeypatch.setenv("LEADGENIUS_PASSWORD", "guessed")
    found = Found(shell)
    found.fails("LeadGenius login", "rejected the login of", "check LEADGENIUS_EMAIL")
    assert {"LeadGenius renewal", "LeadGenius client", "LeadGenius leads"} <= set(found.skipped)


def test_a_wrong_base_url_is_no_wrong_password(shell, monkeypatch):
    monkeypatch.setenv("LEADGENIUS_BASE_URL", f"{shell.sandbox.url}/v2")
    shell.sandbox.outage("/v2", 404, b"<html>")
    words = ("There is no LeadGenius login at ", "/v2/api/auth", "check LEADGENIUS_BASE_URL")
    Found(shell).fails("LeadGenius login", *words)


def test_a_login_that_has_to_be_renewed_is_kept_so_that_it_is_not_lost(shell, monkeypatch):
    assert shell.type("auth").code == ExitCode.DONE
    for name in ("LEADGENIUS_EMAIL", "LEADGENIUS_PASSWORD"):
        monkeypatch.delenv(name)
    file = shell.folder / "auth.json"
    before = json.loads(file.read_text())
    shell.sandbox.expire_tokens()
    assert Found(shell).ready
    after = json.loads(file.read_text())
    assert after["refresh_token"] != before["refresh_token"]


def test_a_token_that_nothing_renews_is_a_failure(shell, monkeypatch):
    assert shell.type("auth").code == ExitCode.DONE
    file = shell.folder / "auth.json"
    document = json.loads(file.read_text())
    del document["refresh_token"]
    file.write_text(json.dumps(document))
    for name in ("LEADGENIUS_EMAIL", "LEADGENIUS_PASSWORD"):
        monkeypatch.delenv(name)
    found = Found(shell)
    found.fails("LeadGenius renewal", "cannot be renewed", "next: migrator auth, or set LEADGENIUS")
    assert "59 min left" in found.checks["LeadGenius login"]["found"]


@pytest.mark.parametrize(
    ("also", "next_"),
    [
        ([], "migrator clients --use historic-contacts"),
        (
            ["Acme"],
            "migrator clients --use with one of: historic-contacts (Historic Contacts), "
            "acme (Acme)",
        ),
    ],
)
def test_without_a_chosen_client_it_says_how_to_choose_one(shell, monkeypatch, also, next_):
    monkeypatch.delenv("LEADGENIUS_CLIENT_ID")
    for name in also:
        shell.sandbox.create_client(name)
    found = Found(shell)
    found.fails("LeadGenius client", "No client is chosen")
    assert found.checks["LeadGenius client"]["next"] == next_
    assert shell.type("clients --use historic-contacts").code == ExitCode.DONE
    found = Found(shell)
    assert found.ready
    assert found.checks["LeadGenius client"]["found"].endswith("it was chosen in this ledger")


def test_an_account_without_clients_is_told_to_create_one(shell, monkeypatch):
    monkeypatch.delenv("LEADGENIUS_CLIENT_ID")
    shell.sandbox.delete_client(takes_leads=False)
    Found(shell).fails("LeadGenius client", "next: migrator clients --create NAME")


def test_a_client_that_is_named_and_not_there_is_named_anew_where_it_was(shell, monkeypatch):
    monkeypatch.setenv("LEADGENIUS_CLIENT_ID", "nowhere")
    Found(shell).fails(
        "LeadGenius client",
        "LeadGenius has no client with the client_id nowhere",
        "next: set LEADGENIUS_CLIENT_ID (it is set in the environment) to one of: historic",
    )


def test_the_internal_id_is_told_from_the_client_id(shell, monkeypatch):
    monkeypatch.setenv("LEADGENIUS_CLIENT_ID", shell.sandbox.client_internal_id)
    Found(shell).fails(
        "LeadGenius client",
        "is the internal id of the client 'Historic Contacts'; leads sent under it are invisible",
        "next: set LEADGENIUS_CLIENT_ID (it is set in the environment) to historic-contacts",
    )


# The ledger


def test_a_push_at_work_is_told_of_and_not_disturbed(shell):
    assert shell.type("stage").code == ExitCode.DONE
    with Ledger.open_for_work(shell.folder / "migrator.db") as ledger:
        ledger.runs.begin_run("push")
        found = Found(shell)
    assert found.ready
    assert "no problem here: `migrator push`, process " in found.checks["Ledger lock"]["found"]


def test_a_ledger_of_another_journey_is_a_failure(shell):
    with Ledger.open_for_work(shell.folder / "migrator.db") as ledger:
        ledger.runs.bind(portal_id="7")
    words = "belongs to the HubSpot portal 7, not to 99000042"
    Found(shell).fails("Ledger journey", words, "--ledger")


def test_a_file_that_is_no_ledger_is_a_failure_and_left_alone(shell):
    path = shell.folder / "migrator.db"
    path.write_text("no ledger at all, by any means, whatever it says")
    found = Found(shell)
    assert found.failed == ["Ledger file"]
    assert found.skipped == ["Ledger lock", "Ledger journey", "Ledger disk"]
    assert path.read_text().startswith("no ledger")


def test_a_ledger_behind_a_loop_of_links_is_a_failure(shell):
    (shell.folder / "migrator.db").symlink_to("migrator.db")
    Found(shell).fails("Ledger file", "cannot be reached", "--ledger")


def test_a_folder_that_is_not_there_is_a_failure(shell, monkeypatch):
    monkeypatch.setenv("MIGRATOR_LEDGER", "nowhere/migrator.db")
    Found(shell).fails("Ledger file", "There is no folder", "next: mkdir -p ")


def test_a_disk_that_is_too_small_is_a_failure(shell, monkeypatch):
    monkeypatch.setattr("migrator.preflight.ledger.BYTES_A_CONTACT", 1 << 50)
    Found(shell).fails("Ledger disk", "The disk is too small", "120 contacts take about")


# The rules


@pytest.mark.parametrize(
    ("check", "spoiled"),
    [
        ("Rules field names", {"phone": "1"}),
        ("Rules no empty strings", {"title": " "}),
        ("Rules names", {"lastName": "."}),
        ("Rules names", {"firstName": ""}),
    ],
)
def test_a_lead_that_breaks_a_rule_is_a_failure(shell, monkeypatch, check, spoiled):
    from migrator.mapping import MappedLead, to_lead

    def spoil(*contact: Any) -> Any:
        found = to_lead(*contact)
        return (
            MappedLead({**found.lead, **spoiled}, "", ())
            if isinstance(found, MappedLead)
            else found
        )

    monkeypatch.setattr("migrator.preflight.payload.to_lead", spoil)
    found = Found(shell)
    assert check in found.failed
    assert "which LeadGenius rejects" in found.checks[check]["found"]


def test_contacts_that_a_rule_excludes_are_counted_and_no_failure(sandbox, tmp_path, request):
    shell = InProcessCli(tmp_path, sandbox(contacts=0), *map(request.getfixturevalue, PATCHES))
    for email in ("ada@x.example", "", "nobody", "bob@x.example"):
        shell.sandbox.add_contact({"email": email})
    words = "2 of the first 4 contacts become leads; would be held: 1 invalid_email, 1 no_email"
    found = Found(shell)
    assert found.ready
    assert found.checks["Rules mapping"]["found"] == words


# Files that others can read


def test_a_dotenv_that_others_can_read_is_a_warning_and_no_failure(shell):
    dotenv = shell.folder / ".env"
    dotenv.write_text("HUBSPOT_PORTAL_ID=99000042\n")
    dotenv.chmod(0o640)
    found = Found(shell)
    check = found.checks["Settings .env"]
    assert found.ready
    assert (check["ok"], check["is_warning"], check["next"]) == (True, True, "chmod 600 .env")
    shown = shell.type("preflight").out.splitlines()
    at = next(number for number, line in enumerate(shown) if line.startswith("  ! .env "))
    assert "other users of this machine can read it too" in shown[at]
    assert shown[at + 1].strip() == "next: chmod 600 .env"
    dotenv.chmod(0o600)
    check = Found(shell).checks["Settings .env"]
    assert (check["is_warning"], check["next"]) == (False, None)


def test_a_credentials_file_that_others_could_read_is_told_of_once_and_closed(shell):
    assert shell.type("auth").code == ExitCode.DONE
    file = shell.folder / "auth.json"
    assert not Found(shell).checks["Settings credentials file"]["is_warning"]
    file.chmod(0o644)
    check = Found(shell).checks["Settings credentials file"]
    assert (check["ok"], check["is_warning"]) == (True, True)
    assert "could read" in check["found"]
    assert "migrator auth, for new tokens" in check["next"]
    assert not Found(shell).checks["Settings credentials file"]["is_warning"]


def test_a_credentials_file_that_cannot_be_closed_says_how(shell, monkeypatch):
    """As on a file system that has modes of its own for everything."""
    assert shell.type("auth").code == ExitCode.DONE
    file = shell.folder / "auth.json"
    file.chmod(0o644)
    monkeypatch.setattr("migrator.private_files.os.chmod", lambda *_: None)
    check = Found(shell).checks["Settings credentials file"]
    assert check["is_warning"]
    assert check["next"] == f"chmod 600 {file}"


# For people


def test_for_people_each_check_has_its_mark_and_each_failure_its_next_command(shell, monkeypatch):
    monkeypatch.delenv("LEADGENIUS_CLIENT_ID")
    result = shell.type("preflight")
    assert result.code == ExitCode.NOT_READY
    lines = result.out.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("  ✗ client "))
    assert lines[at + 1].strip() == "next: migrator clients --use historic-contacts"
    assert "  ✓ token            accepted by HubSpot" in lines
    assert "  · leads            not tried: client must pass first" in lines
    assert result.err.splitlines()[-1] == "next: migrator clients --use historic-contacts"


def test_an_output_without_our_marks_gets_words(shell, monkeypatch):
    monkeypatch.delenv("HUBSPOT_ACCESS_TOKEN")
    plain = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    monkeypatch.setattr(sys, "stdout", plain)
    shell.type("preflight")
    plain.seek(0)
    text = plain.read()
    assert "  FAIL credentials" in text
    assert "  ok   .env" in text
    assert "HUBSPOT_ACCESS_TOKEN=... into" in text
    assert "?" not in text


def test_on_a_terminal_every_line_fits(shell, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("migrator.cli.session.sys.stdout.isatty", lambda: True, raising=False)
    lines = shell.type("preflight").out.splitlines()
    assert all(len(line) <= 80 for line in lines if str(shell.folder) not in line)
