"""What the leads that are ready to send look like. Nothing that is found here is a failure."""

from collections.abc import Iterator
from pathlib import Path

from migrator.lead_profile import LeadProfile, profile_lines, read_profile
from migrator.ledger import Ledger
from migrator.preflight.checklist import READY_TO_SEND, Check, Checklist, PreflightState
from migrator.text import one_line


def ready_checks(checklist: Checklist, path: Path, facts: PreflightState) -> Iterator[Check]:
    """Profile the staged leads; without any, there is no check."""
    if facts.ledger is None or not facts.ledger.to_send:
        return

    def filled() -> str:
        with Ledger.open_read_only(path) as ledger:
            facts.profile = read_profile(ledger, facts.rules)
        return _filled(facts.profile)

    yield checklist.attempt(READY_TO_SEND, "fields filled", filled)
    if (profile := facts.profile) is None:
        return
    yield checklist.attempt(READY_TO_SEND, "longest values", lambda: _longest(profile))
    for name, words in profile_lines(profile):
        yield Check(READY_TO_SEND, name, True, words)


def _filled(profile: LeadProfile) -> str:
    rates = (f"{one_line(name)} {profile.fill_rate(name)}" for name in profile.fields)
    return f"of {profile.contacts:,} leads: {', '.join(rates)}"


def _longest(profile: LeadProfile) -> str:
    return ", ".join(
        f"{one_line(name)} {one.longest:,} (contact {one_line(one.longest_contact)})"
        for name, one in profile.fields.items()
        if one.longest_contact is not None
    )
