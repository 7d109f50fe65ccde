"""`migrator sandbox`: run a stand-in of both services on this machine."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from migrator.cli.arguments import Command, add_portal, decimal, whole
from migrator.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from migrator.progress import Display

FAULT_HELP = (
    "make this share of sends fail in this way, e.g. drop_after_saving=0.05 (of updates: "
    "update:drop_after_saving=0.05); can be given several times; `list` names them all"
)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=whole(0, 65_535), default=0, help="default: any free one")
    add_portal(parser, contacts=1000)
    parser.add_argument(
        "--fault",
        metavar="NAME=SHARE",
        type=share,
        action="append",
        default=[],
        help=FAULT_HELP,
    )
    parser.add_argument(
        "--edit",
        metavar="NAME=SHARE",
        type=share,
        action="append",
        default=[],
        help="let a person edit something before this share of requests, e.g. change_lead=0.01; "
        "can be given several times; `list` explains them all",
    )
    parser.add_argument(
        "--quirk",
        metavar="NAME[=VALUE]",
        action="append",
        default=[],
        help="behave as another deployment of LeadGenius, e.g. marked_deletes or page_limit=25; "
        "can be given several times; `list` explains them all",
    )
    parser.add_argument(
        "--rate-limit",
        metavar="N",
        type=whole(1, 1_000_000),
        help="requests a minute at LeadGenius",
    )
    for option, lowest, highest, default, words in (
        ("--latency", 0, 3_600, 0.0, "seconds that an answer takes"),
        ("--read-lag", 0, 86_400, 0.0, "seconds until new, changed and deleted leads are seen so"),
        ("--ghosts", 0, 86_400, None, "the same for deleted leads alone"),
        ("--token-seconds", 0.001, 1e8, 3600.0, "life of an access token (default 3600)"),
    ):
        parser.add_argument(
            option, metavar="S", type=decimal(lowest, highest), default=default, help=words
        )


def share(text: str) -> tuple[str, float]:
    """An argparse type for NAME=SHARE; the name is looked up later."""
    name, equals, share = text.partition("=")
    if name == "list" and not share:
        return name, 0.0
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} has no share, such as {text}=0.05")
    return name, decimal(0.0001, 1)(share)


def sandbox(args: argparse.Namespace, display: Display) -> int:
    """Run the sandbox until it is stopped."""
    from migrator import sandbox as stand_in
    from migrator.streams import tell

    if "list" in dict(args.fault):
        tell("\n".join(sorted(stand_in.FAULTS)))
        return ExitCode.DONE
    if "list" in args.quirk:
        quirks = stand_in.QUIRKS.items()
        tell("\n".join(f"{quirk.form(name):22} {quirk.meaning}" for name, quirk in quirks))
        return ExitCode.DONE
    if "list" in dict(args.edit):
        tell("\n".join(f"{name:16} {meaning}" for name, meaning in stand_in.EDITS.items()))
        return ExitCode.DONE
    try:
        return stand_in.run(
            {
                "port": args.port,
                "contacts": args.contacts,
                "seed": args.seed,
                "faults": dict(args.fault),
                "quirks": args.quirk,
                "edits": dict(args.edit),
                # HubSpot's limit for a Professional account, in ten seconds.
                "hubspot_rate_limit": 190,
                "rate_limit": args.rate_limit,
                "latency_seconds": args.latency,
                "read_lag_seconds": args.read_lag,
                "ghost_seconds": args.ghosts,
                "token_seconds": args.token_seconds,
            },
            sys.stdout,
        )
    except ValueError as error:
        raise UsageError(f"The sandbox cannot start: {error}.", "migrator sandbox --help") from None
    except OSError as error:
        raise UsageError(
            f"The sandbox cannot listen on port {args.port}: {error.strerror}.",
            "leave --port out, and it takes a free one",
        ) from None


COMMAND = Command(
    "sandbox",
    "run simulations of both services on this machine, with faults on request",
    [
        "migrator sandbox --port 8080 --contacts 5000",
        "migrator sandbox --fault drop_after_saving=0.05",
        "migrator sandbox --quirk marked_deletes --quirk short_listing",
        "migrator sandbox --edit change_lead=0.01 --edit append_note=0.01",
    ],
    _add_options,
    sandbox,
    about="It prints the environment to work with it from another terminal, and runs until Ctrl-C. "
    "What it holds is gone when it ends.",
)
