"""
Amendments: values that replace HubSpot's for contacts that were not sent; and decisions on fields
in conflict of contacts that were.

`schema.sql` refuses to amend a contact that was sent or that has an open attempt.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from migrator.ledger.contacts import Contacts
from migrator.ledger.database import Database
from migrator.ledger.holds import HAS_LED_TO_A_LEAD
from migrator.ledger.since_sent import CONFLICT
from migrator.states import Hold, State

READ_AT_ONCE = 500


@dataclass(frozen=True)
class AmendableContact:
    """
    A contact with everything that its lead is built from.

    Args:
        source, company, amended: HubSpot's values, the company's, and the amendments; `None` =
            none.
        is_open: A send is not settled.
        has_led_to_a_lead: A send succeeded, although the contact is not posted.
        is_gone: HubSpot has it no more.
        conflict: By field that is to be decided `{"sent", "there", "new"}`; `None` = there is none.
        decided: By field `{"there", "value"}`; `None` = nothing is decided.
    """

    key: int
    hubspot_id: str
    state: State
    held: Hold | None
    detail: str | None
    source: Mapping[str, Any]
    company: Mapping[str, Any] | None
    amended: Mapping[str, Any] | None
    is_open: bool
    has_led_to_a_lead: bool
    is_gone: bool = False
    conflict: Mapping[str, Mapping[str, str | None]] | None = None
    decided: Mapping[str, Mapping[str, str]] | None = None


@dataclass(frozen=True)
class Amendment:
    """The amended values of a contact; `None` = none any more."""

    hubspot_id: str
    amended: Mapping[str, str | None] | None


class Amendments:
    """Queries and changes of amendments."""

    def __init__(self, database: Database, contacts: Contacts) -> None:
        self._database = database
        self._contacts = contacts

    def held(self) -> Iterator[AmendableContact]:
        """Every held contact, by reason, in HubSpot's order."""
        for hold in Hold:
            after = -1
            while page := self._held_after(hold, after):
                yield from page
                after = page[-1].key

    def _held_after(self, hold: Hold, key: int) -> list[AmendableContact]:
        return self._standings(
            "held IS NOT NULL AND held = :held AND key > :key ORDER BY key LIMIT :limit",
            held=hold,
            key=key,
            limit=READ_AT_ONCE,
        )

    def find(self, hubspot_ids: Collection[str]) -> dict[str, AmendableContact]:
        """The contacts with these ids, by id; unknown ones are left out."""
        found = self._standings(
            "hubspot_id IN (SELECT value FROM json_each(:ids))", ids=json.dumps(list(hubspot_ids))
        )
        return {one.hubspot_id: one for one in found}

    def with_leading_zeros(self) -> list[str]:
        """The ids that a spreadsheet may shorten."""
        rows = self._database.rows(
            "SELECT hubspot_id FROM contact WHERE hubspot_id >= '0' AND hubspot_id < '1'"
        )
        return [row.hubspot_id for row in rows]

    def _standings(self, condition: str, **params: Any) -> list[AmendableContact]:
        return self._database.read(
            AmendableContact,
            "SELECT key, hubspot_id, state, held, detail, source, company.properties, amended, "
            f"key IN open_attempt, {HAS_LED_TO_A_LEAD}, gone IS NOT NULL OR erased_ms IS NOT NULL, "
            f"{CONFLICT}, decided "
            f"FROM contact LEFT JOIN company USING (company_id) WHERE {condition}",
            **params,
        )

    def write(self, changes: Sequence[Amendment]) -> None:
        """
        Amend contacts that were not sent, free them, and move them back to extracted.

        Their attempts are reset, as with a contact that has changed in HubSpot.
        """
        with self._database.transaction():
            self._contacts.reset_to_extracted(change.hubspot_id for change in changes)
            landed = self._database.execute(
                "UPDATE contact SET amended = :amended, held = NULL, detail = NULL "
                "WHERE hubspot_id = :hubspot_id AND state = 'extracted'",
                [{"hubspot_id": one.hubspot_id, "amended": _json(one.amended)} for one in changes],
            )
            if landed != len(changes):
                raise RuntimeError("a contact that was sent cannot be amended")

    def decide(self, decisions: Mapping[str, Mapping[str, Mapping[str, str]]]) -> None:
        """
        Store decisions, which `update` carries out; the contacts stay held until then.

        Args:
            decisions: `{"there", "value"}` by field, by HubSpot's id.
        """
        landed = self._database.execute(
            "UPDATE contact SET decided = json_patch(ifnull(decided, '{}'), :decided) "
            "WHERE hubspot_id = :hubspot_id AND held IN ('conflict', 'different') "
            "AND key NOT IN open_attempt",
            [
                {"hubspot_id": hubspot_id, "decided": json.dumps(fields, ensure_ascii=False)}
                for hubspot_id, fields in decisions.items()
            ],
        )
        if landed != len(decisions):
            raise RuntimeError("a contact that is not in conflict cannot be decided")

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """A transaction that is rolled back at its end."""
        try:
            with self._database.transaction():
                yield
                raise _TakenBack
        except _TakenBack:
            pass


class _TakenBack(Exception):
    """The end of a rehearsal."""


def _json(amended: Mapping[str, str | None] | None) -> str | None:
    return None if amended is None else json.dumps(amended, ensure_ascii=False, sort_keys=True)
