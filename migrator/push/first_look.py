"""
The complete listing with which every command begins that has something to send (the contract,
section 1): it adopts leads with our record line (design, I5), and shows if others send.
"""

from collections.abc import Callable

from migrator.clock import awake_or_asleep
from migrator.doubts import identity_of, odd_rows
from migrator.leadgenius import LeadPage
from migrator.leadgenius.api import LEADS_PER_PAGE
from migrator.ledger import LeadIdentity
from migrator.push.looks import LookSchedule, look_until_quiet
from migrator.push.loop import PushLoop
from migrator.states import WriteKind

# Receives a page, its own cursor, and when it was asked for, on `clock.awake_or_asleep`.
OnPage = Callable[[LeadPage, str | None, float], None]


def look_first(loop: PushLoop, before: str, on_page: OnPage = lambda page, cursor, at: None) -> int:
    """
    List the client, and until it is quiet if others sent to it.

    Args:
        before: What the listing comes before, for the progress.
        on_page: Called with each page, in its transaction. A page without a cursor is the first one
            of a listing, so what was concluded from an earlier one is to be dropped.

    Returns:
        How many contacts were adopted.

    Raises:
        ForeignSender: another sender is at work.
    """
    ledger, settle = loop.ledger, loop.options.settle_seconds
    adopted = 0

    def wait(seconds: float) -> None:
        loop.recorder.say("the last sends of another sender", seconds)
        loop.signals.pause(seconds)

    def look() -> set[str]:
        nonlocal adopted
        foreign: set[str] = set()
        cursor, began_at = None, awake_or_asleep()
        for page in loop.client.pages():
            leads, odd = identities(page, loop.options.portal_id)
            with ledger.transaction():
                foreign |= ledger.foreign.among(leads)
                adopted += ledger.reconciliation.adopt(leads)
                ledger.reconciliation.hold_unidentified(odd)
                on_page(page, cursor, began_at)
            cursor, began_at = page.cursor, awake_or_asleep()
        return foreign

    loop.recorder.say(f"a listing of the client before {before}")
    was_owed = look_until_quiet(look, ledger.foreign.note, wait, loop.sender, settle)
    ledger.runs.clear_unclaimed()
    is_checked = loop.writes.kind is not WriteKind.CREATE
    loop.looks = LookSchedule(
        settle,
        awake_or_asleep(),
        was_owed=was_owed,
        is_checked=is_checked,
        pages_a_send=0 if is_checked else 1 / (loop.options.findings.page_limit or LEADS_PER_PAGE),
    )
    return adopted


def look_until_settled(loop: PushLoop, look: Callable[[], bool]) -> None:
    """
    Look, and once more if our own last writes may not have been listed yet.

    Args:
        look: Lists the client; returns whether it was surprised, as by a lead that is missing.
    """
    began_at = awake_or_asleep()
    settled_at = began_at + loop.ledger.updates.seconds_to_settle(loop.options.settle_seconds)
    if look() and began_at < settled_at:
        wait = max(0.0, settled_at - awake_or_asleep())
        loop.recorder.say("the last writes to be listed", wait)
        loop.signals.pause(wait)
        look()


def identities(page: LeadPage, portal_id: str) -> tuple[list[LeadIdentity], list[LeadIdentity]]:
    """The identities of a page's leads, and of its rows without an id, except for nameless ones."""
    odd = [one for one in odd_rows(page.odd, portal_id) if one is not None]
    return [identity_of(lead, portal_id) for lead in page.leads], odd
