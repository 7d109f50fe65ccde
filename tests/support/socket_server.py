"""
A server that is one socket: it answers with the very bytes it is told to, and remembers.

HTTP libraries write only answers that make sense; the interesting ones do not.
"""

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

LOOPBACK = "127.0.0.1"
# The first byte of a TLS handshake; a plain server takes it for a bad request.
CLIENT_HELLO = b"\x16"


@dataclass(frozen=True)
class Request:
    """A complete request, byte by byte, and the number of the connection it came on."""

    connection: int
    line: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Visit:
    """A connection, in the hands of the act that answers on it."""

    sock: socket.socket
    over: threading.Event
    number: int
    unread: bytes = b""

    def say(self, raw: bytes) -> None:
        self.sock.sendall(raw)

    def hang_up(self) -> None:
        # A thread that still reads here would keep a socket alive that is only closed.
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def hold(self, seconds: float | None = None) -> None:
        """Say nothing for so long, or until the server closes."""
        self.over.wait(seconds)

    def hear(self) -> Request | None:
        """The next request; `None` = there is none to come."""
        while b"\r\n\r\n" not in self.unread:
            if not self._receive() or self.unread.startswith(CLIENT_HELLO):
                return None
        head, _, self.unread = self.unread.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        headers = dict(one.split(": ", 1) for one in fields)
        length = int(headers.get("Content-Length", 0))
        while len(self.unread) < length:
            if not self._receive():
                return None
        body, self.unread = self.unread[:length], self.unread[length:]
        return Request(self.number, line, headers, body)

    def _receive(self) -> bool:
        more = self.sock.recv(1 << 16)
        self.unread += more
        return bool(more)


# What to do about a request: these bytes, and then listen on; or whatever it likes.
Act = bytes | Callable[[Visit], None]


@dataclass
class Server:
    """
    Answers the first request with the first act, and so on; the last one answers all others.

    Args:
        acts: In the order of the requests, whatever connection they come on.
        tls: To be spoken from the first byte on.
    """

    acts: tuple[Act, ...]
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self.over = threading.Event()
        self._lock = threading.Lock()
        self._visits: list[Visit] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((LOOPBACK, 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if self.tls else 'http'}://{LOOPBACK}:{self.port}"
        self._begin(self._welcome)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.over.set()
        with suppress(OSError):  # closing alone does not wake a thread that accepts
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        for visit in self._visits:
            visit.hang_up()
        for thread in self._threads:
            thread.join()

    @property
    def bodies(self) -> list[bytes]:
        return [request.body for request in self.requests]

    def _begin(self, what: Callable[[], None]) -> None:
        thread = threading.Thread(target=what)
        self._threads.append(thread)
        thread.start()

    def _welcome(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            visit = Visit(sock, self.over, self.connections)
            self._visits.append(visit)
            self._begin(lambda visit=visit: self._attend(visit))  # type: ignore[misc]

    def _attend(self, visit: Visit) -> None:
        with suppress(OSError):
            if self.tls is not None:
                visit.sock = self.tls.wrap_socket(visit.sock, server_side=True)
            while (request := visit.hear()) is not None:
                act = self._next_act(request)
                visit.say(act) if isinstance(act, bytes) else act(visit)
            if visit.unread:
                visit.say(answer(400))
        visit.hang_up()

    def _next_act(self, request: Request) -> Act:
        with self._lock:
            self.requests.append(request)
            return self.acts[min(len(self.requests), len(self.acts)) - 1]


def answer(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """A complete answer; of two headers with one name, the one given here counts."""
    fields = {"Content-Length": str(len(body)), **(headers or {})}
    head = [f"HTTP/1.1 {status} So", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


def then_close(raw: bytes) -> Act:
    """Say this, and hang up."""

    def act(visit: Visit) -> None:
        visit.say(raw)
        visit.hang_up()

    return act


def trickle(raw: bytes, drop: bytes, for_seconds: float = 4.0) -> Act:
    """Say this, then one drop after the other, for much longer than anybody should listen."""

    def act(visit: Visit) -> None:
        visit.say(raw)
        for _ in range(int(for_seconds / 0.02)):
            if visit.over.wait(0.02):
                break
            visit.say(drop)
        visit.hang_up()

    return act


def then_silence(raw: bytes) -> Act:
    """Say this, and nothing more."""

    def act(visit: Visit) -> None:
        visit.say(raw)
        visit.hold()

    return act


def reset(visit: Visit) -> None:
    """Cut the connection without a word."""
    visit.reset()


def silence(visit: Visit) -> None:
    """Never answer."""
    visit.hold()


def nobody() -> str:
    """The URL of a port that refuses connections."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        return f"http://{LOOPBACK}:{listener.getsockname()[1]}"
