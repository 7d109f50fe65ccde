"""Logins and clients at LeadGenius."""

import argparse
import getpass
import json
import sys
from dataclasses import replace

from migrator import preflight
from migrator.cli.work import settings_of
from migrator.config import AuthFile, Secret, Settings
from migrator.console import Talk, one_line
from migrator.errors import ExitCode, NotReady


def auth(args: argparse.Namespace, talk: Talk) -> int:
    """Log in and keep the token in the credentials file."""
    settings = settings_of(args)
    _refuse_another_host(settings)
    if not (settings.leadgenius_email and settings.leadgenius_password):
        settings = _ask_login(settings)
    _, tokens = preflight.open_leadgenius(settings, timeout_seconds=args.timeout, keep_login=True)
    tokens.log_in()
    print(f"{settings.leadgenius_email} is logged in; the token is in {settings.auth_file}")
    return ExitCode.DONE


def _refuse_another_host(settings: Settings) -> None:
    """A login to a sandbox must not take the place of the real one."""
    base_url = AuthFile(settings.auth_file).read().get("base_url")
    if base_url is not None and base_url.rstrip("/") != settings.leadgenius_url:
        raise NotReady(
            f"{settings.auth_file} holds a login for {base_url}, "
            f"not for {settings.leadgenius_url}.",
            "set LEADGENIUS_AUTH_FILE to a file of its own, or unset LEADGENIUS_BASE_URL",
        )


def _ask_login(settings: Settings) -> Settings:
    if not sys.stdin.isatty():
        raise NotReady(
            "There is no terminal to ask for the login on.",
            "set LEADGENIUS_EMAIL and LEADGENIUS_PASSWORD",
        )
    print(f"LeadGenius at {settings.leadgenius_url}", file=sys.stderr)
    try:
        email = settings.leadgenius_email or input("e-mail: ").strip()
        password = Secret(getpass.getpass("password: "))
    except EOFError:
        raise NotReady("No login was given.", "migrator auth") from None
    return replace(settings, leadgenius_email=email, leadgenius_password=password)


def clients(args: argparse.Namespace, talk: Talk) -> int:
    """List LeadGenius's clients, or create one."""
    leadgenius, _ = preflight.open_leadgenius(settings_of(args, ["leadgenius"]))
    if args.create is not None:
        description = args.description or "Contacts imported from HubSpot"
        clients = [leadgenius.create_client(args.create, description)]
    else:
        clients = leadgenius.clients()
    if args.json:
        print(json.dumps([{"client_id": one.client_id, "name": one.name} for one in clients]))
    else:
        for client in clients:
            print(f"{one_line(client.client_id)}  {one_line(client.name)}")
    return ExitCode.DONE
