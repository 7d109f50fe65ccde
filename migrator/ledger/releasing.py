"""
Contacts freed on a person's word: which ones are meant, which stay, and why.

What may be freed at all, and what becomes of it, `contacts.release` knows. All or nothing: a name
that nobody has frees nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote

from migrator.ledger.contacts import Contacts
from migrator.ledger.database import Database
from migrator.ledger.lookup import ContactSummary, Lookup
from migrator.states import Hold, State

EXAMPLES = 10

# What the rules exclude is mapped again when it changed, and by nothing else; and two leads are one
# when LeadGenius lists one.
_THEN = "in HubSpot, then `migrator stage`; or `migrator amend`"
_EXCLUDED = {
    Hold.NO_EMAIL: f"LeadGenius needs an e-mail: add it {_THEN}",
    Hold.INVALID_EMAIL: f"its e-mail cannot be one: correct it {_THEN}",
    Hold.DOUBLED: "delete all but the one to keep there, then `migrator verify`",
}
_VERIFIED_ONCE = "it was verified once, so its lead was deleted since"
_ALL_THE_SAME = "to send it again all the same: migrator retry --recreate"


@dataclass(frozen=True)
class NotReleased:
    """A contact that was not freed, and why, in words."""

    hubspot_id: str
    why: str


@dataclass(frozen=True)
class Released:
    """
    What came of it, in contacts.

    Args:
        meant: Those that were named, or that had the reason.
        freed: Those of them that are free now.
        stayed: The first of the others.
    """

    meant: int
    freed: int
    stayed: tuple[NotReleased, ...]


class Releases:
    """One move, for contacts that are named or for all with a reason."""

    def __init__(self, database: Database, contacts: Contacts, stories: Lookup) -> None:
        self._database = database
        self._contacts = contacts
        self._stories = stories

    def release_named(
        self, named: Sequence[str], reason: Hold | None = None, *, recreate: bool = False
    ) -> Released:
        """
        Free these contacts, as far as they may be.

        Args:
            named: HubSpot ids or e-mails.
            reason: Only those that are held for it; `None` = any.
            recreate: See `contacts.release`.

        Raises:
            UsageError: a name is nobody's; nobody was freed.
        """
        with self._database.transaction():
            before = self._found(named)
            ids = [one.hubspot_id for one in before if one.held not in _EXCLUDED]
            freed = self._contacts.release(reason, ids, recreate=recreate)
            after = self._stories.summaries(one.key for one in before)
        stayed = [
            NotReleased(was.hubspot_id, _why(reason, was, now))
            for was, now in zip(before, after, strict=True)
            if was.held is None or now.held is not None
        ]
        return Released(len(before), freed, tuple(stayed[:EXAMPLES]))

    def release_all(self, reason: Hold, *, recreate: bool = False) -> Released:
        """Free all contacts that are held for a reason, as far as they may be."""
        with self._database.transaction():
            meant, before = self._held(reason), self._first_held(reason)
            freed = 0
            if reason not in _EXCLUDED:
                freed = self._contacts.release(reason, None, recreate=recreate)
            # The first ones may all be free, and later ones not; or be held for another reason now.
            keys = dict.fromkeys(one.key for one in before + self._first_held(reason))
            after = self._stories.summaries(keys)
        was = {one.key: one for one in before}
        stayed = [
            NotReleased(now.hubspot_id, _why(reason, was.get(now.key, now), now))
            for now in after
            if now.held is not None
        ]
        return Released(meant, freed, tuple(stayed[:EXAMPLES]))

    def _found(self, named: Sequence[str]) -> list[ContactSummary]:
        keys: dict[int, None] = {}  # each once, in the order that they were named
        for name in named:
            keys.update(dict.fromkeys(self._stories.find(name)))
        return self._stories.summaries(keys)

    def _held(self, reason: Hold) -> int:
        row = self._database.one(
            "SELECT coalesce(sum(contacts), 0) AS n FROM state_count WHERE held = :reason",
            reason=reason,
        )
        return int(row.n)

    def _first_held(self, reason: Hold) -> list[ContactSummary]:
        rows = self._database.rows(
            "SELECT key FROM contact WHERE held IS NOT NULL AND held = :reason "
            "ORDER BY key LIMIT :limit",
            reason=reason,
            limit=EXAMPLES,
        )
        return self._stories.summaries(row.key for row in rows)


def _why(reason: Hold | None, was: ContactSummary, now: ContactSummary) -> str:
    """Why a contact stays that was so before, and is so now."""
    if was.held is None:
        return f"it is not held; it is {was.state}"
    if reason is not None and was.held is not reason:
        return f"it is held as {was.held}, not as {reason}"
    if was.held in _EXCLUDED:
        return _EXCLUDED[was.held]
    if now.held is Hold.DUPLICATE_EMAIL:
        return f"{now.detail or 'another contact has the same e-mail'}: one e-mail is one lead"
    if now.held is Hold.MISSING and now.state is State.VERIFIED:
        return f"{_VERIFIED_ONCE}; {_ALL_THE_SAME} {quote(now.hubspot_id)}"
    return f"it is held as {now.held}"
