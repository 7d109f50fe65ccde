"""`migrator plan`: what a push would do. The ledger is only read, and nothing is sent."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from migrator.cli.arguments import (
    Command,
    add_client,
    add_json,
    add_ledger,
    add_timeout,
    per_minute,
    whole,
)
from migrator.cli.session import read_ledger, settings_of
from migrator.errors import ExitCode, NotReady, StoppedEarly
from migrator.text import json_text, one_line, readable_json

if TYPE_CHECKING:
    from migrator.config import Settings
    from migrator.ledger import Ledger
    from migrator.progress import Display
    from migrator.report.destination_scan import DestinationScan
    from migrator.report.payloads import Sample


def _add_options(parser: argparse.ArgumentParser) -> None:
    from migrator.rate_limit import SAFE_PER_MINUTE

    parser.add_argument(
        "contact",
        metavar="CONTACT",
        nargs="?",
        help="a HubSpot id or e-mail: only the payload of this one, or why it is not sent",
    )
    parser.add_argument(
        "--show", metavar="N", type=whole(1, 1_000_000), default=0, help="add the first N payloads"
    )
    parser.add_argument(
        "--rate",
        metavar="N",
        type=per_minute,
        help="leads a minute to assume (default: the limit that an earlier push found, else "
        f"{SAFE_PER_MINUTE:g})",
    )
    parser.add_argument(
        "--offline", action="store_true", help="do not look at what LeadGenius has already"
    )
    add_timeout(parser)
    add_client(parser)
    add_ledger(parser)
    add_json(parser)


def plan(args: argparse.Namespace, display: Display) -> int:
    """Show what a push would do, or the payload of one contact."""
    from migrator.probe_records import newest_probe
    from migrator.report import next_step
    from migrator.report.payloads import of_contact
    from migrator.report.plan import as_json, check_staged, read
    from migrator.report.plan_page import render
    from migrator.streams import tell

    settings = settings_of(args)
    with read_ledger(settings.ledger) as ledger:
        check_staged(ledger)
        ledger.runs.check(client_id=settings.client_id)
        bound = ledger.runs.binding().client_id
        client_id = settings.client_id or bound or ledger.runs.chosen_client()
        if args.contact is not None:
            return _show_contact(args, of_contact(ledger, client_id, args.contact))
        look, not_looked = _look(args, display, ledger, client_id)
        url = ledger.runs.binding().leadgenius_url or settings.leadgenius_url
        plan = read(
            ledger,
            leadgenius_url=url,
            client_id=client_id,
            look=look,
            not_looked=not_looked,
            per_minute=args.rate,
            samples=args.show,
            probe=newest_probe(settings.state_folder, url, ledger),
        )
    if args.json:
        tell(json_text(as_json(plan), indent=2))
        return ExitCode.DONE
    command, why = next_step(plan.report)
    render(plan, following=(display.following(command), why))
    for sample in plan.samples:
        _show_payload(sample)
    return ExitCode.DONE


def _show_contact(args: argparse.Namespace, samples: list[Sample]) -> int:
    from migrator.report.payloads import sample_json
    from migrator.streams import tell

    if args.json:
        tell(json_text({"contacts": [sample_json(one) for one in samples]}, indent=2))
        return ExitCode.DONE
    for sample in samples:
        if sample.why_not is not None:
            tell(one_line(f"contact {sample.hubspot_id} would not be sent: {sample.why_not}"))
        _show_payload(sample)
    return ExitCode.DONE


def _show_payload(sample: Sample) -> None:
    from migrator.streams import tell

    if sample.payload is None:
        return
    tell(f"\ncontact {one_line(sample.hubspot_id)}")
    is_utf = "utf" in (sys.stdout.encoding or "").lower()
    tell(readable_json(sample.payload) if is_utf else json_text(sample.payload, indent=2))


# What LeadGenius has already


def _look(
    args: argparse.Namespace, display: Display, ledger: Ledger, client_id: str | None
) -> tuple[DestinationScan | None, str | None]:
    """What the client's leads show, or why they were not listed."""
    if args.offline:
        return None, "left out, as asked (--offline)"
    if client_id is None:
        return None, "no client is chosen; `migrator clients` lists them"
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
    from migrator import connections
    from migrator.doubts import identity_of
    from migrator.report.destination_scan import DestinationScan

    portal_id = ledger.runs.binding().portal_id or ""
    leadgenius, _ = connections.open_leadgenius(settings, timeout_seconds=args.timeout)
    leadgenius.check_client(client_id)
    look = DestinationScan()
    for page in leadgenius.lead_pages(client_id):
        look.take(ledger, [identity_of(lead, portal_id) for lead in page.leads])
    return look


COMMAND = Command(
    "plan",
    "show what a push would do, without changing anything",
    ["migrator plan", "migrator plan --offline --show 3", "migrator plan ada@example.com"],
    _add_options,
    plan,
)
