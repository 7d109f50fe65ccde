"""
`--log-file`: all that was asked, answered and said, for whoever must explain it tomorrow.

And what every command makes of times, and of terminals that can show little.
"""

import io
import json
import re
import stat
import time
from pathlib import Path

import pytest

from benchmarks.judge import judge
from migrator import cli
from migrator.cli import log_file
from migrator.cli.log_setup import _EMAIL
from migrator.cli.output_files import OPTIONS
from migrator.cli.parser import build_parser, subparsers
from migrator.errors import ExitCode
from migrator.text import local_time
from tests.integration.test_terminal import EVIL, steering
from tests.support.inprocess_cli import PUSH, SETTLE, VERIFY, InProcessCli, stops
from tests.support.socket_server import Server, answer

LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR) migrator\.\w+: .+"
)


@pytest.fixture
def shell(sandbox, tmp_path, monkeypatch, capsys):
    return InProcessCli(tmp_path, sandbox(contacts=12), monkeypatch, capsys)


@pytest.fixture
def tokyo(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_log_keeps_every_request_and_all_that_is_said(shell):
    assert shell.type("stage -q --json --log-file run.log").err == ""
    stops(shell.type("push --client-id nobody --log-file run.log"), ExitCode.NOT_READY)
    lines = Path("run.log").read_text().splitlines()
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    for said in (
        r"INFO migrator\.run: stage begins: migrator .*SQLite",
        r"DEBUG migrator\.http: GET /crm/v3/objects/contacts: 200 in \d+ ms",
        r"INFO migrator\.run: ends with exit code 0",
        r"ERROR migrator\.display: .*nobody.* next: ",
        r"INFO migrator\.run: ends with exit code 3",
    ):
        assert any(re.search(said, line) for line in lines), said


def test_a_log_changes_nothing_of_what_is_printed(shell):
    result = shell.type("stage -q --json --log-file run.log")
    assert json.loads(result.out)["given"] == 12
    assert shell.type("clients --log-file run.log").err == ""


def test_a_log_is_its_owner_s_alone_and_so_is_one_that_was_wider(shell):
    shell.type("clients --log-file run.log")
    Path("run.log").chmod(0o644)
    shell.type("clients --log-file run.log")
    assert stat.S_IMODE(Path("run.log").stat().st_mode) == 0o600


def test_a_log_is_bounded_and_its_older_parts_are_private_too(shell, monkeypatch):
    monkeypatch.setattr(log_file, "BYTES", 400)
    for _ in range(12):
        shell.type("clients --log-file run.log")
    parts = list(shell.folder.glob("run.log*"))
    assert len(parts) == log_file.FILES
    assert {stat.S_IMODE(part.stat().st_mode) for part in parts} == {0o600}
    assert all(part.stat().st_size <= 400 for part in parts)


def test_a_push_that_logs_far_more_than_the_bound_keeps_to_it(shell, monkeypatch):
    monkeypatch.setattr(log_file, "BYTES", 200)
    shell.type("stage")
    assert shell.type(f"{PUSH} --log-file run.log").code == ExitCode.DONE
    sizes = [part.stat().st_size for part in shell.folder.glob("run.log*")]
    assert len(sizes) == log_file.FILES
    assert max(sizes) <= 200
    # The newest part is under the name given.
    assert "ends with exit code 0" in Path("run.log").read_text()


def test_a_log_whose_parts_cannot_be_moved_on_stops_no_push(shell, monkeypatch):
    monkeypatch.setattr(log_file, "BYTES", 200)
    shell.type("stage")
    Path(f"run.log.{log_file.FILES - 1}").mkdir()
    pushed = shell.type(f"{PUSH} --log-file run.log")
    assert pushed.code == ExitCode.DONE
    assert pushed.err.count("The log run.log cannot be written any more.") == 1
    judge(shell.sandbox, shell.folder / "migrator.db", SETTLE)


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("nowhere/run.log", "The log nowhere/run.log cannot be written: No such file or directory"),
        (".", "The log . cannot be written: Is a directory"),
        (".env", ".env is not a log of migrator; it was left unchanged"),
    ],
)
def test_a_log_that_cannot_be_kept_is_told_before_anything_begins(shell, file, why):
    Path(".env").write_text("HUBSPOT_PORTAL_ID=1\n")
    stops(shell.type(f"stage --log-file {file}"), ExitCode.USAGE, why, "--log-file")
    assert [path.name for path in shell.folder.iterdir()] == [".env"]
    assert Path(".env").read_text() == "HUBSPOT_PORTAL_ID=1\n"


def test_a_ledger_that_is_named_as_the_log_is_not_spoilt(shell):
    shell.type("stage")
    kept = Path("migrator.db").read_bytes()
    stops(shell.type("report --log-file migrator.db"), ExitCode.USAGE, "a file of the ledger")
    assert Path("migrator.db").read_bytes() == kept


@pytest.mark.parametrize("option", [*OPTIONS.values()])
def test_no_output_takes_the_place_of_a_file_of_the_ledger(shell, option):
    shell.type("stage")
    Path("link").symlink_to("migrator.db-shm")  # where nothing is yet
    Path("hard").hardlink_to("migrator.db.lock")
    before = {one.name: one.read_bytes() for one in shell.folder.iterdir() if one.exists()}
    own = [f"migrator.db{suffix}" for suffix in ("", "-wal", "-shm", "-journal", ".lock")]
    spelt = ("./migrator.db-wal", "MIGRATOR.db-wal", f"/dev/..{shell.folder}/migrator.db-journal")
    for name in (*own, "link", "hard", *spelt):
        stops(shell.type(f"report {option} {name}"), ExitCode.USAGE, "a file of the ledger", option)
    assert {one.name: one.read_bytes() for one in shell.folder.iterdir() if one.exists()} == before


def test_every_option_that_names_an_output_is_looked_at():
    """A new one belongs into `OPTIONS`, or among those that are read."""
    read = {"--mapping", "--check"}
    commands = subparsers(build_parser()).values()
    actions = [one for command in commands for one in command._actions if one.metavar == "FILE"]
    named = {one.option_strings[0] for one in actions if one.option_strings}
    assert named - read == {*OPTIONS.values()}


def test_a_log_that_finds_no_room_stops_no_push(shell):
    shell.type("stage")
    pushed = shell.type(f"{PUSH} --log-file /dev/full")
    assert pushed.code == ExitCode.DONE
    said = "The log /dev/full cannot be written any more. The command continues.\n"
    assert pushed.err.count(said) == 1
    judge(shell.sandbox, shell.folder / "migrator.db", SETTLE)


def test_a_word_without_an_end_keeps_no_log_waiting():
    """Tried from each of its letters, it would take a minute."""
    for word in ("a", "a'", "%25", "@a"):
        _EMAIL.sub("", word * 100_000)


def test_an_answer_that_is_quoted_names_nobody_in_the_log_and_steers_nothing(shell, monkeypatch):
    others = "cy%40z.example d%2540z.example e\\u0040z.example f&#64;z.example o'neil@z.example"
    body = {"error": f"no such lead: ada@x.example, <bob+1@y.example> {others} {EVIL}"}
    with Server((answer(404, json.dumps(body).encode()),)) as server:
        monkeypatch.setenv("LEADGENIUS_BASE_URL", server.url)
        monkeypatch.setenv("LGP_API_KEY", "lgp_secret")
        monkeypatch.setenv("LGP_USER_ID", "me")
        stopped = shell.type("clients -q --log-file run.log")
    assert "ada@x.example" in stopped.err
    kept = Path("run.log").read_text()
    assert "no such lead: (an e-mail)," in kept
    for one in ("ada", "x.example", "bob", "y.example", "cy%", "z.example", "neil"):
        assert one not in kept
    assert "lgp_secret" not in kept
    assert steering(kept) == set()


# Poor terminals

TYPED = (
    "clients",
    "stage -v",
    "report",
    PUSH,
    VERIFY,
    "retry --reason refused",
    "report",
    "push x",
)


def poor(encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding, write_through=True)


@pytest.mark.parametrize(
    "environ",
    [
        {"COLUMNS": "40", "NO_COLOR": "1", "TERM": "xterm-256color"},
        {"COLUMNS": "80", "TERM": "dumb"},
    ],
)
def test_a_whole_journey_is_told_in_ascii_without_colours(shell, monkeypatch, environ):
    shell.sandbox.fault("refuse")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    for words in TYPED:
        out, err = poor("ascii"), poor("ascii")
        monkeypatch.setattr("sys.stdout", out)
        monkeypatch.setattr("sys.stderr", err)
        code = cli.main(words.split())
        told = out.buffer.getvalue() + err.buffer.getvalue()  # type: ignore[attr-defined]
        assert code in (ExitCode.DONE, ExitCode.NEEDS_ATTENTION, ExitCode.USAGE), told
        assert told
        assert b"\x1b" not in told
        if words == "report":
            assert max(map(len, told.splitlines())) <= int(environ["COLUMNS"])


# Whose time it is


def test_times_are_the_operator_s_on_screen_and_utc_in_a_log(shell, tokyo):
    shown = shell.type("clients -v --log-file run.log").err
    assert re.search(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\+09:00 migrator\.http: ", shown)
    hour = int(re.findall(r"T(\d\d):", Path("run.log").read_text())[0])
    assert abs(hour - time.gmtime().tm_hour) in (0, 1, 23)


def test_a_moment_is_said_with_its_zone(tokyo):
    assert local_time(0) == "01 January, 09:00 JST"


def test_a_service_that_wants_to_be_left_alone_says_until_when_here(shell, tokyo, monkeypatch):
    with Server((answer(429, headers={"Retry-After": "86400"}),)) as server:
        monkeypatch.setenv("LEADGENIUS_BASE_URL", server.url)
        monkeypatch.setenv("LGP_API_KEY", "lgp_secret")
        monkeypatch.setenv("LGP_USER_ID", "me")
        stopped = shell.type("clients")
    assert re.search(r"a wait until \d\d \w+, \d\d:\d\d JST \(", stopped.err), stopped


def test_times_in_json_are_utc(shell, tokyo):
    shell.type("stage")
    assert shell.type(PUSH).code == ExitCode.DONE
    for words in ("report --json", f"audit --settle {SETTLE}"):
        out = shell.type(words).out
        moments = re.findall(r'"(\d{4}-\d\d-\d\d\w[^"]+)"', out)
        assert moments, words
        for moment in moments:
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z", moment), moment
