"""People who work in both services while the tool does: seeded random edits between requests."""

import random
import threading
from collections.abc import Callable, Mapping

from migrator.sandbox.expected_leads import RECORD
from migrator.sandbox.lead_history import notes_of
from migrator.sandbox.messages import Lead
from migrator.sandbox.records import Records

# What a person can do before a request. All but `change_status` are called like the methods of the
# sandbox that do it.
EDITS = {
    "append_note": "a line is added to the notes of a lead",
    "change_contact": "a property of a contact changes",
    "change_lead": "a field of a lead is changed, sometimes its e-mail",
    "change_status": "a lead gets another status",
    "delete_lead": "a lead is deleted",
    "erase_contact": "a contact is erased",
    "merge_contacts": "two contacts are merged into a new one",
    "move_lead": "a lead is moved to another client",
    "remove_contact": "a contact is archived",
    "rewrite_note": "a line of a lead's notes is rewritten, but never its record line",
}
ELSEWHERE = "people-elsewhere"
_LEAD_FIELDS = ("title", "companyName", "phoneNumber", "lastName", "linkedinUrl", "email")
_CONTACT_PROPERTIES = ("jobtitle", "phone", "lastname", "lifecyclestage", "email")


class Editor:
    """
    Edits random leads of the first client and random contacts.

    Args:
        shares: By name in `EDITS`: the share of requests before which it happens.

    Raises:
        ValueError: A name is unknown, or a share is not between 0 and 1.
    """

    def __init__(self, seed: int, shares: Mapping[str, float], records: Records) -> None:
        for name, share in shares.items():
            if name not in EDITS:
                raise ValueError(f"no edit is called {name!r}; there are {', '.join(EDITS)}")
            if not 0 <= share <= 1:
                raise ValueError(f"{name}: {share} is not a probability")
        self._shares = dict(shares)
        self._records = records
        self._random = random.Random(f"{seed}/edits")
        self._lock = threading.Lock()
        self._serial = 0
        self._of_leads: dict[str, Callable[[Lead], object]] = {
            "append_note": lambda lead: records.append_note(lead["id"], self._new("Called")),
            "change_lead": self._change_lead,
            "change_status": lambda lead: records.change_lead(lead["id"], status=self._new("s")),
            "delete_lead": lambda lead: records.delete_lead(lead["id"]),
            "move_lead": lambda lead: records.move_lead(lead["id"], ELSEWHERE),
            "rewrite_note": self._rewrite_note,
        }
        self._of_contacts: dict[str, Callable[[str], object]] = {
            "change_contact": self._change_contact,
            "erase_contact": records.erase_contact,
            "merge_contacts": self._merge,
            "remove_contact": records.remove_contact,
        }

    def calm(self) -> None:
        """Edit nothing more."""
        with self._lock:
            self._shares.clear()

    def work(self) -> None:
        """Make the edits that come before the next request."""
        if not self._shares:
            return
        with self._lock:
            for name, share in self._shares.items():
                if self._random.random() < share:
                    self._edit(name)

    def _edit(self, name: str) -> None:
        if name in self._of_leads:
            if (lead := self._records.random_lead(self._random.randrange)) is not None:
                self._of_leads[name](lead)
        elif (contact_id := self._records.random_contact(self._random.randrange)) is not None:
            self._of_contacts[name](contact_id)

    def _new(self, word: str) -> str:
        self._serial += 1
        return f"{word} {self._serial}"

    def _value(self, name: str) -> str:
        new = self._new("Edited")
        return f"{new.replace(' ', '.').lower()}@people.example" if name == "email" else new

    def _change_lead(self, lead: Lead) -> None:
        name = self._random.choice(_LEAD_FIELDS)
        self._records.change_lead(lead["id"], **{name: self._value(name)})

    def _rewrite_note(self, lead: Lead) -> None:
        lines = [line for line in notes_of(lead) if not line.startswith(RECORD)]
        if lines:
            line = self._random.choice(lines)
            self._records.rewrite_note(lead["id"], line, self._new("Rewritten"))

    def _change_contact(self, contact_id: str) -> None:
        name = self._random.choice(_CONTACT_PROPERTIES)
        self._records.change_contact(contact_id, **{name: self._value(name)})

    def _merge(self, contact_id: str) -> None:
        other = self._records.random_contact(self._random.randrange)
        if other is not None and other != contact_id:
            self._records.merge_contacts(contact_id, other)
