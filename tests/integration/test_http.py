"""
The table of answers (design, I2), row by row, against a server that is one socket.

A row is an answer, and what it proves. In each row the server saw one request: nothing below the
HTTP client may repeat, redirect or replay a send.
"""

import errno
import gzip
import logging
import os
import resource
import shutil
import socket
import ssl
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection

from migrator.errors import (
    Declined,
    Forbidden,
    LedgerBusy,
    MigratorError,
    NotFound,
    NotReady,
    ServiceBusy,
    ServiceDown,
    Unauthorized,
)
from migrator.http import (
    HttpClient,
    OutageBudget,
    RateLimitInfo,
    Response,
    SendOutcome,
    client,
    transport,
)
from migrator.http.page_size import PageSize
from migrator.http.redaction import Redactor
from migrator.http.responses import EXCERPT_CHARACTERS, excerpt, rate_limit_info
from migrator.http.retries import LONGEST_WAIT_SECONDS, MAX_TRIES
from migrator.loopback import is_loopback
from migrator.states import Outcome
from tests import at_once
from tests.support.socket_server import (
    LOOPBACK,
    Act,
    Server,
    Visit,
    answer,
    nobody,
    reset,
    silence,
    then_close,
    then_silence,
    trickle,
)

SECRET = "s3cret-of-nobody"
HEADERS = {"Authorization": f"Bearer {SECRET}"}
LEAD = b'{"success": true, "lead": {"id": "lead-1"}}'
CREATED = answer(201, LEAD)
CHUNKED = {"Transfer-Encoding": "chunked"}
IMPATIENT_SECONDS = 0.25
PATIENT_SECONDS = 10.0

Serve = Callable[..., Server]
Open = Callable[..., HttpClient]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as running:
        yield lambda *acts, **options: running.enter_context(Server(acts, **options))


@pytest.fixture
def http() -> Iterator[Open]:
    opened = []

    def open_(url: str, timeout_seconds: float = PATIENT_SECONDS, **options: Any) -> HttpClient:
        opened.append(HttpClient("LeadGenius", url, timeout_seconds=timeout_seconds, **options))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


def lead_id(data: Mapping[str, Any]) -> str | None:
    lead = data.get("lead")
    return lead.get("id") if data.get("success") is True and isinstance(lead, dict) else None


def send(
    http: HttpClient,
    body: bytes = b'{"email": "ada@example.com"}',
    headers: Mapping[str, str] = HEADERS,
    may_leave: Callable[[], None] = at_once,
) -> SendOutcome:
    return http.send("/api/leads", body, headers=headers, created_id=lead_id, may_leave=may_leave)


def read(http: HttpClient, **options: Any) -> Response:
    return http.read("GET", "/api/leads", headers=HEADERS, **options)


def chunked(*chunks: bytes) -> bytes:
    head = answer(201, headers=CHUNKED).replace(b"Content-Length: 0\r\n", b"")
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)


def late(visit: Visit) -> None:
    visit.hold(0.1)
    visit.say(CREATED)


def in_pieces(visit: Visit) -> None:
    for byte in CREATED:
        visit.say(bytes([byte]))


def before_the_final_one(interim: bytes) -> Act:
    def act(visit: Visit) -> None:
        visit.say(interim)
        visit.hold(0.05)
        visit.say(CREATED)

    return act


# The table -----------------------------------------------------------------------------------

CREATED_ROWS: dict[str, tuple[Act, int]] = {
    "201 with an id": (CREATED, 201),
    "200 with an id": (answer(200, LEAD), 200),
    "201 in chunks": (chunked(LEAD[:9], LEAD[9:], b""), 201),
    "201 zipped": (answer(201, gzip.compress(LEAD), {"Content-Encoding": "gzip"}), 201),
    "201 until the connection closes": (then_close(b"HTTP/1.1 201 So\r\n\r\n" + LEAD), 201),
    "201 byte by byte": (in_pieces, 201),
    "201 late, but in time": (late, 201),
    "100, then 201": (before_the_final_one(b"HTTP/1.1 100 Continue\r\n\r\n"), 201),
    "201 and a connection that closes": (then_close(CREATED), 201),
}

PROOFS_OF_NOTHING: dict[int, Outcome] = {
    400: Outcome.REFUSED,
    413: Outcome.REFUSED,
    422: Outcome.REFUSED,
    401: Outcome.DENIED,
    403: Outcome.DENIED,
    404: Outcome.DENIED,
    429: Outcome.THROTTLED,
}

# A proxy's page with such a status tells nothing of the lead.
PROOFS_OF_NOTHING_OF_OTHERS = PROOFS_OF_NOTHING | dict.fromkeys((400, 413, 422), Outcome.DENIED)
NO = b'{"success": false, "error": "no"}'

DOUBTFUL_ANSWERS: dict[str, tuple[Act, int]] = {
    "201 without an id": (answer(201, b'{"success": true, "lead": {}}'), 201),
    "201 of a batch": (answer(201, b'{"success": true, "created": 1}'), 201),
    "201 with nothing": (answer(201), 201),
    "201 with a page": (answer(201, b"<html>Welcome</html>"), 201),
    "201 with an id that failed": (answer(201, LEAD.replace(b"true", b"false")), 201),
    "201 with half an object": (answer(201, LEAD[:-3]), 201),
    "201 with a list": (answer(201, b"[" + LEAD + b"]"), 201),
    "201 with too deep an object": (answer(201, b'{"a":' * 100_000), 201),
    "201 closing in the middle": (then_close(b"HTTP/1.1 201 So\r\n\r\n" + LEAD[:-3]), 201),
    "201 closing in the middle of its head": (
        then_close(b"HTTP/1.1 201 So\r\nContent-Le"),
        201,
    ),
    "202 with nothing": (answer(202), 202),
    "204": (b"HTTP/1.1 204 So\r\n\r\n", 204),
    "304": (b"HTTP/1.1 304 So\r\n\r\n", 304),
    **{
        str(status): (answer(status, LEAD), status)
        for status in (402, 405, 406, 408, 409, 410, 414, 415, 418, 423, 425, 451, 477)
    },
    **{
        str(status): (answer(status, LEAD), status)
        for status in (500, 501, 502, 503, 504, 520, 521, 522, 523, 524, 530, 599)
    },
}

NO_ANSWER: dict[str, Act] = {
    "201 cut short": then_close(answer(201, LEAD, {"Content-Length": "999"})),
    "201 cut short after a whole object": then_close(
        answer(201, LEAD, {"Content-Length": str(len(LEAD) + 1)})
    ),
    "201 cut short before its last chunk": then_close(chunked(LEAD)),
    "201 cut short inside a chunk": then_close(chunked(LEAD)[:-9]),
    "201 with a chunk of no size": then_close(chunked() + b"so\r\n" + LEAD),
    "201 that is not zipped as it says": answer(201, LEAD, {"Content-Encoding": "gzip"}),
    "201 with two lengths": answer(201, LEAD, {"content-length": "1"}),
    "nothing": then_close(b""),
    "a reset": reset,
    "half a line": then_close(b"HTTP/1.1 20"),
    "another protocol": then_close(b"220 mail.example.com ESMTP\r\n"),
    "noise": then_close(bytes(range(1, 256)) * 4),
    "a head without end": then_close(b"HTTP/1.1 201 So\r\nX: " + b"x" * 70_000),
}

SILENCES: dict[str, Act] = {
    "at once": silence,
    "after half a head": then_silence(b"HTTP/1.1 201 So\r\nContent-Le"),
    "after an interim answer": then_silence(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "after half a body": then_silence(answer(201, LEAD, {"Content-Length": "999"})),
    "after a chunk": then_silence(chunked(LEAD)),
    "after an object without an end": then_silence(b"HTTP/1.1 201 So\r\n\r\n" + LEAD),
}

TRICKLES: dict[str, Act] = {
    "head": trickle(b"HTTP/1.1 201 So\r\nX-Slow: ", b"x"),
    "interim answers": trickle(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": trickle(answer(201, LEAD[:-3], {"Content-Length": "9999"}), b" "),
    "body after an object": trickle(answer(201, LEAD, {"Content-Length": "9999"}), b" "),
    "chunks": trickle(chunked(LEAD), b"1\r\n \r\n"),
    "zipped body": trickle(
        answer(201, gzip.compress(LEAD)[:12], {"Content-Encoding": "gzip", "Content-Length": "99"}),
        b"\0",
    ),
    "redirect": trickle(answer(302, headers={"Location": "/", "Content-Length": "9999"}), b"x"),
    "server error": trickle(answer(502, headers={"Content-Length": "9999"}), b"x"),
}


@pytest.mark.parametrize("row", CREATED_ROWS)
def test_an_answer_with_an_id_is_a_lead(row: str, serve: Serve, http: Open) -> None:
    act, status = CREATED_ROWS[row]
    server = serve(act)
    sent = send(http(server.url))
    assert (sent.outcome, sent.status, sent.created_id) == (Outcome.CREATED, status, "lead-1")
    assert sent.answer is None
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", PROOFS_OF_NOTHING)
def test_an_answer_that_says_no_created_nothing(status: int, serve: Serve, http: Open) -> None:
    server = serve(answer(status, b'{"error": "no"}'))
    sent = send(http(server.url))
    assert (sent.outcome, sent.status) == (PROOFS_OF_NOTHING[status], status)
    assert (sent.created_id, sent.answer) == (None, '{"error": "no"}')
    assert sent.is_unauthorized is (status == 401)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", PROOFS_OF_NOTHING)
def test_an_answer_that_says_no_is_believed_against_its_body(
    status: int, serve: Serve, http: Open
) -> None:
    sent = send(http(serve(answer(status, LEAD)).url))
    assert (sent.outcome, sent.created_id) == (PROOFS_OF_NOTHING_OF_OTHERS[status], None)


@pytest.mark.parametrize("body", [b"", b"<html>Blocked</html>", b'{"message": "no"}', b"[1]"])
@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refusal_in_the_words_of_a_proxy_is_not_the_services(
    status: int, body: bytes, serve: Serve, http: Open
) -> None:
    sent = send(http(serve(answer(status, body)).url))
    assert (sent.outcome, sent.created_id) == (Outcome.DENIED, None)


@pytest.mark.parametrize(
    ("body", "error_type"),
    [
        (b'{"error": "no", "errorType": "not_found"}', "not_found"),
        (b'{"error": "no", "errorType": 7}', None),
        (b'{"success": false}', None),
        (b"not_found", None),
    ],
)
def test_the_services_own_word_for_a_refusal_is_handed_on(
    body: bytes, error_type: str | None, serve: Serve, http: Open
) -> None:
    assert send(http(serve(answer(404, body)).url)).error_type == error_type


@pytest.mark.parametrize("row", DOUBTFUL_ANSWERS)
def test_every_other_answer_leaves_a_doubt(row: str, serve: Serve, http: Open) -> None:
    act, status = DOUBTFUL_ANSWERS[row]
    server = serve(act)
    sent = send(http(server.url))
    assert (sent.outcome, sent.status, sent.created_id) == (None, status, None)
    assert len(server.requests) == 1


@pytest.mark.parametrize("row", NO_ANSWER)
def test_an_answer_that_cannot_be_read_leaves_a_doubt(row: str, serve: Serve, http: Open) -> None:
    server = serve(NO_ANSWER[row])
    sent = send(http(server.url))
    assert (sent.outcome, sent.status, sent.created_id) == (None, None, None)
    assert sent.answer
    assert (len(server.requests), server.connections) == (1, 1)


@pytest.mark.parametrize("row", SILENCES)
def test_an_answer_that_falls_silent_leaves_a_doubt(row: str, serve: Serve, http: Open) -> None:
    server = serve(SILENCES[row])
    sent = send(http(server.url, IMPATIENT_SECONDS))
    assert (sent.outcome, sent.status) == (None, None)
    assert sent.answer == "no answer within the time-out"
    assert len(server.requests) == 1


@pytest.mark.parametrize("row", TRICKLES)
def test_no_part_of_an_answer_may_trickle_for_ever(
    row: str, serve: Serve, http: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "SLOWEST_ANSWER_IN_TIMEOUTS", 1)
    server = serve(TRICKLES[row])
    began = time.monotonic()
    sent = send(http(server.url, IMPATIENT_SECONDS))
    assert time.monotonic() - began < 8 * IMPATIENT_SECONDS
    assert (sent.outcome, sent.created_id) == (None, None)
    assert len(server.requests) == 1


def test_a_slow_answer_within_the_bound_is_heard_to_its_end(
    serve: Serve, http: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(visit: Visit) -> None:
        for byte in CREATED:
            visit.hold(3 * IMPATIENT_SECONDS / len(CREATED))
            visit.say(bytes([byte]))

    monkeypatch.setattr(transport, "SLOWEST_ANSWER_IN_TIMEOUTS", 16)
    sent = send(http(serve(slowly).url, IMPATIENT_SECONDS / 2))
    assert sent.outcome is Outcome.CREATED


def test_waiting_for_an_answer_wakes_the_process_rarely(serve: Serve, http: Open) -> None:
    def late(visit: Visit) -> None:
        visit.hold(0.4)
        visit.say(CREATED)

    one = http(serve(late).url)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
    assert send(one).outcome is Outcome.CREATED
    assert resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before < 200


def test_the_bound_holds_again_after_a_quiet_time_and_cuts_no_idle_connection(
    serve: Serve, http: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "SLOWEST_ANSWER_IN_TIMEOUTS", 1)
    server = serve(CREATED, CREATED, TRICKLES["body"])
    one = http(server.url, IMPATIENT_SECONDS)
    outcomes, began = [], time.monotonic()
    for _ in range(3):
        outcomes.append(send(one).outcome)
        for thread in [thread for thread in threading.enumerate() if thread.name == "watchdog"]:
            thread.join(PATIENT_SECONDS)
            assert not thread.is_alive()
    assert outcomes == [Outcome.CREATED, Outcome.CREATED, None]
    assert server.connections == 1
    assert time.monotonic() - began < 12 * IMPATIENT_SECONDS


@pytest.mark.parametrize("act", [CREATED, answer(400), answer(502)])
def test_a_slow_answer_costs_only_itself(
    act: Act, serve: Serve, http: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "SLOWEST_ANSWER_IN_TIMEOUTS", 1)
    server = serve(TRICKLES["body"], act)
    one = http(server.url, IMPATIENT_SECONDS)
    assert send(one, b"first").outcome is None
    expected = send(http(serve(act).url)).outcome
    assert [send(one, b"%d" % number).outcome for number in range(3)] == [expected] * 3
    assert server.bodies == [b"first", b"0", b"1", b"2"]


# Redirects -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_a_redirect_is_a_doubt_and_its_target_hears_nothing(
    status: int, serve: Serve, http: Open
) -> None:
    target = serve(CREATED)
    server = serve(answer(status, headers={"Location": f"{target.url}/api/leads"}))
    sent = send(http(server.url))
    assert (sent.outcome, sent.status) == (None, status)
    assert len(server.requests) == 1
    assert target.connections == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirected_read_is_declined_without_a_word_of_where_to(
    status: int, serve: Serve, http: Open
) -> None:
    target = serve(answer(200, b'{"leads": []}'))
    server = serve(answer(status, headers={"Location": f"{target.url}/?token={SECRET}"}))
    with pytest.raises(Declined) as caught:
        read(http(server.url))
    assert SECRET not in caught.value.message + caught.value.hint
    assert len(server.requests) == 1
    assert target.connections == 0


def test_a_redirect_to_nowhere_is_a_redirect_all_the_same(serve: Serve, http: Open) -> None:
    server = serve(answer(302, headers={"Location": "http://[::1"}))
    with pytest.raises(Declined):
        read(http(server.url, pause=lambda seconds: None))
    assert len(server.requests) == 1


# Never left ----------------------------------------------------------------------------------


def test_a_refused_connection_sends_nothing(http: Open) -> None:
    sent = send(http(nobody()))
    assert (sent.outcome, sent.status) == (Outcome.UNSENT, None)
    assert sent.answer == "connection refused"


def test_a_name_that_does_not_resolve_sends_nothing(
    http: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*args: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    sent = send(http("http://leadgenius.invalid"))
    assert (sent.outcome, sent.status) == (Outcome.UNSENT, None)
    assert sent.answer


@pytest.fixture
def full_house() -> Iterator[str]:
    """The URL of a listener whose queue is full: who knocks is left standing."""
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind((LOOPBACK, 0))
        listener.listen(0)
        for _ in range(8):
            one = sockets.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield f"http://{LOOPBACK}:{listener.getsockname()[1]}"


def test_a_connection_that_is_not_made_in_time_sends_nothing(
    full_house: str, http: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "CONNECT_TIMEOUT_SECONDS", IMPATIENT_SECONDS)
    began = time.monotonic()
    sent = send(http(full_house))
    assert time.monotonic() - began < PATIENT_SECONDS / 2
    assert (sent.outcome, sent.status) == (Outcome.UNSENT, None)
    assert sent.answer == "no connection within the time-out"


def test_a_server_that_speaks_no_tls_is_sent_nothing(serve: Serve, http: Open) -> None:
    server = serve(CREATED)
    sent = send(http(server.url.replace("http:", "https:")))
    assert (sent.outcome, sent.status) == (Outcome.UNSENT, None)
    assert (server.requests, server.connections) == ([], 1)


def test_a_handshake_that_hangs_sends_nothing(http: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "CONNECT_TIMEOUT_SECONDS", IMPATIENT_SECONDS)
    with socket.create_server((LOOPBACK, 0)) as deaf:
        sent = send(http(f"https://{LOOPBACK}:{deaf.getsockname()[1]}"))
    assert (sent.outcome, sent.status) == (Outcome.UNSENT, None)


def test_connections_of_another_kind_mark_departures_too() -> None:
    class ViaSocks(HTTPConnection):
        pass

    class SocksPool(HTTPConnectionPool):
        ConnectionCls = ViaSocks

    manager = SimpleNamespace(pool_classes_by_scheme={"http": SocksPool})
    for _ in range(2):  # a manager is reused
        transport._mark_departures(manager)
        kinds = manager.pool_classes_by_scheme["http"].ConnectionCls.__mro__
        assert kinds[1:3] == (transport.MarksDeparture, ViaSocks)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for this machine that nobody vouches for, and its key, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1")
    name = ("-subj", f"/CN={LOOPBACK}", "-addext", f"subjectAltName=IP:{LOOPBACK}")
    files = ("-keyout", str(path) + ".key", "-out", str(path))
    subprocess.run(
        [openssl, "req", "-x509", *curve, *name, *files], check=True, capture_output=True
    )
    path.write_text(path.read_text() + Path(f"{path}.key").read_text())
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def vouched_for(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's certificates count, as for a service that is not on this machine."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    monkeypatch.setattr(client, "is_loopback", lambda url: False)


def test_a_certificate_that_nobody_vouches_for_is_sent_nothing(
    serve: Serve, http: Open, tls: ssl.SSLContext
) -> None:
    server = serve(CREATED, tls=tls)
    sent = send(http(server.url))
    assert (sent.outcome, sent.status) == (Outcome.UNSENT, None)
    assert (server.requests, server.connections) == ([], 1)


@pytest.mark.usefixtures("vouched_for")
def test_over_tls_the_answers_prove_the_same(serve: Serve, http: Open, tls: ssl.SSLContext) -> None:
    server = serve(CREATED, then_close(b""), CREATED, tls=tls)
    one = http(server.url)
    assert [send(one).outcome for _ in range(3)] == [Outcome.CREATED, None, Outcome.CREATED]
    assert (len(server.requests), server.connections) == (3, 2)


def forbid() -> None:
    raise LedgerBusy("taken over", "wait")


@pytest.mark.usefixtures("vouched_for")
@pytest.mark.parametrize("is_encrypted", [False, True])
def test_a_send_that_may_not_leave_is_not_sent_and_says_why(
    is_encrypted: bool, serve: Serve, http: Open, tls: ssl.SSLContext
) -> None:
    server = serve(CREATED, tls=tls if is_encrypted else None)
    one = http(server.url)
    with pytest.raises(LedgerBusy, match="taken over"):
        send(one, b"on a new connection", may_leave=forbid)
    assert send(one, b"allowed").outcome is Outcome.CREATED
    with pytest.raises(LedgerBusy, match="taken over"):
        send(one, b"on a kept connection", may_leave=forbid)
    assert read(one).status == 201
    assert server.bodies == [b"allowed", b""]
    # Each refusal closed its connection.
    assert server.connections == 3


def test_a_send_is_asked_about_only_once_its_connection_stands(serve: Serve, http: Open) -> None:
    server = serve(CREATED)
    seen: list[int] = []
    assert send(http(nobody()), may_leave=forbid).outcome is Outcome.UNSENT
    one = http(server.url)
    for _ in range(2):
        send(one, may_leave=lambda: seen.append(len(server.requests)))
    assert seen == [0, 1]


@pytest.mark.parametrize(
    "value",
    ["Bearer s3cret\nX-More: s3cret", "Bearer s3cret\r", " s3cret", "s3cret\x00", "s3cret\u200b"],
)
def test_a_header_that_cannot_be_written_sends_nothing_and_is_not_shown(
    value: str, serve: Serve, http: Open
) -> None:
    server = serve(CREATED)
    sent = send(http(server.url), headers={"Authorization": value})
    assert sent.outcome is Outcome.UNSENT
    assert "s3cret" not in repr(sent)
    assert server.requests == []


# One connection, many sends ------------------------------------------------------------------


def test_a_connection_is_kept_from_one_send_to_the_next(serve: Serve, http: Open) -> None:
    server = serve(CREATED, answer(400, NO), answer(500, b"what"), CREATED)
    one = http(server.url)
    outcomes = [send(one, b"%d" % number).outcome for number in range(4)]
    assert outcomes == [Outcome.CREATED, Outcome.REFUSED, None, Outcome.CREATED]
    assert server.bodies == [b"0", b"1", b"2", b"3"]
    assert server.connections == 1


def test_a_connection_that_went_stale_is_replaced(serve: Serve, http: Open) -> None:
    gone = threading.Event()

    def answer_and_leave(visit: Visit) -> None:
        visit.say(CREATED)
        visit.hang_up()
        gone.set()

    server = serve(answer_and_leave, CREATED)
    one = http(server.url)
    assert send(one, b"first").outcome is Outcome.CREATED
    assert gone.wait(PATIENT_SECONDS)
    assert send(one, b"second").outcome is Outcome.CREATED
    assert (server.bodies, server.connections) == ([b"first", b"second"], 2)


@pytest.mark.parametrize("leave", [reset, then_close(b"")])
def test_a_connection_that_breaks_under_a_second_send_repeats_nothing(
    leave: Act, serve: Serve, http: Open
) -> None:
    server = serve(CREATED, leave, CREATED)
    one = http(server.url)
    assert [send(one, body).outcome for body in (b"first", b"second")] == [Outcome.CREATED, None]
    assert (server.bodies, server.connections) == ([b"first", b"second"], 1)
    assert send(one, b"third").outcome is Outcome.CREATED
    assert server.bodies == [b"first", b"second", b"third"]


def test_what_a_server_says_unasked_answers_no_later_send(serve: Serve, http: Open) -> None:
    server = serve(CREATED + answer(201, LEAD.replace(b"lead-1", b"lead-X")), answer(400, NO))
    one = http(server.url)
    assert send(one, b"first").created_id == "lead-1"
    assert send(one, b"second").outcome is Outcome.REFUSED


def test_an_answer_that_comes_too_late_answers_no_later_send(serve: Serve, http: Open) -> None:
    given_up = threading.Event()

    def answer_too_late(visit: Visit) -> None:
        given_up.wait(PATIENT_SECONDS)
        visit.say(CREATED)

    server = serve(answer_too_late, answer(400, NO))
    one = http(server.url, IMPATIENT_SECONDS)
    assert send(one, b"first").outcome is None
    given_up.set()
    assert send(one, b"second").outcome is Outcome.REFUSED
    assert server.bodies == [b"first", b"second"]


@pytest.mark.parametrize("interim", [102, 103])
def test_the_answer_after_an_interim_one_answers_no_later_send(
    interim: int, serve: Serve, http: Open
) -> None:
    def answer_when_asked_again(visit: Visit) -> None:
        visit.say(b"HTTP/1.1 %d So\r\n\r\n" % interim)
        visit.hear()
        visit.say(CREATED)

    one = http(serve(answer_when_asked_again, answer(400)).url)
    assert send(one, b"first").outcome in (None, Outcome.CREATED)
    assert send(one, b"second").outcome is not Outcome.CREATED


def test_many_threads_send_every_body_once(serve: Serve, http: Open) -> None:
    server = serve(CREATED)
    one = http(server.url)

    def send_some(thread: int) -> list[Outcome | None]:
        return [send(one, b"%d/%d" % (thread, number)).outcome for number in range(40)]

    with ThreadPoolExecutor(8) as threads:
        outcomes = [outcome for some in threads.map(send_some, range(8)) for outcome in some]
    assert outcomes == [Outcome.CREATED] * 320
    assert sorted(server.bodies) == sorted(b"%d/%d" % (t, n) for t in range(8) for n in range(40))
    assert server.connections <= 8


def test_many_threads_in_trouble_send_every_body_once(serve: Serve, http: Open) -> None:
    server = serve(*[CREATED, reset, answer(500), then_close(CREATED), then_close(b"")] * 40)
    one = http(server.url)
    with ThreadPoolExecutor(8) as threads:
        sent = list(threads.map(lambda number: send(one, b"%d" % number), range(200)))
    assert len(set(server.bodies)) == len(server.bodies)
    landed = set(server.bodies)
    assert all(one.outcome is None for n, one in enumerate(sent) if b"%d" % n not in landed)
    assert sum(one.outcome is Outcome.CREATED for one in sent) <= 80


# What is sent --------------------------------------------------------------------------------


def test_the_body_arrives_as_it_is(serve: Serve, http: Open) -> None:
    body = '{"name": "Zoë 🦊",\r\n "raw": "\\u0000"}'.encode() + bytes(range(256))
    server = serve(CREATED)
    send(http(server.url), body)
    assert server.bodies == [body]


def test_the_headers_arrive_as_they_are(serve: Serve, http: Open) -> None:
    server = serve(CREATED)
    send(http(server.url), headers={**HEADERS, "X-User-Id": "u-1"})
    (request,) = server.requests
    assert request.line == "POST /api/leads HTTP/1.1"
    assert request.headers["Authorization"] == HEADERS["Authorization"]
    assert request.headers["X-User-Id"] == "u-1"
    assert request.headers["Content-Type"] == "application/json"


def test_connections_are_looked_up_once_for_all_addresses_of_a_service(
    serve: Serve, http: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = HTTPAdapter.get_connection_with_tls_context, []

    def noted(self: HTTPAdapter, request: Any, *args: Any, **kwargs: Any) -> Any:
        asked.append(request.url)
        return real(self, request, *args, **kwargs)

    monkeypatch.setattr(HTTPAdapter, "get_connection_with_tls_context", noted)
    one = http(serve(answer(200, LEAD)).url)
    for path in ("/a", "/b", "/b/c"):
        one.read("GET", path, headers=HEADERS)
    assert len(asked) == 1


def test_a_read_carries_its_parameters_and_its_payload(serve: Serve, http: Open) -> None:
    server = serve(answer(200, b'{"results": []}'))
    one = http(f"{server.url}/base")
    one.read("POST", "/batch", headers=HEADERS, params={"after": "a=b&c"}, payload={"ids": ["ö"]})
    (request,) = server.requests
    assert request.line == "POST /base/batch?after=a%3Db%26c HTTP/1.1"
    assert request.headers["Content-Type"] == "application/json"
    assert request.body == b'{"ids": ["\\u00f6"]}'


@pytest.fixture
def netrc() -> None:
    """Credentials for everybody in the home directory."""
    path = Path(os.environ["HOME"]) / ".netrc"
    path.write_text("default login somebody password else\n")
    path.chmod(0o600)


@pytest.mark.parametrize("status", [200, 299])
def test_every_status_of_success_answers_a_read(status: int, serve: Serve, http: Open) -> None:
    assert read(http(serve(answer(status, b'{"a": 1}')).url, pause=never)).data == {"a": 1}


@pytest.mark.usefixtures("netrc")
@pytest.mark.parametrize("headers", [HEADERS, {"X-Api-Key": "lgp_1"}])
def test_nobody_reads_netrc(
    headers: dict[str, str], serve: Serve, http: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "is_loopback", lambda url: False)
    server = serve(CREATED)
    send(http(server.url), headers=headers)
    (request,) = server.requests
    assert request.headers.get("Authorization") == headers.get("Authorization")


def test_no_cookie_of_an_answer_is_taken_to_the_next_request(serve: Serve, http: Open) -> None:
    server = serve(answer(201, LEAD, {"Set-Cookie": "visit=1"}), CREATED)
    one = http(server.url)
    assert [send(one).outcome, send(one).outcome] == [Outcome.CREATED] * 2
    assert [request.headers.get("Cookie") for request in server.requests] == [None, None]


def test_each_request_has_its_own_headers_body_and_length(serve: Serve, http: Open) -> None:
    server = serve(CREATED, CREATED, answer(200, b'{"leads": []}'))
    one = http(server.url)
    send(one, b"{}", {"Authorization": "first"})
    send(one, b'{"a": 1}', {"x-api-key": "second"})
    read(one)
    told = [
        [request.headers.get(name) for name in ("Authorization", "x-api-key", "Content-Length")]
        for request in server.requests
    ]
    assert told == [["first", None, "2"], [None, "second", "8"], [f"Bearer {SECRET}", None, None]]
    assert [request.body for request in server.requests] == [b"{}", b'{"a": 1}', b""]


def test_each_request_has_its_own_parameters(serve: Serve, http: Open) -> None:
    server = serve(*[answer(200, b'{"leads": []}')] * 3)
    one = http(server.url)
    for params in ({"limit": "1"}, {"limit": "2", "lastKey": "ä&"}, None):
        read(one, params=params)
    assert [request.line.split()[1] for request in server.requests] == [
        "/api/leads?limit=1",
        "/api/leads?limit=2&lastKey=%C3%A4%26",
        "/api/leads",
    ]


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_no_proxy_stands_before_this_machine(
    name: str, serve: Serve, http: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, server = serve(answer(502)), serve(CREATED)
    monkeypatch.setenv(name, proxy.url)
    assert send(http(server.url)).outcome is Outcome.CREATED
    assert proxy.connections == 0


def test_a_service_elsewhere_is_reached_through_the_proxy(
    serve: Serve, http: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(CREATED)
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    assert send(http("http://leadgenius.invalid")).outcome is Outcome.CREATED
    assert proxy.requests[0].line == "POST http://leadgenius.invalid/api/leads HTTP/1.1"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_not_there_sends_nothing(
    scheme: str, http: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{scheme}_proxy", nobody())
    sent = send(http(f"{scheme}://leadgenius.invalid"))
    assert (sent.outcome, sent.answer) == (Outcome.UNSENT, "connection refused")


@pytest.mark.parametrize("refusal", [answer(403), answer(407), answer(502), then_close(b""), reset])
def test_a_proxy_that_opens_no_tunnel_sends_nothing(
    refusal: Act, serve: Serve, http: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(refusal)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    sent = send(http("https://leadgenius.invalid"))
    assert (sent.outcome, sent.status) == (Outcome.UNSENT, None)
    (request,) = proxy.requests
    assert request.line.startswith("CONNECT leadgenius.invalid:443 ")
    assert SECRET not in str(request)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("HTTPS_PROXY", None, "HTTPS_PROXY cannot be used: it cannot be reached"),
        (
            "https_proxy",
            "http://proxy.invalid:8",
            "The proxy http://proxy.invalid:8 of https_proxy",
        ),
        ("ALL_PROXY", "office.invalid", "The proxy http://office.invalid of ALL_PROXY"),
        ("HTTPS_PROXY", "gopher://office:1", "HTTPS_PROXY has an unknown scheme"),
        ("HTTPS_PROXY", "the office", "HTTPS_PROXY is not the URL of a proxy"),
        ("HTTPS_PROXY", "http://", "HTTPS_PROXY is not the URL of a proxy"),
        ("HTTPS_PROXY", "http://office:99999", "HTTPS_PROXY is not the URL of a proxy"),
        ("ALL_PROXY", "socks5h://office:1", "ALL_PROXY names a SOCKS proxy"),
        ("REQUESTS_CA_BUNDLE", "/not/there", "REQUESTS_CA_BUNDLE names /not/there, which does not"),
        ("CURL_CA_BUNDLE", __file__, "CURL_CA_BUNDLE names .*, which contains no certificate"),
        ("SSL_CERT_FILE", "/not/there", "SSL_CERT_FILE names /not/there, which does not exist"),
    ],
)
def test_a_setting_that_cannot_work_is_named_at_once(
    variable: str, value: str | None, words: str, http: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, nobody() if value is None else value)
    one = http("https://leadgenius.invalid", pause=never)
    with pytest.raises(NotReady, match=words) as error:
        read(one)
    assert variable in error.value.hint
    # A send must not raise: its intent is on the disk already.
    assert send(one).outcome is Outcome.UNSENT


def never(seconds: float) -> None:
    raise AssertionError("nobody waits for a setting to mend itself")


@pytest.mark.parametrize(
    "refusal", [answer(407), answer(403), answer(499), then_close(b""), answer(200)[3:]]
)
def test_a_proxy_that_wants_something_else_is_no_outage(
    refusal: Act, serve: Serve, http: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(refusal)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//me:hunter2@"))
    with pytest.raises(NotReady, match=f"The proxy {proxy.url} of HTTPS_PROXY") as error:
        read(http("https://leadgenius.invalid", pause=never))
    assert "hunter2" not in f"{error.value} {error.value.hint}"
    assert ("USER:PASSWORD" in error.value.hint) == (refusal == answer(407))


def test_a_proxy_that_works_may_lead_to_a_service_that_is_away(
    serve: Serve, http: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", serve(answer(503)).url)
    with pytest.raises(ServiceDown):
        read(http("https://leadgenius.invalid", pause=lambda seconds: None))


def test_a_proxy_that_goes_away_in_the_middle_is_an_outage(
    http: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server((answer(200, b'{"leads": []}'),)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        one = http("http://leadgenius.invalid", pause=lambda seconds: None)
        assert read(one).status == 200
    with pytest.raises(ServiceDown):
        read(one)


def test_a_certificate_that_nobody_vouches_for_is_named_at_once(
    serve: Serve, http: Open, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(CREATED, tls=tls)
    for is_here, hint in ((True, "http://"), (False, "set REQUESTS_CA_BUNDLE to")):
        monkeypatch.setattr(client, "is_loopback", lambda url, it=is_here: it)
        with pytest.raises(NotReady, match=f"The certificate of {server.url} cannot be") as error:
            read(http(server.url, pause=never))
        assert hint in error.value.hint
    assert server.requests == []


@pytest.mark.usefixtures("vouched_for")
def test_a_certificate_of_another_host_points_to_the_base_url(
    serve: Serve, http: Open, tls: ssl.SSLContext
) -> None:
    url = serve(CREATED, tls=tls).url.replace(LOOPBACK, "localhost")
    with pytest.raises(NotReady, match="cannot be verified: Hostname mismatch") as error:
        read(http(url, pause=never))
    assert "base URL" in error.value.hint


@pytest.mark.usefixtures("vouched_for")
@pytest.mark.parametrize("is_proxied", [False, True])
def test_the_kernel_gives_up_before_settle_is_over(
    is_proxied: bool,
    serve: Serve,
    http: Open,
    tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def tunnel(visit: Visit) -> None:
        visit.say(b"HTTP/1.1 200 Connected\r\n\r\n")
        visit.sock = tls.wrap_socket(visit.sock, server_side=True)

    seen: list[int] = []
    watch = transport._Watchdog.watch

    def noted(self: Any, sock: Any) -> None:
        seen.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
        watch(self, sock)

    monkeypatch.setattr(transport._Watchdog, "watch", noted)
    server = serve(tunnel, CREATED) if is_proxied else serve(CREATED, tls=tls)
    if is_proxied:
        monkeypatch.setenv("HTTPS_PROXY", server.url)
    assert send(http(server.url.replace("http:", "https:"))).outcome is Outcome.CREATED
    assert [one.line.split()[0] for one in server.requests] == ["CONNECT", "POST"][not is_proxied :]
    assert seen == [transport.KERNEL_TIMEOUT_MS]
    assert transport.KERNEL_TIMEOUT_MS < 60_000, "the default of --settle"


@pytest.mark.parametrize("act", [then_close(b""), reset, answer(502), answer(407)])
def test_a_proxy_that_took_the_request_and_failed_leaves_a_doubt(
    act: Act, serve: Serve, http: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(act)
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    assert send(http("http://leadgenius.invalid")).outcome is None
    assert len(proxy.requests) == 1


@pytest.mark.parametrize(
    ("url", "is_it"),
    [
        ("http://localhost:8000", True),
        ("http://LOCALHOST", True),
        ("http://127.0.0.1", True),
        ("http://127.8.8.8:1", True),
        ("http://[::1]:8000", True),
        ("https://last.leadgenius.app", False),
        ("http://localhost.example.com", False),
        ("http://10.0.0.1", False),
        ("http://[fe80::1]", False),
        ("nonsense", False),
        ("http://[", False),
    ],
)
def test_this_machine_is_known_by_its_names(url: str, is_it: bool) -> None:
    assert is_loopback(url) is is_it


# What an answer says besides ------------------------------------------------------------------

# The service's clock is years off ours, and so are its dates.
ITS_NOW = 1_900_000_000.0
ITS_DATE = {"Date": formatdate(ITS_NOW, usegmt=True)}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "17"}, 17.0),
        ({"Retry-After": " 0.5 "}, 0.5),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "900000000000"}, None),
        ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT", **ITS_DATE}, None),
        ({"Retry-After": "1000000"}, 1e6),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "9" * 400}, None),
        ({"Retry-After": formatdate(ITS_NOW + 42, usegmt=True), **ITS_DATE}, 42.0),
        ({"Retry-After": formatdate(ITS_NOW - 42, usegmt=True), **ITS_DATE}, 0.0),
        ({"Retry-After": "Thu, 99 Foo 2030 00:00:00 GMT", **ITS_DATE}, None),
        ({"X-HubSpot-RateLimit-Interval-Milliseconds": "10000"}, 10.0),
        ({"X-HubSpot-RateLimit-Interval-Milliseconds": "10000", "Retry-After": "3"}, 3.0),
    ],
)
def test_a_throttled_send_says_how_long_to_wait(
    headers: dict[str, str], seconds: float | None, serve: Serve, http: Open
) -> None:
    sent = send(http(serve(answer(429, headers=headers)).url))
    assert (sent.outcome, sent.retry_after_seconds) == (Outcome.THROTTLED, seconds)


def test_a_date_from_a_service_without_a_clock_is_read_by_ours(serve: Serve, http: Open) -> None:
    headers = {"Retry-After": formatdate(time.time() + 100, usegmt=True)}
    sent = send(http(serve(answer(429, headers=headers)).url))
    assert sent.retry_after_seconds is not None
    assert 90 < sent.retry_after_seconds <= 100


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, RateLimitInfo()),
        (
            {
                "x-ratelimit-limit": "400",
                "x-ratelimit-remaining": "12",
                "x-ratelimit-reset": str(int(ITS_NOW) + 30),
                "date": ITS_DATE["Date"],
            },
            RateLimitInfo(400, 12, 30.0),
        ),
        ({"x-ratelimit-reset": "1030"}, RateLimitInfo(reset_in_seconds=30.0)),
        ({"x-ratelimit-reset": "1030", "date": "yesterday"}, RateLimitInfo(reset_in_seconds=30.0)),
        ({"x-ratelimit-reset": "970"}, RateLimitInfo(reset_in_seconds=0.0)),
        ({"x-ratelimit-reset": "45"}, RateLimitInfo()),  # seconds, or long past
        ({"x-ratelimit-reset": "45", "date": ITS_DATE["Date"]}, RateLimitInfo()),
        ({"x-ratelimit-reset": "1700000000000"}, RateLimitInfo()),
        ({"x-ratelimit-reset": "19000"}, RateLimitInfo()),  # by a clock that is hours off
        ({"x-ratelimit-remaining": "0"}, RateLimitInfo(remaining=0)),
        (
            {
                "x-hubspot-ratelimit-max": "190",
                "x-hubspot-ratelimit-remaining": "0",
                "x-hubspot-ratelimit-interval-milliseconds": "10000",
            },
            RateLimitInfo(190, 0, 10.0),
        ),
        ({"x-ratelimit-limit": "many", "x-ratelimit-remaining": "nan"}, RateLimitInfo()),
        ({"x-ratelimit-limit": "-5", "x-ratelimit-remaining": "-7"}, RateLimitInfo()),
        ({"x-ratelimit-limit": "0", "x-ratelimit-remaining": "1e300"}, RateLimitInfo()),
        ({"x-ratelimit-reset": "99999999999", "date": ITS_DATE["Date"]}, RateLimitInfo()),
    ],
)
def test_the_rate_limit_is_read_in_both_spellings(
    headers: dict[str, str], expected: RateLimitInfo
) -> None:
    assert rate_limit_info(Response(200, headers, b""), now=1_000.0) == expected


def test_a_send_hands_on_what_the_answer_says_of_the_rate_limit(serve: Serve, http: Open) -> None:
    reset = {"X-RateLimit-Reset": str(int(ITS_NOW) + 60), **ITS_DATE}
    headers = {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "99", **reset}
    sent = send(http(serve(answer(201, LEAD, headers)).url))
    assert sent.rate_limit_info == RateLimitInfo(100, 99, 60.0)


# What people may see --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "token",
    [
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl-_",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.",
        "eyJjdHkiOiJKV1QifQ.a1.b2.c3.d4",
        "pat-na1-11111111-2222-3333-4444-555555555555",
        "lgp_0123456789abcdef",
        "Bearer c2VjcmV0+/==",
        "bearer\tc2VjcmV0",
    ],
)
def test_no_token_is_ever_shown(token: str) -> None:
    assert excerpt(f"sent {token} in vain".encode(), Redactor()) == "sent [redacted] in vain"
    assert token not in excerpt(f'{{"error": "no", "got":"{token}"}}'.encode(), Redactor())


def test_an_excerpt_is_one_short_line() -> None:
    shown = excerpt(
        b"  first\r\n\tsecond\x0b\x0c" + "third\u2028\u2029\x85".encode() + b"x" * 5000, Redactor()
    )
    assert shown.startswith("first second third x")
    assert len(shown) == EXCERPT_CHARACTERS == 300


@pytest.mark.parametrize(
    "body",
    [b"\x1b[31mred\x1b[0m", b"\x00\x07\x08\x7f", "\u202eevil\u200b\ufeff\x9b31m".encode(), b"\xff"],
)
def test_an_excerpt_moves_no_cursor(body: bytes) -> None:
    assert excerpt(b"a" + body + b"z", Redactor()).isprintable()


def test_an_excerpt_of_nothing_is_empty() -> None:
    assert excerpt(b" \n ", Redactor()) == ""


def test_a_token_that_the_cut_goes_through_is_not_shown() -> None:
    shown = excerpt(b"x" * (EXCERPT_CHARACTERS - 8) + b" lgp_0123456789abcdef", Redactor())
    assert "lgp_0" not in shown


def test_what_a_server_answered_is_cleaned_before_anybody_keeps_it(
    serve: Serve, http: Open
) -> None:
    sent = send(http(serve(answer(400, b"\x1b[2J no: Bearer c2VjcmV0")).url))
    assert sent.answer == "[2J no: [redacted]"


@pytest.mark.parametrize("value", [f"Bearer {SECRET}\n", f"{SECRET}\r\nX: y", f"{SECRET}\u2603"])
def test_no_failure_shows_a_header(value: str, serve: Serve, http: Open) -> None:
    one = http(serve(CREATED).url, pause=lambda seconds: None)
    with pytest.raises(ServiceDown) as caught:
        one.read("GET", "/api/leads", headers={"Authorization": value})
    error = caught.value
    assert SECRET not in "".join(traceback.format_exception(error)) + repr(error) + error.hint


@pytest.mark.parametrize(
    "act", [answer(201, LEAD), answer(400), answer(503), reset, then_close(b"")]
)
def test_the_log_holds_neither_headers_nor_parameters_nor_bodies(
    act: Act, serve: Serve, http: Open, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="migrator")
    one = http(serve(act).url, pause=lambda seconds: None)
    send(one, b'{"body": 1}')
    with suppress(MigratorError):
        one.read("POST", "/api/x", headers=HEADERS, params={"p": "parameter"}, payload=["body"])
    lines = [one.getMessage() for one in caplog.records if one.name.startswith("migrator")]
    assert any("POST /api/leads" in line for line in lines)
    assert not [line for line in lines for word in (SECRET, "parameter", "body") if word in line]


# Reads ---------------------------------------------------------------------------------------

PAGE = answer(200, b'{"leads": []}')


@pytest.mark.parametrize(
    "trouble",
    [
        *(
            answer(s)
            for s in (408, 423, 425, 429, 477, 500, 502, 503, 504, 520, 521, 522, 523, 524)
        ),
        reset,
        then_close(b""),
        then_close(answer(200, b'{"leads": []}', {"Content-Length": "99"})),
        then_close(b"garbage"),
    ],
)
def test_a_read_is_repeated_when_trouble_passes(trouble: Act, serve: Serve, http: Open) -> None:
    pauses: list[float] = []
    server = serve(trouble, trouble, PAGE)
    assert read(http(server.url, pause=pauses.append)).data == {"leads": []}
    assert (len(server.requests), len(pauses)) == (3, 2)


def test_a_read_that_hangs_is_repeated(serve: Serve, http: Open) -> None:
    pauses: list[float] = []
    server = serve(silence, PAGE)
    assert read(http(server.url, IMPATIENT_SECONDS, pause=pauses.append)).status == 200
    assert (len(server.requests), len(pauses)) == (2, 1)


def test_a_post_that_only_reads_is_repeated_with_its_payload(serve: Serve, http: Open) -> None:
    server = serve(answer(502), reset, answer(207, b'{"results": []}'))
    one = http(server.url, pause=lambda seconds: None)
    assert one.read("POST", "/batch/read", headers=HEADERS, payload={"a": 1}).status == 207
    assert server.bodies == [b'{"a": 1}'] * 3


@pytest.mark.parametrize("trouble", [answer(500), reset])
def test_a_read_is_not_repeated_for_ever(trouble: Act, serve: Serve, http: Open) -> None:
    pauses: list[float] = []
    server = serve(trouble)
    with pytest.raises(ServiceDown, match=r"LeadGenius at http://127.* in 7 tries"):
        read(http(server.url, pause=pauses.append))
    assert len(server.requests) == MAX_TRIES == 7
    assert len(pauses) == MAX_TRIES - 1


def test_a_read_of_nobody_is_given_up(http: Open) -> None:
    pauses: list[float] = []
    with pytest.raises(ServiceDown, match="connection refused"):
        read(http(nobody(), pause=pauses.append))
    assert len(pauses) == MAX_TRIES - 1


def test_a_read_waits_longer_each_time_and_never_in_step_with_others(
    serve: Serve, http: Open
) -> None:
    pauses: list[float] = []
    with pytest.raises(ServiceDown):
        read(http(serve(answer(503)).url, pause=pauses.append))
    at_most = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0]
    assert all(most / 2 <= pause <= most for pause, most in zip(pauses, at_most, strict=True))
    assert len({pause / most for pause, most in zip(pauses, at_most, strict=True)}) > 1


@pytest.mark.parametrize(
    ("trouble", "seconds"),
    [
        (answer(429, headers={"Retry-After": "7"}), 7.0),
        (answer(503, headers={"Retry-After": "7"}), 7.0),
        (answer(477, headers={"Retry-After": str(LONGEST_WAIT_SECONDS)}), LONGEST_WAIT_SECONDS),
        (answer(423), 2.0),
        (answer(429, headers={"X-HubSpot-RateLimit-Interval-Milliseconds": "10000"}), 10.0),
    ],
)
def test_a_read_waits_as_long_as_it_is_asked_to(
    trouble: bytes, seconds: float, serve: Serve, http: Open
) -> None:
    pauses: list[float] = []
    read(http(serve(trouble, PAGE).url, pause=pauses.append))
    assert len(pauses) == 1
    assert seconds <= pauses[0] <= seconds + 0.25


class Clock:
    """A client's clock, which only its pauses advance."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        ours = SimpleNamespace(monotonic=lambda: self.now, time=time.time)
        for module in ("client", "retries"):
            patch.setattr(f"migrator.http.{module}.time", ours)

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.mark.parametrize(("status", "is_away"), [(201, False), (422, False), (500, True)])
def test_a_send_shows_that_the_service_is_back_unless_it_fails(
    status: int, is_away: bool, serve: Serve, http: Open
) -> None:
    outage = OutageBudget(7_200)
    outage.set_away(time.monotonic() - 60)
    send(http(serve(answer(status)).url, outage=outage))
    assert (outage.away_seconds(time.monotonic()) > 0) is is_away


@pytest.mark.parametrize("trouble", [answer(503), reset])
def test_a_service_that_answered_before_is_waited_for_until_patience_is_over(
    trouble: Act, serve: Serve, http: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, outage = Clock(monkeypatch), OutageBudget(7_200)
    one = http(serve(PAGE, PAGE, trouble).url, pause=clock.pause, outage=outage)
    assert read(one).status == read(one).status == 200
    with pytest.raises(ServiceDown, match=r"in \d+ tries over 120 minutes: "):
        read(one)
    assert 7_200 <= clock.now <= 7_230
    assert max(clock.pauses) <= 30
    assert outage.waiting_for("X", clock.now) == "X to answer again, away for 120 min"


def test_an_hour_without_a_service_costs_a_patient_read_nothing_but_time(
    serve: Serve, http: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, outage = Clock(monkeypatch), OutageBudget(7_200)
    server = serve(PAGE, *[reset] * 200, PAGE)
    one = http(server.url, pause=clock.pause, outage=outage)
    assert read(one).status == read(one).status == 200
    assert clock.now > 3_600
    assert outage.waiting_for("X", clock.now) == "X to allow more"


def test_a_service_that_says_not_now_is_there_and_is_not_waited_for(
    serve: Serve, http: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    server = serve(PAGE, answer(429))
    one = http(server.url, pause=clock.pause, outage=OutageBudget(7_200))
    read(one)
    with pytest.raises(ServiceDown, match="in 7 tries: it answered 429"):
        read(one)


def test_a_service_that_comes_back_busy_is_asked_again(
    serve: Serve, http: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    server = serve(PAGE, *[answer(503)] * 10, answer(429), PAGE)
    one = http(server.url, pause=clock.pause, outage=OutageBudget(7_200))
    assert read(one).status == read(one).status == 200


def test_who_comes_later_to_a_service_that_is_away_shares_what_is_left_of_the_patience() -> None:
    outage = OutageBudget(7_200)
    outage.answered(0)
    outage.set_away(100)
    assert outage.lasts(7_000, now=7_299)
    assert not outage.lasts(7_000, now=7_300)


@pytest.mark.parametrize(
    ("since", "until", "was_away"),
    [(0, 9, False), (0, 10, True), (15, 16, True), (25, 90, True), (26, 90, False)],
)
def test_an_outage_lasts_from_the_last_answer_to_the_last_try_in_vain(
    since: float, until: float, was_away: bool
) -> None:
    outage = OutageBudget()
    assert not outage.was_away(since, until)
    outage.answered(10)
    outage.failed(20, now=21)
    outage.failed(20, now=25)
    outage.answered(30)
    assert outage.was_away(since, until) is was_away


@pytest.mark.parametrize(
    ("size", "was_away"), [(None, True), (PageSize(1), True), (PageSize(100), False)]
)
def test_one_try_in_vain_is_an_outage_unless_the_page_may_have_been_too_large(
    serve: Serve, http: Open, monkeypatch: pytest.MonkeyPatch, size: PageSize | None, was_away: bool
) -> None:
    clock, outage = Clock(monkeypatch), OutageBudget()
    one = http(serve(PAGE, answer(503), PAGE).url, pause=clock.pause, outage=outage)
    read(one)
    read(one, size=size)
    assert outage.was_away(0, clock.now) is was_away


def test_a_service_that_says_until_when_it_is_away_is_waited_for(
    serve: Serve, http: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    server = serve(PAGE, answer(503, headers={"Retry-After": "600"}), PAGE)
    one = http(server.url, pause=clock.pause, outage=OutageBudget(7_200))
    assert read(one).status == read(one).status == 200
    assert 600 <= clock.now < 601


def test_an_hour_window_that_is_used_up_again_and_again_is_waited_for(
    serve: Serve, http: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    busy = answer(429, headers={"Retry-After": "600"})
    one = http(serve(*[busy] * 9, PAGE).url, pause=clock.pause, outage=OutageBudget(7_200))
    assert read(one).status == 200
    assert 5_400 <= clock.now < 5_403


def test_a_window_that_opens_after_patience_is_over_is_not_waited_for(
    serve: Serve, http: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    busy = [answer(429, headers={"Retry-After": seconds}) for seconds in ("4000", "4000")]
    one = http(serve(*busy).url, pause=clock.pause, outage=OutageBudget(7_200))
    with pytest.raises(ServiceBusy, match="asks for a wait until "):
        read(one)
    assert clock.now < 4_001


def test_where_no_socket_can_be_had_no_service_is_waited_for(
    http: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def starved(*args: object, **options: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    clock, outage = Clock(monkeypatch), OutageBudget(7_200)
    outage.answered(0)
    one = http("http://127.0.0.1:9", pause=clock.pause, outage=outage)
    monkeypatch.setattr(socket, "socket", starved)
    with pytest.raises(ServiceDown, match="in 7 tries: too many open files"):
        read(one)


def test_a_service_that_never_answered_earns_no_patience(
    serve: Serve, http: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    one = http(serve(answer(503)).url, pause=clock.pause, outage=OutageBudget(7_200))
    with pytest.raises(ServiceDown, match="in 7 tries: "):
        read(one)


def test_a_read_does_not_wait_for_hours(serve: Serve, http: Open) -> None:
    pauses: list[float] = []
    server = serve(answer(477, headers={"Retry-After": "86400"}), PAGE)
    with pytest.raises(ServiceBusy, match=r"LeadGenius asks for a wait until .*477"):
        read(http(server.url, pause=pauses.append))
    assert (len(server.requests), pauses) == (1, [])


def test_a_read_is_not_repeated_when_its_caller_knows_better(serve: Serve, http: Open) -> None:
    def hopeless(reply: Response) -> MigratorError | None:
        is_daily = reply.data.get("policyName") == "DAILY"
        return ServiceBusy("Tomorrow.", "come back") if is_daily else None

    server = serve(
        answer(429, b'{"policyName": "SECONDLY"}'), answer(429, b'{"policyName": "DAILY"}')
    )
    pauses: list[float] = []
    with pytest.raises(ServiceBusy, match="Tomorrow"):
        read(http(server.url, pause=pauses.append), fatal=hopeless)
    assert (len(server.requests), len(pauses)) == (2, 1)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Declined),
        (401, Unauthorized),
        (403, Forbidden),
        (404, NotFound),
        (409, Declined),
        (414, Declined),
        (530, Declined),
    ],
)
def test_a_read_that_is_declined_is_not_repeated(
    status: int, kind: type[Declined], serve: Serve, http: Open
) -> None:
    server = serve(answer(status, b'{"error": "no", "category": "WHY"}'))
    with pytest.raises(
        Declined, match=rf"LeadGenius rejected /api/leads with {status}:.*WHY"
    ) as it:
        read(http(server.url))
    assert type(it.value) is kind
    assert it.value.data == {"error": "no", "category": "WHY"}
    assert len(server.requests) == 1


NO_OBJECTS = [b"", b"<html>Sign in</html>", b"[]", b"{}", b'"text"', b"{", b"\xff\xfe"]


@pytest.mark.parametrize("body", NO_OBJECTS)
def test_a_read_that_is_answered_by_no_object_is_repeated(
    body: bytes, serve: Serve, http: Open
) -> None:
    pauses: list[float] = []
    server = serve(answer(200, body), answer(207, body), PAGE)
    assert read(http(server.url, pause=pauses.append)).data == {"leads": []}
    assert (len(server.requests), len(pauses)) == (3, 2)


def test_what_stays_no_object_may_be_a_login_page(serve: Serve, http: Open) -> None:
    server = serve(answer(200, b"<html>Sign in</html>"))
    with pytest.raises(ServiceDown, match=r"answered /api/leads with something other") as it:
        read(http(server.url, pause=lambda seconds: None))
    assert "a login page or a proxy may answer in its place" in it.value.hint
    assert len(server.requests) == MAX_TRIES


def test_a_service_that_was_there_is_waited_for_while_it_answers_no_objects(
    serve: Serve, http: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    server = serve(PAGE, *[answer(200, b"<html>Back soon</html>")] * 30, PAGE)
    one = http(server.url, pause=clock.pause, outage=OutageBudget(7_200))
    assert read(one).status == read(one).status == 200
    assert clock.now > 300


def test_a_password_is_not_sent_twice_to_what_may_be_no_login(serve: Serve, http: Open) -> None:
    server = serve(answer(200, b"<html>Sign in</html>"))
    with pytest.raises(ServiceDown, match="a JSON object"):
        read(http(server.url), is_login=True)
    assert len(server.requests) == 1


def no_list(reply: Response) -> MigratorError | None:
    return None if "leads" in reply.data else ServiceDown("No list.", "look for it")


@pytest.mark.parametrize("times", [1, 6])
def test_an_answer_that_its_reader_cannot_use_is_asked_for_again(
    times: int, serve: Serve, http: Open
) -> None:
    server = serve(*[answer(200, b'{"success": true}')] * times, PAGE)
    assert read(http(server.url, pause=lambda seconds: None), flaw=no_list).data == {"leads": []}


def test_an_answer_that_stays_unusable_ends_in_its_readers_words_however_patient(
    serve: Serve, http: Open
) -> None:
    server = serve(PAGE, answer(200, b'{"success": true}'))
    one = http(server.url, pause=lambda seconds: None, outage=OutageBudget(7_200))
    read(one)
    with pytest.raises(ServiceDown, match="No list"):
        read(one, flaw=no_list)
    assert len(server.requests) == 1 + MAX_TRIES


@pytest.mark.parametrize("status", [401, 403])
def test_a_denial_that_is_doubted_is_asked_again_twice_and_then_believed(
    status: int, serve: Serve, http: Open
) -> None:
    no = answer(status, b'{"error": "no"}')
    pauses: list[float] = []
    server = serve(no, no, PAGE, no)
    one = http(server.url, pause=pauses.append, outage=OutageBudget(7_200))
    assert read(one, retried_statuses={401, 403}).status == 200
    with pytest.raises(Declined, match=f"with {status}"):
        read(one, retried_statuses={401, 403})
    assert (len(server.requests), len(pauses)) == (6, 4)


# Pages that are too large --------------------------------------------------------------------


def read_page(http: HttpClient, size: PageSize) -> Response:
    return read(http, size=size, params=lambda rows: {"limit": str(rows)}, flaw=no_list)


def limits(server: Server) -> list[int]:
    return [int(one.line.split("limit=")[1].split()[0]) for one in server.requests]


@pytest.mark.parametrize(
    "trouble",
    [
        answer(502),
        answer(500),
        reset,
        then_close(answer(200, b'{"leads": []}', {"Content-Length": "99"})),
        answer(200, b"<html>"),
        answer(200, b""),
        answer(200, b'{"success": true}'),
    ],
)
def test_a_page_that_fails_twice_is_asked_for_at_half_the_size(
    trouble: Act, serve: Serve, http: Open
) -> None:
    pauses: list[float] = []
    server = serve(trouble, trouble, PAGE)
    read_page(http(server.url, pause=pauses.append), PageSize(100))
    assert limits(server) == [100, 100, 50]


def test_a_page_that_takes_too_long_is_asked_for_at_half_the_size(serve: Serve, http: Open) -> None:
    server = serve(silence, silence, PAGE)
    one = http(server.url, IMPATIENT_SECONDS, pause=lambda seconds: None)
    read_page(one, PageSize(100))
    assert limits(server) == [100, 100, 50]


@pytest.mark.parametrize(
    "trouble", [answer(429), answer(423), answer(477), answer(503, headers={"Retry-After": "1"})]
)
def test_a_service_that_asks_to_wait_is_asked_for_no_smaller_page(
    trouble: bytes, serve: Serve, http: Open
) -> None:
    server = serve(*[trouble] * 5, PAGE)
    read_page(http(server.url, pause=lambda seconds: None), PageSize(100))
    assert limits(server) == [100] * 6


def test_where_nothing_is_reached_a_smaller_page_would_not_be_either(http: Open) -> None:
    size = PageSize(1000)
    with pytest.raises(ServiceDown, match="in 7 tries: connection refused"):
        read_page(http(nobody(), pause=lambda seconds: None), size)
    assert size.rows == 1000


@pytest.mark.parametrize(
    ("largest", "asked"),
    [
        (1000, [1000, 1000, 500, 250, 125, 62, 31, 15, 10]),
        (100, [100, 100, 50, 25, 12, 10, 100]),
    ],
)
def test_a_service_that_fails_at_every_size_is_given_up_about_as_soon(
    largest: int, asked: list[int], serve: Serve, http: Open
) -> None:
    pauses: list[float] = []
    server = serve(answer(502))
    with pytest.raises(ServiceDown, match=f"in {len(asked)} tries: it answered 502"):
        read_page(http(server.url, pause=pauses.append), PageSize(largest))
    assert limits(server) == asked
    assert sum(pauses) < 40  # 31.5 s at the most without sizes


def test_a_user_who_wants_to_stop_ends_a_read(serve: Serve, http: Open) -> None:
    def stop(seconds: float) -> None:
        raise KeyboardInterrupt

    server = serve(answer(503))
    with pytest.raises(KeyboardInterrupt):
        read(http(server.url, pause=stop))
    assert len(server.requests) == 1


def test_a_reply_without_an_object_has_no_data() -> None:
    assert [Response(200, {}, body).data for body in (b"", b"[1]", b"{", b"\xff", b"1" * 5000)] == [
        {}
    ] * 5
