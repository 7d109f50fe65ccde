"""
A nursery of victims: real `migrator` processes that tell of each commit before and after it.

It is forked from, because importing the program anew for each of a thousand deaths would take
longer than the deaths. The product has no hook for this: what is wrapped here is SQLAlchemy's
commit, in the victim alone. One order comes as a line of JSON, one answer goes back when the
victim has ended.
"""

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

from sqlalchemy.engine.default import DefaultDialect

# What a command loads when it runs: imported once, here, for all that are forked.
import migrator.cli.log_setup
import migrator.cli.output_files
import migrator.connections
import migrator.push
import migrator.report.update_plan
import migrator.stage
import migrator.undo
import migrator.update
import migrator.verify  # noqa: F401
from migrator.cli import main

BEFORE, AFTER, GO_ON = b"<", b">", b"."


def serve() -> None:
    """Bring up victims, one after the other, until the orders end."""
    for line in sys.stdin:
        order = json.loads(line)
        if (pid := os.fork()) == 0:
            _live(order)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


def _live(order: dict[str, Any]) -> None:
    """In the victim: run one command as if it had been typed, and end."""
    code = 70
    try:
        _dress(order)
        _tell_of_commits(order["control"])
        try:
            code = main(order["words"])
        except SystemExit as left:
            code = int(left.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _dress(order: dict[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    for stream, name in ((sys.stdout, "out"), (sys.stderr, "err")):
        file = os.open(Path(order["folder"]) / name, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        os.dup2(file, stream.fileno())


def _tell_of_commits(port: int) -> None:
    """Say who we are, and from then on stop at each commit that writes until told to go on."""
    control = socket.create_connection(("127.0.0.1", port))
    control.sendall(f"{os.getpid()}\n".encode())
    commit = DefaultDialect.do_commit
    written = 0

    def tell(what: bytes) -> None:
        control.sendall(what)
        control.recv(1)

    def told_commit(self: DefaultDialect, connection: Any) -> None:
        nonlocal written
        writes = connection.total_changes != written
        written = connection.total_changes
        if writes:
            tell(BEFORE)
        commit(self, connection)  # type: ignore[no-untyped-call]
        if writes:
            tell(AFTER)

    DefaultDialect.do_commit = told_commit  # type: ignore[method-assign]


if __name__ == "__main__":
    serve()
