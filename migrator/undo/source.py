"""Asks HubSpot if contacts are still gone, a minute at most before their leads are deleted."""

import threading
from collections.abc import Collection

from migrator.clock import awake_or_asleep
from migrator.errors import MigratorError, NotReady, StoppedEarly
from migrator.hubspot import CONTACTS_PER_BATCH, HubSpot
from migrator.push.seen_leads import LONGEST_LOOK_AT_CLAIM_SECONDS, LONGEST_LOOK_SECONDS
from migrator.push.writes import IntentRecalled


class GoneContacts:
    """
    Contacts that HubSpot had no more. Any thread may ask.

    Args:
        hubspot: The account that is asked.
        portal_id: Its portal must be this one: any other has none of the contacts.

    Raises:
        NotReady: HubSpot cannot be asked, or the token belongs to another portal.
    """

    def __init__(self, hubspot: HubSpot, portal_id: str) -> None:
        self._hubspot = hubspot
        try:
            found = hubspot.account().portal_id
        except StoppedEarly as error:
            raise _not_asked(error) from None
        if found != portal_id:
            raise NotReady(
                f"The HubSpot token belongs to portal {found}, and the contacts to {portal_id}.",
                "set HUBSPOT_ACCESS_TOKEN to a token of that portal",
            )
        self._lock = threading.Lock()
        self._asked_at: dict[str, float] = {}
        self._expected: dict[str, None] = {}
        self._back: set[str] = set()

    def expect(self, hubspot_ids: Collection[str]) -> None:
        """Note contacts that will be asked for soon, so that a request asks for many."""
        with self._lock:
            self._expected |= dict.fromkeys(hubspot_ids)

    def is_back(self, hubspot_id: str) -> bool:
        """Whether HubSpot was found to have the contact."""
        return hubspot_id in self._back

    def ask(self, hubspot_ids: Collection[str]) -> None:
        """
        Ask for these contacts.

        Raises:
            NotReady: HubSpot cannot be asked.
        """
        wanted, at = list(hubspot_ids), awake_or_asleep()
        try:
            absent = self._hubspot.absent_contacts(wanted)
        except (NotReady, StoppedEarly) as error:
            raise _not_asked(error) from None
        self._asked_at |= dict.fromkeys(wanted, at)
        self._back |= set(wanted) - absent.keys()

    def confirm(self, hubspot_id: str) -> None:
        """
        Ask for a contact, and for others that are expected, unless that was done lately.

        Raises:
            IntentRecalled: HubSpot has the contact.
            NotReady: HubSpot cannot be asked.
        """
        with self._lock:
            if not self._is_fresh(hubspot_id, LONGEST_LOOK_AT_CLAIM_SECONDS):
                others = [
                    one
                    for one in self._expected
                    if one != hubspot_id and not self._is_fresh(one, LONGEST_LOOK_AT_CLAIM_SECONDS)
                ]
                self.ask([hubspot_id, *others[: CONTACTS_PER_BATCH - 1]])
            self._expected.pop(hubspot_id, None)
        if self.is_back(hubspot_id):
            raise IntentRecalled

    def check_age(self, hubspot_id: str) -> None:
        """Raise `IntentRecalled` if HubSpot was asked more than a minute ago."""
        if not self._is_fresh(hubspot_id, LONGEST_LOOK_SECONDS):
            raise IntentRecalled

    def _is_fresh(self, hubspot_id: str, seconds: float) -> bool:
        asked_at = self._asked_at.get(hubspot_id)
        return asked_at is not None and awake_or_asleep() - asked_at <= seconds


def _not_asked(error: MigratorError) -> NotReady:
    return NotReady(
        "HubSpot cannot be asked whether the contacts are still gone, so no more leads are "
        f"deleted: {error.message}",
        error.hint,
    )
