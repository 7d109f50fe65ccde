"""Options of the commands about logins, clients, and whether all is ready."""

import argparse

from migrator.cli.arguments import Command, add_client, add_json, add_ledger, add_timeout


def _auth(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--email", metavar="ADDRESS", help="of the login (LEADGENIUS_EMAIL; asked for otherwise)"
    )
    way = parser.add_mutually_exclusive_group()
    way.add_argument(
        "--password-stdin",
        action="store_true",
        help="read the password from standard input, for scripts",
    )
    way.add_argument(
        "--status",
        action="store_true",
        help="log in to nothing: say whose login is kept, for how long, and what renews it",
    )
    add_timeout(parser)
    add_json(parser)


def _clients(parser: argparse.ArgumentParser) -> None:
    act = parser.add_mutually_exclusive_group()
    act.add_argument(
        "--create", metavar="NAME", help="create a client of this name, and remember it for push"
    )
    act.add_argument("--use", metavar="SLUG", help="remember this client_id for the first push")
    act.add_argument(
        "--count", action="store_true", help="count the leads of each client, page by page"
    )
    parser.add_argument("--description", metavar="TEXT", help="of the client to create")
    add_timeout(parser)
    add_ledger(parser)
    add_json(parser)


def _preflight(parser: argparse.ArgumentParser) -> None:
    add_timeout(parser)
    add_client(parser)
    add_ledger(parser)
    add_json(parser)


AUTH = Command(
    "auth",
    "log in to LeadGenius and keep the token in the credentials file",
    [
        "migrator auth",
        "migrator auth --status",
        "migrator auth --email me@example.com --password-stdin < password.txt",
    ],
    _auth,
    about="E-mail and password come from the environment, or are asked for on a terminal. A push "
    "with both in its environment needs no `auth` before it.",
)
CLIENTS = Command(
    "clients",
    "list LeadGenius's clients with the client_id to use, create one, or choose one",
    [
        "migrator clients --count",
        'migrator clients --create "Historic Contacts"',
        "migrator clients --use historic-contacts",
    ],
    _clients,
    about="Leads go to a client by its client_id. The internal id that LeadGenius has for it as "
    "well is of no use here: leads sent under that one are invisible.",
)
PREFLIGHT = Command(
    "preflight",
    "try everything that a migration needs, without changing anything",
    ["migrator preflight", "migrator preflight --json | jq .ready"],
    _preflight,
)
