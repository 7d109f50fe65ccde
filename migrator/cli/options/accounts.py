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
)
CLIENTS = Command(
    "clients",
    "list LeadGenius's clients with the client_id to use, or create one",
    ["migrator clients", 'migrator clients --create "Historic Contacts"'],
    _clients,
)
