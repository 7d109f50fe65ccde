"""
The update command: brings LeadGenius up to date with HubSpot, without overwriting what people did
there (the contract, section 3).

It settles what is in doubt, lists the client, and compares each contact that HubSpot changed since
it was sent, field by field (`migrator.comparison`). What it would do is shown, and written after a
yes, one lead a request, by the push loop. The modules:

    plan       what the first listing shows
    changes    the leads to write, each compared again as it was seen a minute ago at most
    trial      the first updates of a ledger, which are read back before the rest
"""

from collections.abc import Callable

from migrator.comparison import LeadStorage, Preference
from migrator.counters import UpdateCounters
from migrator.http import OutageBudget
from migrator.journey.sender import Sender
from migrator.leadgenius import LeadGenius, LeadPage
from migrator.ledger import Ledger
from migrator.push.destination import StopSignal
from migrator.push.first_look import identities, look_first, look_until_settled
from migrator.push.loop import PushLoop
from migrator.push.progress import Notice, ProgressRecorder, PushOptions
from migrator.rate_limit import RateLimiter
from migrator.update.changes import (
    LeadUpdates,
    UpdateChoice,
    UpdateComparison,
)
from migrator.update.plan import PlannedField, UpdatePlan
from migrator.update.trial import is_trial_open, send_trial

NOTED_AT_ONCE = 1_000

__all__ = ["PlannedField", "Preference", "UpdateChoice", "UpdatePlan", "update"]


def update(
    ledger: Ledger,
    leadgenius: LeadGenius,
    limiter: RateLimiter,
    options: PushOptions,
    choice: UpdateChoice,
    *,
    run_id: int,
    signals: StopSignal,
    confirm: Callable[[UpdatePlan], bool],
    notice: Notice = lambda progress: None,
    outage: OutageBudget | None = None,
    sender: Sender,
) -> UpdateCounters:
    """
    Write what HubSpot changed since it was sent, where LeadGenius still has what it was told.

    Args:
        choice: Which contacts, and who decides conflicts.
        confirm: Shows the plan, which is empty if nothing is due; `False` = change nothing.
        sender: The right to send for this journey.

    Returns:
        The final counters.

    Raises:
        StoppedEarly: the service is down, does not show the first updates, or empties fields that
            an update does not name (these were put back). Resumable.
        NotReady: the login is rejected, or an update would lose fields that no listing shows.
        SenderBusy: another sender is at work. Resumable.
        Interrupted: the user stopped it; everything in flight was awaited. Resumable.
    """
    progress = UpdateCounters()
    comparison = UpdateComparison(ledger, choice, LeadStorage.of(options.findings))
    updates = LeadUpdates(ledger, leadgenius, options.client_id, comparison)
    recorder = ProgressRecorder(
        ledger, run_id, progress, lambda: len(updates), notice, options.limit
    )
    outage = outage or OutageBudget()
    loop = PushLoop(
        ledger, leadgenius, updates, recorder, limiter, options, signals, outage, sender
    )
    try:
        if ledger.counts.in_doubt():
            loop.run(None)
            loop.refuse_to_end_in_doubt()
            progress.updated = 0  # those were an earlier command's
        is_due = ledger.updates.count_due(choice.keys, decides=choice.decides) > 0
        is_due = is_due or is_trial_open(ledger) or sender.owes_looks
        plan = _look(loop, comparison, choice) if is_due else UpdatePlan()
        if not confirm(plan):
            return progress
        if is_due:
            if ledger.updates.replaces():
                comparison.check_shows_whole(plan.told)
            _note(ledger, updates, plan)
            send_trial(loop, updates)
            loop.run(options.limit)
            loop.refuse_to_end_in_doubt()
        # Also if nothing was due: an earlier one may have been stopped before this.
        progress.freed = ledger.holds.release_orphaned_duplicates()
    finally:
        _count(progress, updates)
        recorder.report()
        loop.close()
    return progress


def _look(loop: PushLoop, comparison: UpdateComparison, choice: UpdateChoice) -> UpdatePlan:
    """List the client and compare; once more if our own last writes may not be listed yet."""
    ledger, plan = loop.ledger, UpdatePlan()

    def on_page(page: LeadPage, cursor: str | None, began_at: float) -> None:
        if cursor is None:
            plan.clear()
            comparison.begin()
        comparison.take(identities(page, loop.options.portal_id)[0])
        plan.take(page, cursor, comparison)

    def look() -> bool:
        look_first(loop, "the first update", on_page)
        plan.end(ledger.updates.due_ids(choice.keys, decides=choice.decides), comparison)
        return plan.has_surprises

    look_until_settled(loop, look)
    return plan


def _note(ledger: Ledger, updates: LeadUpdates, plan: UpdatePlan) -> None:
    """Store what needs no write, and let the rest be due."""
    for start in range(0, len(plan.to_note), NOTED_AT_ONCE):
        with ledger.transaction():
            for contact, change in plan.to_note[start : start + NOTED_AT_ONCE]:
                updates.conclude(contact, change)
    with ledger.transaction():
        for key in plan.missing:
            updates.on_missing(key)
    for key, (lead_id, cursor) in plan.to_write.items():
        updates.add(key, lead_id, cursor)


def _count(progress: UpdateCounters, updates: LeadUpdates) -> None:
    seen = updates.seen
    progress.already = len(seen.already)
    progress.conflicts = len(seen.conflicts)
    progress.not_cleared = len(seen.not_cleared)
    progress.missing = len(seen.missing)
