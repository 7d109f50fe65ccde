"""
One PostgreSQL session in which every question is answered in time, or fails.

It owns psycopg, an optional extra: only `journey.fence` imports this module, and only where a fence
is configured. psycopg's cursors wait for an answer for as long as TCP does, so questions go through
its `pq` layer, with a deadline. Failures are `OSError`, whose text is safe to show: it holds no
password, because a URL that libpq could misread is not given to it.
"""

import math
import re
import select
import time

import psycopg
from psycopg import pq

from migrator.text import one_line

_HOST = r"(?:[\w.%-]*|\[[\w.:%]+\])(?::\d*)?"
# libpq quotes the parts of a URL in its errors, and takes a password with an unencoded "/" or "@"
# for a host, a port or a database. It may see only what can be read in one way.
_URL = re.compile(
    rf"postgres(?:ql)?://(?:[^@/?]*@)?{_HOST}(?:,{_HOST})*(?:/[^@/?]*)?(?:\?[^@]*)?", re.ASCII
)
_SHORTEST_CONNECT_SECONDS = 2  # libpq's own
_WELL = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)


class InvalidUrl(ValueError):
    """The text is not an unambiguous PostgreSQL URL; it must not be shown, as it has a password."""


class DatabaseSession:
    """
    A connection in autocommit mode. One thread may use it at a time.

    Attributes:
        handshake_pid: The process id that the server named when the connection was made; a pooler
            names another than `pg_backend_pid()` does.
        version: The server's, as in `160004` for 16.4.
    """

    def __init__(self, connection: psycopg.Connection, answer_seconds: float) -> None:
        self._connection = connection
        self._pg = connection.pgconn
        self._answer_seconds = answer_seconds
        self._readable = select.poll()
        self._readable.register(self._pg.socket, select.POLLIN)
        self.handshake_pid = self._pg.backend_pid
        self.version = self._pg.server_version

    @classmethod
    def connect(cls, url: str, answer_seconds: float) -> "DatabaseSession":
        """
        Connect within `answer_seconds` a host (2 at least); each answer may take as long.

        Raises:
            InvalidUrl: the URL is not one.
            OSError: no connection; the text says why.
        """
        if not _URL.fullmatch(url):
            raise InvalidUrl
        try:
            psycopg.conninfo.conninfo_to_dict(url)
        except psycopg.Error:
            raise InvalidUrl from None
        try:
            connection = psycopg.connect(
                url,
                autocommit=True,
                application_name="migrator",
                client_encoding="utf8",
                connect_timeout=max(_SHORTEST_CONNECT_SECONDS, int(answer_seconds)),
            )
        # A UnicodeError (ValueError) is a host name that DNS cannot have.
        except (psycopg.Error, OSError, ValueError) as error:
            raise OSError(_words(str(error))) from None
        return cls(connection, answer_seconds)

    def ask(self, sql: str, *values: object) -> list[str]:
        """
        Run one statement, and return its first row; NULL is "", and no row is `[]`.

        Args:
            values: For `$1`, `$2` … They are sent as ASCII with escapes, which every encoding of a
                database can store.

        Raises:
            OSError: refused, not answered in time, or the session is over; the text says why.
        """
        until = time.monotonic() + self._answer_seconds
        try:
            sent = [str(value).encode("ascii", "backslashreplace") for value in values]
            self._pg.send_query_params(sql.encode(), sent)
            # What was left of a question would be of one that did not fit: the network is stuck.
            if self._pg.flush():
                raise TimeoutError("the network takes no more")
            answer, following = self._result(until), True
            while following:
                following = self._result(until) is not None
        except psycopg.Error as error:
            raise OSError(_words(str(error))) from None
        if answer is None or answer.status not in _WELL:
            raise OSError(_words(answer.get_error_message()) if answer else "no answer")
        if not answer.ntuples:
            return []
        row = (answer.get_value(0, column) or b"" for column in range(answer.nfields))
        return [value.decode("utf-8", "replace") for value in row]

    def _result(self, until: float) -> "pq.abc.PGresult | None":
        while self._pg.is_busy():
            left = until - time.monotonic()
            if not self._readable.poll(max(0, math.ceil(left * 1000))):
                raise TimeoutError(f"no answer within {self._answer_seconds:g} s")
            self._pg.consume_input()
        return self._pg.get_result()

    def close(self) -> None:
        """End the session, and with it what the session holds; the server may take a moment."""
        self._connection.close()


def _words(text: str) -> str:
    """What libpq or the server said, to be quoted within a sentence."""
    return one_line(text).rstrip(".?")
