"""
The first updates of a ledger, which are read back before the rest (the contract, section 3).

The first one goes to one lead alone. If fields that it did not name had a value before and are
empty now, this service's PUT replaces the lead: they are put back, and from then on whole leads are
sent. The next few show whether an answered update changes anything at all.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from migrator.comparison import READ_ONLY, UpdateProof, what_a_listing_proves
from migrator.errors import StoppedEarly
from migrator.http import backoff_seconds
from migrator.ledger import Ledger, UpdateTaken
from migrator.mapping import is_removed
from migrator.push.loop import PushLoop
from migrator.update.changes import LeadUpdates

CANARY = 5


def is_trial_open(ledger: Ledger) -> bool:
    """Whether an earlier process sent first updates, and died before it had read them back."""
    return not ledger.updates.is_canary_passed() and bool(ledger.updates.taken(1))


def send_trial(loop: PushLoop, updates: LeadUpdates) -> None:
    """
    Send the first updates of the ledger and read them back, unless that was done.

    Raises:
        StoppedEarly: they changed nothing, or replaced a lead, whose fields were put back.
    """
    ledger, limit = loop.ledger.updates, loop.options.limit
    if ledger.is_canary_passed():
        return
    if ledger.replaces() is None:
        first = _first_judged(loop)
        if first is None:
            return
        if ledger.replaces():
            _put_back(loop, updates, first)
    elif ledger.replaces() and not ledger.is_repeated():
        # An earlier process found out, and died before it had put back what was emptied.
        for first in ledger.taken(1):
            _put_back(loop, updates, first)
    run_id = loop.recorder.run_id
    missing = CANARY - len(ledger.taken(CANARY, since_run=run_id))
    if missing > 0:
        loop.run(limit, missing)
    taken = ledger.taken(CANARY, since_run=run_id) or ledger.taken(CANARY)
    _raise_if_unchanged(_read_back(loop, taken)[1])
    ledger.set_canary_passed()


def _first_judged(loop: PushLoop) -> UpdateTaken | None:
    """
    Find out by the first update, sent alone, whether updates replace leads; `None` = none is left.

    One whose lead is not there any more proves nothing, nor does one of an earlier process whose
    lead lacks nothing: it may have been corrected in LeadGenius. Then the next one is sent alone.
    """
    ledger, run_id = loop.ledger.updates, loop.recorder.run_id
    newest = ledger.taken(1)
    while True:
        for one in newest:
            listed, unchanged = _read_back(loop, [one])
            is_own = bool(ledger.taken(1, since_run=run_id))
            if is_own:
                _raise_if_unchanged(unchanged)
            lead, emptied = listed.get(one.lead_id), _emptied(one, listed)
            if emptied or (is_own and lead is not None and not is_removed(lead)):
                ledger.set_replaces(does=bool(emptied))
                return one
        before, done = newest, loop.recorder.done
        loop.run(loop.options.limit, 1)
        newest = ledger.taken(1)
        if newest == before and loop.recorder.done == done:
            return None


def _put_back(loop: PushLoop, updates: LeadUpdates, first: UpdateTaken) -> None:
    """Restore the fields that the first update emptied, as far as they are still empty."""
    emptied = _emptied(first, _listed(loop, [first]))
    if not emptied:
        return
    updates.restore(first.key, first.lead_id, emptied)
    loop.run(None, 1)
    names = ", ".join(sorted(emptied))
    is_back = loop.ledger.updates.is_repeated()
    raise StoppedEarly(
        "LeadGenius's updates empty the fields that they do not name: the first one emptied "
        f"{names} of the lead {first.lead_id}, which "
        f"{'were put back' if is_back else 'could not be put back yet'}. From now on whole leads "
        "are sent.",
        "look at that lead in LeadGenius; then migrator update",
    )


def _emptied(taken: UpdateTaken, listed: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The fields that an update did not name, that had a value before it and have none now."""
    lead = listed.get(taken.lead_id)
    if lead is None:
        return {}
    return {
        name: value
        for name, value in taken.before.items()
        if name not in READ_ONLY
        and name not in taken.fields
        and value not in (None, "")
        and lead.get(name) in (None, "")
    }


def _read_back(
    loop: PushLoop, taken: Sequence[UpdateTaken]
) -> tuple[dict[str, Mapping[str, Any]], list[UpdateTaken]]:
    """
    Wait until these leads show what was sent; reads may lag behind writes.

    Returns:
        The leads, and the updates whose leads still show the values of before.
    """
    loop.recorder.say("the first updates to show up")
    until = time.monotonic() + loop.options.settle_seconds
    tries = 0
    while True:
        began_at = time.monotonic()
        listed = _listed(loop, taken)
        unchanged = [one for one in taken if _is_unchanged(one, listed.get(one.lead_id))]
        if not unchanged or began_at >= until:
            return listed, unchanged
        tries += 1
        loop.signals.pause(backoff_seconds(tries, longest=5.0))


def _raise_if_unchanged(unchanged: Sequence[UpdateTaken]) -> None:
    if unchanged:
        raise StoppedEarly(
            f"LeadGenius answered that it updated the lead {unchanged[0].lead_id}, but it shows "
            "the values of before. Nothing more was sent.",
            "ask LeadGenius whether this login may change leads; then migrator update",
        )


def _is_unchanged(taken: UpdateTaken, lead: Mapping[str, Any] | None) -> bool:
    if lead is None or is_removed(lead):
        return False
    proof = what_a_listing_proves(taken.fields, taken.before, lead)
    return proof is UpdateProof.NOT_LANDED


def _listed(loop: PushLoop, taken: Sequence[UpdateTaken]) -> dict[str, Mapping[str, Any]]:
    """The leads as a listing shows them now; those that it does not show are left out."""
    wanted = {one.lead_id for one in taken}
    found: dict[str, Mapping[str, Any]] = {}
    for page in loop.client.pages():
        found |= {lead_id: lead for lead in page.leads if (lead_id := str(lead["id"])) in wanted}
        if len(found) == len(wanted):
            break
    return found
