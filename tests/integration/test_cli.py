"""The commands as they are typed: words, exit codes, and what must never be printed."""

import json
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from migrator import cli
from migrator.cli.parser import build_parser, subparsers
from migrator.errors import ExitCode, Forbidden, LedgerBusy, LedgerError, NotReady, UsageError
from migrator.ledger import Ledger
from migrator.progress.display import _OF_A_LEDGER
from migrator.sandbox import EDITS, FAULTS, QUIRKS
from tests.support.processes import LONGEST_SECONDS, Operator, ended, kill
from tests.support.tampering import meddle

PUSH = "push --rate max --settle 1 --timeout 5"
ENDED = 0


@pytest.fixture
def operator(sandbox, tmp_path):
    return Operator(tmp_path, sandbox(contacts=30))


@pytest.fixture
def staged(operator):
    operator.stage()
    return operator


def typed(words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    try:
        code = cli.main(words.split())
    except SystemExit as left:
        code = int(left.code or 0)
    return code, *capsys.readouterr()


def assert_fails(result, error, *words: str) -> None:
    assert result.code == error.exit_code, result
    assert "Traceback" not in result.err
    assert "next: " in result.err
    for word in words:
        assert word in result.err


# Settings of a service that a command does not ask


@pytest.mark.parametrize(
    "words",
    [
        "report",
        "show {}",
        "mapping",
        "plan --offline",
        "retry --reason refused",
        "stage -q",
        "forget",
    ],
)
def test_a_command_is_not_stopped_by_settings_that_it_does_not_use(
    staged, monkeypatch, capsys, words
):
    portal = {
        name: value
        for name, value in staged.sandbox.environment().items()
        if name.startswith("HUBSPOT_")
    }
    theirs = {"HUBSPOT_API_VERSION": "v4"} if words != "stage -q" else portal
    for name, value in {"LEADGENIUS_PASSWORD": "of-the-environment", **theirs}.items():
        monkeypatch.setenv(name, value)
    Path(".env").write_text("LEADGENIUS_BASE_URL=https://staging.example\n")
    (Path.home() / ".leadgenius_auth.json").write_text("{")
    code, _, err = typed(words.format(next(iter(staged.sandbox.expected())).contact_id), capsys)
    assert code == (ExitCode.STOPPED_EARLY if words == "forget" else ExitCode.DONE), err


def test_a_command_is_stopped_by_settings_that_it_uses(staged, monkeypatch, capsys):
    monkeypatch.setenv("HUBSPOT_API_VERSION", "v4")
    assert "HUBSPOT" not in typed("auth --status", capsys)[2]
    assert typed("stage", capsys)[0] == ExitCode.NOT_READY
    Path("own.toml").write_text(typed("mapping --builtin", capsys)[1])
    assert typed("mapping --check own.toml", capsys)[0] == ExitCode.NOT_READY


# Words


@pytest.mark.parametrize("words", ["", "pusch", "push --resum", "push --limit 0", "push --rate x"])
def test_words_that_are_wrong_are_a_usage_error(words, capsys):
    code, out, err = typed(words, capsys)
    assert code == ExitCode.USAGE
    assert re.fullmatch(r"error: .+\nnext: migrator .+\n", err, re.DOTALL)
    assert out == ""


def test_help_is_data(capsys):
    code, out, err = typed("push --help", capsys)
    assert (code, err) == (ENDED, "")
    assert "--max-in-doubt" in out


# 2 = something else should have been typed; 3 = something else has to change first


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("pusch", 2),
        ("push --limit 0", 2),
        ("auth --status --email me@example.com", 2),
        ("clients --description x", 2),
        ("plan 999", 2),
        ("push --client-id {internal_id}", 2),
        ("retry", 2),
        ("sandbox --fault no_such=0.1", 2),
        ("show nobody@example.com", 2),
        # A file that is named
        ("amend missing.csv", 2),
        ("amend foreign.txt", 2),
        ("mapping --check foreign.txt", 2),
        ("mapping --check foreign.txt --json", 2),
        ("mapping --check missing.toml", 2),
        ("mapping --check unknown.toml", 2),
        ("report --csv foreign.txt", 2),
        ("report --csv missing/held.csv", 2),
        ("report --html foreign.txt", 2),
        ("report --html missing/page.html", 2),
        ("report --log-file foreign.txt", 2),
        ("report --log-file migrator.db", 2),
        ("report --log-file missing/log", 2),
        ("stage --mapping foreign.txt", 2),
        ("stage --mapping missing.toml", 2),
        ("stage --mapping unknown.toml", 2),
        # What else the command needs
        ("amend held.csv --ledger empty.db", 3),
        ("auth", 3),  # neither a login nor a terminal to ask for one
        ("plan --ledger empty.db", 3),
        ("preflight", 3),
        ("push --client-id nowhere", 3),
        ("push --ledger empty.db", 3),
        ("push", 3),  # no client
        ("verify --ledger empty.db", 3),
    ],
)
def test_the_codes_2_and_3(staged, words, code):
    folder = staged.folder
    (folder / "foreign.txt").write_text("Dear diary\n")
    mapping = staged.run("mapping --builtin").out
    (folder / "unknown.toml").write_text(mapping.replace("jobtitle", "jobtitel"))
    staged.run("report --csv held.csv")
    with Ledger.open_for_work(folder / "empty.db"):
        pass
    words = words.format(internal_id=staged.sandbox.client_internal_id)
    absent = dict.fromkeys(("LEADGENIUS_CLIENT_ID", *["LEADGENIUS_EMAIL"] * (words == "auth")), "")
    result = staged.run(words, **absent)
    assert result.code == code, result
    assert staged.sandbox.held == []


# Not ready


def test_without_settings_nothing_is_made(tmp_path, capsys):
    code, _, err = typed("stage", capsys)
    assert code == NotReady.exit_code
    assert "HUBSPOT_ACCESS_TOKEN" in err
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_token_is_named_and_not_shown(operator):
    result = operator.run("stage", HUBSPOT_ACCESS_TOKEN="pat-na1-wrong")
    assert_fails(result, NotReady, "HubSpot", "HUBSPOT_ACCESS_TOKEN")
    assert "pat-na1-wrong" not in result.err


def test_missing_scopes_are_named(operator):
    operator.sandbox.fault("missing_scopes", 3)
    assert_fails(operator.run("stage"), Forbidden, "crm.objects.contacts.read")


def test_a_wrong_password_is_named_and_not_shown(staged):
    result = staged.run("push", LEADGENIUS_PASSWORD="hunter2-hunter2")
    assert_fails(result, NotReady, "LEADGENIUS_PASSWORD")
    assert "hunter2" not in result.err


NEED_A_LEDGER = ["push", "verify", "retry --reason refused", "amend held.csv", "forget --yes"]


@pytest.mark.parametrize("words", NEED_A_LEDGER)
def test_without_a_ledger_it_says_so_and_makes_none(operator, words):
    assert_fails(operator.run(words), LedgerError, "migrator stage")
    assert [*operator.ledger.parent.glob("migrator.db*")] == []


@pytest.mark.parametrize("words", NEED_A_LEDGER)
def test_an_empty_file_is_no_ledger_and_does_not_become_one(operator, words):
    operator.ledger.touch()
    assert_fails(operator.run(words), LedgerError, "not a migrator ledger")
    assert operator.ledger.read_bytes() == b""


def test_the_internal_id_of_a_client_is_refused_and_the_right_one_named(staged):
    result = staged.run(f"push --client-id {staged.sandbox.client_internal_id}")
    assert_fails(result, UsageError, staged.sandbox.client_id)
    assert staged.sandbox.held == []


def test_a_push_without_a_client_names_those_that_there_are(staged):
    result = staged.run("push", LEADGENIUS_CLIENT_ID="")
    assert_fails(result, NotReady, staged.sandbox.client_id)


# The ledger


def test_a_report_without_a_ledger_says_where_it_looked(capsys):
    code, _, err = typed("report --ledger none.db", capsys)
    assert code == LedgerError.exit_code
    assert "none.db" in err
    assert "next: migrator stage" in err


@pytest.mark.parametrize("command", ["push", "verify"])
def test_in_another_folder_the_missing_ledger_is_named_before_the_credentials(command, capsys):
    code, _, err = typed(f"{command} --ledger none.db", capsys)
    assert code == LedgerError.exit_code
    assert "There is no ledger at" in err
    assert "next: migrator stage" in err


def test_a_ledger_of_another_portal_is_refused(staged):
    meddle(staged.ledger, "UPDATE ledger SET portal_id = '7'")
    assert_fails(staged.run("stage"), LedgerError, "portal 7", "--ledger")


def test_what_is_to_be_typed_next_names_the_ledger_that_was_named(staged):
    staged.run("stage --ledger my.db -q")
    named = "migrator push (with --ledger my.db)"
    for words in ("report", "plan --offline"):
        assert f"Next: {named}   (" in staged.run(f"{words} --ledger my.db").out
    refused = staged.run("forget --ledger my.db")
    assert refused.err.endswith("(with --ledger my.db)\n"), refused.err
    assert "Next: migrator push   (" in staged.run("report").out


def test_the_commands_that_work_without_a_ledger_are_known():
    for name, parser in subparsers(build_parser()).items():
        has_ledger = "--ledger" in parser._option_string_actions
        assert bool(_OF_A_LEDGER.search(f"first migrator {name}")) is has_ledger, name


def test_a_report_shouts_when_the_sums_do_not_close(staged):
    with sqlite3.connect(staged.ledger) as ledger:
        ledger.execute(
            "UPDATE checkpoint SET contacts_seen = contacts_seen + 1 WHERE name = 'extraction'"
        )
    ledger.close()
    assert_fails(staged.run("report"), LedgerError, "do not close")


# The push


def test_a_push_after_one_that_was_killed_wants_resume(staged):
    staged.sandbox.fault("hang_before_saving")
    first = staged.start(PUSH)
    staged.sandbox.wait_until(lambda: any(one.fault for one in staged.sandbox.received), 30)
    kill(first)
    refused = staged.run(PUSH)
    assert refused.code == ExitCode.STOPPED_EARLY
    assert "next: migrator push --resume" in refused.err
    assert staged.run(PUSH + " --resume").code == ENDED
    assert staged.sandbox.verdict().ok


def test_a_first_push_without_a_canary_says_that_nothing_is_checked(staged):
    assert "all of them do" in " ".join(staged.run("push --help").out.split())
    first = staged.run(f"{PUSH} --canary 0 --limit 1")
    assert "warning: --canary 0: up to 1 lead will be sent before any is checked" in first.err
    second = staged.run(f"{PUSH} --canary 0 --limit 9 -q")
    assert second.err == ""
    assert "canary" not in staged.run(PUSH).err
    assert "canary" not in staged.run(f"{PUSH} --canary 0").err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lays_the_push_down_in_order(staged, number):
    staged.sandbox.fault("slow", times=8)
    push = staged.start(PUSH + " --canary 0")
    staged.sandbox.wait_until(lambda: len(staged.sandbox.held) >= 8, 30)
    push.send_signal(number)
    _, err = push.communicate(timeout=LONGEST_SECONDS)
    assert push.returncode == 128 + number
    assert "8 posted, 0 in doubt" in err
    assert "next: migrator push --resume" in err
    assert staged.ask("SELECT count(*) FROM attempt WHERE outcome = 'created'") == [(8,)]


def test_a_second_signal_leaves_at_once(staged):
    staged.sandbox.fault("hang_after_saving", times=8)
    push = staged.start(PUSH + " --canary 0 --timeout 600")
    staged.sandbox.wait_until(lambda: len(staged.sandbox.held) >= 8, 30)
    push.send_signal(signal.SIGINT)
    while push.poll() is None:
        push.send_signal(signal.SIGINT)
    push.communicate(timeout=LONGEST_SECONDS)
    assert push.returncode == ExitCode.SIGINT
    assert staged.run(PUSH + " --resume").code == ENDED
    assert staged.sandbox.verdict().ok


def test_what_is_refused_is_left_for_a_person(staged):
    staged.sandbox.fault("refuse")
    assert staged.run(PUSH).code == ExitCode.NEEDS_ATTENTION
    assert staged.run("retry --reason refused").out == "1 contact freed\n"
    assert staged.run(PUSH).code == ENDED
    assert staged.sandbox.verdict().ok


def test_what_is_gone_at_the_destination_is_left_for_a_person(staged):
    assert staged.run(PUSH).code == ENDED
    staged.sandbox.delete_lead(staged.sandbox.held[0]["id"])
    verified = staged.run("verify --settle 0.2 --json")
    assert verified.code == ExitCode.NEEDS_ATTENTION
    assert json.loads(verified.out.splitlines()[-1])["missing"] == 1


def test_a_service_that_asks_to_be_left_alone_ends_the_run_resumable(staged):
    staged.sandbox.outage("/api", 503, headers={"Retry-After": "86400"})
    result = staged.run("push")
    staged.sandbox.calm()
    assert result.code == ExitCode.STOPPED_EARLY
    assert "LeadGenius asks for a wait until " in result.err
    assert staged.run(PUSH + " --resume").code == ENDED


def test_two_at_once_is_one_too_many(staged):
    staged.sandbox.fault("list_hang")
    first = staged.start(PUSH)
    staged.sandbox.wait_until(lambda: any(one.fault for one in staged.sandbox.received), 30)
    try:
        assert_fails(staged.run("stage"), LedgerBusy, f"process {first.pid}", "migrator push")
        assert staged.run("report").code == ENDED
    finally:
        kill(first)


# People


def test_secrets_are_nowhere(operator):
    said = ""
    for words in ("auth", "stage -v", PUSH + " -v", "verify -v", "report --json", "clients"):
        result = operator.run(words)
        assert result.code == ENDED, result
        said += result.out + result.err
    kept = Path(operator.folder)
    for path in (path for path in kept.rglob("*") if path.name != "auth.json"):
        said += path.read_bytes().decode("latin-1")
    assert operator.sandbox.hubspot_token not in said
    assert operator.sandbox.password not in said
    assert not re.search(r"eyJ[\w-]{8,}", said)


def test_auth_keeps_the_token_for_its_owner_alone(operator):
    result = operator.run("auth")
    assert (result.code, result.err) == (ENDED, "")
    file = operator.folder / "auth.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["token"].startswith("eyJ")


def test_auth_leaves_the_login_of_another_host_alone(operator):
    file = operator.folder / "auth.json"
    file.write_text('{"token": "theirs", "base_url": "https://last.leadgenius.app"}')
    assert_fails(operator.run("auth"), NotReady, "LEADGENIUS_AUTH_FILE")
    assert "theirs" in file.read_text()


def test_a_push_by_the_environment_leaves_no_credentials_file(staged):
    assert staged.run(PUSH + " --limit 1").code == ENDED
    assert not (staged.folder / "auth.json").exists()


def test_clients_are_listed_and_created_by_their_client_id(operator):
    made = operator.run("clients --create Acme --json")
    slug = json.loads(made.out)[0]["client_id"]
    listed = operator.run("clients")
    assert re.search(rf"^Acme +{slug} ", listed.out, re.MULTILINE)
    assert operator.sandbox.client_internal_id not in listed.out


def test_retry_wants_to_know_which(staged):
    assert_fails(staged.run("retry"), UsageError, "--reason")


def test_a_reader_who_leaves_is_no_failure(staged):
    report = staged.start("report")
    report.stdout.close()
    assert report.wait(LONGEST_SECONDS) == ENDED
    assert report.stderr.read() == ""
    report.stderr.close()


def test_a_bug_is_called_one(monkeypatch, capsys):
    def broken(*_):
        raise ZeroDivisionError("so it is")

    monkeypatch.setattr("migrator.cli.report.settings_of", broken)
    code, _, err = typed("report", capsys)
    assert code == ExitCode.BUG
    assert "ZeroDivisionError" in err
    assert "Traceback" not in err


# The sandbox


def test_the_sandbox_names_its_faults(capsys):
    code, out, _ = typed("sandbox --fault list", capsys)
    assert (code, out.split()) == (ENDED, sorted(FAULTS))


def test_the_sandbox_refuses_a_fault_that_it_does_not_know(capsys):
    code, _, err = typed("sandbox --fault drop_after_savin=0.1", capsys)
    assert code == ExitCode.USAGE
    assert "drop_after_saving" in err


def test_the_sandbox_explains_its_quirks_and_refuses_others(capsys):
    code, out, _ = typed("sandbox --quirk list", capsys)
    forms = [quirk.form(name) for name, quirk in sorted(QUIRKS.items())]
    assert (code, [line.split()[0] for line in out.splitlines()]) == (ENDED, forms)
    code, _, err = typed("sandbox --quirk short_listings", capsys)
    assert code == ExitCode.USAGE
    assert "short_listing" in err
    code, _, err = typed("sandbox --quirk page_limit=many", capsys)
    assert code == ExitCode.USAGE
    assert "page_limit=N takes a whole number from 1 on, not 'many'" in err


def test_the_sandbox_explains_the_edits_of_people_and_refuses_others(capsys):
    code, out, _ = typed("sandbox --edit list", capsys)
    assert (code, [line.split()[0] for line in out.splitlines()]) == (ENDED, sorted(EDITS))
    code, _, err = typed("sandbox --edit change_leads=0.1", capsys)
    assert code == ExitCode.USAGE
    assert "change_lead" in err


def test_the_demo_ends_with_one_lead_for_each_contact(tmp_path):
    demo = subprocess.run(
        [sys.executable, "-m", "migrator", "demo", "--contacts", "60"],
        cwd=tmp_path,
        env={**os.environ, "HUBSPOT_BASE_URL": "https://api.hubapi.com"},
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS * 2,
    )
    assert demo.returncode == ENDED, demo.stdout + demo.stderr
    assert "Exactly one lead for each contact." in demo.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "command", "error"),
    [
        ("push --json --limit 0", "push", UsageError),
        ("retry --json --reason refused", "retry", LedgerError),
        ("report --json", "report", LedgerError),
        ("stage --json", "stage", NotReady),
    ],
)
def test_a_command_that_failed_ends_its_json_with_the_message_and_the_next_command(
    capsys, words, command, error
):
    code, out, err = typed(words, capsys)
    end = json.loads(out.splitlines()[-1])
    assert (end["event"], end["command"], end["exit_code"]) == ("result", command, code)
    assert code == error.exit_code
    assert f"error: {end['message']}\nnext: {end['next']}\n" == err


def test_what_a_command_did_before_it_failed_stands_in_its_json(staged):
    staged.sandbox.fault("slow", times=30)
    push = staged.start(f"{PUSH} --json --canary 0 --workers 1")
    staged.sandbox.wait_until(lambda: len(staged.sandbox.held) >= 3, timeout=LONGEST_SECONDS)
    push.send_signal(signal.SIGINT)
    result = ended(push)
    end = json.loads(result.out.splitlines()[-1])
    assert (end["command"], end["exit_code"]) == ("push", ExitCode.SIGINT)
    assert end["posted"] >= 3
    assert f"error: {end['message']}\nnext: {end['next']}\n" in result.err


def test_a_settle_that_the_kernel_may_outlast_is_refused_unless_the_service_is_here(staged):
    there = {"LEADGENIUS_BASE_URL": "https://leadgenius.invalid"}
    for command in ("push", "verify"):
        result = staged.run(f"{command} --settle 19", **there)
        assert_fails(result, UsageError, "--settle 19 is too short", f"migrator {command}")
    assert staged.ask("SELECT count(*) FROM attempt") == [(0,)]
