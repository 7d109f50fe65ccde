"""
One exchange over HTTP: tells a request that never left from one whose answer was lost.

This module owns requests and urllib3. It retries, redirects, replays and adds nothing, and none of
its exceptions contains a header.
"""

import contextlib
import errno
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.util import Timeout

from migrator.errors import NotReady
from migrator.http.environment import NetworkSettings
from migrator.http.responses import Response

CONNECT_TIMEOUT_SECONDS = 10.0
# Stops an answer that arrives so slowly, byte by byte, that the read time-out never expires.
SLOWEST_ANSWER_IN_TIMEOUTS = 10
CHUNK_BYTES = 1 << 16
KERNEL_TIMEOUT_MS = 20_000


class NeverSent(Exception):
    """
    The request never left: no connection could be made, or the request is not valid.

    Args:
        is_ours: Whether this machine could not try, which says nothing about the service.
        fault: The setting of this machine that may be the cause. It is raised only if the service
            has never answered; otherwise the failure counts as an outage.
    """

    def __init__(self, why: str, *, is_ours: bool = False, fault: NotReady | None = None) -> None:
        super().__init__(why)
        self.is_ours, self.fault = is_ours, fault


class ResponseLost(Exception):
    """The request may have arrived, but no complete answer to it was received."""


class RequestState(threading.local):
    """The current request of a thread: whether bytes may have left, and what precedes them."""

    departed = False
    may_leave: Callable[[], None] | None = None
    watch: Callable[[Any], None] | None = None


request_state = RequestState()


class MarksDeparture:
    """
    A connection that connects first, and then marks the request as departed.

    Which exception means "never sent" differs between library versions, and between plain and TLS
    connections; the moment of departure does not. A tunnel through a proxy is part of connecting.
    """

    def request(self: Any, *args: Any, **options: Any) -> None:
        """Write a request."""
        if self.sock is None:
            self.connect()
        if request_state.watch is not None:
            request_state.watch(self.sock)
        # What this raises is neither wrapped nor retried by urllib3, which closes the connection.
        if request_state.may_leave is not None:
            request_state.may_leave()
        request_state.departed = True
        super().request(*args, **options)  # type: ignore[misc]


def _socket_options() -> Sequence[tuple[int, int, int]]:
    """
    The options of every socket, including those to a proxy.

    The kernel gives up on unacknowledged bytes well before `settle` is over. Otherwise it would
    continue to deliver a request after the process timed out or died.
    """
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    # Not every system has this option, and setting an unknown one makes every connection fail.
    with contextlib.suppress(OSError, AttributeError), socket.socket() as probe:
        option = (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, KERNEL_TIMEOUT_MS)
        probe.setsockopt(*option)
        options.append(option)
    return options


def _mark_departures(manager: Any) -> None:
    """Let the connections of a pool manager mark departures, through a SOCKS proxy too."""
    manager.pool_classes_by_scheme = {
        scheme: _marking(pool) for scheme, pool in manager.pool_classes_by_scheme.items()
    }


def _marking(pool: Any) -> Any:
    if issubclass(pool.ConnectionCls, MarksDeparture):
        return pool
    connection = type("Connection", (MarksDeparture, pool.ConnectionCls), {})
    return type("Pool", (pool,), {"ConnectionCls": connection})


class Session(HTTPAdapter):
    """
    The connections of one thread to one service.

    As an adapter of requests, without a session of that library, it follows no redirect, keeps no
    cookie, calls no hook, and adds no authentication from ~/.netrc or the URL.
    """

    def __init__(self, environment: NetworkSettings) -> None:
        self._own_headers = dict(requests.utils.default_headers())
        self._settings = environment.settings
        self._prepared_urls: dict[str, str] = {}
        self._pools: dict[str, Any] = {}
        super().__init__(pool_connections=2, pool_maxsize=2, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, socket_options=_socket_options())
        _mark_departures(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["socket_options"] = _socket_options()
        manager = super().proxy_manager_for(*args, **kwargs)
        _mark_departures(manager)
        return manager

    def request(
        self,
        method: str,
        url: str,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout: Timeout,
    ) -> requests.Response:
        request = requests.PreparedRequest()
        # A send has no parameters, and the same URL as the one before.
        if params is None and url in self._prepared_urls:
            request.url = self._prepared_urls[url]
        else:
            request.prepare_url(url, params)
            if params is None:
                self._prepared_urls[url] = str(request.url)
        request.method, request.body = method, body
        sent = {**self._own_headers, **headers}
        if body is not None:
            sent["Content-Length"] = str(len(body))
        request.headers = sent  # type: ignore[assignment]
        return self.send(request, timeout=timeout, **self._settings)  # type: ignore[arg-type]

    # What requests offers to subclasses. For one service with one set of settings these results
    # stay the same; to find them anew took half of the processor time of a send.

    def get_connection_with_tls_context(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        origin = request.url.split("/", 3)[2]
        if origin not in self._pools:
            found = super().get_connection_with_tls_context(request, *args, **kwargs)
            self._pools[origin] = found
        return self._pools[origin]

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        response = requests.Response()
        response.status_code, response.raw, response.url = resp.status, resp, req.url
        response.headers = CaseInsensitiveDict(resp.headers)
        response.request, response.connection = req, self
        return response

    def close(self) -> None:
        self._pools.clear()
        super().close()


class _Watchdog:
    """
    Cuts connections whose exchange takes too long in total.

    The time-out of a socket starts again with each byte. One thread watches all exchanges; it runs
    only while there are any.
    """

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._exchanges: dict[int, tuple[float, Any]] = {}
        self._is_awake = False

    def watch(self, sock: Any) -> None:
        """Watch the exchange that this thread begins on this socket."""
        with self._lock:
            until = time.monotonic() + self._timeout_seconds
            self._exchanges[threading.get_ident()] = (until, sock)
            if not self._is_awake:
                self._is_awake = True
                threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def unwatch(self) -> None:
        """End the watch, because the exchange of this thread is over."""
        with self._lock:
            self._exchanges.pop(threading.get_ident(), None)

    def _run(self) -> None:
        while True:
            time.sleep(min(1.0, self._timeout_seconds / 4))
            with self._lock:
                if not self._exchanges:
                    self._is_awake = False
                    return
                for until, sock in self._exchanges.values():
                    if time.monotonic() > until:
                        with contextlib.suppress(OSError, TypeError):
                            # Not the TLS socket's own method, which ends the encryption first.
                            socket.socket.shutdown(sock, socket.SHUT_RDWR)


class Transport:
    """
    Makes requests for any thread, each with a session of its own.

    Args:
        timeout_seconds: How long to wait for the answer to begin, and for each further part.
        use_environment: Whether proxies and certificate bundles of the environment apply.
    """

    def __init__(self, timeout_seconds: float, *, use_environment: bool) -> None:
        self._timeout_seconds = timeout_seconds
        self._use_environment = use_environment
        self._watchdog = _Watchdog(timeout_seconds * SLOWEST_ANSWER_IN_TIMEOUTS)
        self._local = threading.local()
        self._sessions: list[Session] = []
        self._lock = threading.Lock()

    def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        longest_bytes: int,
        may_leave: Callable[[], None] | None = None,
    ) -> Response:
        """
        Make one request and read its whole answer.

        Args:
            longest_bytes: The longest answer to accept, decompressed.
            may_leave: Called once connected, before the first byte; what it raises is raised here,
                and nothing was sent.

        Raises:
            NeverSent: the request never left.
            ResponseLost: the request may have arrived.
        """
        if not all(map(_can_be_written, headers.values())):
            raise NeverSent("a header cannot be written")
        request_state.departed, request_state.watch = False, self._watchdog.watch
        request_state.may_leave = may_leave
        try:
            response = self._session(url).request(
                method, url, params, headers, body, self._timeout()
            )
            content = _content(response, longest_bytes)
        # ValueError: an invalid URL.
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as e:
            if request_state.departed:
                raise ResponseLost(_reason(e)) from None
            fault = self._environment(url).fault(list(_causes(e)))
            raise NeverSent(_reason(e), is_ours=_is_ours(e), fault=fault) from None
        finally:
            self._watchdog.unwatch()
        if response.status_code < 200:
            # The final answer would be taken for that to the next request on this connection.
            self._session(url).close()
            raise ResponseLost("an interim answer only")
        received = {name.lower(): value for name, value in response.headers.items()}
        return Response(response.status_code, received, content)

    def _timeout(self) -> Timeout:
        return Timeout(connect=CONNECT_TIMEOUT_SECONDS, read=self._timeout_seconds)

    def _environment(self, url: str) -> NetworkSettings:
        return NetworkSettings.of(url) if self._use_environment else NetworkSettings(url)

    def _session(self, url: str) -> Session:
        session: Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = Session(self._environment(url))
            with self._lock:
                self._sessions.append(session)
        return session

    def close(self) -> None:
        """Close every thread's connections."""
        with self._lock:
            for session in self._sessions:
                session.close()
            self._sessions.clear()


def _can_be_written(value: str) -> bool:
    """Whether a header value is valid; a leading space would continue the previous header."""
    return value.isascii() and value.isprintable() and not value.startswith(" ")


def _content(response: requests.Response, longest_bytes: int) -> bytes:
    """Read and decompress an answer up to a limit: a few kilobytes may expand to gigabytes."""
    content = bytearray()
    for chunk in response.iter_content(CHUNK_BYTES):
        content += chunk
        if len(content) > longest_bytes:
            response.close()
            raise ResponseLost(f"the answer is longer than {longest_bytes >> 20} MB")
    return bytes(content)


def _is_ours(error: Exception) -> bool:
    """Whether this machine ran out of sockets, which says nothing about the service."""
    return any(isinstance(one, OSError) and one.errno in _NO_SOCKET for one in _causes(error))


_NO_SOCKET = {errno.EMFILE, errno.ENFILE}


def _reason(error: Exception) -> str:
    """What went wrong, in our own words: the text of an exception may quote the request."""
    names = ""
    for seen in _causes(error):
        names += type(seen).__name__ + " "
        if (
            isinstance(seen, OSError)
            and seen.strerror
            and not isinstance(seen, requests.RequestException)
        ):
            return seen.strerror[0].lower() + seen.strerror[1:]
    found = (reason for name, reason in _REASONS.items() if name in names)
    return next(found, type(error).__name__)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and its chain of causes, since each library wraps the errors of the one below."""
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None:
            break
        yield seen
        seen = _cause(seen)


def _cause(error: BaseException) -> BaseException | None:
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return reason
    inner = next((arg for arg in reversed(error.args) if isinstance(arg, BaseException)), None)
    return inner or error.__cause__ or error.__context__


_REASONS = {
    "NameResolutionError": "its name cannot be resolved",
    "ConnectTimeout": "no connection within the time-out",
    "ReadTimeout": "no answer within the time-out",
    "timeout": "no answer within the time-out",
    "SSL": "the TLS connection failed",
    "IncompleteRead": "the answer was cut short",
    "RemoteDisconnected": "the connection was closed without an answer",
    "ProtocolError": "the connection broke",
    "DecodeError": "the answer cannot be decompressed",
    "InvalidHeader": "the answer has an invalid header",
    "Proxy": "the proxy refused the connection",
}
