"""Answers too long, too slow, too odd or too patient: bounded time, bounded memory, plain words."""

import gzip
import json
import re
import resource
import sys
import time
from email.utils import formatdate

import pytest

from migrator.errors import ExitCode, ServiceBusy, ServiceDown
from migrator.http import HttpClient
from tests import at_once
from tests.support.inprocess_cli import PUSH, RESUME, InProcessCli, after_leads, stops
from tests.support.journeys import Journey
from tests.support.socket_server import Server, answer, trickle

NOT_NOW = "LeadGenius accepts no requests"


@pytest.fixture
def shell(sandbox, tmp_path, monkeypatch, capsys):
    shell = InProcessCli(tmp_path, sandbox(contacts=25), monkeypatch, capsys)
    shell.stage()
    return shell


# Not now


@pytest.mark.parametrize(
    "retry_after",
    ["86400", "301", formatdate(time.time() + 7200, usegmt=True)],
    ids=["a day", "five minutes", "a date"],
)
def test_a_pause_of_hours_is_not_waited_for(shell, retry_after):
    headers = {"Retry-After": retry_after}
    shell.sandbox.outage("/api/leads", 429, headers=headers, method="POST")
    then = (f"{NOT_NOW} until ", "next: migrator push --resume then")
    stops(shell.type(PUSH), ExitCode.STOPPED_EARLY, *then)
    shell.sandbox.calm()
    shell.sandbox.outage("/api", 429, headers=headers)
    stops(shell.type(PUSH + " --resume"), ExitCode.STOPPED_EARLY, "asks for a wait until")
    assert shell.count("held IS NOT NULL AND held = 'gave_up'") == 0
    shell.ends_well()


@pytest.mark.parametrize("retry_after", ["", "soon", "-5", "1e308", "nan", "inf", "0", "٣"])
def test_a_pause_that_makes_no_sense_is_a_short_one(shell, monkeypatch, retry_after):
    monkeypatch.setattr("migrator.rate_limit.state.PAUSE_WHEN_THROTTLED_SECONDS", 0.02)
    headers = {"Retry-After": retry_after.encode().decode("latin-1")}
    after_leads(shell.sandbox, 5, lambda: shell.sandbox.outage("/api/leads", 429, headers=headers))
    # It goes on for so long that nobody would watch it any more.
    monkeypatch.setattr("migrator.push.breaker.SHORTEST_LONGEST_WAIT_SECONDS", 0.2)
    stops(shell.type(PUSH), ExitCode.STOPPED_EARLY, NOT_NOW)
    shell.ends_well()


ONE_WORKER = PUSH.replace("--workers 4", "--workers 1").replace("--rate max", "--rate auto")


def used_up(shell: InProcessCli, reset_in: int) -> None:
    """The service takes one more request, and says that it was the last one."""
    told = {
        "X-RateLimit-Limit": "100",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(int(time.time()) + reset_in),
        "Date": formatdate(usegmt=True),  # told by its own clock, a reset is believed
    }
    lead = json.dumps({"success": True, "lead": {"id": "one"}}).encode()
    shell.sandbox.outage("/api/leads", 201, lead, told, method="POST")


@pytest.mark.parametrize("reset_in", [3600, 86400])
def test_a_window_that_ends_in_hours_stops_the_push(shell, reset_in):
    used_up(shell, reset_in)
    stops(shell.type(ONE_WORKER), ExitCode.STOPPED_EARLY, f"{NOT_NOW} until ")
    assert shell.count("state = 'posted'") == 1


@pytest.mark.parametrize("reset_in", [100, 3600])
def test_a_window_that_is_used_up_by_the_last_lead_is_nobodys_trouble(shell, reset_in):
    # Were it waited for, the test would run into its time-out.
    used_up(shell, reset_in)
    assert shell.type(f"{ONE_WORKER} --limit 1").code == 0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hubspot_throttle", None),
        ("hubspot_secondly", None),
        ("hubspot_locked", None),
        ("hubspot_migrating", None),
        ("hubspot_daily", "HubSpot's daily quota is used up"),
    ],
)
def test_hubspot_says_not_now(sandbox, ledger, name, words):
    journey = Journey(sandbox(contacts=30), ledger)
    journey.sandbox.fault(name, times=4)
    if words is None:
        assert journey.stage().new == 30
    else:
        with pytest.raises(ServiceBusy, match=words):
            journey.stage()


# Too long


def http(server: Server, timeout: float = 5.0) -> HttpClient:
    return HttpClient(
        "The service", server.url, timeout_seconds=timeout, pause=lambda seconds: None
    )


def peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


# 16 MB, sixty-four times over: a gigabyte in a single megabyte.
BOMB = gzip.compress(b" " * (16 << 20)) * 64


@pytest.fixture
def bounds(monkeypatch):
    monkeypatch.setattr("migrator.http.client.LONGEST_PAGE_BYTES", 8 << 20)
    monkeypatch.setattr("migrator.http.client.LONGEST_SEND_ANSWER_BYTES", 4 << 20)


@pytest.mark.parametrize(
    "raw",
    [
        answer(200, b" " * (9 << 20)),
        answer(200, BOMB, {"Content-Encoding": "gzip"}),
    ],
    ids=["blanks", "bomb"],
)
def test_an_answer_too_long_for_memory_is_not_read_to_its_end(bounds, raw):
    before = peak_mb()
    with Server((raw,)) as server:
        one = http(server)
        with pytest.raises(ServiceDown, match="in 7 tries: the answer is longer than 8 MB"):
            one.read("GET", "/", headers={})
        sent = one.send("/", b"{}", headers={}, created_id=str, may_leave=at_once)
        one.close()
    assert (sent.outcome, sent.answer) == (None, "the answer is longer than 4 MB")
    assert peak_mb() - before < 200


def test_blanks_without_end_within_bounds_are_no_answer():
    with Server((answer(200, b" " * (20 << 20)),)) as server:
        one = http(server)
        with pytest.raises(ServiceDown, match="something other than a JSON object"):
            one.read("GET", "/", headers={})
        one.close()


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"HTTP/1.1 201 So\r\nContent-Length: 9\r\nContent-Length: 2\r\n\r\n{}", "invalid header"),
        (answer(201, b"not gzip", {"Content-Encoding": "gzip"}), "cannot be decompressed"),
        (answer(201, b'{"id": 1', {"Content-Length": "99"}) + b"", "cut short|time-out"),
        (b"HTTP/1.1 102 So\r\n\r\n", "interim"),
        (b"220 smtp.example ready\r\n", ""),
    ],
)
def test_a_send_that_is_answered_oddly_is_in_doubt(raw, words):
    with Server((raw,)) as server:
        one = http(server, timeout=0.5)
        sent = one.send("/", b"{}", headers={}, created_id=lambda data: "one", may_leave=at_once)
        one.close()
    assert sent.outcome is None
    assert re.search(words, sent.answer or "")
    assert len(server.requests) == 1


def test_an_answer_that_drips_for_ever_is_cut_off():
    drip = trickle(b"HTTP/1.1 201 So\r\nContent-Length: 9999\r\n\r\n", b" ", for_seconds=20)
    with Server((drip,)) as server:
        one = http(server, timeout=0.1)
        sent = one.send("/", b"{}", headers={}, created_id=lambda data: "one", may_leave=at_once)
        one.close()
    assert sent.outcome is None


def test_answers_too_long_for_memory_are_settled_by_looking_and_the_journey_ends_well(
    shell, bounds
):
    long = b'{"success": true, "lead": {"id": "x", "notes": "' + b"x" * (5 << 20) + b'"}}'
    shell.sandbox.outage("/api/leads", 201, long, method="POST")
    result = shell.type(PUSH)
    stops(result, ExitCode.STOPPED_EARLY, "the answer is longer than 4 MB")
    outcomes = {outcome for (outcome,) in shell.ask("SELECT outcome FROM attempt")}
    assert {"absent"} <= outcomes <= {"absent", "unsent"}
    shell.ends_well()


def test_a_send_answered_with_anything_else_is_settled_by_looking(shell):
    for body in (b"null", b"[]", b'{"lead": []}', b'{"lead": {"id": "\\ud800"}}', b"[" * 99_999):
        shell.sandbox.outage("/api/leads", 201, body, method="POST")
        code = shell.type(PUSH if not shell.count("state = 'posted'") else RESUME).code
        assert code == ExitCode.STOPPED_EARLY
        shell.sandbox.calm()
    assert not shell.sandbox.held
    shell.ends_well()
