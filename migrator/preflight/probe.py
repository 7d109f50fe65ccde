"""What a probe found out about LeadGenius, as far as it bears on the migration, and its age."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

from migrator.config import Settings
from migrator.errors import NotReady
from migrator.findings import ProbeRecord
from migrator.ledger import Ledger
from migrator.preflight.checklist import (
    LEADGENIUS,
    Check,
    Checklist,
    Hinted,
    PreflightState,
    Warned,
)
from migrator.probe_records import newest_probe
from migrator.text import count_noun, duration

OLDEST_DAYS = 90


def probe_checks(
    checklist: Checklist, settings: Settings, facts: PreflightState
) -> Iterator[Check]:
    """Name the newest probe of this LeadGenius; that there is none is no failure."""
    yield checklist.attempt(LEADGENIUS, "probe", lambda: _found(settings, facts))


def _found(settings: Settings, facts: PreflightState) -> str:
    with ExitStack() as opened:
        ledger = None
        if facts.ledger is not None:
            ledger = opened.enter_context(Ledger.open_read_only(settings.ledger))
        probe = newest_probe(settings.state_folder, settings.leadgenius_url, ledger)
        if probe is None:
            words = "never made: LeadGenius is taken to be as the guide says"
            if facts.ledger is not None and facts.ledger.is_forgotten:
                return words  # it sends nothing any more
            raise Hinted(words, "migrator probe")
        limit = probe.findings.notes_limit
        cut = 0 if ledger is None else ledger.counts.with_longer_notes(limit)
    portal_id = "0" if facts.account is None else facts.account.portal_id
    if probe.findings.cuts_off_record_line(facts.rules.opening, portal_id):
        raise NotReady(*probe.findings.no_record_line())
    days = max(0, int(time.time() - probe.probed_ms / 1000) // 86_400)
    found = f"{count_noun(days, 'day')} old, of {probe.words}"
    found = "\n".join([found, *_effects(probe, facts, cut)])
    if days > OLDEST_DAYS:
        raise Warned(found, "migrator probe")
    return found


def _effects(probe: ProbeRecord, facts: PreflightState, cut: int) -> Iterator[str]:
    if cut:
        yield f"{count_noun(cut, 'mapped contact')} with notes that will be cut"
    per_minute, contacts = probe.findings.rate_limit, facts.contact_count
    if per_minute and contacts:
        lasts = duration(60 * contacts / per_minute)
        yield f"{count_noun(contacts, 'lead')} take {lasts} or more at that rate"
