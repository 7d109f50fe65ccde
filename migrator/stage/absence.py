"""
Finds the contacts that HubSpot has no more, after a scan that reached the end of the list.

A contact that the scan did not meet may only be missing from the list, so each is read by its id:
what HubSpot does not return then, or returns as archived or under another id, is gone. What cannot
be read is left as it is; the next scan asks again. So does it after a stop in between.
"""

from collections.abc import Callable
from dataclasses import dataclass

from migrator.errors import NotReady, StoppedEarly
from migrator.hubspot import CONTACTS_PER_BATCH, HubSpot
from migrator.ledger import GoneContact, Ledger

# So many failed reads in a row are not about their contacts.
MOST_FAILURES = 3


@dataclass
class Unread:
    """Contacts that a scan did not meet and that could not be read; `why` = the last reason."""

    contacts: int = 0
    why: str = ""


def mark_absent(ledger: Ledger, hubspot: HubSpot, check: Callable[[], None]) -> Unread:
    """
    Mark the contacts that the scan, which is complete, did not meet and that HubSpot has no more.

    Args:
        check: Called between transactions; raises if the user wants to stop.
    """
    checkpoint, unread = ledger.runs.checkpoint("extraction"), Unread()
    if checkpoint.met >= checkpoint.contacts_seen:
        return unread
    after, failures = 0, 0
    while unmet := ledger.source_moves.unmet(checkpoint.scan, after, CONTACTS_PER_BATCH):
        after = unmet[-1][0]
        try:
            if failures < MOST_FAILURES:
                absent = hubspot.absent_contacts([hubspot_id for _, hubspot_id in unmet])
                failures = 0
                ledger.source_moves.note_gone(
                    GoneContact(one, absence.why, absence.into) for one, absence in absent.items()
                )
            else:
                unread.contacts += len(unmet)
        except (NotReady, StoppedEarly) as error:
            failures += 1
            unread.contacts += len(unmet)
            unread.why = error.message
        check()
    return unread
