"""Options of the commands that need no account."""

import argparse

from migrator.cli.arguments import Command, decimal, whole


def _demo(parser: argparse.ArgumentParser) -> None:
    _add_portal(parser, contacts=400)


def _sandbox(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=whole(0, 65_535), default=0, help="default: any free one")
    _add_portal(parser, contacts=1000)
    parser.add_argument(
        "--fault",
        metavar="NAME=SHARE",
        type=_fault,
        action="append",
        default=[],
        help="let so large a share of the sends go wrong so, e.g. drop_after_saving=0.05; "
        "can be given several times; `list` names them all",
    )
    parser.add_argument(
        "--quirk",
        metavar="NAME",
        action="append",
        default=[],
        help="behave as another deployment of LeadGenius, e.g. marked_deletes; can be given "
        "several times; `list` explains them all",
    )
    parser.add_argument(
        "--rate-limit",
        metavar="N",
        type=whole(1, 1_000_000),
        help="requests a minute at LeadGenius",
    )
    parser.add_argument(
        "--latency",
        metavar="S",
        type=decimal(0, 3_600),
        default=0.0,
        help="seconds an answer takes",
    )
    parser.add_argument(
        "--read-lag",
        metavar="S",
        type=decimal(0, 86_400),
        default=0.0,
        help="seconds until a new lead is listed",
    )
    parser.add_argument(
        "--token-seconds",
        metavar="S",
        type=decimal(0.001, 100_000_000),
        default=3600.0,
        help="life of an access token (default 3600)",
    )


def _add_portal(parser: argparse.ArgumentParser, contacts: int) -> None:
    parser.add_argument(
        "--contacts",
        metavar="N",
        type=whole(1, 10_000_000),
        default=contacts,
        help=f"contacts in the portal (default {contacts})",
    )
    parser.add_argument(
        "--seed", metavar="N", type=whole(0, 10**18), default=1, help="another seed, other contacts"
    )


def _fault(text: str) -> tuple[str, float]:
    name, equals, share = text.partition("=")
    if name == "list" and not share:
        return name, 0.0
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} has no share, such as {text}=0.05")
    return name, decimal(0.0001, 1)(share)


DEMO = Command(
    "demo",
    "watch a whole migration on the built-in sandbox, killed in the middle and resumed",
    ["migrator demo", "migrator demo --contacts 1000"],
    _demo,
    about="No account is needed, nothing leaves this machine, and it takes about half a minute.",
)
SANDBOX = Command(
    "sandbox",
    "run a stand-in of both services on this machine, with faults if you like",
    [
        "migrator sandbox --port 8080 --contacts 5000",
        "migrator sandbox --fault drop_after_saving=0.05",
        "migrator sandbox --quirk marked_deletes --quirk short_listing",
    ],
    _sandbox,
    about="It prints the environment to work with it from another terminal, and runs until Ctrl-C. "
    "What it holds is gone when it ends.",
)
