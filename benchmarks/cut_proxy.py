"""
A gate between a victim and the sandbox, where every effect on the world is numbered.

An effect is a request's first byte, its last byte, its answer before the victim has it and after,
and a commit before and after. At the one it is told, the gate kills the victim with SIGKILL; what
had arrived whole goes on to the service all the same, as it would from a kernel's buffer. It knows
HTTP just well enough to tell where a message ends, and nothing of the product.
"""

import contextlib
import os
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from benchmarks.child_process import AFTER, BEFORE, GO_ON

LOOPBACK = "127.0.0.1"
DELETE = b"DELETE /api/leads?id="
SENDS = (b"POST /api/leads ", b"PUT /api/leads ", DELETE)


@dataclass
class Effects:
    """
    What one victim did to the world so far, in order.

    Args:
        cut: The number of the effect at which it dies, from 1; 0 = it lives.
        kind: Only effects of this name are numbered; None = all are.
        seconds: It dies so long after its first word, too; 0 = it does not.
    """

    cut: int = 0
    kind: str | None = None
    seconds: float = 0.0
    names: list[str] = field(default_factory=list)
    pid: int = 0
    is_cut: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def reach(self, name: str) -> bool:
        """An effect happens now; `False` = the victim is dead, nothing more is for it."""
        with self._lock:
            if self.is_cut:
                return False
            self.names.append(name)
            numbered = [one for one in self.names if self.kind in (None, one)]
            if self.cut and len(numbered) == self.cut and name == numbered[-1]:
                self._kill()
            return not self.is_cut

    def begin(self, pid: int) -> None:
        """The victim says who it is."""
        self.pid = pid
        if self.seconds:
            threading.Timer(self.seconds, self._die).start()

    def end(self) -> None:
        """The victim has ended, one way or the other."""
        with self._lock:
            self.pid = 0

    def _die(self) -> None:
        with self._lock:
            if self.pid and not self.is_cut:
                self._kill()

    def _kill(self) -> None:
        self.is_cut = True
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


class Gate:
    """
    Listens for a victim's requests and for its commits.

    Args:
        upstream: The port of the sandbox.
        ledger: The victim's ledger, to look for the intent of each write.
    """

    def __init__(self, upstream: int, ledger: Path) -> None:
        self.effects = Effects()
        self.unannounced: list[str] = []  # writes without an intent on disk: each breaks I1
        self._upstream = upstream
        self._ledger = ledger
        self._doors = [socket.create_server((LOOPBACK, 0), backlog=64) for _ in range(2)]
        self.port, self.control_port = (door.getsockname()[1] for door in self._doors)
        for door, serve in zip(self._doors, (self._relay, self._listen), strict=True):
            threading.Thread(target=self._accept, args=(door, serve), daemon=True).start()

    def close(self) -> None:
        """Let nobody in any more."""
        for door in self._doors:
            with contextlib.suppress(OSError):
                door.shutdown(socket.SHUT_RDWR)
            door.close()

    def _accept(self, door: socket.socket, serve: Callable[[socket.socket], None]) -> None:
        while True:
            try:
                visitor, _ = door.accept()
            except OSError:
                return
            threading.Thread(target=self._guarded, args=(serve, visitor), daemon=True).start()

    def _guarded(self, serve: Callable[[socket.socket], None], visitor: socket.socket) -> None:
        # Victims die in the middle of things here; that is what the gate is for.
        with visitor, contextlib.suppress(OSError):
            serve(visitor)

    def _listen(self, control: socket.socket) -> None:
        """The victim's own words: who it is, then its commits."""
        effects, stream = self.effects, control.makefile("rb")
        effects.begin(int(stream.readline()))
        while (what := stream.read(1)) in (BEFORE, AFTER):
            effects.reach("commit: before" if what == BEFORE else "commit: after")
            control.sendall(GO_ON)

    def _relay(self, client: socket.socket) -> None:
        """One connection of the victim, request by request."""
        effects = self.effects
        with socket.create_connection((LOOPBACK, self._upstream)) as service:
            while first := client.recv(1 << 16):
                announced = self._open_intents()
                what = "send" if first.startswith(SENDS) else "read"
                if not effects.reach(f"{what}: first byte"):
                    return
                if not _is_whole(request := _whole(client, first)):
                    return  # the victim died while it spoke; nobody received this request
                self._check_announced(request, announced)
                lives = effects.reach(f"{what}: last byte")
                service.sendall(request)
                if not lives or not (answer := _whole(service, service.recv(1 << 16))):
                    return
                if not effects.reach(f"{what}: answer on its way"):
                    return
                client.sendall(answer)
                # An answer that was cut short ends its connection, here as there.
                if not effects.reach(f"{what}: answer delivered") or not _is_whole(answer):
                    return

    def _open_intents(self) -> set[str]:
        """The payloads that are announced on disk at this moment."""
        while self._ledger.exists():
            ledger = sqlite3.connect(f"file:{self._ledger}?mode=ro", uri=True)
            try:
                rows = ledger.execute("SELECT payload_hash FROM attempt WHERE outcome IS NULL")
                return {row[0] for row in rows}
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    return set()
                # The log of a victim is being recovered by the next one: a reader has to wait.
                time.sleep(0.001)
            finally:
                ledger.close()
        return set()

    def _check_announced(self, request: bytes, announced: set[str]) -> None:
        head, _, body = request.partition(b"\r\n\r\n")
        if head.startswith(DELETE):
            body = head.removeprefix(DELETE).partition(b" ")[0]  # a delete has none: the lead's id
        if head.startswith(SENDS) and sha256(body).hexdigest() not in announced:
            self.unannounced.append(body.decode())


def _whole(sock: socket.socket, begun: bytes) -> bytes:
    """The message that began so, to its end or as far as it comes; b"" = nothing came."""
    while begun and not _is_whole(begun):
        more = sock.recv(1 << 16)
        if not more:
            break
        begun += more
    return begun


def _is_whole(message: bytes) -> bool:
    head, ended, body = message.partition(b"\r\n\r\n")
    if not ended:
        return False
    lengths = [
        int(line.partition(b":")[2])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    ]
    return len(body) >= (lengths[0] if lengths else 0)
