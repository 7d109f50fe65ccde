"""
The listing at the end of an undo, one for all: it proves which leads are gone.

A lead that is marked as deleted, or not shown, is gone. One that is still shown may only be shown
late, so that counts against it once the listing began `settle` after the last write; then it is
deleted again.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

from migrator.clock import awake_or_asleep
from migrator.comparison import KeepReason
from migrator.counters import UndoCounters
from migrator.ledger import Ledger
from migrator.mapping import is_removed
from migrator.push.first_look import identities
from migrator.push.loop import PushLoop
from migrator.undo.deletes import LeadDeletes
from migrator.undo.odd_rows import OddRows
from migrator.undo.plan import DueLead

MOST_DELETES = 5


def delete_and_prove(loop: PushLoop, deletes: LeadDeletes, progress: UndoCounters) -> None:
    """
    Delete what is due, until a listing proves that it is gone, or it is kept.

    Contacts whose leads are gone move; what is left is in `deletes.kept`.
    """
    loop.run(None)
    proven: list[DueLead] = []
    while deletes.unproven:
        unproven, deletes.unproven = deletes.unproven, {}
        gone, listed = _prove(loop, unproven, deletes, progress)
        proven += gone
        for due in listed:
            if deletes.rounds[due.lead_id] < MOST_DELETES:
                deletes.delete(due)
            else:
                deletes.keep(due, KeepReason.STILL_LISTED)
        loop.run(None)
    kept = {one.contact for one in deletes.kept.values()}
    loop.ledger.undoing.free_doubled({one.key for one in proven if one.contact not in kept})


def _prove(
    loop: PushLoop, unproven: Mapping[str, DueLead], deletes: LeadDeletes, progress: UndoCounters
) -> tuple[list[DueLead], list[DueLead]]:
    """
    List the client, and again until every write is old enough to be shown.

    Returns:
        The leads that are gone, and those that are still listed, with their pages.
    """
    ledger, settle = loop.ledger, loop.options.settle_seconds
    left, proven = dict(unproven), list[DueLead]()
    settled_at = awake_or_asleep() + ledger.updates.seconds_to_settle(settle)
    while True:
        began_at = awake_or_asleep()
        loop.recorder.say("a listing that shows what is gone")
        there, maybe = _listed(loop, left)
        gone = [
            one for one in left.values() if one.lead_id not in there and one.lead_id not in maybe
        ]
        conclude(ledger, gone, progress)
        proven += gone
        for one in gone:
            del left[one.lead_id]
        if not left or began_at >= settled_at:
            break
        rest = max(0.0, settled_at - awake_or_asleep())
        loop.recorder.say("the last deletes to be listed", rest)
        loop.signals.pause(rest)
    for one in [one for one in left.values() if one.lead_id not in there]:
        deletes.keep(left.pop(one.lead_id), KeepReason.NAMELESS)
    return proven, [replace(one, cursor=there[one.lead_id]) for one in left.values()]


def _listed(
    loop: PushLoop, leads: Mapping[str, DueLead]
) -> tuple[dict[str, str | None], Collection[str]]:
    """
    List the client.

    Returns:
        The cursors of the pages of those leads that are there; and those that a row without an id
        may be.
    """
    there: dict[str, str | None] = {}
    odd, cursor = OddRows(loop.ledger, loop.options.portal_id), None
    for page in loop.client.pages():
        loop.check_foreign(identities(page, loop.options.portal_id)[0])
        odd.on_page(page)
        for lead in page.leads:
            if (lead_id := str(lead["id"])) in leads and not is_removed(lead):
                there[lead_id] = cursor
        cursor = page.cursor
    return there, {one.lead_id for one in leads.values() if odd.may_be(one.key)}


def conclude(ledger: Ledger, gone: Collection[DueLead], progress: UndoCounters) -> None:
    """Move the contacts of leads that are gone, and count the leads."""
    with ledger.transaction():
        ledger.undoing.conclude((one.key, one.lead_id) for one in gone)
        deleted = len(ledger.undoing.deleted([one.lead_id for one in gone]))
    progress.deleted += deleted
    progress.already_gone += len(gone) - deleted
