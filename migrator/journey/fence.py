"""
The fence: a lock that a journey's sender holds in a PostgreSQL that all machines share.

How it works. The sender holds a session-level advisory lock, which PostgreSQL keeps until the
session ends, and counts the journey's epoch up. The server ends the session when it was idle for
longer than the lease (`idle_session_timeout`, PostgreSQL 14), so the lock of a machine that is
frozen, or cut off, passes on; a thread asks something every quarter of the lease, so that the lock
of a sender at work does not. All of it is documented: PostgreSQL, "Advisory Locks" (13.3.5) and
"Client Connection Defaults" (20.11).

Before each send, `check` asks whether the session is the same backend, in the same epoch. The timer
of an idle session begins after an answer, so an answer is good for one lease from the moment of its
question. Threads share a question, but only one that was asked after they came: an answer to an
earlier one may be older than a loss that they must see. The last thing that `check` does is to
compare the answer's age with half of the lease, on a clock that goes on while the machine sleeps: a
process that was stopped between the answer and its use asks again, and finds its session ended.

What it does not prove. PostgreSQL forgets advisory locks when it restarts or fails over, and an
administrator can end a session: then an answer of the last half lease is wrong. So is one whose
process is stopped after `check` and before its first byte. Both are why the next holder looks, and
waits `settle`, before it sends (the contract, "One journey, one sender").
"""

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from migrator.clock import awake_or_asleep
from migrator.errors import FenceHeld, FenceLost, NotReady, RunAgain
from migrator.text import one_line

if TYPE_CHECKING:
    from migrator.journey.postgres import DatabaseSession

_OLDEST_SERVER = 14
_TRY_AGAIN_SECONDS = 0.1

_CREATE = """
    CREATE TABLE IF NOT EXISTS migrator_fence (
        journey text PRIMARY KEY,
        epoch bigint NOT NULL,
        holder text NOT NULL,
        taken_at timestamptz NOT NULL DEFAULT now()
    )"""
_TAKE = """
    INSERT INTO migrator_fence AS fence (journey, epoch, holder) VALUES ($1, 1, $2)
    ON CONFLICT (journey) DO UPDATE
    SET epoch = fence.epoch + 1, holder = excluded.holder, taken_at = now()
    RETURNING epoch, pg_backend_pid()"""
_IS_HELD = """
    SELECT pg_backend_pid() = $1::int
    AND EXISTS (SELECT FROM migrator_fence WHERE journey = $2 AND epoch = $3::bigint)"""


class Fence:
    """
    The lock of one journey, held from `hold` until `close`, the end of the process, or its loss.

    Attributes:
        epoch: How many times the journey's lock was taken, this time included.
    """

    def __init__(
        self,
        session: "DatabaseSession",
        journey: str,
        taken: list[str],
        lease_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        epoch, self._pid = map(int, taken)
        self.epoch = epoch
        self._session = session
        self._journey = journey
        self._lease_seconds = lease_seconds
        self._clock = clock
        # It guards what follows, but not the session: that is the asking thread's.
        self._turn = threading.Condition()
        self._is_asking = False
        self._answers = 0
        self._asked_at = 0.0
        self._lost = ""
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._keep_alive, name="fence", daemon=True)
        self._thread.start()

    @classmethod
    def hold(
        cls,
        url: str,
        journey: str,
        *,
        lease_seconds: float = 10.0,
        wait_seconds: float = 3.0,
        holder: str = "",
        clock: Callable[[], float] = awake_or_asleep,
    ) -> "Fence":
        """
        Take the lock of a journey.

        Args:
            url: `postgresql://…`; its database must be the same one on all machines.
            journey: A key of portal, host and client.
            lease_seconds: How long the lock stays with a holder that is cut off or stopped.
            wait_seconds: How long to try when another session holds the lock.
            holder: What others are told of this one; "" = process, host and working directory.
            clock: Seconds; must go on while the process or the machine is stopped.

        Raises:
            NotReady: psycopg is not installed, or the database cannot be used.
            FenceHeld: another session holds the lock; the message says which.
        """
        session = _connect(url, lease_seconds / 2)
        try:
            _set_up(session, lease_seconds)
            _lock(session, journey, wait_seconds)
            taken = session.ask(_TAKE, journey, holder or _this_process())
        except OSError as error:
            session.close()
            raise _unusable(error) from None
        except BaseException:
            session.close()
            raise
        return cls(session, journey, taken, lease_seconds, clock)

    def check(self) -> None:
        """
        Prove that the lock is still held; to be called right before each send, from any thread.

        It takes a round trip, two where another thread is asking, and one lease at most.

        Raises:
            FenceLost: it is not, or the server did not say so in time.
        """
        asked_at = self._ask_anew()
        while self._clock() - asked_at >= self._lease_seconds / 2:
            asked_at = self._ask_anew()

    def close(self) -> None:
        """End the session, and with it the lock."""
        self._closed.set()
        with self._turn:
            self._lost = self._lost or "it was closed"
            self._turn.wait_for(lambda: not self._is_asking)
            self._session.close()
        self._thread.join()

    def _keep_alive(self) -> None:
        while not self._closed.wait(self._lease_seconds / 4):
            try:
                self.check()
            except FenceLost:
                return

    def _ask_anew(self) -> float:
        """When a question was asked, after this call began, whose answer was that all is well."""
        with self._turn:
            # The answer that is on the way is to a question of before.
            wanted = self._answers + 1 + self._is_asking
            while not self._lost and self._answers < wanted:
                if self._is_asking:
                    self._turn.wait()
                else:
                    self._ask()
            if self._lost:
                raise FenceLost(
                    f"The fence is lost: {self._lost}. Another machine may send for this journey "
                    "now, so nothing more is sent.",
                    "migrator push --resume, once the PostgreSQL of MIGRATOR_FENCE can be reached",
                )
            return self._asked_at

    def _ask(self) -> None:
        """Ask, with the turn's lock released meanwhile."""
        self._is_asking = True
        lost = "a question was interrupted"
        self._turn.release()
        try:
            asked_at = self._clock()
            lost = self._loss()
        finally:
            self._turn.acquire()
            self._is_asking = False
            self._turn.notify_all()
            self._lost = self._lost or lost
        self._answers += 1
        self._asked_at = asked_at

    def _loss(self) -> str:
        """Why the lock is not held any more; "" = it is."""
        try:
            answer = self._session.ask(_IS_HELD, self._pid, self._journey, self.epoch)
        except OSError as error:
            return f"PostgreSQL ended the session, or did not answer ({error})"
        return "" if answer == ["t"] else "PostgreSQL has another session or epoch for it"


def _connect(url: str, answer_seconds: float) -> "DatabaseSession":
    try:
        from migrator.journey.postgres import DatabaseSession, InvalidUrl
    except ImportError:
        raise NotReady(
            "MIGRATOR_FENCE needs psycopg, which is not installed.",
            "pip install 'hubspot-to-leadgenius[fence]'",
        ) from None
    try:
        return DatabaseSession.connect(url, answer_seconds)
    except InvalidUrl:
        raise NotReady(
            "MIGRATOR_FENCE is not a valid PostgreSQL URL.",
            "set it to postgresql://USER:PASSWORD@HOST:PORT/DATABASE; in a user or password, "
            "write @ as %40, / as %2F, ? as %3F, : as %3A and % as %25",
        ) from None
    except OSError as error:
        raise _unusable(error) from None


def _set_up(session: "DatabaseSession", lease_seconds: float) -> None:
    """Bind the session to its lease, and make the table where there is none."""
    if session.version < _OLDEST_SERVER * 10_000:
        raise NotReady(
            f"The PostgreSQL of MIGRATOR_FENCE is version {session.version // 10_000}; the fence "
            f"needs {_OLDEST_SERVER} or newer.",
            "set MIGRATOR_FENCE to a newer server",
        )
    # Before anything is set: it would stay with a connection that others are given.
    _refuse_pooler([str(session.handshake_pid)], session.ask("SELECT pg_backend_pid()"))
    lease_ms = int(lease_seconds * 1000)
    wanted = session.ask(
        "SELECT set_config('idle_session_timeout', $1, false),"
        " set_config('statement_timeout', $2, false),"
        # For a server that is stuck in sending, which is not idle.
        " set_config('tcp_user_timeout', $1, false), pg_backend_pid()",
        lease_ms,
        lease_ms // 2,
    )
    lasting = "SELECT current_setting('idle_session_timeout'), pg_backend_pid()"
    _refuse_pooler([wanted[0], wanted[3]], session.ask(lasting))
    try:
        session.ask(_CREATE)
    except OSError:
        # The right to create it is asked for even where it exists; and of two sessions that make
        # it at the same moment one fails.
        if session.ask("SELECT to_regclass('migrator_fence')") == [""]:
            raise


def _refuse_pooler(expected: list[str], found: list[str]) -> None:
    if expected != found:
        raise NotReady(
            "There is a connection pooler before the PostgreSQL of MIGRATOR_FENCE; it may give "
            "the session, and with it the lock, to another client.",
            "set MIGRATOR_FENCE to the server itself (PgBouncer hides it in all of its modes)",
        )


def _lock(session: "DatabaseSession", journey: str, wait_seconds: float) -> None:
    digest = hashlib.sha256(f"migrator fence {journey}".encode()).digest()
    key = int.from_bytes(digest[:8], "big", signed=True)
    until = time.monotonic() + wait_seconds
    while session.ask("SELECT pg_try_advisory_lock($1::bigint)", key) != ["t"]:
        if time.monotonic() >= until:
            row = session.ask("SELECT holder FROM migrator_fence WHERE journey = $1", journey)
            raise FenceHeld(
                "Another sender works on this journey: "
                f"{one_line(row[0]) if row else 'it does not say which'}.",
                RunAgain("wait for it to end, then "),
            )
        time.sleep(_TRY_AGAIN_SECONDS)


def _this_process() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}, in {Path.cwd()}"


def _unusable(error: OSError) -> NotReady:
    return NotReady(
        f"The PostgreSQL of MIGRATOR_FENCE cannot be used: {error}.",
        "check MIGRATOR_FENCE, the server, and that its user may create the table migrator_fence",
    )
