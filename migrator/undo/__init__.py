"""
The undo command: deletes leads that this ledger created and that are as it left them (the contract,
section 4).

It settles what is in doubt, lists the client, and judges the lead of each chosen contact. What it
would do is shown, and done after a yes, one lead a request, by the push loop. An answer proves no
delete: a contact moves once a listing shows its lead as gone or as marked. The modules:

    judgement  which leads may be deleted
    plan       what the first listing shows
    deletes    the leads to delete, each judged again as it was seen a minute ago at most
    own_looks  of a contact with several leads, the one that has to be there
    odd_rows   the leads that a row without an id may be
    source     whether HubSpot still has no such contact
    proof      the listing at the end
"""

from collections.abc import Callable
from dataclasses import dataclass

from migrator.comparison import KeepReason, LeadStorage
from migrator.counters import UndoCounters
from migrator.http import OutageBudget
from migrator.journey.sender import Sender
from migrator.leadgenius import LeadGenius
from migrator.ledger import Ledger, UndoChoice
from migrator.push.destination import StopSignal
from migrator.push.first_look import look_first, look_until_settled
from migrator.push.loop import PushLoop
from migrator.push.progress import Notice, ProgressRecorder, PushOptions
from migrator.rate_limit import RateLimiter
from migrator.undo.deletes import LeadDeletes
from migrator.undo.judgement import Judgement
from migrator.undo.plan import DueLead, FurtherLeads, KeptLead, OwnLeads, UndoPlan, why_absent
from migrator.undo.proof import conclude, delete_and_prove
from migrator.undo.source import GoneContacts

__all__ = ["DueLead", "GoneContacts", "KeptLead", "UndoChoice", "UndoPlan", "UndoScope", "undo"]


@dataclass(frozen=True)
class UndoScope:
    """
    What a user asked for.

    Args:
        choice: Which contacts.
        is_doubled: Whether of several leads of one contact all but its own are deleted, instead of
            the own leads.
        allow_adopted: Whether leads that no send of this ledger created may be deleted, too.
        source: Asks HubSpot whether the contacts are still gone; `None` = they need not be.
    """

    choice: UndoChoice
    is_doubled: bool = False
    allow_adopted: bool = False
    source: GoneContacts | None = None


def undo(
    ledger: Ledger,
    leadgenius: LeadGenius,
    limiter: RateLimiter,
    options: PushOptions,
    scope: UndoScope,
    *,
    run_id: int,
    signals: StopSignal,
    confirm: Callable[[UndoPlan], bool],
    notice: Notice = lambda progress: None,
    outage: OutageBudget | None = None,
    sender: Sender,
) -> tuple[UndoCounters, list[KeptLead]]:
    """
    Delete the leads of the chosen contacts, as far as they are ours and as we left them.

    Args:
        confirm: Shows the plan; `False` = delete nothing.
        sender: The right to send for this journey.

    Returns:
        The final counters, and the leads that are kept.

    Raises:
        StoppedEarly: the service is down. Resumable.
        NotReady: the login is rejected, or HubSpot cannot be asked.
        SenderBusy: another sender is at work. Resumable.
        Interrupted: the user stopped it; everything in flight was awaited. Resumable.
    """
    progress = UndoCounters()
    judgement = Judgement(
        ledger,
        options.portal_id,
        options.client_id,
        LeadStorage.of(options.findings),
        allow_adopted=scope.allow_adopted,
    )
    deletes = LeadDeletes(ledger, leadgenius, judgement, scope.source)
    recorder = ProgressRecorder(
        ledger, run_id, progress, lambda: len(deletes), notice, options.limit
    )
    outage = outage or OutageBudget()
    loop = PushLoop(
        ledger, leadgenius, deletes, recorder, limiter, options, signals, outage, sender
    )
    kept: list[KeptLead] = []
    try:
        if ledger.counts.in_doubt():
            loop.run(None)
        plan = _look(loop, scope, judgement)
        kept += plan.kept
        progress.kept_leads = len(kept)
        if confirm(plan):
            _begin(loop, deletes, plan, progress)
            delete_and_prove(loop, deletes, progress)
            kept += deletes.kept.values()
            progress.kept_leads = len(kept)
            loop.refuse_to_end_in_doubt()
    finally:
        loop.close()
    return progress, kept


def _look(loop: PushLoop, scope: UndoScope, judgement: Judgement) -> UndoPlan:
    """List the client and judge; once more if our own last writes may not be listed yet."""
    ledger, choice = loop.ledger, scope.choice
    kind = FurtherLeads if scope.is_doubled else OwnLeads
    planner = kind(ledger, choice, judgement, loop.options.portal_id)
    if not (scope.is_doubled or loop.sender.owes_looks or ledger.undoing.has_chosen(choice)):
        return planner.end()
    plan = UndoPlan()

    def look() -> bool:
        nonlocal plan
        look_first(loop, "the first delete", planner.on_page)
        plan = planner.end()
        return plan.has_surprises

    look_until_settled(loop, look)
    _look_elsewhere(loop, plan)
    if scope.source is not None:
        _ask_source(scope.source, plan)
    return plan


def _look_elsewhere(loop: PushLoop, plan: UndoPlan) -> None:
    """Keep leads that are not listed because they were moved to another client."""
    absent, plan.absent = plan.absent, []
    for one in absent:
        why = why_absent(one, loop.client.find_anywhere, loop.options.client_id)
        if why is None:
            plan.absent.append(one)
        else:
            plan.keep(one, why)


def _ask_source(source: GoneContacts, plan: UndoPlan) -> None:
    """Keep the leads of contacts that HubSpot has again."""
    source.ask([one.contact for one in plan.due])
    due, plan.due = plan.due, []
    for one in due:
        if source.is_back(one.contact):
            plan.keep(one, KeepReason.BACK_AT_HUBSPOT)
        else:
            plan.due.append(one)


def _begin(loop: PushLoop, deletes: LeadDeletes, plan: UndoPlan, progress: UndoCounters) -> None:
    """Store what needs no write, and let the rest be due."""
    conclude(loop.ledger, [*plan.marked, *plan.absent], progress)
    for key, lead_id in plan.promoted.items():
        loop.ledger.undoing.replace_lead(key, lead_id)
    for due in plan.due:
        deletes.delete(due)
