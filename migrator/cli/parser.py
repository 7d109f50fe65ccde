"""Every command, as argparse knows it. It imports nothing that works."""

import argparse
from collections.abc import Sequence

from migrator import __version__
from migrator.cli.options.accounts import AUTH, CLIENTS, PREFLIGHT
from migrator.cli.options.amending import AMEND
from migrator.cli.options.common import Command
from migrator.cli.options.forgetting import FORGET
from migrator.cli.options.journey import PUSH, RETRY, STAGE, VERIFY
from migrator.cli.options.looking import AUDIT, PLAN, REPORT, SHOW
from migrator.cli.options.mapping import MAPPING
from migrator.cli.options.playing import DEMO, SANDBOX

# In the order of a journey.
COMMANDS: Sequence[Command] = (
    DEMO,
    AUTH,
    CLIENTS,
    PREFLIGHT,
    MAPPING,
    STAGE,
    PLAN,
    PUSH,
    VERIFY,
    REPORT,
    SHOW,
    AUDIT,
    RETRY,
    AMEND,
    FORGET,
    SANDBOX,
)

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
  LEADGENIUS_CLIENT_ID     the client that the leads go to; goes before `clients --use`
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
    for one in COMMANDS:
        command = commands.add_parser(
            one.name,
            help=one.summary,
            description=one.summary[0].upper() + one.summary[1:] + ".",
            epilog="examples:\n" + "\n".join(f"  {example}" for example in one.examples),
        )
        one.add_options(command)
        _add_common(command)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("-v", "--verbose", action="store_true", help="tell of every request")
    loudness.add_argument("-q", "--quiet", action="store_true", help="tell of nothing but errors")
