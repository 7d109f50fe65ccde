"""When the own lead of a contact with several leads was last seen: without it none is deleted."""

from collections.abc import Collection

from migrator.clock import awake_or_asleep
from migrator.leadgenius import LeadPage
from migrator.mapping import is_removed
from migrator.push.seen_leads import LONGEST_LOOK_AT_CLAIM_SECONDS
from migrator.push.writes import PageToRead

# An own lead is looked at before the other one, so its look has to outlast that one.
_LONGEST_LOOK_SECONDS = LONGEST_LOOK_AT_CLAIM_SECONDS / 3


class OwnLooks:
    """Looks at own leads; contacts by key, times on `clock.awake_or_asleep`."""

    def __init__(self) -> None:
        self._keys: dict[str, int] = {}  # by lead
        self._pages: dict[int, str | None] = {}
        self._seen_at: dict[int, float] = {}
        self._moved: set[int] = set()  # not on that page any more

    def expect(self, key: int, lead_id: str, cursor: str | None) -> None:
        """Let a contact need its own lead, which stands on the page that begins at this cursor."""
        self._keys[lead_id] = key
        self._pages[key] = cursor
        self._seen_at.setdefault(key, -float("inf"))

    def on_page(self, page: LeadPage, cursor: str | None, began_at: float) -> None:
        """Take a page of the listing."""
        there = {str(lead["id"]) for lead in page.leads if not is_removed(lead)}
        for lead_id, key in self._keys.items():
            if lead_id in there:
                self._pages[key], self._seen_at[key] = cursor, began_at
                self._moved.discard(key)
            elif self._pages[key] == cursor:
                self._moved.add(key)

    def lost(self, keys: Collection[int], began_at: float) -> list[int]:
        """Those whose own lead a complete listing that began then did not show."""
        return [key for key in keys if self.seen_at(key) < began_at]

    def seen_at(self, key: int) -> float:
        """When its own lead was seen last; infinite = it needs none."""
        return self._seen_at.get(key, float("inf"))

    def page_to_read(self, key: int) -> PageToRead | None:
        """The page to read before the contact's other lead is looked at; `None` = none."""
        if awake_or_asleep() - self.seen_at(key) <= _LONGEST_LOOK_SECONDS:
            return None
        return PageToRead(self._pages[key], is_whole=key in self._moved)
