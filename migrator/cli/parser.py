"""Every command and option, as argparse knows them. It imports nothing that works."""

import argparse
from collections.abc import Callable, Sequence

from migrator import __version__
from migrator.states import Hold

DESCRIPTION = "Moves every HubSpot contact into LeadGenius, once, and can prove it."
EPILOG = """\
A contact is extracted -> mapped -> posted -> verified, and every step is in one SQLite file.
Stop it anywhere; `migrator push --resume` asks LeadGenius before it sends anything again.

environment (also from a .env file in the working directory):
  HUBSPOT_ACCESS_TOKEN     a private app's token or a Service Key
  HUBSPOT_BASE_URL         default https://api.hubapi.com
  HUBSPOT_API_VERSION      default v3; or a date, such as 2026-03
  HUBSPOT_PORTAL_ID        only for tokens that may not read the account
  LEADGENIUS_EMAIL         with LEADGENIUS_PASSWORD: the login
  LEADGENIUS_PASSWORD
  LEADGENIUS_BASE_URL      default https://last.leadgenius.app, without /api
  LEADGENIUS_CLIENT_ID     the client that the leads go to
  LEADGENIUS_AUTH_FILE     default ~/.leadgenius_auth.json
  LGP_API_KEY, LGP_USER_ID an API key instead of a login
  MIGRATOR_LEDGER          default migrator.db
"""


class _Parser(argparse.ArgumentParser):
    """Abbreviations off: a prefix that is unique today may mean something else tomorrow."""

    def __init__(self, **options: object) -> None:
        super().__init__(
            **options,  # type: ignore[arg-type]
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = _Parser(prog="migrator", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("--version", action="version", version=f"migrator {__version__}")
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=_Parser
    )
    for name, summary, examples, add_options in COMMANDS:
        command = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog="examples:\n" + "\n".join(f"  {example}" for example in examples),
        )
        add_options(command)
        _add_common(command)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("-v", "--verbose", action="store_true", help="tell of every request")
    loudness.add_argument("-q", "--quiet", action="store_true", help="tell of nothing but errors")


def _add_ledger(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ledger", metavar="PATH", help="the ledger (MIGRATOR_LEDGER; default migrator.db)"
    )


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _add_client(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--client-id",
        metavar="SLUG",
        help="the client that the leads go to (LEADGENIUS_CLIENT_ID; remembered by the ledger)",
    )


def _add_settle(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--settle",
        metavar="S",
        type=_positive_float,
        default=60.0,
        help="seconds after which LeadGenius has finished, and shows, whatever it was sent "
        "(default 60)",
    )


def _add_timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        metavar="S",
        type=_positive_float,
        default=30.0,
        help="seconds to wait for an answer (default 30)",
    )


def _stage(parser: argparse.ArgumentParser) -> None:
    _add_ledger(parser)
    _add_json(parser)


def _push(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--resume", action="store_true", help="go on after a push that did not end by itself"
    )
    parser.add_argument(
        "--limit", metavar="N", type=_positive, help="send at most so many contacts"
    )
    parser.add_argument(
        "--rate",
        metavar="auto|max|N",
        type=_rate,
        default="auto",
        help="leads a minute: what the service allows, as fast as it answers, or a number "
        "(default auto)",
    )
    parser.add_argument(
        "--workers", metavar="N", type=_positive, default=8, help="threads that send (default 8)"
    )
    _add_timeout(parser)
    _add_settle(parser)
    parser.add_argument(
        "--canary",
        metavar="N",
        type=_not_negative,
        default=5,
        help="in a first push send so many and read them back before the rest "
        "(default 5; 0 = none)",
    )
    parser.add_argument(
        "--max-in-doubt",
        metavar="N",
        type=_positive,
        default=50,
        help="send nothing new while so many are in doubt or in flight (default 50)",
    )
    _add_client(parser)
    _add_ledger(parser)
    _add_json(parser)


def _verify(parser: argparse.ArgumentParser) -> None:
    _add_timeout(parser)
    _add_settle(parser)
    _add_client(parser)
    _add_ledger(parser)
    _add_json(parser)


def _report(parser: argparse.ArgumentParser) -> None:
    _add_ledger(parser)
    _add_json(parser)


def _audit(parser: argparse.ArgumentParser) -> None:
    _add_timeout(parser)
    _add_settle(parser)
    _add_ledger(parser)


def _retry(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "contacts", metavar="CONTACT", nargs="*", help="HubSpot ids; default: all with that reason"
    )
    parser.add_argument(
        "--reason",
        choices=[hold.value for hold in Hold],
        help="only contacts that are held for this reason",
    )
    _add_ledger(parser)


def _forget(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--yes", action="store_true", help="do not ask; wanted where there is no terminal"
    )
    _add_ledger(parser)


def _auth(parser: argparse.ArgumentParser) -> None:
    _add_timeout(parser)


def _clients(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--create", metavar="NAME", help="create a client with this name")
    parser.add_argument("--description", metavar="TEXT", help="of the client to create")
    _add_json(parser)


def _sandbox(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=_not_negative, default=0, help="default: any free one")
    _add_portal(parser, contacts=1000)
    parser.add_argument(
        "--misfortune",
        metavar="NAME=SHARE",
        type=_misfortune,
        action="append",
        default=[],
        help="let so large a share of the sends go wrong so, e.g. drop_after_saving=0.05; "
        "can be given several times; `list` names them all",
    )
    parser.add_argument(
        "--rate-limit", metavar="N", type=_positive, help="requests a minute at LeadGenius"
    )
    parser.add_argument(
        "--latency", metavar="S", type=_positive_float, default=0.0, help="seconds an answer takes"
    )
    parser.add_argument(
        "--read-lag",
        metavar="S",
        type=_positive_float,
        default=0.0,
        help="seconds until a new lead is listed",
    )
    parser.add_argument(
        "--token-seconds",
        metavar="S",
        type=_positive_float,
        default=3600.0,
        help="life of an access token (default 3600)",
    )


def _demo(parser: argparse.ArgumentParser) -> None:
    _add_portal(parser, contacts=400)


def _add_portal(parser: argparse.ArgumentParser, contacts: int) -> None:
    parser.add_argument(
        "--contacts",
        metavar="N",
        type=_positive,
        default=contacts,
        help=f"contacts in the portal (default {contacts})",
    )
    parser.add_argument(
        "--seed", metavar="N", type=_not_negative, default=1, help="another seed, other contacts"
    )


Command = tuple[str, str, Sequence[str], Callable[[argparse.ArgumentParser], None]]

COMMANDS: Sequence[Command] = (
    (
        "demo",
        "watch a whole migration on the built-in sandbox, killed in the middle and resumed",
        ["migrator demo", "migrator demo --contacts 1000"],
        _demo,
    ),
    (
        "auth",
        "log in to LeadGenius and keep the token in the credentials file",
        ["migrator auth", "LEADGENIUS_EMAIL=… LEADGENIUS_PASSWORD=… migrator auth"],
        _auth,
    ),
    (
        "clients",
        "list LeadGenius's clients with the client_id to use, or create one",
        ["migrator clients", 'migrator clients --create "Historic Contacts"'],
        _clients,
    ),
    (
        "stage",
        "extract all contacts from HubSpot into the ledger and map them to leads",
        ["migrator stage", "migrator stage --ledger acme.db"],
        _stage,
    ),
    (
        "push",
        "send every mapped contact to LeadGenius, at most once",
        [
            "migrator push --client-id historic-contacts --limit 5",
            "migrator push --resume",
            "migrator push --rate max --workers 16",
        ],
        _push,
    ),
    (
        "verify",
        "compare every posted contact with what LeadGenius shows",
        ["migrator verify"],
        _verify,
    ),
    (
        "report",
        "show where every contact stands, from the ledger alone",
        ["migrator report", "migrator report --json | jq .states"],
        _report,
    ),
    (
        "audit",
        "prove from the ledger and a fresh listing that the promise was kept, as JSON Lines",
        ["migrator audit > proof.jsonl", "migrator audit | jq 'select(.kind == \"fault\")'"],
        _audit,
    ),
    (
        "retry",
        "free contacts that wait for a person",
        ["migrator retry --reason refused", "migrator retry 10251 10252"],
        _retry,
    ),
    (
        "forget",
        "remove the people from a finished ledger for good; ids, hashes and states stay",
        ["migrator forget", "migrator forget --ledger acme.db --yes"],
        _forget,
    ),
    (
        "sandbox",
        "run a stand-in of both services on this machine, with misfortunes if you like",
        [
            "migrator sandbox --port 8080 --contacts 5000",
            "migrator sandbox --misfortune drop_after_saving=0.05",
        ],
        _sandbox,
    ),
)


def _positive(text: str) -> int:
    if (number := _not_negative(text)) > 0:
        return number
    raise argparse.ArgumentTypeError(f"{text!r} is not above 0")


def _not_negative(text: str) -> int:
    if text.isdecimal() and text.isascii():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no whole number")


def _positive_float(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if 0 < number < 1e9:
        return number
    raise argparse.ArgumentTypeError(f"{text!r} is not above 0")


def _rate(text: str) -> str | float:
    return text if text in ("auto", "max") else _positive_float(text)


def _misfortune(text: str) -> tuple[str, float]:
    name, _, share = text.partition("=")
    if name == "list" and not share:
        return name, 0.0
    return name, _positive_float(share)
