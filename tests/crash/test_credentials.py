"""Credentials that are taken away while a command works: nothing twice, and what to repair."""

import json

import pytest

from migrator.errors import ExitCode
from tests.support.inprocess_cli import PUSH, RESUME, VERIFY, InProcessCli, after_leads, stops, when

CONTACTS = 40
repaired = pytest.mark.parametrize("push", [PUSH, RESUME], ids=["push", "resume"])


@pytest.fixture
def shell(sandbox, tmp_path, monkeypatch, capsys):
    shell = InProcessCli(tmp_path, sandbox(contacts=CONTACTS), monkeypatch, capsys)
    assert shell.type("stage").code == 0
    return shell


@repaired
def test_the_password_is_changed_in_the_middle_of_a_push(shell, push):
    after_leads(shell.sandbox, 10, lambda: shell.sandbox.revoke("login"))
    words = "LeadGenius rejected the login of importer@sandbox.example."
    stops(shell.type(PUSH), ExitCode.NOT_READY, words, "LEADGENIUS_PASSWORD")
    assert len(shell.sandbox.held) >= 10
    assert shell.count("held = 'gave_up'") == 0
    shell.ends_well(push)


def test_a_password_that_stays_wrong_uses_up_no_attempts(shell):
    after_leads(shell.sandbox, 10, lambda: shell.sandbox.revoke("login"))
    for _ in range(7):
        stops(shell.type(PUSH), ExitCode.NOT_READY, "next: check LEADGENIUS_EMAIL and LEADGENIUS")
    shell.ends_well()


def test_a_refresh_token_that_is_revoked_gives_way_to_the_password(shell):
    assert shell.type("auth").code == 0
    shell.sandbox.expire_tokens()
    after_leads(shell.sandbox, 10, lambda: shell.sandbox.revoke("refresh_token"))
    after_leads(shell.sandbox, 20, shell.sandbox.expire_tokens)
    assert shell.type(PUSH).code == 0
    shell.ends_well()


def test_a_stored_login_without_a_password_says_how_to_log_in(shell, monkeypatch):
    assert shell.type("auth").code == 0
    monkeypatch.delenv("LEADGENIUS_PASSWORD")
    monkeypatch.delenv("LEADGENIUS_EMAIL")
    after_leads(shell.sandbox, 10, lambda: shell.sandbox.revoke("login"))
    words = "LeadGenius rejected the stored login: it has expired."
    stops(shell.type(PUSH), ExitCode.NOT_READY, words, "next: migrator auth, or set LEADGENIUS")
    monkeypatch.setenv("LEADGENIUS_EMAIL", shell.sandbox.email)
    monkeypatch.setenv("LEADGENIUS_PASSWORD", shell.sandbox.password)
    shell.ends_well()


@repaired
def test_the_api_key_is_revoked_in_the_middle_of_a_push(shell, monkeypatch, push):
    for name in ("LEADGENIUS_EMAIL", "LEADGENIUS_PASSWORD"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("LGP_API_KEY", shell.sandbox.api_key)
    monkeypatch.setenv("LGP_USER_ID", shell.sandbox.user_id)
    after_leads(shell.sandbox, 10, lambda: shell.sandbox.revoke("api_key"))
    result = shell.type(PUSH)
    stops(result, ExitCode.NOT_READY, "LeadGenius rejected the API key.", "next: check LGP_API_KEY")
    assert shell.sandbox.api_key not in result.err
    shell.ends_well(push)


def test_the_login_is_revoked_while_leads_are_verified(shell):
    assert shell.type(PUSH).code == 0
    when(
        shell.sandbox,
        lambda: shell.sandbox.received[-1].path == "/api/leads",
        lambda: shell.sandbox.revoke("login"),
    )
    stops(shell.type(VERIFY), ExitCode.NOT_READY, "LeadGenius rejected the login of")
    assert shell.count("state = 'verified' OR held = 'missing'") == 0
    shell.ends_well()


@repaired
def test_new_tokens_that_are_declined_too_end_a_push_after_a_few_logins(shell, push):
    shell.sandbox.fault("expire_token", times=999)
    words = "rejected /api/leads with 401: "
    stops(shell.type(PUSH), ExitCode.NOT_READY, words, "It issues new tokens, and rejects them")
    paths = [one.path for one in shell.sandbox.received]
    assert paths.count("/api/auth") <= 3
    assert shell.count("held IN ('gave_up', 'refused')") == 0
    shell.ends_well(push)


@pytest.mark.parametrize("words", ["auth", "push --settle 0.1", "preflight"])
def test_a_login_that_wants_a_new_password_says_so(shell, monkeypatch, words):
    challenge = {"success": True, "challengeName": "NEW_PASSWORD_REQUIRED", "session": "opaque"}
    shell.sandbox.outage("/api/auth", 200, json.dumps(challenge).encode())
    done = shell.type(words)
    told = done.out + done.err
    assert done.code == ExitCode.NOT_READY
    assert "with NEW_PASSWORD_REQUIRED instead of a token" in told
    assert f"next: sign in once in the browser at {shell.sandbox.url} and set a new pass" in told
    assert "LEADGENIUS_BASE_URL" not in told


# HubSpot


@pytest.fixture
def portal(sandbox, tmp_path, monkeypatch, capsys):
    return InProcessCli(tmp_path, sandbox(contacts=120), monkeypatch, capsys)


def test_the_token_is_revoked_in_the_middle_of_a_stage(portal):
    when(
        portal.sandbox,
        lambda: "after" in portal.sandbox.received[-1].query,
        lambda: portal.sandbox.revoke("hubspot_token"),
    )
    result = portal.type("stage")
    words = "HubSpot rejected the access token: it is not valid (correlation id "
    stops(result, ExitCode.NOT_READY, words, "next: set HUBSPOT_ACCESS_TOKEN to the token of")
    assert portal.sandbox.hubspot_token not in result.err
    portal.ends_well(PUSH)


def test_a_scope_is_taken_away_in_the_middle_of_a_stage(portal):
    portal.sandbox.fault("missing_scopes", times=99, where=lambda query: "after" in query)
    words = (
        "lacks the scopes crm.objects.contacts.read, crm.objects.companies.read (correlation id "
    )
    stops(portal.type("stage"), ExitCode.NOT_READY, words, "next: add them to the private app")
    assert portal.count("TRUE") == 100
    portal.ends_well(PUSH)
