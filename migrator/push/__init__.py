"""
The push command: sends every mapped contact to LeadGenius, at most once.

It scans the client before the first post, sends a canary and reads it back, then sends the rest and
settles every doubt. `loop` explains how contacts are claimed, sent and settled.
"""

import time
from collections.abc import Mapping
from contextlib import suppress

from migrator.counters import PushCounters
from migrator.errors import Declined, Interrupted, StoppedEarly
from migrator.http import OutageBudget, backoff_seconds
from migrator.journey.sender import Sender
from migrator.leadgenius import LeadGenius
from migrator.ledger import Ledger
from migrator.push.destination import StopSignal
from migrator.push.first_look import identities, look_first
from migrator.push.loop import PushLoop
from migrator.push.progress import Notice, ProgressRecorder, PushOptions
from migrator.push.writes import Creates
from migrator.rate_limit import RateLimiter

# Skip the final client check if it would wait longer than this.
LONGEST_WAIT_AT_THE_END_SECONDS = 3.0

__all__ = ["PushOptions", "push"]


def push(
    ledger: Ledger,
    leadgenius: LeadGenius,
    limiter: RateLimiter,
    options: PushOptions,
    *,
    run_id: int,
    signals: StopSignal,
    notice: Notice = lambda progress: None,
    outage: OutageBudget | None = None,
    sender: Sender,
) -> PushCounters:
    """
    Send every contact that is free to be sent, and settle every doubt.

    Args:
        sender: The right to send for this journey.
        outage: The budget that `leadgenius` uses; `None` = do not wait for a service that is away.

    Returns:
        The final counters.

    Raises:
        StoppedEarly: the service is down, or does not list the leads that it created. Resumable.
        NotReady: the login is rejected, every lead of the account is refused (both resumable), or
            the client no longer exists.
        SenderBusy: another sender is at work. Resumable.
        Interrupted: the user stopped it; everything in flight was awaited. Resumable.
    """
    outage = outage or OutageBudget()
    progress = PushCounters()
    recorder = ProgressRecorder(
        ledger, run_id, progress, ledger.counts.to_send, notice, options.limit
    )
    writes = Creates(ledger, leadgenius, options.client_id)
    loop = PushLoop(ledger, leadgenius, writes, recorder, limiter, options, signals, outage, sender)
    try:
        if _has_work(ledger):
            _look_before_the_first_post(loop, progress)
            _send_canary(loop)
            loop.run(options.limit)
            _check_client_at_the_end(loop)
            loop.refuse_to_end_in_doubt()
    finally:
        loop.close()
    return progress


def _has_work(ledger: Ledger) -> bool:
    """Whether anything is left to send, is in doubt, or was found unclaimed by `verify`."""
    counts = ledger.counts
    return counts.to_send() + counts.in_doubt() + ledger.runs.unclaimed() > 0


def _check_client_at_the_end(loop: PushLoop) -> None:
    """
    Check that the client still exists, and look for foreign leads where that is cheap.

    Any other failure is ignored; `verify` would see it.
    """
    loop.outage.end()
    is_near = loop.limiter.wait_seconds(time.monotonic()) < LONGEST_WAIT_AT_THE_END_SECONDS
    if loop.recorder.done and is_near:
        loop.recorder.say("a check that the client still exists")
        with suppress(StoppedEarly, Interrupted, Declined):
            loop.client.check(is_patient=False, most_tries=1)
            if loop.looks.is_cheap(loop.client.listing_pages):
                for page in loop.client.pages():
                    loop.check_foreign(identities(page, loop.options.portal_id)[0])


def _look_before_the_first_post(loop: PushLoop, progress: PushCounters) -> None:
    """List the client if anything may be sent, and adopt what is there (I5)."""
    ledger = loop.ledger
    if ledger.counts.to_send() or ledger.runs.unclaimed() or loop.sender.owes_looks:
        progress.adopted += look_first(loop, "the first send")


def _send_canary(loop: PushLoop) -> None:
    """Send a few leads, and continue only if they show up under the client_id (bugs 1 and 2)."""
    runs, options = loop.ledger.runs, loop.options
    if options.canary == 0 or runs.is_canary_passed():
        return
    wanted = options.canary if options.limit is None else min(options.canary, options.limit)
    missing = wanted - len(loop.ledger.attempts.canary_leads(wanted))
    if missing > 0:
        loop.run(options.limit, missing)
    if sent := loop.ledger.attempts.canary_leads(options.canary):
        _read_back(loop, sent)
        runs.set_canary_passed()


def _read_back(loop: PushLoop, sent: Mapping[str, str]) -> None:
    """Wait until these leads (lead id -> HubSpot id) show up; reads may lag behind writes."""
    loop.recorder.say("the first leads to show up")
    until = time.monotonic() + loop.options.settle_seconds
    tries, began_at = 0, time.monotonic()
    while not _are_seen(loop, sent):
        tries += 1
        # A listing may take long; only one that began after `settle` must show them.
        if began_at >= until:
            raise StoppedEarly(
                f"LeadGenius answered that it created {len(sent)} leads, but they do not show up "
                f"under the client_id {loop.options.client_id}. Nothing more was sent.",
                "migrator clients, to check the client_id; then migrator push --resume",
            )
        loop.signals.pause(backoff_seconds(tries, longest=5.0))
        began_at = time.monotonic()


def _are_seen(loop: PushLoop, sent: Mapping[str, str]) -> bool:
    unseen = set(sent.values())
    for page in loop.client.pages():
        leads, odd = identities(page, loop.options.portal_id)
        loop.check_foreign(leads)
        for identity in leads + odd:
            if not identity.is_removed:
                unseen -= identity.hubspot_ids | {sent.get(identity.lead_id, "")}
        if not unseen:
            return True
    return False
