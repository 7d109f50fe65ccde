"""
Processes of the command that start at once: this server has imported all that the command needs,
and each process is a fork of it.

Signals, streams, environment and folder are those of a process of its own. What is missing is the
half second of imports, for which hundreds of starts would wait.
"""

import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import struct
import sys
import time
from typing import Any, NoReturn

import migrator
from migrator.cli import main

NUMBER = struct.Struct("!i")


def read(connection: socket.socket, size: int) -> bytes:
    """So many bytes; fewer where the other end has closed."""
    content = b""
    while len(content) < size and (more := connection.recv(size - len(content))):
        content += more
    return content


def serve(orders: socket.socket) -> None:
    """Start a process for each order, until the other end closes."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those who watch are watched by nobody
    while True:
        size, descriptors, _, _ = socket.recv_fds(orders, NUMBER.size, 4)
        if not size:
            return
        order = json.loads(read(orders, *NUMBER.unpack(size)))
        if not os.fork():
            orders.close()
            watch(order, descriptors)
        for one in descriptors:
            os.close(one)


def watch(order: dict[str, Any], descriptors: list[int]) -> NoReturn:
    """Start one, and tell its number and how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    answers = socket.socket(fileno=descriptors.pop())
    if not (pid := os.fork()):
        answers.close()
        become(order, descriptors)
    for one in (0, 1, 2, *descriptors):
        os.close(one)
    answers.sendall(NUMBER.pack(pid))
    answers.sendall(NUMBER.pack(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
    os._exit(0)


def become(order: dict[str, Any], descriptors: list[int]) -> NoReturn:
    """What `python` with these words, `-m migrator` or `-c` and some lines, would have been."""
    for number, one in enumerate(descriptors):
        os.dup2(one, number)
        os.close(one)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.SIG_DFL)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    time.tzset()
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    flag, what, *words = order["words"]
    sys.argv = ["migrator", *words]
    if flag == "-m":
        sys.exit(main())
    exec(what, {"__name__": "__main__"})  # noqa: S102
    sys.exit()


if __name__ == "__main__":
    for module in pkgutil.walk_packages(migrator.__path__, "migrator."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    gc.freeze()
    serve(socket.socket(fileno=int(sys.argv[1])))
