"""The ledger's binding, its runs, and the checkpoints of its scans."""

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from migrator.errors import ExitCode
from migrator.ledger.database import Database, now_ms
from migrator.ledger_errors import LedgerProblem, ledger_error, other_journey


@dataclass(frozen=True)
class Binding:
    """The portal, service and client of a ledger; `None` = not bound yet."""

    portal_id: str | None
    leadgenius_url: str | None
    client_id: str | None


@dataclass(frozen=True)
class Origin:
    """
    What tells a ledger from others.

    Args:
        uid: Its id, which its copies share.
        intents: Its number of intents to send.
        host, folder: Where the run before this one was; "" = it is the first.
    """

    uid: str
    intents: int
    host: str
    folder: str


@dataclass(frozen=True)
class Checkpoint:
    """
    The position of a scan through a service's pages.

    Args:
        scan: The number of this scan.
        complete: Whether it has reached the last page.
        cursor: The next page, as the service gave it; `None` = the first one.
        pages: Pages of this scan that are in the ledger.
        contacts_seen: Extraction: contacts of all scans, each counted once.
        met: Extraction: contacts of this scan, each counted once.
        odd: Extraction: rows of this scan that were left out.
        counted: Extraction: HubSpot's own count at the end of this scan; `None` = unknown.
    """

    scan: int
    complete: bool
    cursor: str | None
    pages: int
    contacts_seen: int
    met: int = 0
    odd: int = 0
    counted: int | None = None


@dataclass(frozen=True)
class Run:
    """
    A command that worked on the ledger.

    Args:
        began_ms, ended_ms: Milliseconds since the epoch; `ended_ms=None` = running, or killed.
        exit_code: `None` = running, or killed.
        counters: What it did, in numbers.
        now: Its state when it last wrote, such as what it waits for; {} = ended, or none.
        steps: Of a `run`: the counters of each command in it, in their order, with its `began_ms`
            and, unless it is running or was killed, its `exit_code`.
    """

    id: int
    command: str
    pid: int
    host: str
    began_ms: int
    ended_ms: int | None
    exit_code: int | None
    counters: Mapping[str, int]
    now: Mapping[str, Any] = field(default_factory=dict)
    steps: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def by_command(self) -> Mapping[str, Mapping[str, int]]:
        """The counters of each command in it."""
        return self.steps or {self.command: self.counters}

    @property
    def current(self) -> "Run":
        """The newest step of a `run` as a run of its own; any other run as it is."""
        if not self.steps:
            return self
        command, counters = list(self.steps.items())[-1]
        began_ms = counters.get("began_ms", self.began_ms)
        return replace(self, command=command, counters=counters, began_ms=began_ms)


class Runs:
    """Queries and changes of binding, runs and checkpoints, each in one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Of a `run`: what each of its commands has counted.
        self._steps: dict[str, dict[str, int]] = {}

    def binding(self) -> Binding:
        """The binding so far."""
        row = self._database.one("SELECT portal_id, leadgenius_url, client_id FROM ledger")
        return Binding(*row)

    def origin(self) -> Origin:
        """What tells this ledger from others, and where it was worked on before this run."""
        (origin,) = self._database.read(
            Origin,
            "SELECT uid, intents, ifnull(host, '') AS host, ifnull(folder, '') AS folder "
            "FROM ledger LEFT JOIN (SELECT host, folder FROM run "
            "ORDER BY id DESC LIMIT 1 OFFSET 1)",
        )
        return origin

    def bind(
        self,
        *,
        portal_id: str | None = None,
        leadgenius_url: str | None = None,
        client_id: str | None = None,
    ) -> None:
        """
        Bind the ledger; what is `None` stays as it is.

        Raises:
            WrongJourney: it is bound to another one (design, I6).
        """
        wanted = Binding(portal_id, leadgenius_url, client_id)
        with self._database.transaction():
            self.check(**vars(wanted))
            self._database.run(
                "UPDATE ledger SET portal_id = ifnull(portal_id, :portal_id), "
                "leadgenius_url = ifnull(leadgenius_url, :leadgenius_url), "
                "client_id = ifnull(client_id, :client_id)",
                vars(wanted),
            )

    def check(
        self,
        *,
        portal_id: str | None = None,
        leadgenius_url: str | None = None,
        client_id: str | None = None,
    ) -> None:
        """
        Check that the ledger is not bound to something else; `None` fits everything.

        Raises:
            WrongJourney: it is bound to another one (design, I6).
        """
        bound, wanted = self.binding(), Binding(portal_id, leadgenius_url, client_id)
        for name, want in vars(wanted).items():
            have = getattr(bound, name)
            if None not in (have, want) and have != want:
                raise other_journey(self._database.path, name, have, want)

    def chosen_client(self) -> str | None:
        """The client_id that a push uses unless another is given; `None` = none was chosen."""
        row = self._database.one("SELECT chosen_client_id FROM ledger")
        return None if row.chosen_client_id is None else str(row.chosen_client_id)

    def choose_client(self, client_id: str) -> None:
        """
        Store a client for the first push, which will bind the ledger to it.

        Raises:
            WrongJourney: the ledger is bound to another one (design, I6).
        """
        with self._database.transaction():
            self.check(client_id=client_id)
            self._database.run("UPDATE ledger SET chosen_client_id = :it", {"it": client_id})

    def clear_unclaimed(self) -> None:
        """Record that the client was listed, so that no lead is left to be claimed."""
        with self._database.transaction():
            self._database.run("UPDATE ledger SET unclaimed = 0 WHERE unclaimed > 0")

    def unclaimed(self) -> int:
        """Leads that the last verification saw of contacts without one here; 0 after a scan."""
        return int(self._database.one("SELECT unclaimed FROM ledger").unclaimed)

    def is_canary_passed(self) -> bool:
        """Whether the first leads were read back under the client_id."""
        return self._database.one("SELECT canary_ms FROM ledger").canary_ms is not None

    def set_canary_passed(self) -> None:
        """Note that the first leads were read back."""
        with self._database.transaction():
            self._database.run("UPDATE ledger SET canary_ms = :now", {"now": now_ms()})

    def rate(self) -> float | None:
        """Requests a minute that LeadGenius was found to allow; `None` = not found yet."""
        row = self._database.one("SELECT pace FROM ledger")
        return None if row.pace is None else float(row.pace)

    def save_rate(self, per_minute: float | None) -> None:
        """Store the rate for the next push; `None` changes nothing."""
        if per_minute is None or per_minute == self.rate():
            return
        with self._database.transaction():
            self._database.run("UPDATE ledger SET pace = :it", {"it": per_minute})

    def begin_run(self, command: str) -> int:
        """
        Record the beginning of a command, and return the run's id.

        Raises:
            LedgerBusy: the lock does not keep other processes out.
        """
        self._database.check_lock()
        with self._database.transaction():
            row = self._database.run(
                "INSERT INTO run (command, pid, host, folder, intents) "
                "VALUES (:command, :pid, :host, :folder, (SELECT intents FROM ledger)) "
                "RETURNING id",
                {
                    "command": command,
                    "pid": os.getpid(),
                    "host": socket.gethostname(),
                    # SQLite cannot store the lone surrogates of a name that is not UTF-8.
                    "folder": os.fsencode(self._database.path.parent).decode("utf-8", "replace"),
                },
            ).one()
        self._database.claim_fence(row.id)
        return int(row.id)

    def end_run(self, run_id: int, exit_code: int, counters: Mapping[str, int]) -> None:
        """Record the end of a run and its counters."""
        with self._database.transaction():
            self._database.run(
                "UPDATE run SET ended_ms = :now, exit_code = :exit_code, counters = :counters "
                "WHERE id = :run_id AND ended_ms IS NULL",
                {
                    "run_id": run_id,
                    "now": now_ms(),
                    "exit_code": exit_code,
                    "counters": json.dumps(self._steps or dict(counters)),
                },
            )

    def begin_step(self, run_id: int, command: str) -> None:
        """Record the beginning of a command that is a step of a `run`."""
        self._steps[command] = {"began_ms": now_ms()}
        self.note_run(run_id, {})

    def end_step(self, run_id: int, exit_code: int, counters: Mapping[str, int]) -> None:
        """Record the end of the newest step, and its counters."""
        self.note_run(run_id, {**counters, "exit_code": exit_code})

    def note_run(
        self, run_id: int, counters: Mapping[str, int], now: Mapping[str, Any] | None = None
    ) -> None:
        """
        Record the progress of a run, for a report from another terminal.

        Unchanged progress is not written again, so that a long wait does not keep the disk busy.

        Args:
            now: Its current state, such as what it waits for.
        """
        told: dict[str, Any] = {**counters}
        if self._steps:
            step = list(self._steps)[-1]
            self._steps[step] = {"began_ms": self._steps[step]["began_ms"], **counters}
            told = {**self._steps}
        with self._database.transaction():
            self._database.run(
                "UPDATE run SET counters = :counters WHERE id = :run_id AND counters <> :counters",
                {"run_id": run_id, "counters": json.dumps({**told, "now": now or {}})},
            )

    def exists(self, run_id: int) -> bool:
        """Whether there is a run with this number."""
        return self._database.one("SELECT 1 FROM run WHERE id = :id", id=run_id) is not None

    def newest(self, limit: int) -> list[Run]:
        """The newest runs, newest first."""
        rows = self._database.rows(
            "SELECT id, command, pid, host, began_ms, ended_ms, exit_code, counters FROM run "
            "ORDER BY id DESC LIMIT :limit",
            limit=limit,
        )
        return [self._run(row) for row in rows]

    def _run(self, row: Any) -> Run:
        counters = self._database.decoded(row.counters)
        now = counters.pop("now", {})
        steps = {name: one for name, one in counters.items() if row.command == "run"}
        for numbers in steps.values() if steps else [counters]:
            if not isinstance(numbers, dict) or not all(map(_is_count, numbers.values())):
                raise ledger_error(LedgerProblem.DAMAGED, self._database.path)
        shown = now if isinstance(now, dict) else {}
        counted = {} if steps else counters
        return Run(**{**row._mapping, "counters": counted}, now=shown, steps=steps)

    def is_push_unfinished(self) -> bool:
        """
        Whether a push has to be resumed.

        That is: contacts are in doubt, or the last push that sent or completed was interrupted. A
        push that was refused or stopped before its first send changes nothing.
        """
        row = self._database.one(
            "SELECT EXISTS (SELECT 1 FROM open_attempt) AS is_in_doubt, "
            "(SELECT exit_code IS NULL OR exit_code > :not_ready FROM run_command JOIN "
            "(SELECT id, intents < lead(intents, 1, (SELECT intents FROM ledger)) "
            "OVER (ORDER BY id) AS has_sent FROM run) USING (id) "
            "WHERE command = 'push' AND (has_sent OR exit_code <= :needs_attention) "
            "ORDER BY id DESC LIMIT 1) AS is_interrupted",
            not_ready=ExitCode.NOT_READY,
            needs_attention=ExitCode.NEEDS_ATTENTION,
        )
        return bool(row.is_in_doubt or row.is_interrupted)

    def checkpoint(self, name: str) -> Checkpoint:
        """The position of the scan `name` ("extraction" or "verification")."""
        (checkpoint,) = self._database.read(
            Checkpoint,
            "SELECT scan, complete, cursor, pages, contacts_seen, met, odd, counted "
            "FROM checkpoint WHERE name = :name",
            name=name,
        )
        return checkpoint

    def begin_scan(self, name: str) -> Checkpoint:
        """Begin a new scan at the first page."""
        with self._database.transaction():
            self._database.run(
                "UPDATE checkpoint SET scan = scan + 1, complete = 0, cursor = NULL, pages = 0, "
                "met = 0, odd = 0, counted = NULL WHERE name = :name",
                {"name": name},
            )
            return self.checkpoint(name)

    def note_count(self, name: str, counted: int | None) -> None:
        """Store the service's own count; `None` = unknown."""
        with self._database.transaction():
            self._database.run(
                "UPDATE checkpoint SET counted = :counted WHERE name = :name",
                {"name": name, "counted": counted},
            )

    def reopen_scan(self, name: str, cursor: str | None) -> None:
        """Continue a scan that seemed to be at its end, at the cursor of its last page."""
        with self._database.transaction():
            self._database.run(
                "UPDATE checkpoint SET complete = 0, cursor = :cursor WHERE name = :name",
                {"name": name, "cursor": cursor},
            )

    def advance(
        self,
        name: str,
        cursor: str | None,
        *,
        new: int = 0,
        pages: int = 1,
        met: int = 0,
        odd: int = 0,
    ) -> None:
        """
        Move a scan past pages, in the transaction that writes them.

        Args:
            name: The scan.
            cursor: The next page; `None` = that was the last one.
            new: Contacts of the pages that the ledger did not have.
            met: Contacts of the pages that this scan had not met.
            odd: Rows that were left out.
        """
        with self._database.transaction():
            self._database.run(
                "UPDATE checkpoint SET cursor = :cursor, complete = (:cursor IS NULL), "
                "pages = pages + :pages, contacts_seen = contacts_seen + :new, met = met + :met, "
                "odd = odd + :odd WHERE name = :name AND complete = 0",
                {
                    "name": name,
                    "cursor": cursor,
                    "new": new,
                    "pages": pages,
                    "met": met,
                    "odd": odd,
                },
            )


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0
