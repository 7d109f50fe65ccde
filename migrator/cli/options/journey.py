"""Options of the verbs that move contacts on."""

import argparse

from migrator.cli.arguments import (
    Command,
    add_client,
    add_json,
    add_json_lines,
    add_ledger,
    add_retry_for,
    add_settle,
    add_timeout,
    per_minute,
    whole,
)
from migrator.states import Hold


def _stage(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mapping",
        metavar="FILE",
        help="put this mapping in force: the ledger remembers it, and what is not posted is "
        "mapped anew (default: the one in force; `migrator mapping` prints it)",
    )
    add_timeout(parser)
    add_retry_for(parser)
    add_ledger(parser)
    add_json_lines(parser)


def _push(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--resume", action="store_true", help="go on after a push that did not end by itself"
    )
    parser.add_argument(
        "--limit", metavar="N", type=whole(1, 1_000_000_000), help="send at most so many contacts"
    )
    parser.add_argument(
        "--rate",
        metavar="auto|max|N",
        type=_rate,
        default="auto",
        help="leads a minute: what the service allows, as fast as it answers, or a number "
        "(default auto: it is found out, and remembered for the next push)",
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        type=whole(1, 256),
        default=8,
        help="threads that send (default 8)",
    )
    add_timeout(parser)
    add_settle(parser)
    add_retry_for(parser)
    parser.add_argument(
        "--canary",
        metavar="N",
        type=whole(0, 1_000),
        default=5,
        help="in a first push create so many leads and read them back before the rest "
        "(default 5; 0 = none)",
    )
    parser.add_argument(
        "--max-in-doubt",
        metavar="N",
        type=whole(1, 10_000),
        default=50,
        help="send nothing new while so many are in doubt or in flight (default 50)",
    )
    add_client(parser)
    add_ledger(parser)
    add_json_lines(parser)


def _verify(parser: argparse.ArgumentParser) -> None:
    add_timeout(parser)
    add_settle(parser)
    add_retry_for(parser)
    add_client(parser)
    add_ledger(parser)
    add_json_lines(parser)


def _retry(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "contacts",
        metavar="CONTACT",
        nargs="*",
        help="HubSpot ids or e-mails; default: all with that reason",
    )
    reason = parser.add_mutually_exclusive_group()
    reason.add_argument(
        "--reason",
        choices=[hold.value for hold in Hold],
        help="only contacts that are held for this reason",
    )
    reason.add_argument(
        "--missing",
        dest="reason",
        action="store_const",
        const=Hold.MISSING.value,
        help="the same as --reason missing: posted, but LeadGenius does not list it",
    )
    parser.add_argument(
        "--recreate",
        action="store_true",
        help="also free missing contacts that were verified once: their leads were deleted at "
        "LeadGenius since, and the next push creates new ones",
    )
    add_ledger(parser)
    add_json(parser)


def _rate(text: str) -> str | float:
    if text in ("auto", "max"):
        return text
    try:
        return per_minute(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, and neither auto nor max") from None


STAGE = Command(
    "stage",
    "extract all contacts from HubSpot into the ledger and map them to leads",
    ["migrator stage", "migrator stage --mapping mine.toml", "migrator stage --ledger acme.db"],
    _stage,
    about="It only reads from HubSpot, sends nothing, and can be repeated whenever you like: it "
    "brings what is new or changed, and never touches what was posted.",
)
PUSH = Command(
    "push",
    "send every mapped contact to LeadGenius, at most once",
    [
        "migrator push --client-id historic-contacts --limit 5",
        "migrator push --resume",
        "migrator push --rate max --workers 16",
    ],
    _push,
    about="The first push into a client sends a few, reads them back, and goes on only if they are "
    "to be seen. Stop it as you like; after that, only --resume goes on, and looks before it "
    "sends.",
)
VERIFY = Command(
    "verify",
    "compare every posted contact with what LeadGenius shows",
    ["migrator verify"],
    _verify,
    about="It lists the client completely, and compares every field that was sent and that the "
    "listing shows. What is missing, different or doubled, and a lead of a contact that has none "
    "in the ledger, is left for you, with exit code 1. What people edited since is only counted.",
)
RETRY = Command(
    "retry",
    "free contacts that wait for a person, so that they go on",
    [
        "migrator retry --reason refused",
        "migrator retry 10251 ada@example.com",
        "migrator retry --missing",
        "migrator retry 10251 --recreate",
    ],
    _retry,
    about="It sends nothing; the next `migrator push` does. `migrator report` says who waits, and "
    "why.",
)
