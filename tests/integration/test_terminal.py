"""Whatever a service says or the ledger holds: nothing of it steers the terminal that shows it."""

import fcntl
import json
import logging
import os
import pty
import re
import sqlite3
import struct
import sys
import termios
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from migrator import text
from migrator.cli.log_setup import log_to
from migrator.errors import ExitCode
from migrator.ledger import Ledger
from migrator.streams import tell
from tests import PACKAGE
from tests.support.inprocess_cli import InProcessCli
from tests.support.journeys import Journey
from tests.support.processes import Operator
from tests.support.socket_server import Server, answer
from tests.support.tampering import meddle

# Set a title, ring, go back to the left, colours in 8 bits, right to left, isolates, DEL, a line.
EVIL = "\x1b]0;owned\x07\r\x1b[31m\x9b31m\u202eevil\u2066\u200f\x7f\u2028\nnext: rm -rf ~"
ALLOWED = "\n"


def shown(operator: Operator, words: str, width: int = 0, **more: str) -> tuple[int, str]:
    """The exit code of a command on a terminal, and all that the terminal was told."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    process = operator.start(words, theirs, **more)
    os.close(theirs)
    told = b"".join(iter(lambda: read(ours), b""))
    os.close(ours)
    # The terminal's own doing: a line's end becomes two characters.
    return process.wait(), told.decode().replace("\r\n", "\n")


def read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # how Linux says that nobody holds the other end any more
        return b""


def steering(text: str) -> set[str]:
    return {one for one in text if one not in ALLOWED and unicodedata.category(one)[0] in "CZ"} - {
        " "
    }


@pytest.fixture
def operator(sandbox: Callable[..., Any], tmp_path: Any) -> Iterator[Operator]:
    """Evil names, titles and addresses in HubSpot, evil clients in LeadGenius."""
    service = sandbox(contacts=8)
    for number, email in enumerate((f"ada{EVIL}@x.example", f"{EVIL}", "bob@x.example")):
        evil = {"firstname": EVIL, "lastname": EVIL, "jobtitle": EVIL, "phone": EVIL}
        service.add_contact({**evil, "email": email, "city": f"{number}"})
    with Ledger.open_for_work(tmp_path / "unused.db") as ledger:
        journey = Journey(service, ledger)
        journey.leadgenius().create_client(EVIL, EVIL)
        journey.close()
    yield Operator(tmp_path, service)


JOURNEY = (
    "clients",
    "clients --json",
    "preflight",
    "stage -v",
    "push --client-id nobody",
    "push -v --rate max --settle 1",
    "verify --settle 1 -v",
    "report",
    "report --json",
    "retry --reason refused",
    "forget --yes",
    "report",
)


def test_no_command_of_a_whole_journey_steers_the_terminal(operator):
    operator.sandbox.fault("refuse")
    for words in JOURNEY:
        code, told = shown(operator, words)
        assert code != ExitCode.BUG, told
        assert told.strip(), words
        assert steering(told) == set(), (words, told)
        assert "\nnext: rm" not in told, words


def test_a_ledger_that_somebody_tampered_with_steers_nothing(operator):
    operator.run("stage")
    meddle(
        operator.ledger,
        "UPDATE ledger SET client_id = ?, leadgenius_url = ?, portal_id = ?",
        *(EVIL, EVIL, EVIL),
    )
    meddle(operator.ledger, "UPDATE run SET host = ?, command = ?", EVIL, EVIL)
    with closing(sqlite3.connect(operator.ledger)) as db, db:
        held = "UPDATE contact SET held = 'refused', detail = json_quote(?), hubspot_id = ? || key"
        db.execute(held, (EVIL, EVIL))
        db.execute("UPDATE run SET counters = ?", (json.dumps({EVIL: 1}),))
    for words in ("report", "report --json", "push", "verify", "retry --reason refused"):
        code, told = shown(operator, words)
        assert code != ExitCode.BUG, told
        assert steering(told) == set(), (words, told)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        *(("stage -v", status) for status in (200, 400, 401, 403, 404, 429)),
        *(("clients -v", status) for status in (200, 400, 401, 404)),
        *(("clients --create X", status) for status in (200, 400)),
        ("auth", 200),
    ],
)
def test_no_answer_steers_the_terminal(sandbox, tmp_path, monkeypatch, capsys, status, words):
    body = {"message": EVIL, "error": EVIL, "category": EVIL, "correlationId": EVIL}
    page = {"portalId": 1, "policyName": "DAILY", "clients": [{"client_id": EVIL, "id": EVIL}]}
    raw = answer(status, json.dumps({**body, **page}).encode())
    with Server((raw,)) as server:
        for name in ("HUBSPOT_BASE_URL", "LEADGENIUS_BASE_URL"):
            monkeypatch.setenv(name, server.url)
        monkeypatch.setenv("LGP_API_KEY", "lgp_x")
        monkeypatch.setenv("LGP_USER_ID", "me")
        done = InProcessCli(tmp_path, sandbox(contacts=1), monkeypatch, capsys).type(words)
    told = done.out + done.err
    assert done.code != ExitCode.BUG, told
    assert steering(told) == set(), told
    assert "\nnext: rm" not in told


def test_a_result_keeps_its_lines_and_loses_what_steers(capsys):
    tell(f"one  {EVIL}\ntwo")
    out = capsys.readouterr().out
    assert steering(out) == set()
    assert out.splitlines()[0].startswith("one  ")
    assert out.splitlines()[-1] == "two"


def test_json_comes_back_whole(capsys):
    tell(text.json_text({EVIL: [EVIL]}, indent=2))
    out = capsys.readouterr().out
    assert steering(out) == set()
    assert out.isascii()
    assert json.loads(out) == {EVIL: [EVIL]}


def test_a_log_line_loses_what_steers(capsys):
    log_to(sys.stderr)
    logging.getLogger("migrator.test").info("%s", EVIL)
    log_to(None)
    err = capsys.readouterr().err
    assert "evil" in err
    assert steering(err) == set()


def test_commands_print_through_the_one_door() -> None:
    # Questions to a person go to stderr at once; they quote nobody but the settings.
    for path in (PACKAGE / "cli").glob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            is_question = "file=sys.stderr" in line
            assert " print(" not in line or is_question, (path.name, line)


# The live display

STATES = ("extracted", "mapped", "posted", "verified")
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
TERMINAL = {"TERM": "xterm-256color", "COLUMNS": "", "PYTHONUTF8": "1"}


def test_a_message_is_broken_between_words_and_only_on_a_terminal(operator):
    words = "stage --ledger no/such/folder/migrator.db"
    code, told = shown(operator, words, 40, **TERMINAL)
    lines = CONTROL.sub("", told).splitlines()
    assert code == ExitCode.LEDGER
    assert len(lines) > 3
    assert all(line.startswith(("error: ", "next: ", "  ")) for line in lines)
    assert all(len(line) < 40 or " " not in line.strip() for line in lines)
    whole = operator.run(words).err
    assert len(whole.splitlines()) == 2
    assert " ".join(" ".join(lines).split()) == " ".join(whole.split())


@pytest.mark.parametrize("columns", ["0", "1"])
def test_a_message_is_readable_on_a_terminal_without_width(operator, columns):
    words = "stage --ledger no/such/folder/migrator.db"
    code, told = shown(operator, words, 40, **TERMINAL | {"COLUMNS": columns})
    assert code == ExitCode.LEDGER
    assert CONTROL.sub("", told).split() == operator.run(words).err.split()


@pytest.mark.parametrize("width", [40, 80])
def test_a_push_on_a_terminal_paints_bars_that_fit(sandbox, tmp_path, width):
    operator = Operator(tmp_path, sandbox(contacts=50, latency_seconds=0.05))
    operator.stage()
    code, told = shown(operator, "push --rate max --settle 0.2", width, **TERMINAL)
    assert code == ExitCode.DONE, told
    rows = CONTROL.sub("", told).replace("\r", "\n").split("\n")
    assert max(map(len, rows)) <= width
    for name in ("push", *STATES):
        assert any(row.startswith(f"{name} ") and row.endswith("%") for row in rows), name
    assert any(row.startswith("posted ") and "━" in row for row in rows)
    # The cursor was never hidden; what was painted is gone, and two lines remain.
    assert "\x1b[?25l" not in told
    above, *remain = told.rpartition("\x1b[2K")[2].splitlines()
    assert (above + remain[0]).startswith("push: ")
    assert "posted" in remain[-1]


def test_a_terminal_without_utf_8_or_colours_gets_bars_too(sandbox, tmp_path):
    operator = Operator(tmp_path, sandbox(contacts=8, latency_seconds=0.05))
    plain = {"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "NO_COLOR": "1"}
    code, told = shown(operator, "stage", 80, **{**TERMINAL, **plain})
    assert code == ExitCode.DONE, told
    assert told.isascii()
    assert "?" not in CONTROL.sub("", told)
    assert re.search(r"(?m)^extracted -+ +8 100%$", CONTROL.sub("", told)), told
