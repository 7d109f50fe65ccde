"""
A thread's way to one service, through requests' adapter and urllib3's pools.

It sends a request exactly as it is made: it repeats, redirects, replays and adds nothing. It notes
when a request departs. What comes of an exchange, its caller tells.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util import Timeout

from migrator.http.environment import NetworkSettings

KERNEL_PATIENCE_MS = 20_000


class RequestState(threading.local):
    """This thread's request: whether its bytes may have left, and who watches its connection."""

    departed = False
    watch: Callable[[Any], None] | None = None


flight = RequestState()


class MarksDeparture:
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
        if flight.watch is not None:
            flight.watch(conn.sock)
        flight.departed = True
        return super()._make_request(conn, method, url, **options)  # type: ignore[misc]


def _socket_options() -> Sequence[tuple[int, int, int]]:
    """
    What each socket is made with, also one to a proxy.

    The kernel gives up on unacknowledged bytes well before `settle` is over; otherwise it would go
    on delivering what a process wrote after that process timed out or died.
    """
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    # Not every system knows this one; a socket that cannot be made with it would be none.
    with contextlib.suppress(OSError, AttributeError), socket.socket() as probe:
        option = (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, KERNEL_PATIENCE_MS)
        probe.setsockopt(*option)
        options.append(option)
    return options


class _HTTPPool(MarksDeparture, urllib3.HTTPConnectionPool):  # type: ignore[misc]
    pass


class _HTTPSPool(MarksDeparture, urllib3.HTTPSConnectionPool):  # type: ignore[misc]
    pass


_POOLS = {"http": _HTTPPool, "https": _HTTPSPool}


class _Adapter(HTTPAdapter):
    """requests' adapter, on pools that note departures and never retry."""

    def __init__(self) -> None:
        super().__init__(pool_connections=2, pool_maxsize=2, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, socket_options=_socket_options())
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["socket_options"] = _socket_options()
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


class Session:
    """
    One thread's way to one service.

    A request goes to the adapter and nowhere else, so no redirect is followed, no hook asked, no
    cookie kept, and no authentication added that ~/.netrc or the URL names.
    """

    def __init__(self, environment: NetworkSettings) -> None:
        self._adapter = _Adapter()
        self._own_headers = requests.utils.default_headers()
        self._settings = environment.settings

    def send(
        self,
        method: str,
        url: str,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout: Timeout,
    ) -> requests.Response:
        request = requests.PreparedRequest()
        request.prepare_url(url, params)
        request.method, request.body, request.headers = method, body, self._own_headers.copy()
        request.headers.update(headers)
        if body is not None:
            request.headers["Content-Length"] = str(len(body))
        return self._adapter.send(request, timeout=timeout, **self._settings)  # type: ignore[arg-type]

    def close(self) -> None:
        self._adapter.close()
