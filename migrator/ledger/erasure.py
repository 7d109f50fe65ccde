"""
Removes personal data from a finished ledger, or of single contacts, down to the bytes of its files.

What stays proves the migration: ids, hashes, states, holds, sends and their outcomes, times, sums.
`schema.sql` refuses to erase an unfinished ledger.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from migrator.completeness import Completeness
from migrator.ledger.database import Database, now_ms
from migrator.ledger.holds import IS_AT_REST
from migrator.ledger_errors import LedgerProblem, ledger_error


class Unfinished(StrEnum):
    """What is left to do before a ledger can be erased, in the order to do it."""

    PAGES = "pages"
    IN_DOUBT = "in_doubt"
    TO_MAP = "to_map"
    TO_SEND = "to_send"
    TO_VERIFY = "to_verify"
    EXTRACTION = "extraction"  # the scan has ended but is not complete (see `completeness`)


class Obstacle(StrEnum):
    """Why a single contact cannot be erased yet."""

    OPEN = "open"  # a write of it is in doubt
    LEAD = "lead"  # LeadGenius has its lead
    FREE = "free"  # it is to be mapped or sent
    PASSED_ON = "passed_on"  # another contact has its lead, and may still have its values


@dataclass(frozen=True)
class ErasableContact:
    """
    A contact to erase.

    Args:
        obstacle: Why it cannot be erased; `None` = it can, or was.
        is_gone: Whether HubSpot has it no more.
        erased_ms: When it was erased (ms since the epoch); `None` = it was not.
        successor: HubSpot's id of the contact that has its lead now; `None` = none has.
    """

    key: int
    hubspot_id: str
    obstacle: Obstacle | None
    is_gone: bool
    erased_ms: int | None
    successor: str | None


class Erasure:
    """Erases personal data, and refuses work on a ledger without it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def erased_at(self) -> int | None:
        """When personal data was erased (ms since the epoch); `None` = it was not."""
        row = self._database.one("SELECT forgotten_ms FROM ledger")
        return None if row.forgotten_ms is None else int(row.forgotten_ms)

    def ensure_not_erased(self) -> None:
        """
        Refuse a ledger whose personal data was removed.

        Raises:
            LedgerForgotten: it was.
        """
        if self.erased_at() is not None:
            raise ledger_error(LedgerProblem.FORGOTTEN, self._database.path)

    def unfinished(self) -> tuple[Unfinished, int] | None:
        """What is left to do, and for how many contacts; `None` = nothing, except for holds."""
        for part, sql in _LEFT.items():
            if number := self._database.one(sql).number:
                return part, int(number)
        is_whole = Completeness(*self._database.one(_SCAN)).is_whole
        return None if is_whole else (Unfinished.EXTRACTION, 1)

    def erase(self) -> None:
        """
        Erase personal data from every table in one transaction, then from the files.

        A process that was killed in between leaves an erased ledger; the next `erase` cleans its
        files.

        Raises:
            LedgerError: another program has the ledger open, so its log cannot be emptied yet.
        """
        self._begin_overwriting()
        with self._database.transaction():
            if self.erased_at() is None:
                self._database.run("UPDATE ledger SET forgotten_ms = :now", {"now": now_ms()})
            for statement in _EMPTIED:
                self._database.run(statement)
        self._clean_files()

    def contacts(self, keys: Collection[int]) -> list[ErasableContact]:
        """
        Whether these contacts can be erased, in HubSpot's order.

        The records that were merged into one of them are the same person, and among them.
        """
        return self._database.read(
            ErasableContact,
            f"WITH RECURSIVE {_PERSONS} "
            "SELECT key, hubspot_id, CASE WHEN key IN open_attempt THEN 'open' "
            "WHEN lead_id IS NOT NULL THEN 'lead' WHEN held IS NULL THEN 'free' "
            f"WHEN succeeded_by IN ({_HAS_TAKEN_OVER}) THEN 'passed_on' END, gone IS NOT NULL, "
            "erased_ms, (SELECT hubspot_id FROM contact AS new WHERE new.key = old.succeeded_by) "
            "FROM contact AS old WHERE key IN person ORDER BY key",
            keys=json.dumps(list(keys)),
        )

    def erase_contacts(self, keys: Collection[int]) -> int:
        """
        Erase the personal data of these contacts, then from the files; returns how many it erased.

        Each must be held, without a lead and without an open attempt; others are left as they are.

        Raises:
            LedgerError: as `erase`.
        """
        self._begin_overwriting()
        with self._database.transaction():
            rows = [{"key": key, "now": now_ms()} for key in keys]
            companies = self._database.rows(_COMPANIES, keys=json.dumps(list(keys)))
            erased = self._database.execute(_ERASED, rows)
            ids = json.dumps([company.id for company in companies])
            self._database.run(_COMPANIES_OF_NONE, {"ids": ids})
            for statement in _OF_ERASED:
                self._database.execute(statement, rows)
        self._clean_files()
        return erased

    def _begin_overwriting(self) -> None:
        """Overwrite freed space with zeros from now on."""
        self._database.execute_outside_transaction("PRAGMA secure_delete = ON")

    def _clean_files(self) -> None:
        self._database.execute_outside_transaction("VACUUM")
        (is_busy, _, _) = self._database.execute_outside_transaction(
            "PRAGMA wal_checkpoint(TRUNCATE)"
        )[0]
        if is_busy:
            raise ledger_error(LedgerProblem.LOG_IN_USE, self._database.path)


# Every column with personal data or with texts about a person; a trigger empties `former_base` and
# `seen_lead`. All others hold ids, hashes, codes, numbers or times. The key of an e-mail is empty,
# not hashed: lists of e-mails can be hashed too. The hash of a payload stays, because it is the
# proof.
_EMPTIED = (
    "UPDATE contact SET source = '{}', detail = NULL, email_key = iif(lead IS NULL, NULL, ''), "
    "lead = iif(lead IS NULL, NULL, '{}'), amended = NULL, new_lead = NULL, decided = NULL, "
    "modified_ms = NULL",
    "UPDATE company SET properties = iif(properties IS NULL, NULL, '{}')",
    "UPDATE attempt SET answer = NULL WHERE answer IS NOT NULL",
    "UPDATE attempt SET fields = NULL, before = NULL, base = NULL WHERE kind <> 'create'",
    "UPDATE checkpoint SET cursor = NULL WHERE cursor IS NOT NULL",
    # A host name often includes its owner's name.
    "UPDATE run SET host = ''",
)

_PERSONS = (
    "person(key) AS (SELECT value FROM json_each(:keys) UNION SELECT old.key FROM person "
    "JOIN contact AS record USING (key) JOIN contact AS old ON old.merged_into = record.hubspot_id)"
)
# The same of a single contact. What a hold says of a contact that is gone is a code and ids.
_ERASED = (
    "UPDATE contact SET erased_ms = :now, source = '{}', lead = iif(lead IS NULL, NULL, '{}'), "
    "email_key = iif(lead IS NULL, NULL, ''), detail = iif(held = 'gone', detail, NULL), "
    "company_id = NULL, company_rule = NULL, derived_fields = NULL, changed_ms = NULL, "
    "modified_ms = NULL, "
    "new_lead = NULL, decided = NULL, amended = NULL, unproven = 0 WHERE key = :key "
    f"AND erased_ms IS NULL AND lead_id IS NULL AND held IS NOT NULL AND {IS_AT_REST}"
)
# What was told and seen of its lead is also with the contact that has it now.
_SUCCESSOR = "(SELECT succeeded_by FROM contact WHERE key = :key AND erased_ms IS NOT NULL)"
_OF_ERASED = (
    "UPDATE attempt SET answer = NULL, fields = NULL, before = NULL, base = NULL "
    "WHERE contact_key = (SELECT key FROM contact WHERE key = :key AND erased_ms IS NOT NULL)",
    "UPDATE attempt SET fields = NULL, before = NULL, base = NULL "
    f"WHERE before IS NOT NULL AND contact_key = {_SUCCESSOR}",
    f"DELETE FROM former_base WHERE contact_key = {_SUCCESSOR}",
    # It is mapped anew before it is sent.
    "UPDATE contact SET lead = '{}', email_key = '' WHERE lead IS NOT NULL AND lead_id IS NULL "
    f"AND changed_ms IS NOT NULL AND key = {_SUCCESSOR}",
)
# The successor of `old`, until a verification has shown that its lead has values of its own only.
_HAS_TAKEN_OVER = (
    "SELECT key FROM contact AS new WHERE new.key = old.succeeded_by AND new.key NOT IN person "
    "AND new.lead_id IS NOT NULL AND (new.changed_ms IS NOT NULL OR new.state = 'posted' "
    "OR new.key IN open_attempt)"
)
_COMPANIES = (
    "SELECT DISTINCT company_id AS id FROM contact WHERE company_id IS NOT NULL "
    "AND key IN (SELECT value FROM json_each(:keys))"
)
# Those of these that no contact has any more; the next scan that meets one reads it again. All
# contacts are read once: an index of their companies would slow every stage down.
_COMPANIES_OF_NONE = (
    "UPDATE company SET properties = iif(properties IS NULL, NULL, '{}'), scan = 0 "
    "WHERE company_id IN (SELECT value FROM json_each(:ids)) AND company_id NOT IN "
    "(SELECT company_id FROM contact WHERE company_id IN (SELECT value FROM json_each(:ids)))"
)

_SCAN = "SELECT met, odd, counted FROM checkpoint WHERE name = 'extraction'"
_FREE = "SELECT coalesce(sum(contacts), 0) AS number FROM state_count WHERE held = '' AND state = "
_LEFT = {
    Unfinished.PAGES: "SELECT count(*) AS number FROM checkpoint "
    "WHERE name = 'extraction' AND (scan = 0 OR complete = 0)",
    Unfinished.IN_DOUBT: "SELECT count(*) AS number FROM open_attempt",
    Unfinished.TO_MAP: _FREE + "'extracted'",
    Unfinished.TO_SEND: _FREE + "'mapped'",
    Unfinished.TO_VERIFY: _FREE + "'posted'",
}
