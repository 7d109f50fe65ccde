"""
The second verb: every mapped contact to LeadGenius, at most once.

It looks before the first post, sends a canary and reads it back, then sends the rest. How a single
contact is claimed, sent and settled, `scribe` knows.
"""

import time
from collections.abc import Mapping

from migrator.errors import NotReady, StoppedEarly
from migrator.leadgenius import LeadGenius
from migrator.ledger import Ledger
from migrator.pacing import Pacer, backoff_seconds
from migrator.push.progress import Notice, Options, Progress
from migrator.push.scribe import Interruption, Scribe
from migrator.settle import listed

__all__ = ["Options", "Progress", "push"]


def push(
    ledger: Ledger,
    leadgenius: LeadGenius,
    pacer: Pacer,
    options: Options,
    *,
    run_id: int,
    interruption: Interruption,
    notice: Notice = lambda progress: None,
) -> Progress:
    """
    Send every contact that is free to be sent, and settle every doubt.

    Returns:
        What it did.

    Raises:
        StoppedEarly: the service is down, or shows no leads that it said it created. Resumable.
        NotReady: the credentials are declined. Resumable.
        Interrupted: the user wanted to stop. What was in flight was awaited. Resumable.
    """
    scribe = Scribe(ledger, leadgenius, pacer, options, run_id, interruption, notice)
    try:
        _look_before_the_first_post(scribe)
        _send_canary(scribe)
        scribe.drive(options.limit)
    finally:
        scribe.close()
    return scribe.progress


def _look_before_the_first_post(scribe: Scribe) -> None:
    """Look through the client, unless that was done since contacts were last mapped (I5)."""
    journey = scribe.ledger.journey
    if journey.is_listed():
        return
    scribe.say("looking through the client before the first post")
    _look(scribe)
    if journey.has_adopted():
        # Another ledger sent here; its last sends may still land.
        scribe.say("waiting for what another ledger may have sent last")
        scribe.interruption.pause(scribe.options.settle_seconds)
        _look(scribe)
    journey.set_listed()


def _look(scribe: Scribe) -> None:
    for page in scribe.pages():
        leads = [listed(lead, scribe.options.portal_id) for lead in page.leads]
        scribe.progress.adopted += scribe.ledger.listing.adopt(leads)


def _send_canary(scribe: Scribe) -> None:
    """Send a few, and go on only when they are seen under the client_id (guide, bugs 1 and 2)."""
    journey, options = scribe.ledger.journey, scribe.options
    if options.canary == 0 or journey.is_canary_passed():
        return
    wanted = options.canary if options.limit is None else min(options.canary, options.limit)
    missing = wanted - len(scribe.ledger.attempts.read_back(wanted))
    if missing > 0:
        scribe.drive(missing)
    sent = scribe.ledger.attempts.read_back(options.canary)
    if sent:
        _read_back(scribe, sent)
        journey.set_canary_passed()
    elif scribe.progress.left_for_a_person:
        raise NotReady(
            "LeadGenius took none of the first leads; nothing more was sent.",
            "migrator report, to see its answers",
        )


def _read_back(scribe: Scribe, sent: Mapping[str, str]) -> None:
    """Wait until these leads (lead id -> HubSpot's id) are seen; reads may lag behind writes."""
    scribe.say("reading the first leads back")
    until = time.monotonic() + scribe.options.settle_seconds
    tries, began_at = 0, time.monotonic()
    while not _are_seen(scribe, sent):
        tries += 1
        if began_at >= until:
            raise StoppedEarly(
                f"LeadGenius said that it created {len(sent)} leads, but they are not to be seen "
                f"under the client_id {scribe.options.client_id}. Nothing more was sent.",
                "migrator clients, to check the client_id; then migrator push --resume",
            )
        scribe.interruption.pause(backoff_seconds(tries, longest=5.0))
        # A look may take longer than `settle`; only one that began after it proves an absence.
        began_at = time.monotonic()


def _are_seen(scribe: Scribe, sent: Mapping[str, str]) -> bool:
    unseen = set(sent.values())
    for page in scribe.pages():
        for lead in page.leads:
            identity = listed(lead, scribe.options.portal_id)
            unseen -= identity.hubspot_ids | {sent.get(identity.lead_id, "")}
        if not unseen:
            return True
    return False
