"""
A threaded HTTP/1.1 server with keep-alive that can break connections in various ways.

It has its own parser, because the standard library's takes longer than the rest of a request.
"""

import contextlib
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from migrator.sandbox.messages import Answer, Call, ConnectionEnd

_LONGEST_LINE = 65_536
_SECONDS_TO_LEAVE = 2.0
# Linger for 0 seconds: close() then sends RST and drops undelivered data.
_RESET = struct.pack("ii", 1, 0)


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """
    Serves on 127.0.0.1 until `stop`.

    Args:
        port: 0 = any free one; see the attribute `port`.
        arrived: Called once for each request, before `answer`.
        answer: Returns the answer; all data is saved when it returns.
        note: Called whenever a request has changed.
    """

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def __init__(
        self,
        port: int,
        arrived: Callable[[Call], None],
        answer: Callable[[Call], Answer],
        note: Callable[[Call], None],
    ) -> None:
        self.arrived = arrived
        self.answer = answer
        self.note = note
        self.stopping = threading.Event()
        self._changed = threading.Condition()
        self._open: set[Any] = set()
        super().__init__(("127.0.0.1", port), _Connection)
        self.port = int(self.server_address[1])
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def start(self) -> None:
        """Start to accept connections in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Close all connections, hanging ones too, and wait briefly for their threads."""
        self.stopping.set()
        # A connection wakes the accepting thread; the alternative would be to poll.
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        self.server_close()
        with self._changed:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._open, _SECONDS_TO_LEAVE)

    def _accept(self) -> None:
        while not self.stopping.is_set():
            self.handle_request()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Keep the connection, so that `stop` can close it."""
        with self._changed:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close without shutdown(), whose FIN would prevent a reset."""
        request.close()
        with self._changed:
            self._open.discard(request)
            self._changed.notify_all()


class _Connection(socketserver.StreamRequestHandler):
    """A connection; its requests are served one after the other."""

    server: Server
    disable_nagle_algorithm = True

    def handle(self) -> None:
        # Tests kill clients at any time.
        with contextlib.suppress(OSError):
            while (call := self._read()) is not None and self._serve(call):
                pass

    def _read(self) -> Call | None:
        """The next request; None = the connection is closed, or the request is not valid."""
        start = self.rfile.readline(_LONGEST_LINE).decode("latin-1").split()
        if len(start) != 3:
            return None
        method, target, version = start
        headers = self._headers()
        if headers.get("expect", "").lower() == "100-continue":
            self.request.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = headers.get("content-length", "0")
        if version == "HTTP/1.0":
            headers.setdefault("connection", "close")
        if not length.isdecimal() or "transfer-encoding" in headers:
            self._send(Answer(HTTPStatus.LENGTH_REQUIRED), close=True)
            return None
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            return None  # the client died before the request was complete
        path, _, query = target.partition("?")
        return Call(time.time(), method, path, _query(query), headers, body)

    def _headers(self) -> dict[str, str]:
        headers = {}
        while (line := self.rfile.readline(_LONGEST_LINE)) not in (b"\r\n", b"\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        return headers

    def _serve(self, call: Call) -> bool:
        """Answer a call; return whether the connection stays open."""
        self.server.arrived(call)
        answer = self.server.answer(call)
        if not self._wait(call, answer):
            return False
        if answer.decide is not None:
            answer = answer.decide(self._is_abandoned())
            if not self._wait(call, answer):
                return False
        if answer.later is not None:
            answer.later()
        call.status = answer.status_sent
        self.server.note(call)
        return self._end(call, answer)

    def _wait(self, call: Call, answer: Answer) -> bool:
        """Wait as long as an answer is delayed; False = the server stops."""
        if not answer.delay_seconds:
            return True
        # Logged before the wait, because a test may kill the client during it.
        self.server.note(call)
        return not self.server.stopping.wait(answer.delay_seconds)

    def _is_abandoned(self) -> bool:
        """Whether the client has closed the connection."""
        try:
            return not self.request.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _end(self, call: Call, answer: Answer) -> bool:
        match answer.ending:
            case ConnectionEnd.KEEP:
                close = call.headers.get("connection", "").lower() == "close"
                self._send(answer, close)
                return not close
            case ConnectionEnd.TRUNCATE:
                self._send(answer, close=False, missing=64)
            case ConnectionEnd.RESET:
                self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            case ConnectionEnd.HANG:
                while self.request.recv(4096):
                    pass  # until the client or `stop` closes the connection
            case ConnectionEnd.DROP:
                pass
        return False

    def _send(self, answer: Answer, close: bool, missing: int = 0) -> None:
        """Send an answer; `missing` = how many bytes it lacks of its Content-Length."""
        head = [
            f"HTTP/1.1 {answer.status} {_phrase(answer.status)}",
            f"Content-Type: {answer.content_type}",
            f"Content-Length: {len(answer.body) + missing}",
            *(f"{name}: {value}" for name, value in answer.headers),
        ]
        if close:
            head.append("Connection: close")
        self.request.sendall("\r\n".join([*head, "\r\n"]).encode("latin-1") + answer.body)


def _query(text: str) -> dict[str, str]:
    """Decode a query; `properties=a&properties=b` is the same as `properties=a,b`."""
    query: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True) if text else ():
        query[name] = f"{query[name]},{value}" if name in query else value
    return query


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # HubSpot's 477 is not registered
        return "Unknown"
