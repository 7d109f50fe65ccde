"""Options of the commands about logins and clients."""

import argparse

from migrator.cli.options.common import Command, add_json, add_timeout


def _auth(parser: argparse.ArgumentParser) -> None:
    add_timeout(parser)


def _clients(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--create", metavar="NAME", help="create a client with this name")
    parser.add_argument("--description", metavar="TEXT", help="of the client to create")
    add_json(parser)


AUTH = Command(
    "auth",
    "log in to LeadGenius and keep the token in the credentials file",
    ["migrator auth", "LEADGENIUS_EMAIL=… LEADGENIUS_PASSWORD=… migrator auth"],
    _auth,
    about="E-mail and password come from the environment, or are asked for on a terminal. A push "
    "with both in its environment needs no `auth` before it.",
)
CLIENTS = Command(
    "clients",
    "list LeadGenius's clients with the client_id to use, or create one",
    ["migrator clients", 'migrator clients --create "Historic Contacts"'],
    _clients,
    about="Leads go to a client by its client_id. The internal id that LeadGenius has for it as "
    "well is of no use here: leads sent under that one are invisible.",
)
