"""A service that is down: what is seen, that nothing is burnt, and that the journey ends well."""

import json
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Thread

import pytest

from migrator.errors import ExitCode
from migrator.http.retries import MAX_TRIES
from migrator.http.transport import NeverSent, Transport
from migrator.push.breaker import MOST_LOST_ROUNDS
from migrator.sandbox import Sandbox
from migrator.sandbox.messages import seal
from tests.support.inprocess_cli import (
    PUSH,
    RESUME,
    SETTLE,
    VERIFY,
    InProcessCli,
    after_leads,
    stops,
    when,
)
from tests.support.processes import Operator, ended, eventually, kill
from tests.support.socket_server import nobody

CONTACTS = 25
STAGE = "stage --retry-for 0"
WORKERS = 4
WAIT = PUSH.replace("--retry-for 0", "--retry-for 60")
PORTAL = 130
LATER = "run the same command again later; everything done so far is kept"
LOGIN_PAGE = b"<!doctype html><title>Log in</title>"

DOWN = {
    "503": ({"status": 503}, " tries: it answered 503"),
    "silence": ({"status": None}, " tries: no answer within the time-out"),
    "login page": ({"status": 200, "body": LOGIN_PAGE}, "with something other than a JSON object"),
    "empty": ({"status": 200}, "with something other than a JSON object"),
}
down = pytest.mark.parametrize(("outage", "words"), DOWN.values(), ids=list(DOWN))
gone = pytest.mark.parametrize(("outage", "words"), [DOWN["503"], DOWN["login page"]])


@pytest.fixture
def shell(sandbox, tmp_path, monkeypatch, capsys):
    box = sandbox(contacts=CONTACTS, page_limit=10)
    return InProcessCli(tmp_path, box, monkeypatch, capsys)


@pytest.fixture
def staged(shell):
    Operator(shell.folder, shell.sandbox).stage()
    return shell


# LeadGenius


@pytest.mark.parametrize(
    ("where", "words"),
    [
        (nobody, "in 7 tries: connection refused"),
        (lambda: "https://nowhere.invalid", "in 7 tries: name or service not known"),
    ],
    ids=["refused", "no such name"],
)
def test_leadgenius_cannot_be_reached_at_the_start(staged, monkeypatch, where, words):
    # A service that never answered is a wrong address: nobody waits for it, however patient.
    url = where()
    with monkeypatch.context() as patch:
        patch.setenv("LEADGENIUS_BASE_URL", url)
        push = WAIT.replace(f"--settle {SETTLE}", "--settle 20")  # no less, for another machine
        stops(staged.type(push), ExitCode.STOPPED_EARLY, f"LeadGenius at {url} gave", words)
    assert staged.ask("SELECT count(*) FROM attempt") == [(0,)]
    staged.ends_well(PUSH)


@down
def test_leadgenius_is_down_at_the_start(staged, outage, words):
    staged.sandbox.outage("/api", **outage)
    quick = PUSH.replace("--timeout 2", "--timeout 0.2")
    stops(staged.type(quick), ExitCode.STOPPED_EARLY, words)
    assert staged.ask("SELECT count(*) FROM attempt") == [(0,)]
    staged.ends_well(PUSH)


@down
def test_leadgenius_goes_down_in_the_middle_of_a_push(staged, outage, words):
    after_leads(staged.sandbox, 8, lambda: staged.sandbox.outage("/api", **outage))
    quick = PUSH.replace("--timeout 2", "--timeout 0.2")
    stops(staged.type(quick), ExitCode.STOPPED_EARLY, "LeadGenius")
    assert staged.count("held = 'gave_up'") == 0
    stops(staged.type(PUSH), ExitCode.STOPPED_EARLY, "next: migrator push --resume")
    staged.ends_well()


@gone
def test_leadgenius_goes_down_during_the_look_before_the_first_post(staged, outage, words):
    staged.sandbox.outage("/api/leads", **outage, method="GET")
    quick = PUSH.replace("--timeout 2", "--timeout 0.2")
    stops(staged.type(quick), ExitCode.STOPPED_EARLY, words)
    assert staged.ask("SELECT count(*) FROM attempt") == [(0,)]
    staged.ends_well()


def test_a_push_that_was_stopped_by_a_failing_list_says_how_to_resume(staged):
    staged.sandbox.outage("/api/leads", 503, method="GET")
    said = staged.type(PUSH).err
    assert "next: migrator push --resume later; everything done so far is kept" in said
    staged.ends_well()


@gone
def test_leadgenius_goes_down_during_the_listing_that_settles(staged, outage, words):
    staged.sandbox.fault("drop_after_saving", times=3)
    after_leads(
        staged.sandbox, 5, lambda: staged.sandbox.outage("/api/leads", **outage, method="GET")
    )
    quick = PUSH.replace("--timeout 2", "--timeout 0.2")
    stops(staged.type(quick), ExitCode.STOPPED_EARLY, words)
    assert staged.ask("SELECT count(*) FROM attempt WHERE outcome IS NULL") == [(3,)]
    staged.ends_well()


@gone
def test_leadgenius_goes_down_while_its_leads_are_verified(staged, outage, words):
    assert staged.type(PUSH).code == 0
    # After the first page.
    when(
        staged.sandbox,
        lambda: "lastKey" in staged.sandbox.received[-1].query,
        lambda: staged.sandbox.outage("/api/leads", **outage),
    )
    quick = VERIFY.replace("--timeout 2", "--timeout 0.2")
    stops(staged.type(quick), ExitCode.STOPPED_EARLY, words)
    assert staged.count("state = 'verified' OR held = 'missing'") == 0
    staged.ends_well()


def test_a_service_that_takes_nothing_for_good_uses_up_no_attempts(staged):
    staged.sandbox.outage("/api/leads", 503, method="POST")
    for words in (PUSH, RESUME, RESUME, RESUME, RESUME, RESUME, RESUME):
        result = staged.type(words)
        stops(result, ExitCode.STOPPED_EARLY, "LeadGenius accepts no leads at the moment")
        assert "next: migrator push --resume, later" in result.err
    assert staged.count("held = 'gave_up'") == 0
    staged.ends_well()


# Patience with a service that answered before


@contextmanager
def once(
    sandbox: Sandbox, is_time: Callable[[], bool], act: Callable[[], object]
) -> Iterator[None]:
    """Do something to a sandbox from outside of its requests, once it is time for that."""

    def wait_and_act() -> None:
        sandbox.wait_until(is_time, timeout=30)
        act()

    with ThreadPoolExecutor(1) as hand:
        acted = hand.submit(wait_and_act)
        yield
        acted.result()


def unanswered(sandbox: Sandbox, method: str = "", path: str = "/") -> int:
    """So many requests met an outage."""
    struck = [one for one in sandbox.received if one.fault == "outage"]
    return sum(one.method.startswith(method) and one.path.startswith(path) for one in struck)


def test_a_push_waits_for_a_service_that_went_away_and_sends_nothing_meanwhile(staged):
    sandbox = staged.sandbox

    def come_back():
        sandbox.expire_tokens()
        sandbox.calm()

    after_leads(sandbox, 8, lambda: sandbox.outage("/api"))
    asked = "/api/leads"
    with once(sandbox, lambda: unanswered(sandbox, "GET", asked) > 3 * MAX_TRIES, come_back):
        pushed = staged.type(WAIT)
    assert pushed.code == 0, pushed
    # Those that were in flight, and as many as may have left before the first of them came back.
    assert unanswered(sandbox, "POST", "/api/leads") <= 2 * WORKERS
    assert staged.count("held = 'gave_up'") == 0
    staged.ends_well()


def test_a_service_that_answers_and_takes_nothing_is_not_waited_for(staged):
    staged.sandbox.outage("/api/leads", 503, method="POST")
    result = staged.type(WAIT)
    stops(result, ExitCode.STOPPED_EARLY, "LeadGenius accepts no leads at the moment")
    assert unanswered(staged.sandbox) == staged.count("state = 'mapped' AND held IS NULL")
    staged.ends_well()


def test_a_network_that_comes_and_goes_stops_no_push_that_is_patient(staged, monkeypatch):
    exchange, unsent = Transport.exchange, iter(range(4 * MOST_LOST_ROUNDS))

    def fails_for_sends(self, method, url, **request):
        if url.endswith("/api/leads") and method == "POST" and next(unsent, None) is not None:
            raise NeverSent("its name cannot be resolved")
        return exchange(self, method, url, **request)

    monkeypatch.setattr(Transport, "exchange", fails_for_sends)
    assert staged.type(WAIT).code == 0
    assert staged.ask("SELECT count(*) FROM attempt WHERE outcome IS NULL") == [(0,)]
    staged.ends_well()


def test_a_stage_waits_for_hubspot(portal):
    sandbox = portal.sandbox
    when(
        sandbox,
        lambda: any("after" in one.query for one in sandbox.received),
        lambda: sandbox.outage("/crm"),
    )
    with once(sandbox, lambda: unanswered(sandbox) > 2 * MAX_TRIES, sandbox.calm):
        assert portal.type("stage").code == 0
    assert portal.count("TRUE") == PORTAL


def test_a_verification_waits_for_leadgenius(staged):
    assert staged.type(PUSH).code == 0
    sandbox = staged.sandbox
    when(
        sandbox,
        lambda: "lastKey" in sandbox.received[-1].query,
        lambda: sandbox.outage("/api/leads"),
    )
    with once(sandbox, lambda: unanswered(sandbox) > 2 * MAX_TRIES, sandbox.calm):
        assert staged.type(f"verify --settle {SETTLE}").code == 0
    assert staged.count("state = 'posted'") == 0


def test_all_is_sent_so_nobody_waits_for_the_last_look(staged):
    last = staged.count("state = 'mapped' AND held IS NULL") - 1
    after_leads(staged.sandbox, last, lambda: staged.sandbox.outage("/api/clients"))
    assert staged.type(WAIT.replace("--workers 4", "--workers 1")).code == 0
    assert unanswered(staged.sandbox) == 1


@pytest.fixture
def away(sandbox, tmp_path):
    """A push in a process of its own that waits for a service whose port is closed."""
    operator = Operator(tmp_path, sandbox(contacts=CONTACTS, latency_seconds=0.02))
    operator.stage()
    push = operator.start("push --rate max --workers 4 --settle 1 --timeout 3 --canary 0")
    try:
        operator.sandbox.wait_until(lambda: len(operator.sandbox.held) >= 10, timeout=30)
        operator.sandbox.stop()
        eventually(lambda: waits(operator), "a wait that a second terminal can see")
        yield operator, push
    finally:
        kill(push)


def waits(operator: Operator) -> bool:
    told = operator.ask("SELECT counters FROM run ORDER BY id DESC LIMIT 1")[0][0]
    return "LeadGenius to answer again" in (told or "")


def ends_well(operator: Operator) -> None:
    assert operator.run("verify --settle 1").code == 0
    assert operator.sandbox.verdict().ok, operator.sandbox.verdict()


def test_leadgenius_goes_away_in_a_push_and_comes_back(away):
    operator, push = away
    operator.sandbox.start()
    result = ended(push)
    assert result.code == 0, result
    ends_well(operator)


def test_ctrl_c_ends_the_wait_at_once(away):
    operator, push = away
    push.send_signal(signal.SIGINT)
    result = ended(push)
    assert result.code == ExitCode.SIGINT
    assert "next: migrator push --resume" in result.err
    operator.sandbox.start()
    assert operator.run("push --resume --rate max --settle 1").code == 0
    ends_well(operator)


def test_leadgenius_goes_away_in_a_push_for_good(staged):
    sandbox = staged.sandbox
    after_leads(sandbox, 8, Thread(target=sandbox.stop).start)
    stopped = staged.type(PUSH)
    sandbox.start()
    stops(stopped, ExitCode.STOPPED_EARLY, "connection", "next: migrator push --resume later")
    staged.ends_well()


# HubSpot


@pytest.fixture
def portal(sandbox, tmp_path, monkeypatch, capsys):
    return InProcessCli(tmp_path, sandbox(contacts=PORTAL), monkeypatch, capsys)


@pytest.mark.parametrize(
    ("outage", "words"),
    [
        ({"status": 503}, "in 7 tries: it answered 503"),
        ({"status": 200, "body": LOGIN_PAGE}, "with something other than a JSON object"),
        (
            {"status": 477, "headers": {"Retry-After": "86400"}},
            "HubSpot asks for a wait until",
        ),
    ],
)
@pytest.mark.parametrize("path", ["/account-info", "/crm"])
def test_hubspot_is_down(portal, path, outage, words):
    portal.sandbox.outage(path, **outage)
    stops(portal.type(STAGE), ExitCode.STOPPED_EARLY, words)
    portal.sandbox.calm()
    assert portal.type("stage").code == 0
    assert portal.count("TRUE") == PORTAL


def test_hubspot_cannot_be_reached(portal, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("HUBSPOT_BASE_URL", nobody())
        stops(portal.type("stage"), ExitCode.STOPPED_EARLY, "connection refused", LATER)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"status": 503}, "it answered 503"),
        (
            {"status": 200, "body": b'{"results": [', "is_cut_short": True},
            "the answer was cut short",
        ),
    ],
)
def test_a_page_whose_companies_do_not_come_is_not_kept(portal, monkeypatch, answer, words):
    monkeypatch.setattr(
        "migrator.stage.prefetch.MOST_PAGES_WAITING", 1
    )  # no page fills another's batch
    monkeypatch.setattr("migrator.stage.prefetch.PAGES_AHEAD", 1)
    batch = "/crm/v3/objects/companies/batch/read"
    when(
        portal.sandbox,
        lambda: sum(one.path == batch for one in portal.sandbox.received) == 1,
        lambda: portal.sandbox.outage(batch, **answer),
    )
    stops(portal.type(STAGE), ExitCode.STOPPED_EARLY, words)
    checkpoint = portal.ask("SELECT pages, contacts_seen FROM checkpoint WHERE name = 'extraction'")
    assert checkpoint == [(1, 100)]
    portal.ends_well(PUSH)


def test_the_day_is_used_up_in_the_middle_of_a_stage(portal):
    portal.sandbox.fault("hubspot_daily", times=99, where=lambda query: "after" in query)
    result = portal.type("stage")
    stops(result, ExitCode.STOPPED_EARLY, "HubSpot's daily quota is used up; ", " UTC.")
    assert "next: run the same command again then" in result.err
    portal.ends_well(PUSH)


def test_a_cursor_that_grew_old_between_two_runs_costs_nothing_but_time(portal):
    portal.sandbox.fault("hubspot_daily", times=99, where=lambda query: "after" in query)
    assert portal.type("stage").code == ExitCode.STOPPED_EARLY
    portal.sandbox.calm()
    portal.sandbox.fault("hubspot_cursor_expired")
    assert portal.type("stage").code == 0
    assert portal.count("TRUE") == PORTAL
    portal.ends_well(PUSH)


# Answers that make no sense


def listing(**more: object) -> dict[str, object]:
    return {"status": 200, "body": json.dumps({"success": True, **more}).encode()}


LOOP = {"pk": seal("once")}
NONSENSE = [
    (listing(leads={}), "has no list of leads"),
    (listing(leads=[None] * 11), "11 have no usable id"),
    (listing(leads=[{"email": "a@b.example"}] * 11), "11 have no usable id"),
    (listing(leads=[{"id": 1e5}] * 11), "11 have no usable id"),
    (listing(leads=[{"id": "\ud800"}] * 11), "11 have no usable id"),
    (listing(leads=[], lastKey=LOOP), "returned a page cursor a second time"),
    (listing(leads=[], lastKey="k", nextToken="t"), "returned a page cursor a second time"),
    ({"status": 200, "body": b"null"}, "with something other than a JSON object"),
    ({"status": 200, "body": b"[]"}, "with something other than a JSON object"),
    ({"status": 200, "body": b"[" * 100_000}, "with something other than a JSON object"),
    ({"status": 200, "body": b'{"leads": "\xff\xfe"}'}, "with something other than a JSON object"),
    ({"status": 103}, "in 9 tries: an interim answer only"),
    ({"status": 301, "headers": {"Location": "/else"}}, "redirects /api/leads elsewhere"),
]


@pytest.mark.parametrize(("answer", "words"), NONSENSE)
def test_a_listing_that_makes_no_sense_is_never_complete(staged, answer, words):
    staged.sandbox.outage("/api/leads", method="GET", **answer)
    result = staged.type(PUSH)
    stops(result, result.code, words)
    assert result.code in (ExitCode.STOPPED_EARLY, ExitCode.NOT_READY)
    assert staged.ask("SELECT count(*) FROM attempt") == [(0,)]
    staged.sandbox.calm()
    assert staged.type(f"{RESUME} --limit 1").code == 0


@pytest.mark.parametrize(("answer", "words"), NONSENSE[1:7:2])
def test_a_listing_that_makes_no_sense_verifies_nothing(staged, answer, words):
    assert staged.type(PUSH).code == 0
    staged.sandbox.outage("/api/leads", method="GET", **answer)
    stops(staged.type(VERIFY), ExitCode.STOPPED_EARLY, words)
    assert staged.count("state = 'verified' OR held = 'missing'") == 0
    staged.ends_well()


@pytest.mark.parametrize(
    ("words", "environment", "code"),
    [
        ("", {"LEADGENIUS_CLIENT_ID": "nobodys"}, ExitCode.NOT_READY),
        ("", {"LEADGENIUS_PASSWORD": "wrong"}, ExitCode.NOT_READY),
        ("", {"LEADGENIUS_BASE_URL": "http://127.0.0.1:9"}, ExitCode.STOPPED_EARLY),
        ("--settle 1", {"LEADGENIUS_BASE_URL": "https://leadgenius.invalid"}, ExitCode.USAGE),
    ],
)
def test_a_push_that_sent_nothing_leaves_nothing_to_resume(staged, words, environment, code):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        assert staged.type(f"push --retry-for 0 {words}").code == code
    assert "Next: migrator push   (" in staged.type("report").out
    assert staged.type(PUSH).code == 0
