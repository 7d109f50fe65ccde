"""What a push would do, shown before it does: the ledger is only read, and nothing is sent."""

import argparse
import sys
from contextlib import suppress

from migrator.cli.session import settings_of
from migrator.config import Settings
from migrator.errors import ExitCode, NotReady, StoppedEarly
from migrator.ledger import Ledger
from migrator.progress import Display, tell
from migrator.report.plan import (
    DestinationScan,
    Sample,
    as_json,
    check_staged,
    gather,
    of_contact,
    render,
    sample_json,
)
from migrator.text import json_text, one_line, readable_json


def plan(args: argparse.Namespace, display: Display) -> int:
    """Show what a push would do, or the payload of one contact."""
    settings = settings_of(args)
    with Ledger.open_read_only(settings.ledger) as ledger:
        check_staged(ledger)
        ledger.runs.check(client_id=settings.client_id)
        bound = ledger.runs.binding().client_id
        client_id = settings.client_id or bound or ledger.runs.chosen_client()
        if args.contact is not None:
            return _show_contact(args, of_contact(ledger, client_id, args.contact))
        look, not_looked = _look(args, display, ledger, client_id)
        plan = gather(
            ledger,
            leadgenius_url=ledger.runs.binding().leadgenius_url or settings.leadgenius_url,
            client_id=client_id,
            look=look,
            not_looked=not_looked,
            per_minute=args.rate,
            samples=args.show,
        )
    if args.json:
        tell(json_text(as_json(plan), indent=2))
        return ExitCode.DONE
    with suppress(BrokenPipeError):
        render(plan)
    for sample in plan.samples:
        _show_payload(sample)
    return ExitCode.DONE


def _show_contact(args: argparse.Namespace, samples: list[Sample]) -> int:
    if args.json:
        tell(json_text({"contacts": [sample_json(one) for one in samples]}, indent=2))
        return ExitCode.DONE
    for sample in samples:
        if sample.why_not is not None:
            tell(one_line(f"contact {sample.hubspot_id} would not be sent: {sample.why_not}"))
        _show_payload(sample)
    return ExitCode.DONE


def _show_payload(sample: Sample) -> None:
    if sample.payload is None:
        return
    tell(f"\ncontact {one_line(sample.hubspot_id)}")
    is_utf = "utf" in (sys.stdout.encoding or "").lower()
    tell(readable_json(sample.payload) if is_utf else json_text(sample.payload, indent=2))


# The destination


def _look(
    args: argparse.Namespace, display: Display, ledger: Ledger, client_id: str | None
) -> tuple[DestinationScan | None, str | None]:
    """What a listing of the client shows; or why there is none."""
    if args.offline:
        return None, "left out, as asked (--offline)"
    if client_id is None:
        return None, "no client is chosen; name one with --client-id"
    if ledger.runs.is_listed():
        return None, "an earlier push looked there, and nothing was mapped since"
    try:
        settings = settings_of(args, ["leadgenius"])
        ledger.runs.check(leadgenius_url=settings.leadgenius_url)
        display.say(f"looking through the client {client_id} at LeadGenius")
        return _listing(args, ledger, settings, client_id), None
    except (NotReady, StoppedEarly) as error:
        return None, f"{error.message} Next: {error.hint}"


def _listing(
    args: argparse.Namespace, ledger: Ledger, settings: Settings, client_id: str
) -> DestinationScan:
    # Only now: with --offline nobody should wait for what speaks to a service.
    from migrator import preflight
    from migrator.doubts import identity_of

    portal_id = ledger.runs.binding().portal_id or ""
    leadgenius, _ = preflight.open_leadgenius(settings, timeout_seconds=args.timeout)
    leadgenius.check_client(client_id)
    look = DestinationScan()
    for page in leadgenius.lead_pages(client_id):
        look.take(ledger, [identity_of(lead, portal_id) for lead in page.leads])
    return look
