"""
One exchange over HTTP: it tells a request that never left from one whose answer never came.

It owns requests and urllib3. Nothing in here repeats, redirects or replays anything, and no
exception that leaves it carries a header.
"""

import threading
import time
from collections.abc import Mapping
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util import Timeout

from migrator.wire.answers import Reply

CONNECT_TIMEOUT_SECONDS = 10.0
# A service that sends a byte now and then never runs into the read time-out; this ends it.
SLOWEST_ANSWER_IN_TIMEOUTS = 10


class Undelivered(Exception):
    """The request never left: no connection could be made, or it could not even be written."""


class Unanswered(Exception):
    """The request may have arrived; no complete answer to it did."""


class _Flight(threading.local):
    """Whether the bytes of this thread's request may have left."""

    departed = False


_flight = _Flight()


class _Departing:
    """
    A pool that connects first and then notes that the request departs.

    Which exception means "never sent" differs between versions and between plain and TLS
    connections; the moment of departure does not.
    """

    def _make_request(self, conn: Any, method: str, url: str, **options: Any) -> Any:
        timeout = options.get("timeout")
        if isinstance(timeout, Timeout):
            conn.timeout = Timeout.resolve_default_timeout(timeout.connect_timeout)
        if conn.sock is None:
            conn.connect()
        _flight.departed = True
        return super()._make_request(conn, method, url, **options)  # type: ignore[misc]


class _HTTPPool(_Departing, urllib3.HTTPConnectionPool):  # type: ignore[misc]
    pass


class _HTTPSPool(_Departing, urllib3.HTTPSConnectionPool):  # type: ignore[misc]
    pass


_POOLS = {"http": _HTTPPool, "https": _HTTPSPool}


class _Adapter(HTTPAdapter):
    """requests' adapter, on pools that note departures and never retry."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Authentication that adds nothing: without one, requests would send what ~/.netrc says."""
    return request


class Transport:
    """
    A session for each thread that uses it.

    Args:
        timeout_seconds: How long an answer may take to begin, and to go on.
        use_environment: Whether proxies and certificate bundles of the environment apply.
    """

    def __init__(self, timeout_seconds: float, *, use_environment: bool) -> None:
        self._timeout_seconds = timeout_seconds
        self._use_environment = use_environment
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._lock = threading.Lock()

    def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Reply:
        """
        Make one request and read its whole answer.

        Raises:
            Undelivered: it never left.
            Unanswered: it may have arrived.
        """
        _flight.departed = False
        try:
            response = self._session().request(
                method,
                url,
                headers=dict(headers),
                params=params,
                data=body,
                auth=_as_it_is,
                timeout=(CONNECT_TIMEOUT_SECONDS, self._timeout_seconds),
                allow_redirects=False,
                stream=True,
            )
            return self._read(response)
        # ValueError: a header or URL that cannot be written.
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as e:
            failure = Unanswered if _flight.departed else Undelivered
            raise failure(_reason(e)) from None

    def _read(self, response: requests.Response) -> Reply:
        ends = time.monotonic() + self._timeout_seconds * SLOWEST_ANSWER_IN_TIMEOUTS
        chunks = []
        with response:
            while chunk := response.raw.read1(1 << 16, decode_content=True):
                chunks.append(chunk)
                if time.monotonic() > ends:
                    raise urllib3.exceptions.ReadTimeoutError(
                        None,  # type: ignore[arg-type]
                        "",
                        "the answer came too slowly",
                    )
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Reply(response.status_code, headers, b"".join(chunks))

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            session.trust_env = self._use_environment
            adapter = _Adapter(pool_connections=2, pool_maxsize=2, max_retries=0)
            session.mount("http://", adapter)
            session.mount("https://", adapter)
            self._local.session = session
            with self._lock:
                self._sessions.append(session)
        return session

    def close(self) -> None:
        """Close every thread's connections."""
        with self._lock:
            for session in self._sessions:
                session.close()
            self._sessions.clear()


def _reason(error: Exception) -> str:
    """
    What went wrong, in our own words: an exception's text may quote the request.

    The cause is often several exceptions deep, wrapped by each library on the way.
    """
    text = ""
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None:
            break
        text += type(seen).__name__ + " "
        if (
            isinstance(seen, OSError)
            and seen.strerror
            and not isinstance(seen, requests.RequestException)
        ):
            return seen.strerror[0].lower() + seen.strerror[1:]
        seen = _cause(seen)
    for name, words in _WORDS.items():
        if name in text:
            return words
    return type(error).__name__


def _cause(error: BaseException) -> BaseException | None:
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return reason
    inner = next((arg for arg in reversed(error.args) if isinstance(arg, BaseException)), None)
    return inner or error.__cause__ or error.__context__


_WORDS = {
    "NameResolutionError": "its name cannot be resolved",
    "ConnectTimeout": "no connection within the time-out",
    "ReadTimeout": "no answer within the time-out",
    "timeout": "no answer within the time-out",
    "SSL": "the TLS connection failed",
    "IncompleteRead": "the answer was cut short",
    "RemoteDisconnected": "the connection was closed without an answer",
    "ProtocolError": "the connection broke",
    "InvalidHeader": "a header cannot be written",
}
