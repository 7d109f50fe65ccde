"""What a report asks of the ledger. It only reads, and nothing here grows with the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from migrator.ledger.database import Database, damaged
from migrator.states import Hold, State


@dataclass(frozen=True)
class StateCount:
    """How many contacts are in a state with a hold; `held=None` = free to move."""

    state: State
    held: Hold | None
    contacts: int


@dataclass(frozen=True)
class Run:
    """
    A command that worked on the ledger.

    Args:
        began_ms, ended_ms: Milliseconds since the epoch; `ended_ms=None` = at work, or killed.
        exit_code: As the process ended; `None` = it did not live to say.
        counters: What it did, in numbers.
        now: What was true when it last wrote; {} = it has ended, or wrote nothing.
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


@dataclass(frozen=True)
class HeldContact:
    """A contact that waits for a person."""

    hubspot_id: str
    state: State
    held: Hold
    detail: str | None


@dataclass(frozen=True)
class EditedContact:
    """A contact whose lead was verified once; `fields` = names of those that differ since."""

    hubspot_id: str
    fields: str


@dataclass(frozen=True)
class HeldSource:
    """
    A contact that a person has to look at.

    Args:
        source: The JSON that HubSpot gave of it.
        amended: What a person amended of it, JSON; `None` = nothing.
    """

    hubspot_id: str
    state: State
    detail: str | None
    source: str
    amended: str | None


class Counts:
    """Questions only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def sums(self) -> list[StateCount]:
        """Contacts by state and hold; every contact counts once."""
        rows = self._database.rows(
            "SELECT state, held, contacts FROM state_count WHERE contacts > 0"
        )
        return [
            StateCount(State(row.state), Hold(row.held) if row.held else None, row.contacts)
            for row in rows
        ]

    def to_map(self) -> int:
        """Contacts that are free to be mapped."""
        return self._free(State.EXTRACTED)

    def to_send(self) -> int:
        """Contacts that are free to be sent, those in flight or in doubt among them."""
        return self._free(State.MAPPED)

    def _free(self, state: State) -> int:
        row = self._database.one(
            "SELECT coalesce(sum(contacts), 0) AS contacts FROM state_count "
            "WHERE state = :state AND held = ''",
            state=state,
        )
        return int(row.contacts)

    def in_doubt(self) -> int:
        """Contacts with an open attempt: in flight or in doubt."""
        return int(self._database.one("SELECT count(*) AS n FROM attempt WHERE outcome IS NULL").n)

    def changed(self, limit: int) -> tuple[int, list[str]]:
        """Contacts that changed in HubSpot after they were posted: how many, and the first ids."""
        count = self._database.one(
            "SELECT count(*) AS n FROM contact WHERE changed_ms IS NOT NULL"
        ).n
        rows = self._database.rows(
            "SELECT hubspot_id FROM contact WHERE changed_ms IS NOT NULL ORDER BY key LIMIT :limit",
            limit=limit,
        )
        return int(count), [row.hubspot_id for row in rows]

    def edited(self, limit: int) -> tuple[int, list[EditedContact]]:
        """Contacts whose lead was verified once and differs since: how many, and the first."""
        count = self._database.one("SELECT count(*) AS n FROM contact WHERE edited IS NOT NULL").n
        rows = self._database.rows(
            "SELECT hubspot_id, edited FROM contact WHERE edited IS NOT NULL "
            "ORDER BY key LIMIT :limit",
            limit=limit,
        )
        return int(count), [EditedContact(*row) for row in rows]

    def held(self, held: Hold, limit: int) -> list[HeldContact]:
        """The first contacts with this hold, in HubSpot's order."""
        rows = self._database.rows(
            "SELECT hubspot_id, state, held, detail FROM contact WHERE held IS NOT NULL "
            "AND held = :held ORDER BY key LIMIT :limit",
            held=held,
            limit=limit,
        )
        return [
            HeldContact(row.hubspot_id, State(row.state), Hold(row.held), row.detail)
            for row in rows
        ]

    def people_held(self, held: Hold, limit: int) -> list[HeldSource]:
        """The people behind the first contacts with this hold, in HubSpot's order."""
        return self._people("held IS NOT NULL AND held = :held", held=held, limit=limit)

    def people_changed(self, limit: int) -> list[HeldSource]:
        """The people behind the first contacts that changed after they were posted."""
        return self._people("changed_ms IS NOT NULL", limit=limit)

    def people_edited(self, limit: int) -> list[HeldSource]:
        """The people behind those whose verified lead differs since; `detail` = its fields."""
        return self._people("edited IS NOT NULL", detail="edited", limit=limit)

    def _people(self, condition: str, *, detail: str = "detail", **params: Any) -> list[HeldSource]:
        rows = self._database.rows(
            f"SELECT hubspot_id, state, {detail} AS detail, source, amended FROM contact "
            f"WHERE {condition} ORDER BY key LIMIT :limit",
            **params,
        )
        return [
            HeldSource(row.hubspot_id, State(row.state), row.detail, row.source, row.amended)
            for row in rows
        ]

    def runs(self, limit: int) -> list[Run]:
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
        if not all(type(one) is int and one >= 0 for one in counters.values()):
            raise damaged(self._database.path)
        shown = now if isinstance(now, dict) else {}
        return Run(**{**row._mapping, "counters": counters}, now=shown)
