"""
LeadGenius's tokens, clients and leads: from tapes where the shape of an answer counts, from the
sandbox where its behaviour does, and word by word where neither would say such a thing.
"""

import base64
import json
import logging
import stat
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from migrator.config import AuthFile, Secret
from migrator.errors import (
    Declined,
    Forbidden,
    LedgerBusy,
    MigratorError,
    NotReady,
    ServiceBusy,
    ServiceDown,
    Unauthorized,
    UsageError,
)
from migrator.http import HttpClient
from migrator.leadgenius import (
    Credentials,
    CredentialsStore,
    LeadGenius,
    LeadGeniusClient,
    Tokens,
    login,
    tokens,
)
from migrator.leadgenius.tokens import MOST_REFUSALS
from migrator.sandbox import Sandbox
from migrator.states import Outcome
from tests import at_once
from tests.support.cassettes import (
    ACCESS_TOKEN,
    CLIENT_ID,
    EMAIL,
    ID_TOKEN,
    LEAD,
    LEADGENIUS_URL,
    PASSWORD,
    RECORD,
    REFRESH_TOKEN,
    USER_ID,
    Memory,
    body_of,
    playing,
)
from tests.support.socket_server import Server, answer, nobody

HERS = Credentials(Sandbox.email, Secret(Sandbox.password).reveal)
API_KEY = (Sandbox.api_key, Sandbox.user_id)
LOGIN = "/api/auth"
DEAD_TOKEN = "sandbox-refresh-0"
THREADS = 8

Enter = Callable[..., tuple[LeadGenius, Tokens]]
Said = Callable[..., tuple[LeadGenius, Server]]


@pytest.fixture
def enter() -> Iterator[Enter]:
    """A factory: LeadGenius at a URL, and its tokens."""
    with ExitStack() as opened:

        def enter(
            url: str,
            store: CredentialsStore | None = None,
            login: Credentials | None = HERS,
            api_key: tuple[str, str | None] | None = None,
        ) -> tuple[LeadGenius, Tokens]:
            http = HttpClient("LeadGenius", url, timeout_seconds=5, pause=lambda seconds: None)
            opened.callback(http.close)
            tokens = Tokens(http, store, login, api_key)
            return LeadGenius(http, tokens), tokens

        yield enter


@pytest.fixture
def said(enter: Enter) -> Iterator[Said]:
    """A factory: LeadGenius that gives exactly these answers, and the server that gives them."""
    with ExitStack() as running:

        def said(*answers: bytes, **options: Any) -> tuple[LeadGenius, Server]:
            server = running.enter_context(Server(answers))
            return enter(server.url, **{"api_key": API_KEY, **options})[0], server

        yield said


@pytest.fixture
def kept(tmp_path: Path) -> AuthFile:
    """A credentials file that is not there yet."""
    return AuthFile(tmp_path / "auth.json")


@pytest.fixture(autouse=True)
def no_secret_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    for text in [*(record.getMessage() for record in caplog.get_records("call")), caplog.text]:
        assert not leaks(text)


def leaks(text: str) -> list[str]:
    secrets = [Sandbox.password, Sandbox.api_key, "sandbox-refresh", "eyJ", "Bearer"]
    return [secret for secret in secrets if secret in text]


def reply(body: object, status: int = 200) -> bytes:
    return answer(status, json.dumps(body).encode())


def jwt(**said: object) -> str:
    part = base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")
    return f"eyJh.{part}.c2ln"


def paths(box: Sandbox) -> list[str]:
    return [request.path for request in box.received]


def logins(box: Sandbox) -> list[str]:
    return [path.removeprefix(LOGIN) for path in paths(box) if path.startswith(LOGIN)]


def queries(server: Server) -> list[dict[str, list[str]]]:
    targets = [request.line.split()[1] for request in server.requests]
    return [parse_qs(urlsplit(target).query) for target in targets]


# Logging in ------------------------------------------------------------------------------------


def test_a_login_fetches_a_token_and_keeps_what_came_with_it(enter: Enter) -> None:
    store = Memory()
    with playing("leadgenius/login"):
        _, tokens = enter(LEADGENIUS_URL, store, Credentials(EMAIL, lambda: PASSWORD))
        assert tokens.log_in()["sub"] == USER_ID
    assert tokens.headers() == {"Authorization": f"Bearer {ACCESS_TOKEN}"}
    assert store.document == {
        "token": ACCESS_TOKEN,
        "id_token": ID_TOKEN,
        "refresh_token": REFRESH_TOKEN,
        "user_id": USER_ID,
        "email": EMAIL,
        "base_url": LEADGENIUS_URL,
    }


def test_a_refresh_token_goes_before_the_password(enter: Enter) -> None:
    store = Memory(refresh_token=REFRESH_TOKEN)
    with playing("leadgenius/refresh"):
        _, tokens = enter(LEADGENIUS_URL, store, Credentials(EMAIL, lambda: PASSWORD))
        assert tokens.headers() == {"Authorization": f"Bearer {ACCESS_TOKEN}"}
    assert store.document["token"] == ACCESS_TOKEN


def test_the_sandbox_lets_in_who_logs_in(enter: Enter, sandbox: Any) -> None:
    box = sandbox()
    leadgenius, _ = enter(box.url)
    assert [one.client_id for one in leadgenius.clients()] == [box.client_id]
    assert paths(box) == [LOGIN, "/api/clients"]


def test_a_declined_refresh_token_falls_back_to_the_password(enter: Enter, sandbox: Any) -> None:
    box, store = sandbox(), Memory(refresh_token="of-last-year")
    leadgenius, _ = enter(box.url, store)
    leadgenius.clients()
    assert logins(box) == ["/refresh", ""]
    assert store.document["refresh_token"] != "of-last-year"


def test_a_declined_refresh_token_without_a_password_is_an_expired_login(
    enter: Enter, sandbox: Any
) -> None:
    box = sandbox()
    leadgenius, _ = enter(box.url, Memory(refresh_token="of-last-year"), login=None)
    with pytest.raises(Unauthorized, match="has expired") as caught:
        leadgenius.clients()
    assert "migrator auth" in caught.value.hint
    assert logins(box) == ["/refresh"]


def test_a_failing_login_is_tried_again(enter: Enter, sandbox: Any) -> None:
    box = sandbox()
    box.fault("auth_error", 2)
    leadgenius, _ = enter(box.url)
    assert leadgenius.clients()
    assert logins(box) == ["", "", ""]


REFUSAL = {"success": False, "error": "refresh token has expired", "errorType": "no_valid_tokens"}
NEW_PASSWORD = {"success": True, "challengeName": "NEW_PASSWORD_REQUIRED", "session": "opaque"}


@pytest.mark.parametrize(
    "failure",
    [
        reply(REFUSAL, 400),
        reply(REFUSAL, 401),
        reply(REFUSAL, 404),
        reply(REFUSAL, 500),
        answer(429, headers={"Retry-After": "9999"}),
        reply(REFUSAL),
        reply({"success": True}),
        reply(NEW_PASSWORD),
        answer(200, b"<html>"),
    ],
)
def test_a_refresh_that_fails_in_whatever_way_gives_way_to_the_password_once(
    said: Said, failure: bytes
) -> None:
    fresh = reply({"tokens": {"accessToken": "fresh"}})
    store = Memory(refresh_token="of-last-year")
    leadgenius, server = said(failure, fresh, reply({"clients": []}), api_key=None, store=store)
    leadgenius.clients()
    lines = [one.line.split()[1] for one in server.requests]
    assert lines == ["/api/auth/refresh", LOGIN, "/api/clients"]
    assert store.document["token"] == "fresh"


def test_a_failing_refresh_without_a_password_is_waited_for(enter: Enter, sandbox: Any) -> None:
    box = sandbox()
    enter(box.url, store := Memory())[1].log_in()
    box.expire_tokens()
    box.fault("auth_error", 2)
    assert enter(box.url, store, login=None)[0].clients()
    assert logins(box) == ["", *["/refresh"] * 3]


def test_a_refusal_without_a_password_is_an_expired_login_whatever_its_status(said: Said) -> None:
    store = Memory(refresh_token="of-last-year")
    leadgenius, _ = said(reply(REFUSAL), api_key=None, login=None, store=store)
    with pytest.raises(Unauthorized, match="has expired"):
        leadgenius.clients()


@pytest.mark.parametrize(
    ("body", "status", "challenge"),
    [
        (NEW_PASSWORD, 200, "NEW_PASSWORD_REQUIRED"),
        ({"challenge": "NEW_PASSWORD_REQUIRED"}, 403, "NEW_PASSWORD_REQUIRED"),
        ({"challenge": {"name": "NEW_PASSWORD_REQUIRED"}}, 200, "NEW_PASSWORD_REQUIRED"),
        ({"tokens": {}, **NEW_PASSWORD}, 200, "NEW_PASSWORD_REQUIRED"),
        ({"ChallengeName": "SOFTWARE_TOKEN_MFA"}, 200, "SOFTWARE_TOKEN_MFA"),
        (
            {"nextStep": {"signInStep": "CONFIRM_SIGN_IN_WITH_NEW_PASSWORD_REQUIRED"}},
            200,
            "CONFIRM_SIGN_IN_WITH_NEW_PASSWORD_REQUIRED",
        ),
    ],
)
@pytest.mark.parametrize("has_password", [True, False])
def test_a_challenge_is_told_as_what_it_is_and_what_to_do(
    said: Said, body: object, status: int, challenge: str, has_password: bool
) -> None:
    way: dict[str, Any] = (
        {} if has_password else {"store": Memory(refresh_token="r"), "login": None}
    )
    leadgenius, server = said(reply(body, status), api_key=None, **way)
    with pytest.raises(NotReady, match=f"with {challenge} instead of a token") as caught:
        leadgenius.clients()
    assert len(server.requests) == 1
    whose = f"the login of {Sandbox.email}" if has_password else "the stored login"
    assert whose in caught.value.message
    assert f"sign in once in the browser at {server.url}" in caught.value.hint
    wanted = "set a new password" if "PASSWORD" in challenge else "LGP_API_KEY"
    assert wanted in caught.value.hint


def test_a_declined_login_names_the_account(enter: Enter, sandbox: Any) -> None:
    leadgenius, _ = enter(sandbox().url, login=Credentials("eve@example.com", lambda: "guessed"))
    with pytest.raises(Unauthorized, match=r"eve@example\.com") as caught:
        leadgenius.clients()
    assert "LEADGENIUS_PASSWORD" in caught.value.hint
    # An account that came through Google has none.
    assert "Google has no password: set LGP_API_KEY" in caught.value.hint


def test_a_declined_login_is_not_tried_by_every_thread_that_waits_for_it(
    enter: Enter, sandbox: Any
) -> None:
    box = sandbox(latency_seconds=0.02)
    leadgenius, _ = enter(box.url, login=Credentials(box.email, lambda: "guessed"))

    def refused(_: int) -> bool:
        with pytest.raises(Unauthorized, match="rejected the login"):
            leadgenius.clients()
        return True

    with ThreadPoolExecutor(THREADS) as threads:
        assert all(threads.map(refused, range(THREADS)))
    assert logins(box) == [""]


@pytest.mark.parametrize("status", [301, 404, 405])
def test_a_server_without_a_login_is_no_wrong_password(said: Said, status: int) -> None:
    leadgenius, server = said(answer(status), api_key=None)
    with pytest.raises(NotReady, match=f"There is no LeadGenius login at .*{status}") as caught:
        leadgenius.clients()
    assert not isinstance(caught.value, Unauthorized)
    assert caught.value.hint == "check LEADGENIUS_BASE_URL (without /api)"
    assert server.url in caught.value.message


def test_nothing_to_log_in_with_is_said_before_any_request(enter: Enter, sandbox: Any) -> None:
    box = sandbox()
    with pytest.raises(NotReady, match="no login") as caught:
        enter(box.url, Memory(), login=None)[0].clients()
    assert "migrator auth" in caught.value.hint
    assert paths(box) == []


@pytest.mark.parametrize(
    "tokens",
    [None, "text", [], {}, {"accessToken": None}, {"accessToken": 1}, {"accessToken": "a\nb"}],
    ids=json.dumps,
)
def test_a_login_without_a_token_in_its_answer_is_no_login(said: Said, tokens: object) -> None:
    store = Memory()
    leadgenius, _ = said(reply({"success": True, "tokens": tokens}), api_key=None, store=store)
    with pytest.raises(ServiceDown, match="without an access token"):
        leadgenius.clients()
    assert store.document == {}


def test_an_api_key_needs_no_login(enter: Enter, sandbox: Any) -> None:
    box = sandbox()
    leadgenius, tokens = enter(box.url, login=None, api_key=API_KEY)
    assert leadgenius.clients()
    assert tokens.headers() == {"x-api-key": API_KEY[0], "x-user-id": API_KEY[1]}
    assert paths(box) == ["/api/clients"]


def test_an_api_key_without_a_user_id_goes_alone(said: Said) -> None:
    leadgenius, server = said(reply({"clients": []}), api_key=("lgp_newer", None))
    leadgenius.clients()
    (request,) = server.requests
    sent = {name.lower(): value for name, value in request.headers.items()}
    assert sent["x-api-key"] == "lgp_newer"
    assert "x-user-id" not in sent
    assert "authorization" not in sent


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("user_id", [None, "me"])
def test_a_declined_api_key_says_what_to_check(
    said: Said, status: int, user_id: str | None
) -> None:
    leadgenius, _ = said(answer(status), api_key=("lgp_newer", user_id))
    with pytest.raises(Declined) as caught:
        leadgenius.clients()
    wanted = "check LGP_API_KEY and LGP_USER_ID" if user_id else "user id too: set LGP_USER_ID"
    assert wanted in caught.value.hint


def test_a_declined_api_key_is_not_replaced_by_a_login(enter: Enter, sandbox: Any) -> None:
    box = sandbox()
    leadgenius, _ = enter(box.url, api_key=("lgp_wrong", "nobody"))
    with pytest.raises(Unauthorized, match="API key") as caught:
        leadgenius.clients()
    assert "LGP_API_KEY" in caught.value.hint
    assert logins(box) == []


# The credentials file --------------------------------------------------------------------------


def test_a_login_writes_the_file_for_its_owner_alone(
    enter: Enter, sandbox: Any, kept: AuthFile
) -> None:
    box = sandbox()
    enter(box.url, kept)[1].log_in()
    document = json.loads(kept.path.read_text())
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600
    assert document.keys() == {
        *("token", "id_token", "refresh_token", "user_id", "email", "base_url")
    }
    assert (document["base_url"], document["email"]) == (box.url, box.email)


def test_new_tokens_leave_the_keys_of_others_alone(
    enter: Enter, sandbox: Any, kept: AuthFile
) -> None:
    hers = {"email": Sandbox.email, "api_key": "lgp_x", "theirs": {"a": [1]}}
    kept.path.write_text(json.dumps({"token": "old", **hers}))
    kept.path.chmod(0o644)
    enter(sandbox().url, kept)[0].clients()
    document = json.loads(kept.path.read_text())
    assert {name: document[name] for name in hers} == hers
    assert document["token"] != "old"
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600


def test_a_login_takes_the_other_account_s_keys_out_of_the_file(
    enter: Enter, sandbox: Any, kept: AuthFile
) -> None:
    kept.path.write_text(json.dumps({"email": "eve@example.com", "api_key": "lgp_x", "theirs": 1}))
    enter(sandbox().url, kept)[1].log_in()
    document = json.loads(kept.path.read_text())
    assert (document["email"], document["theirs"]) == (Sandbox.email, 1)
    assert "api_key" not in document


def test_a_refresh_keeps_the_refresh_token_when_no_new_one_comes(said: Said) -> None:
    store = Memory(refresh_token="lasting", email="hers@example.com")
    fresh = reply({"tokens": {"accessToken": "new"}})
    leadgenius, server = said(fresh, reply({"clients": []}), api_key=None, login=None, store=store)
    leadgenius.clients()
    assert server.bodies[0] == b'{"refreshToken": "lasting"}'
    assert (store.document["refresh_token"], store.document["email"]) == (
        "lasting",
        "hers@example.com",
    )


def test_without_a_file_nothing_is_written(enter: Enter, sandbox: Any, tmp_path: Path) -> None:
    enter(sandbox().url)[1].log_in()
    assert list(tmp_path.iterdir()) == []
    assert list(Path.home().iterdir()) == []


def test_a_stored_token_is_used_while_it_holds(enter: Enter, sandbox: Any, kept: AuthFile) -> None:
    box = sandbox()
    enter(box.url, kept)[1].log_in()
    leadgenius, _ = enter(box.url, kept, login=None)
    leadgenius.clients()
    assert paths(box) == [LOGIN, "/api/clients"]


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(lambda now: jwt(exp=now - 10, iat=now - 3610), id="expired"),
        pytest.param(lambda now: jwt(exp=now + 100, iat=now - 3500), id="about to expire"),
        pytest.param(lambda now: jwt(exp=now + 1, iat=now - 9), id="short and about to expire"),
        pytest.param(lambda now: jwt(sub="me"), id="without times"),
        pytest.param(lambda now: jwt(exp="tomorrow"), id="with words for times"),
        pytest.param(lambda now: jwt(exp=float("nan")), id="with no number for times"),
        pytest.param(lambda now: "opaque", id="no JWT"),
        pytest.param(lambda now: "a.b.c", id="no base64"),
        pytest.param(lambda now: "a.WyJsaXN0Il0.c", id="no JSON object"),
        pytest.param(lambda now: "a.ü.c", id="no ASCII"),
        pytest.param(lambda now: "", id="none"),
        pytest.param(lambda now: None, id="null"),
    ],
)
def test_a_stored_token_that_is_not_known_to_hold_is_replaced(
    enter: Enter, sandbox: Any, token: Callable[[float], str | None]
) -> None:
    box, store = sandbox(), Memory(token=token(time.time()))
    leadgenius, _ = enter(box.url, store)
    leadgenius.clients()
    assert paths(box) == [LOGIN, "/api/clients"]


def test_a_stored_token_that_was_revoked_is_replaced_when_it_is_declined(
    enter: Enter, sandbox: Any
) -> None:
    box, store = sandbox(), Memory(token=jwt(exp=time.time() + 3600))
    leadgenius, _ = enter(box.url, store)
    leadgenius.clients()
    assert paths(box) == ["/api/clients", LOGIN, "/api/clients"]


# Renewal ---------------------------------------------------------------------------------------


@pytest.fixture
def pass_time(clock: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Advance the clock of the tokens, which stands still otherwise."""
    ours = SimpleNamespace(monotonic=clock.now, time=time.time)
    for module in (login, tokens):
        monkeypatch.setattr(module, "time", ours)
    return lambda seconds: clock.sleep(seconds)


@pytest.mark.parametrize(("life", "early", "late"), [(3, 2.2, 0.1), (3600, 3479, 2)])
def test_a_token_is_renewed_shortly_before_it_ends(
    enter: Enter,
    sandbox: Any,
    pass_time: Callable[[float], None],
    life: float,
    early: float,
    late: float,
) -> None:
    box = sandbox(token_seconds=life)
    leadgenius, _ = enter(box.url)
    leadgenius.clients()
    pass_time(early)
    leadgenius.clients()
    assert logins(box) == [""]
    pass_time(late)
    leadgenius.clients()
    assert logins(box) == ["", ""]


def test_a_stored_token_is_renewed_before_it_ends_too(
    enter: Enter, sandbox: Any, kept: AuthFile, pass_time: Callable[[float], None]
) -> None:
    box = sandbox()
    enter(box.url, kept)[1].log_in()
    leadgenius, _ = enter(box.url, kept)
    leadgenius.clients()
    pass_time(3500)
    leadgenius.clients()
    assert logins(box) == ["", "/refresh"]


def test_a_login_page_instead_of_a_login_is_sent_no_password_twice(said: Said) -> None:
    leadgenius, server = said(answer(200, b"<html>Sign in</html>"), api_key=None)
    with pytest.raises(ServiceDown, match="a JSON object"):
        leadgenius.clients()
    assert [request.line.split()[1] for request in server.requests] == ["/api/auth"]


def test_one_renews_for_all_who_were_declined_together(enter: Enter, sandbox: Any) -> None:
    box = sandbox(latency_seconds=0.05)
    _, tokens = enter(box.url)
    declined = tokens.headers()
    together = threading.Barrier(THREADS)

    def renew() -> Mapping[str, str]:
        together.wait()
        return tokens.renew(declined)

    with ThreadPoolExecutor(THREADS) as threads:
        renewed = [future.result() for future in [threads.submit(renew) for _ in range(THREADS)]]
    assert logins(box) == ["", ""]
    assert declined not in renewed
    assert all(one == renewed[0] for one in renewed)


def test_threads_that_send_with_an_expired_token_log_in_once(enter: Enter, sandbox: Any) -> None:
    box = sandbox(latency_seconds=0.02)
    leadgenius, tokens = enter(box.url)
    tokens.headers()
    box.expire_tokens()
    body = body_of(LEAD, box.client_id)
    with ThreadPoolExecutor(THREADS) as threads:
        sent = list(threads.map(lambda _: leadgenius.create_lead(body, at_once), range(THREADS)))
    assert {one.outcome for one in sent} == {Outcome.CREATED}
    assert len(box.held) == THREADS
    assert logins(box) == ["", ""]


def test_a_reading_goes_on_under_a_new_token(enter: Enter, sandbox: Any) -> None:
    box = sandbox(page_limit=1)
    for _ in range(3):
        box.add_lead(LEAD | {"client_id": box.client_id})
    pages = enter(box.url)[0].lead_pages(box.client_id)
    next(pages)
    box.expire_tokens()
    assert len(list(pages)) == 2
    assert logins(box) == ["", ""]


def test_a_reading_whose_every_token_is_declined_ends_after_one_login_more(said: Said) -> None:
    login = reply({"tokens": {"accessToken": "first"}})
    again = reply({"tokens": {"accessToken": "second"}})
    declined = reply({"success": False, "error": "account suspended"}, 401)
    acts = [login, declined, again, *[declined] * MOST_REFUSALS]
    leadgenius, server = said(*acts, api_key=None)
    with pytest.raises(Unauthorized, match="account suspended") as caught:
        leadgenius.clients()
    assert "issues new tokens, and rejects them too" in caught.value.message
    assert "migrator auth --status" in caught.value.hint
    assert len(server.requests) == len(acts)


def test_leads_whose_every_token_is_declined_end_the_run_after_one_login_more(
    enter: Enter, sandbox: Any
) -> None:
    box = sandbox()
    leadgenius, _ = enter(box.url)
    leadgenius.clients()
    box.fault("expire_token", 99)
    for _ in range(MOST_REFUSALS - 1):
        sent = leadgenius.create_lead(body_of(LEAD, box.client_id), at_once)
        assert (sent.outcome, sent.status) == (Outcome.DENIED, 401)
    for _ in range(2):
        with pytest.raises(Unauthorized, match="rejected /api/leads with 401"):
            leadgenius.create_lead(body_of(LEAD, box.client_id), at_once)
    assert logins(box) == ["", ""]
    assert box.held == []


def test_a_lead_that_may_not_leave_any_more_after_a_login_is_not_sent_again(
    enter: Enter, sandbox: Any
) -> None:
    box = sandbox()
    leadgenius, _ = enter(box.url)
    box.fault("expire_token")

    def until_the_second_login() -> None:
        if len(logins(box)) > 1:
            raise LedgerBusy("taken over", "wait")

    with pytest.raises(LedgerBusy, match="taken over"):
        leadgenius.create_lead(body_of(LEAD, box.client_id), until_the_second_login)
    assert [one.status for one in box.received if one.path == "/api/leads"] == [401]
    assert logins(box) == ["", ""]


def test_reads_that_work_in_between_make_no_login_for_each_lead(enter: Enter, sandbox: Any) -> None:
    box = sandbox()
    leadgenius, _ = enter(box.url)
    box.fault("expire_token", 99)
    with pytest.raises(Unauthorized):
        for number in range(MOST_REFUSALS):
            leadgenius.clients()
            lead = LEAD | {"lastName": f"L{number}"}
            leadgenius.create_lead(body_of(lead, box.client_id), at_once)
    assert logins(box) == [""] * (1 + MOST_REFUSALS)


def test_a_token_that_works_for_others_is_not_what_a_lead_is_declined_for(
    enter: Enter, sandbox: Any
) -> None:
    box = sandbox()
    leadgenius, _ = enter(box.url)
    for number in range(2 * MOST_REFUSALS):
        box.fault("expire_token", 2)
        sent = leadgenius.create_lead(body_of(LEAD, box.client_id), at_once)
        assert (sent.outcome, sent.status) == (Outcome.DENIED, 401), number
        sent = leadgenius.create_lead(body_of(LEAD, box.client_id), at_once)
        assert sent.outcome is Outcome.CREATED


def test_a_lead_that_is_declined_again_while_others_are_taken_makes_no_login(
    enter: Enter, sandbox: Any
) -> None:
    box = sandbox()
    leadgenius, _ = enter(box.url)
    leadgenius.clients()
    box.fault("expire_token", 99, where=lambda lead: lead["email"] == LEAD["email"])
    other = body_of(LEAD | {"email": "bob@x.example"}, box.client_id)
    for number in range(2 * MOST_REFUSALS):
        sent = leadgenius.create_lead(body_of(LEAD, box.client_id), at_once)
        assert (sent.outcome, sent.status) == (Outcome.DENIED, 401), number
        if number == 0:
            assert leadgenius.create_lead(other, at_once).outcome is Outcome.CREATED
    assert logins(box) == ["", ""]


def test_an_api_key_that_worked_is_declined_by_three_leads_in_a_row(
    enter: Enter, sandbox: Any
) -> None:
    box = sandbox()
    leadgenius, _ = enter(box.url, api_key=(box.api_key, box.user_id))
    leadgenius.clients()

    bodies = [body_of(LEAD | {"lastName": f"L{one}"}, box.client_id) for one in range(4)]
    box.revoke("api_key")
    # The same one again says nothing of the key.
    for body in (*bodies[:1] * MOST_REFUSALS, bodies[1]):
        assert leadgenius.create_lead(body, at_once).status == 401
    box.restore()
    assert leadgenius.create_lead(bodies[0], at_once).outcome is Outcome.CREATED
    box.revoke("api_key")
    for body in bodies[2:]:
        assert leadgenius.create_lead(body, at_once).status == 401
    with pytest.raises(Unauthorized, match="rejected the API key"):
        leadgenius.create_lead(bodies[0], at_once)


# Clients ---------------------------------------------------------------------------------------


def test_clients_are_known_by_their_client_id_and_their_internal_id(enter: Enter) -> None:
    with playing("leadgenius/clients"):
        leadgenius, _ = enter(LEADGENIUS_URL, api_key=API_KEY)
        told = ("Historic Contacts", "Contacts imported from HubSpot")
        assert leadgenius.clients() == [
            LeadGeniusClient(
                "client-1", "00000000-0000-4000-8000-000000000001", "Historic Contacts"
            ),
            LeadGeniusClient("client-2", "00000000-0000-4000-8000-000000000002", *told),
        ]


def test_of_a_created_client_the_client_id_counts(enter: Enter) -> None:
    with playing("leadgenius/client_created"):
        leadgenius, _ = enter(LEADGENIUS_URL, api_key=API_KEY)
        client = leadgenius.create_client("Historic Contacts", "Contacts imported from HubSpot")
    assert client.client_id == CLIENT_ID
    assert client.internal_id == "00000000-0000-4000-8000-000000000001"


def test_leads_sent_to_a_created_client_are_seen_there(enter: Enter, sandbox: Any) -> None:
    box = sandbox()
    leadgenius, _ = enter(box.url)
    client = leadgenius.create_client("Archive", "")
    leadgenius.create_lead(body_of(LEAD, client.client_id), at_once)
    (page,) = leadgenius.lead_pages(client.client_id)
    assert [lead["email"] for lead in page.leads] == [EMAIL]


def test_clients_without_a_client_id_are_left_out(said: Said) -> None:
    leadgenius, _ = said(reply({"clients": [{"id": "a"}, None, {"client_id": "b"}]}))
    assert leadgenius.clients() == [LeadGeniusClient("b", "", "")]


@pytest.mark.parametrize("body", [{"success": True}, {"clients": {}}, {"clients": None}])
def test_an_answer_without_a_list_of_clients_is_none(said: Said, body: object) -> None:
    with pytest.raises(ServiceDown, match="has no list of clients"):
        said(reply(body))[0].clients()


@pytest.mark.parametrize(
    "first",
    [
        reply({"success": True, "client": {"id": "internal"}}, 201),
        reply({"success": False, "error": "Internal server error"}, 500),
        answer(201, b"<html>"),
    ],
)
@pytest.mark.parametrize("then", [reply({"clients": []}), answer(400)])
def test_a_client_whose_creation_is_uncertain_is_not_created_twice(
    said: Said, first: bytes, then: bytes
) -> None:
    leadgenius, server = said(first, then)
    with pytest.raises(
        ServiceDown, match="did not confirm that it created the client 'New'"
    ) as caught:
        leadgenius.create_client("New", "")
    assert caught.value.hint.startswith("migrator clients, and only if it is not listed")
    assert [one.line.split()[0] for one in server.requests] == ["POST", "GET"]


def test_a_client_whose_answer_was_lost_is_found_by_looking(said: Said) -> None:
    listed = reply({"clients": [{"client_id": "other"}, {"client_id": "n", "clientName": " new"}]})
    leadgenius, server = said(answer(500), listed)
    assert leadgenius.create_client("New", "").client_id == "n"
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("status", "kind", "hint"),
    [
        (400, NotReady, "migrator clients --create with another"),
        (403, NotReady, "migrator auth --status"),
        (404, NotReady, "migrator auth --status"),
        (409, NotReady, "migrator clients, to list"),
        (422, NotReady, "migrator clients --create with another"),
        (429, ServiceBusy, "migrator clients --create again in a minute"),
    ],
)
def test_a_client_that_is_refused_is_certain_not_to_be_created(
    said: Said, status: int, kind: type[NotReady | ServiceBusy], hint: str
) -> None:
    leadgenius, server = said(reply({"error": "WHY"}, status))
    with pytest.raises(kind, match=f"did not create the client 'New' .{status}: .*WHY") as caught:
        leadgenius.create_client("New", "")
    assert caught.value.hint.startswith(hint)
    assert len(server.requests) == 1


def test_a_client_that_never_left_is_not_created(enter: Enter) -> None:
    with pytest.raises(ServiceBusy, match="did not create the client 'New'"):
        enter(nobody(), api_key=API_KEY)[0].create_client("New", "")


@pytest.mark.parametrize("name", ["Historic Contacts", " historic CONTACTS "])
def test_a_name_that_a_client_has_is_refused_before_anything_is_sent(
    enter: Enter, sandbox: Any, name: str
) -> None:
    box = sandbox()
    with pytest.raises(NotReady, match=f"its client_id is {box.client_id}") as caught:
        enter(box.url)[0].ensure_name_is_free(name)
    assert caught.value.hint.startswith(f"migrator clients --use {box.client_id}")
    enter(box.url)[0].ensure_name_is_free("Historic")


def test_leads_are_counted_page_by_page_and_each_once(said: Said) -> None:
    pages = [{"leads": [{"id": "a"}, {"id": "b"}], "lastKey": "k"}, {"leads": [{"id": "b"}]}]
    seen: list[int] = []
    assert said(*map(reply, pages))[0].count_leads("acme", seen.append) == 2
    assert seen == [2, 2]


def test_one_lead_is_asked_for_to_see_whether_there_are_any(enter: Enter, sandbox: Any) -> None:
    box = sandbox()
    assert not enter(box.url)[0].has_leads(box.client_id)
    box.add_lead({"email": EMAIL})
    assert enter(box.url)[0].has_leads(box.client_id)
    assert box.received[-1].query == {"client_id": box.client_id, "limit": "1"}


def test_a_lead_is_found_by_its_email(enter: Enter, sandbox: Any) -> None:
    box = sandbox(contacts=1)
    lead_id = box.add_lead({"email": "ada@x.example"})
    found = enter(box.url)[0].find_lead(box.client_id, "ada@x.example")
    assert found is not None
    assert (found["id"], found["email"]) == (lead_id, "ada@x.example")
    assert enter(box.url)[0].find_lead(box.client_id, "eve@x.example") is None


@pytest.mark.parametrize("shown", [{"lead": None}, {"lead": {"email": "a@x.example"}}, {}])
def test_an_answer_without_a_lead_that_has_an_id_finds_none(said: Said, shown: Any) -> None:
    assert said(reply({"success": True, **shown}))[0].find_lead("acme", "a@x.example") is None


def test_a_login_that_may_not_find_leads_says_so(said: Said) -> None:
    with pytest.raises(Declined):
        said(*3 * [reply({}, 403)])[0].find_lead("acme", "a@x.example")


def test_a_client_is_checked_by_its_client_id(enter: Enter, sandbox: Any) -> None:
    box = sandbox()
    assert enter(box.url)[0].check_client(box.client_id).client_id == box.client_id


def test_an_internal_id_is_refused_and_the_right_one_named(enter: Enter, sandbox: Any) -> None:
    box = sandbox()
    with pytest.raises(UsageError, match="invisible") as caught:
        enter(box.url)[0].check_client(box.client_internal_id)
    assert caught.value.hint == f"use --client-id {box.client_id}"


def test_an_unknown_client_is_answered_with_the_known_ones(enter: Enter, sandbox: Any) -> None:
    box = sandbox()
    with pytest.raises(NotReady, match="no client with the client_id elsewhere") as caught:
        enter(box.url)[0].check_client("elsewhere")
    assert f"{box.client_id} (Historic Contacts)" in caught.value.hint


def test_where_there_are_no_clients_the_hint_is_to_create_one(said: Said) -> None:
    with pytest.raises(NotReady) as caught:
        said(reply({"clients": []}))[0].check_client("any")
    assert caught.value.hint == "migrator clients --create NAME"


# Leads, one by one -----------------------------------------------------------------------------


def test_a_created_lead_has_an_id_and_says_what_is_left_of_the_limit(enter: Enter) -> None:
    with playing("leadgenius/created"):
        sent = enter(LEADGENIUS_URL, api_key=API_KEY)[0].create_lead(body_of(LEAD), at_once)
    assert (sent.outcome, sent.status) == (Outcome.CREATED, 201)
    assert sent.created_id == "00000000-0000-4000-8000-000000000001"
    assert sent.answer is None
    assert (sent.rate_limit_info.limit, sent.rate_limit_info.remaining) == (100, 97)


def test_a_refused_lead_says_why(enter: Enter) -> None:
    lead = {name: value for name, value in LEAD.items() if name != "lastName"}
    with playing("leadgenius/refused"):
        sent = enter(LEADGENIUS_URL, api_key=API_KEY)[0].create_lead(body_of(lead), at_once)
    assert (sent.outcome, sent.status, sent.created_id) == (Outcome.REFUSED, 400, None)
    assert "lastName" in (sent.answer or "")


def test_a_gateway_s_error_leaves_the_lead_in_doubt(enter: Enter) -> None:
    with playing("leadgenius/gateway_error"):
        sent = enter(LEADGENIUS_URL, api_key=API_KEY)[0].create_lead(body_of(LEAD), at_once)
    assert (sent.outcome, sent.status, sent.created_id) == (None, 503, None)


def test_a_lead_is_sent_byte_by_byte_as_it_was_given(said: Said) -> None:
    leadgenius, server = said(reply({"lead": {"id": "1"}}, 201))
    body = '{"client_id":"a",  "firstName": "Zoë"}'.encode()
    leadgenius.create_lead(body, at_once)
    (request,) = server.requests
    assert (request.line, request.body) == ("POST /api/leads HTTP/1.1", body)
    assert request.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("status", "body", "outcome", "created_id"),
    [
        (201, {"success": True, "lead": {"id": "a"}}, Outcome.CREATED, "a"),
        (200, {"success": True, "lead": {"id": "a"}}, Outcome.CREATED, "a"),
        (201, {"lead": {"id": "a"}}, Outcome.CREATED, "a"),
        (201, {"lead": {"id": 7}}, Outcome.CREATED, "7"),
        (201, {"success": False, "lead": {"id": "a"}}, None, None),
        (201, {"success": True}, None, None),
        (201, {"success": True, "id": "a"}, None, None),
        (201, {"success": True, "lead": None}, None, None),
        (201, {"success": True, "lead": ["a"]}, None, None),
        (201, {"success": True, "lead": {"id": ""}}, None, None),
        (201, {"success": True, "lead": {"id": None}}, None, None),
        (201, {"success": True, "lead": {"id": True}}, None, None),
        (201, {"success": True, "lead": {"id": {"S": "a"}}}, None, None),
        (201, {"success": True, "created": 1, "skipped": 0}, None, None),
        (201, [], None, None),
        (409, {"success": False, "lead": {"id": "a"}}, None, None),
        (500, {"success": True, "lead": {"id": "a"}}, None, None),
        # No refusal of its own says so.
        (400, {"success": True, "lead": {"id": "a"}}, Outcome.DENIED, None),
    ],
)
def test_only_a_success_with_a_lead_that_has_an_id_is_a_created_one(
    said: Said, status: int, body: object, outcome: Outcome | None, created_id: str | None
) -> None:
    leadgenius, server = said(reply(body, status))
    sent = leadgenius.create_lead(b"{}", at_once)
    assert (sent.outcome, sent.created_id) == (outcome, created_id)
    assert len(server.requests) == 1


def test_a_lead_declined_for_its_token_is_held_once_after_the_next(
    enter: Enter, sandbox: Any
) -> None:
    box = sandbox()
    box.fault("expire_token")
    sent = enter(box.url)[0].create_lead(body_of(LEAD, box.client_id), at_once)
    assert sent.outcome is Outcome.CREATED
    assert [lead["id"] for lead in box.held] == [sent.created_id]
    assert paths(box) == [LOGIN, "/api/leads", LOGIN, "/api/leads"]


def test_a_lead_whose_every_token_is_declined_was_not_created(enter: Enter, sandbox: Any) -> None:
    box = sandbox()
    box.fault("expire_token", 99)
    sent = enter(box.url)[0].create_lead(body_of(LEAD, box.client_id), at_once)
    assert (sent.outcome, sent.is_unauthorized) == (Outcome.DENIED, True)
    assert paths(box) == [LOGIN, "/api/leads", LOGIN, "/api/leads"]
    assert box.held == []


def test_a_lead_declined_for_an_api_key_says_so(enter: Enter, sandbox: Any) -> None:
    box = sandbox()
    leadgenius, _ = enter(box.url, api_key=("lgp_wrong", "nobody"))
    with pytest.raises(Unauthorized, match="API key"):
        leadgenius.create_lead(body_of(LEAD, box.client_id), at_once)
    assert paths(box) == ["/api/leads"]


@pytest.mark.parametrize("name", ["unavailable", "drop_after_saving", "truncated", "conflict"])
def test_a_lead_in_doubt_is_not_sent_again_from_down_here(
    enter: Enter, sandbox: Any, name: str
) -> None:
    box = sandbox()
    box.fault(name)
    assert enter(box.url)[0].create_lead(body_of(LEAD, box.client_id), at_once).outcome is None
    assert paths(box).count("/api/leads") == 1


# Leads, page by page ---------------------------------------------------------------------------


def test_our_lead_is_found_by_its_record_line(enter: Enter) -> None:
    with playing("leadgenius/found"):
        (page,) = enter(LEADGENIUS_URL, api_key=API_KEY)[0].lead_pages(CLIENT_ID)
    assert [RECORD in lead["notes"] for lead in page.leads].count(True) == 1
    assert page.cursor is None


def test_our_lead_is_absent_from_a_listing_of_others(enter: Enter) -> None:
    with playing("leadgenius/absent"):
        (page,) = enter(LEADGENIUS_URL, api_key=API_KEY)[0].lead_pages(CLIENT_ID)
    assert [lead["email"] for lead in page.leads] == ["ada+2@example.com"]
    assert not any(RECORD in lead["notes"] for lead in page.leads)


@pytest.mark.parametrize("name", ["lastKey", "nextToken"])
@pytest.mark.parametrize("trouble", ["short_page", "empty_page", "list_error", "list_drop"])
def test_every_lead_comes_once_by_either_name_of_the_cursor(
    enter: Enter, sandbox: Any, name: str, trouble: str
) -> None:
    box = sandbox(cursor_name=name, page_limit=3)
    planted = {box.add_lead(LEAD | {"client_id": box.client_id}) for _ in range(10)}
    box.fault(trouble, 2)
    pages = list(enter(box.url)[0].lead_pages(box.client_id))
    found = [lead["id"] for page in pages for lead in page.leads]
    assert (len(found), set(found)) == (10, planted)
    assert [page.cursor is None for page in pages] == [False] * (len(pages) - 1) + [True]


def test_a_listing_goes_on_where_an_earlier_one_stopped(enter: Enter, sandbox: Any) -> None:
    box = sandbox(page_limit=3)
    for _ in range(7):
        box.add_lead(LEAD | {"client_id": box.client_id})
    leadgenius, _ = enter(box.url)
    first = next(leadgenius.lead_pages(box.client_id))
    rest = [one.leads for one in leadgenius.lead_pages(box.client_id, first.cursor)]
    assert [len(leads) for leads in (first.leads, *rest)] == [3, 3, 1]
    assert {str(lead["id"]) for lead in first.leads}.isdisjoint(str(one["id"]) for one in rest[0])


@pytest.mark.parametrize("name", ["lastKey", "nextToken"])
@pytest.mark.parametrize("cursor", ["a b+c/=&d", "k=v==", {"id": "1", "ck": {"S": "é"}}])
def test_a_cursor_goes_back_as_it_came_under_its_own_name(
    said: Said, name: str, cursor: object
) -> None:
    leadgenius, server = said(
        reply({"leads": [], name: cursor}), reply({"leads": [], name: None, "total": 900})
    )
    assert len(list(leadgenius.lead_pages("a"))) == 2
    first, second = queries(server)
    (value,) = second.pop(name)
    assert (value if isinstance(cursor, str) else json.loads(value)) == cursor
    assert first == second == {"client_id": ["a"], "limit": ["1000"]}


@pytest.mark.parametrize(
    "rest",
    [
        {},
        {"lastKey": None},
        {"lastKey": ""},
        {"lastKey": {}},
        {"nextToken": None, "lastKey": None},
        {"total": 100_000},
        {"total": 0},
    ],
    ids=json.dumps,
)
def test_only_a_missing_cursor_ends_the_listing_and_never_the_total(
    said: Said, rest: dict[str, Any]
) -> None:
    leadgenius, server = said(reply({"leads": [{"id": "1"}], **rest}))
    (page,) = leadgenius.lead_pages("a")
    assert (len(page.leads), page.cursor) == (1, None)
    assert len(server.requests) == 1


def test_a_total_of_nothing_does_not_end_a_listing_that_goes_on(said: Said) -> None:
    leadgenius, _ = said(
        reply({"leads": [], "total": 0, "lastKey": "k"}), reply({"leads": [{"id": 1}], "total": 0})
    )
    assert [len(page.leads) for page in leadgenius.lead_pages("a")] == [0, 1]


def test_the_cursor_that_is_given_counts_though_the_other_name_is_null(said: Said) -> None:
    first = reply({"leads": [], "lastKey": None, "nextToken": "n"})
    leadgenius, server = said(first, reply({"leads": []}))
    list(leadgenius.lead_pages("a"))
    assert queries(server)[1]["nextToken"] == ["n"]


@pytest.mark.parametrize("cursors", [["a", "a"], ["a", "b", "a"], [{"id": "1"}, {"id": "1"}]])
def test_a_cursor_that_comes_back_is_an_error_and_no_endless_listing(
    said: Said, cursors: list[object]
) -> None:
    leadgenius, server = said(*(reply({"leads": [], "lastKey": one}) for one in cursors))
    with pytest.raises(ServiceDown, match="second time"):
        list(leadgenius.lead_pages("a"))
    assert len(server.requests) == len(cursors)


def test_the_sandbox_s_repeated_cursor_is_an_error_too(enter: Enter, sandbox: Any) -> None:
    box = sandbox(page_limit=1)
    for _ in range(3):
        box.add_lead(LEAD | {"client_id": box.client_id})
    box.fault("repeat_cursor")
    with pytest.raises(ServiceDown, match="second time"):
        list(enter(box.url)[0].lead_pages(box.client_id))


@pytest.mark.parametrize(
    "body", [{"success": True}, {"leads": None}, {"leads": {"1": {}}}], ids=json.dumps
)
def test_a_page_without_a_list_is_asked_for_again_and_then_stops_the_run(
    said: Said, body: object
) -> None:
    good = reply({"leads": [{"id": "1"}]})
    leadgenius, server = said(reply(body), good, reply(body))
    assert [len(page.leads) for page in leadgenius.lead_pages("a")] == [1]
    with pytest.raises(ServiceDown, match="no list of leads"):
        next(leadgenius.lead_pages("a"))
    assert len(server.requests) > 6


@pytest.mark.parametrize(
    "row", [None, "1", 7, [], {"email": EMAIL}, {"id": ""}, {"id": None}, {"id": "a\x00"}], ids=repr
)
def test_a_row_without_an_id_is_odd_and_keeps_no_other_lead_back(said: Said, row: object) -> None:
    leadgenius, _ = said(reply({"leads": [{"id": "1"}, row, {"id": 2}]}))
    (page,) = leadgenius.lead_pages("a")
    assert [lead["id"] for lead in page.leads] == ["1", 2]
    assert page.odd == [row]
    assert leadgenius.has_leads("a")
    assert leadgenius.count_leads("a") == 2


@pytest.mark.parametrize(
    ("odd", "leads", "is_list"), [(10, 0, True), (11, 99, False), (11, 100, True)]
)
def test_a_listing_with_too_many_odd_rows_is_never_complete(
    said: Said, odd: int, leads: int, is_list: bool
) -> None:
    rows = [{"id": str(number)} for number in range(leads)]
    leadgenius, _ = said(reply({"leads": [None] * odd, "lastKey": "k"}), reply({"leads": rows}))
    pages = leadgenius.lead_pages("a")
    assert [len(page.leads) for page in islice(pages, 2)] == [0, leads]
    if is_list:
        assert list(pages) == []
        return
    with pytest.raises(ServiceDown, match="11 have no usable id"):
        next(pages)


def test_a_page_that_is_too_large_is_asked_for_in_halves_at_the_same_cursor(said: Said) -> None:
    bad = answer(502)
    leadgenius, server = said(
        reply({"leads": [{"id": "1"}], "lastKey": "k"}),
        bad,
        bad,
        bad,
        reply({"leads": [{"id": "2"}], "lastKey": "l"}),
        bad,
        reply({"leads": [{"id": "3"}], "lastKey": "m"}),
        reply({"leads": [{"id": "4"}]}),
    )
    found = [lead["id"] for page in leadgenius.lead_pages("a") for lead in page.leads]
    assert found == ["1", "2", "3", "4"]
    asked = [(query["limit"][0], query.get("lastKey", [""])[0]) for query in queries(server)]
    assert asked == [
        ("1000", ""),
        *(("1000", "k"), ("1000", "k"), ("500", "k"), ("250", "k")),
        *(("500", "l"), ("250", "l"), ("250", "m")),
    ]


def test_a_stray_403_in_the_middle_of_a_listing_is_not_believed(said: Said) -> None:
    no = reply({"error": "no"}, 403)
    leadgenius, server = said(
        reply({"leads": [], "lastKey": "k"}), no, no, reply({"leads": [], "lastKey": "l"}), no
    )
    pages = leadgenius.lead_pages("a")
    assert [page.cursor is None for page in islice(pages, 2)] == [False, False]
    with pytest.raises(Forbidden):
        next(pages)
    assert len(server.requests) == 7


def test_a_403_from_the_first_request_on_is_believed(said: Said) -> None:
    leadgenius, server = said(reply({"error": "no"}, 403))
    with pytest.raises(Forbidden):
        next(leadgenius.lead_pages("a"))
    assert len(server.requests) == 1


# Secrets ---------------------------------------------------------------------------------------


def wrong_password(enter: Enter, box: Sandbox) -> None:
    enter(box.url, login=Credentials(box.email, Secret(box.password + "!").reveal))[0].clients()


def wrong_key(enter: Enter, box: Sandbox) -> None:
    enter(box.url, api_key=(box.api_key + "1", box.user_id))[0].clients()


def dead_refresh_token(enter: Enter, box: Sandbox) -> None:
    store = Memory(refresh_token=DEAD_TOKEN, token=jwt(exp=time.time() + 3600))
    enter(box.url, store, login=None)[0].clients()


def failing_login(enter: Enter, box: Sandbox) -> None:
    box.fault("auth_error", 99)
    enter(box.url, Memory(refresh_token=DEAD_TOKEN))[0].clients()


def nobody_there(enter: Enter, box: Sandbox) -> None:
    box.stop()
    enter(box.url)[0].clients()


def token_that_fits_no_header(enter: Enter, box: Sandbox) -> None:
    store = Memory(token=f"eyJ\n.{jwt(exp=time.time() + 3600).split('.')[1]}.c2ln")
    enter(box.url, store, login=None)[0].clients()


def unknown_client(enter: Enter, box: Sandbox) -> None:
    enter(box.url, Memory())[0].check_client("elsewhere")


def lost_client(enter: Enter, box: Sandbox) -> None:
    leadgenius, _ = enter(box.url, Memory())
    leadgenius.clients()
    box.stop()
    leadgenius.create_client("New", "")


@pytest.mark.parametrize(
    "flow",
    [
        wrong_password,
        wrong_key,
        dead_refresh_token,
        failing_login,
        nobody_there,
        token_that_fits_no_header,
        unknown_client,
        lost_client,
    ],
)
def test_a_failure_names_no_secret(
    enter: Enter, sandbox: Any, flow: Callable[[Enter, Sandbox], None]
) -> None:
    with pytest.raises(MigratorError) as caught:
        flow(enter, sandbox())
    assert not leaks("".join(traceback.format_exception(caught.value)))
    for error in behind(caught.value):
        assert not leaks(f"{error} {error!r} {vars(error)}")


def behind(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it came from, the hidden ones too."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def test_an_answer_that_repeats_a_token_is_not_repeated(said: Said) -> None:
    token = jwt(exp=1)
    refusal = reply({"error": f"bad token {token} and key {Sandbox.api_key}"}, 400)
    sent = said(refusal)[0].create_lead(b"{}", at_once)
    assert sent.outcome is Outcome.REFUSED
    assert not leaks(f"{sent} {sent.answer}")


def test_an_answer_that_repeats_what_looks_like_no_secret_is_not_repeated_either(
    said: Said,
) -> None:
    """Each of them was sent, or came, once; nothing but that tells what they are."""
    secrets = {"token": "opaque-kept", "refresh_token": "opaque-refresh"}
    fresh = {"accessToken": "opaque-access", "idToken": "opaque-id", "refreshToken": "opaque-next"}
    words = " ".join([*secrets.values(), *fresh.values(), "guessed-password"])
    leadgenius, _ = said(
        *(answer(401), reply({"tokens": fresh}), reply({"error": f"no: {words}"}, 400)),
        api_key=None,
        store=Memory(**secrets),
        login=Credentials("me@x.example", lambda: "guessed-password"),
    )
    sent = leadgenius.create_lead(b"{}", at_once)
    assert sent.answer == f'{{"error": "no: {" ".join(["[redacted]"] * 6)}"}}'
    key = "sk-live-7f3a9c0d"
    leadgenius, _ = said(reply({"error": f"no: {key}"}, 400), api_key=(key, None))
    sent = leadgenius.create_lead(b"{}", at_once)
    assert key not in str(sent)


def test_nothing_that_holds_a_secret_shows_it(enter: Enter, sandbox: Any) -> None:
    leadgenius, tokens = enter(sandbox().url, Memory())
    tokens.log_in()
    assert not leaks(f"{leadgenius!r} {tokens!r} {tokens._token!r} {tokens._token} {HERS!r}")
