"""
Single contacts: found by id or e-mail, with their sends and moves.

The queries do not grow with the ledger, except for the last resort of a search: an e-mail that no
lead has is searched for in HubSpot's values of contacts without a lead, or with an amended e-mail.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from migrator.ledger.database import Database
from migrator.states import Hold, Outcome, State, WriteKind

READ_AT_ONCE = 1_000


@dataclass(frozen=True)
class ContactSummary:
    """
    A contact in short.

    Args:
        held: `None` = not held.
        lead_id: `None` = no lead in LeadGenius.
        forgotten_ms: When `forget CONTACT` erased it (ms since the epoch); `None` = it did not.
    """

    key: int
    hubspot_id: str
    state: State
    held: Hold | None
    detail: str | None
    lead_id: str | None
    forgotten_ms: int | None


@dataclass(frozen=True)
class Provenance:
    """
    Everything that a lead was built from.

    Args:
        source: HubSpot's values, as far as the mapping reads them.
        company_id, company_rule: The chosen company, and the rule that chose it.
        company: Its properties; `None` = HubSpot does not have it, or there is none.
        amended: The values that replace HubSpot's.
        lead: What is or would be sent, without the client_id; `None` = not mapped.
        derived_fields: The values that the mapping derived.
        mapping: Hash of the mapping that built the lead; `None` = none, or not stored.
        edited: Fields of its verified lead that differ since; `None` = none.
    """

    source: Mapping[str, Any]
    company_id: str | None
    company_rule: str | None
    company: Mapping[str, Any] | None
    amended: Mapping[str, Any] | None
    lead: Mapping[str, Any] | None
    derived_fields: tuple[str, ...]
    mapping: str | None
    edited: str | None


@dataclass(frozen=True)
class SendAttempt:
    """
    An attempt to write a lead (see `schema.sql`).

    Args:
        fields: The values that an update sends; `None` = it is none, or they were erased.
        outcome: `None` = in flight or in doubt.
        overrode: What a person decided; `None` = nothing.
    """

    number: int
    kind: WriteKind
    run_id: int
    sent_ms: int
    ended_ms: int | None
    status: int | None
    answer: str | None
    outcome: Outcome | None
    settled_ms: int | None
    lead_id: str | None
    fields: Mapping[str, Any] | None
    overrode: Mapping[str, str] | None


@dataclass(frozen=True)
class StateChange:
    """A move; `source=None` = new. `held` = the hold from then on."""

    at_ms: int
    source: State | None
    target: State
    held: Hold | None


class GoneContact(NamedTuple):
    """
    A contact that HubSpot has no more.

    Args:
        why: `merged`, `archived` or `unknown`.
        into: HubSpot's id of the record that it was merged into; `None` = it was not merged.
        successor: HubSpot's id of the contact that has its lead now; `None` = none has.
    """

    hubspot_id: str
    why: str
    into: str | None = None
    successor: str | None = None


class Lookup:
    """Queries only; contacts are identified by their key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Finding

    def find(self, named: str, email_key: Callable[[str], str | None]) -> list[int]:
        """
        The keys of the contacts with a HubSpot id, or with an e-mail in any spelling.

        Args:
            named: An id or an e-mail.
            email_key: Normalises an e-mail, as the mapping does.

        Returns:
            Of several contacts with one e-mail, the one that was or will be sent comes first.
        """
        if not _is_text(named):
            return []
        for hubspot_id in (named, named.strip()):
            row = self._database.one(
                "SELECT key FROM contact WHERE hubspot_id = :hubspot_id", hubspot_id=hubspot_id
            )
            if row is not None:
                return [row.key]
        wanted = email_key(named)
        if wanted is None or "@" not in wanted:
            return []
        return self._by_lead(wanted) or sorted(set(self._by_source(wanted, email_key)))

    def _by_lead(self, wanted: str) -> list[int]:
        rows = self._database.rows(
            "SELECT key FROM contact WHERE email_key = :wanted "
            "ORDER BY lead_id IS NULL, held IS NOT NULL, key",
            wanted=wanted,
        )
        return [row.key for row in rows]

    def _by_source(self, wanted: str, email_key: Callable[[str], str | None]) -> Iterator[int]:
        """Search HubSpot's values: without a lead there is no key; amended, it is another one."""
        for condition in (*_WITHOUT_A_LEAD, _AMENDED):
            for key, texts in self._sources(condition, wanted):
                # Normalising makes no @, and is slow.
                if any("@" in text and email_key(text) == wanted for text in texts):
                    yield key

    def _sources(self, condition: str, wanted: str) -> Iterator[tuple[int, Iterator[str]]]:
        after = 0
        while rows := self._database.rows(
            f"SELECT key, source FROM contact WHERE {condition} AND key > :after "
            f"AND {_MAY_HOLD_IT} ORDER BY key LIMIT :limit",
            after=after,
            pattern=_containing(wanted),
            limit=READ_AT_ONCE,
        ):
            after = rows[-1].key
            for row in rows:
                yield row.key, _texts(self._database.decoded(row.source))

    # One contact

    def summaries(self, keys: Iterable[int]) -> list[ContactSummary]:
        """These contacts in short, in the order given."""
        return self._database.read(
            ContactSummary,
            f"SELECT {_BRIEF} FROM json_each(:keys) AS wanted JOIN contact "
            "ON contact.key = wanted.value ORDER BY wanted.key",
            keys=json.dumps(list(keys)),
        )

    def provenance(self, key: int) -> Provenance:
        """Everything that a contact's lead was built from."""
        (found,) = self._database.read(
            Provenance,
            "SELECT source, contact.company_id, company_rule, company.properties, amended, lead, "
            "derived_fields, mapping.hash, edited FROM contact "
            "LEFT JOIN company USING (company_id) "
            "LEFT JOIN mapping ON mapping.id = contact.mapping WHERE key = :key",
            key=key,
        )
        return found

    def changed_ms(self, key: int) -> int | None:
        """When HubSpot was found to differ from what was posted; `None` = it does not."""
        row = self._database.one("SELECT changed_ms FROM contact WHERE key = :key", key=key)
        return None if row.changed_ms is None else int(row.changed_ms)

    def absence(self, key: int) -> GoneContact | None:
        """Why HubSpot has a contact no more, and who has its lead now; `None` = it has it."""
        found = self._database.read(
            GoneContact,
            f"{GONE_CONTACTS} WHERE key = :key AND gone IS NOT NULL",
            key=key,
        )
        return found[0] if found else None

    def attempts(self, key: int) -> list[SendAttempt]:
        """The sends of a contact, oldest first."""
        return self._database.read(
            SendAttempt,
            "SELECT number, kind, run_id, sent_ms, ended_ms, status, answer, outcome, settled_ms, "
            "lead_id, fields, overrode FROM attempt WHERE contact_key = :key ORDER BY number",
            key=key,
        )

    def events(self, key: int) -> list[StateChange]:
        """The moves of a contact, oldest first."""
        return self._database.read(
            StateChange,
            "SELECT at_ms, source, target, held FROM event WHERE contact_key = :key "
            "ORDER BY number",
            key=key,
        )

    def sent_leads(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The id of each lead that LeadGenius has, and what it was last told of it."""
        last = 0
        while True:
            rows = self._database.rows(
                "SELECT key, lead_id, lead FROM contact WHERE lead_id IS NOT NULL AND key > :last "
                "ORDER BY key LIMIT :limit",
                last=last,
                limit=READ_AT_ONCE,
            )
            if not rows:
                return
            yield from ((row.lead_id, self._database.decoded(row.lead)) for row in rows)
            last = rows[-1].key

    def same_email(self, key: int, limit: int) -> tuple[int, list[ContactSummary]]:
        """Other contacts with a contact's e-mail: number and first ones."""
        named = "FROM contact JOIN contact AS mine ON mine.key = :key WHERE "
        named += (
            "contact.email_key = mine.email_key AND mine.email_key <> '' AND contact.key <> :key"
        )
        number = self._database.one(f"SELECT count(*) AS n {named}", key=key).n
        first = self._database.read(
            ContactSummary,
            f"SELECT {_BRIEF} {named} "
            "ORDER BY contact.lead_id IS NULL, contact.held IS NOT NULL, contact.key LIMIT :limit",
            key=key,
            limit=limit,
        )
        return int(number), first

    def foreign_lead(self, key: int) -> str | None:
        """The id of a lead with a contact's e-mail that is not ours."""
        row = self._database.one("SELECT foreign_lead_id FROM contact WHERE key = :key", key=key)
        return None if row.foreign_lead_id is None else str(row.foreign_lead_id)


# As `GoneContact`.
GONE_CONTACTS = (
    "SELECT hubspot_id, gone, merged_into, (SELECT hubspot_id FROM contact AS successor "
    "WHERE successor.key = contact.succeeded_by AND successor.lead_id IS NOT NULL) FROM contact"
)

_BRIEF = (
    "contact.key, contact.hubspot_id, contact.state, contact.held, contact.detail, "
    "contact.lead_id, contact.erased_ms"
)

# In plain ASCII without escapes, an e-mail differs from its normalised form only by its case. Texts
# with anything else and an @ are read; so are those with DEL, which is invisible and not escaped in
# JSON.
_MAY_HOLD_IT = (
    "(source LIKE :pattern ESCAPE '!' OR instr(source, '\\') OR (instr(source, '@') "
    "AND (length(source) <> length(CAST(source AS BLOB)) OR instr(source, char(127)))))"
)
# Each has its own index; excluded contacts are few.
_WITHOUT_A_LEAD = (
    "held IS NOT NULL AND held = 'no_email'",
    "held IS NOT NULL AND held = 'invalid_email'",
    "state = 'extracted' AND held IS NULL",
)
_AMENDED = "amended IS NOT NULL"


def _containing(text: str) -> str:
    for special in "!%_":
        text = text.replace(special, f"!{special}")
    return f"%{text}%"


def _is_text(word: str) -> bool:
    """Whether a command-line word is valid text."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts(list(value.values()))
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
