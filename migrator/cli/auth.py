"""
`migrator auth`: log in to LeadGenius and keep the token in the credentials file, or show it.

A password is never echoed, and never an option.
"""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from migrator.cli.arguments import Command, add_json, add_timeout
from migrator.cli.output_files import refuse_ledger_file
from migrator.cli.session import can_ask, settings_of
from migrator.errors import ExitCode, NotReady, UsageError
from migrator.text import json_text, one_line, utc_time

if TYPE_CHECKING:
    from migrator.config import Secret, Settings
    from migrator.leadgenius import LoginStatus
    from migrator.progress import Display

_HOW = "set LEADGENIUS_EMAIL and LEADGENIUS_PASSWORD, or: migrator auth --email … --password-stdin"
# A longer standard input is a file that was named by mistake.
_LONGEST_PASSWORD = 4096


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--email", metavar="ADDRESS", help="of the login (default: LEADGENIUS_EMAIL, or a prompt)"
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
        help="do not log in: show whose login is stored, for how long, and what renews it",
    )
    add_timeout(parser)
    add_json(parser)


def auth(args: argparse.Namespace, display: Display) -> int:
    """Log in and keep the token in the credentials file, or show the stored login."""
    from migrator import connections
    from migrator.leadgenius import login_status
    from migrator.streams import tell

    settings = settings_of(args, uses=["leadgenius"])
    if args.status:
        if args.email is not None:
            raise UsageError("--status does not log in, so it takes no --email.", "migrator auth")
        return _status(settings, is_json=args.json)
    refuse_ledger_file(settings.ledger, settings.auth_file, "LEADGENIUS_AUTH_FILE", NotReady)
    _refuse_another_host(settings)
    settings = _with_login(settings, args)
    _, tokens = connections.open_leadgenius(settings, timeout_seconds=args.timeout, keep_login=True)
    tokens.log_in()
    # The file holds this login from now on.
    settings = replace(settings, auth_file_applies=True)
    if args.json:
        tell(json_text(_as_json(settings, login_status(settings))))
    else:
        email = one_line(settings.leadgenius_email or "")
        tell(f"{email} is logged in; the token is in {settings.auth_file}")
    return ExitCode.DONE


def _refuse_another_host(settings: Settings) -> None:
    """A login to a sandbox must not take the place of the real one."""
    from migrator.config import AuthFile

    base_url = AuthFile(settings.auth_file).read().get("base_url")
    if base_url is not None and base_url.rstrip("/") != settings.leadgenius_url:
        raise NotReady(
            f"{settings.auth_file} holds a login for {base_url}, "
            f"not for {settings.leadgenius_url}.",
            "set LEADGENIUS_AUTH_FILE to another file, or unset LEADGENIUS_BASE_URL",
        )


# The source of the login


def _with_login(settings: Settings, args: argparse.Namespace) -> Settings:
    """The settings with the login from the options, else the configuration, else a prompt."""
    from migrator.config import problem

    email, password = settings.leadgenius_email, settings.leadgenius_password
    if args.email is not None and args.email != email:
        # A configured password belongs to the configured e-mail, if there is one.
        email, password = args.email, password if email is None else None
    if args.password_stdin:
        password = _piped()
    if not (email and password):
        email, password = _asked(settings, email, password)
    if not email or not password.reveal():
        raise NotReady("No login was given.", "migrator auth")
    if words := problem("LEADGENIUS_PASSWORD", password.reveal()):
        raise NotReady(f"The password {words}", "type the password of the LeadGenius login")
    return replace(settings, leadgenius_email=email, leadgenius_password=password)


def _piped() -> Secret:
    from migrator.config import Secret

    if can_ask():
        raise UsageError(
            "--password-stdin reads from a pipe; this is a terminal, and would show the password.",
            "migrator auth, which asks for it and shows nothing",
        )
    try:
        # A process can be started without a stdin (`<&-`).
        text = sys.stdin.read(_LONGEST_PASSWORD + 1) if sys.stdin else ""
    except UnicodeDecodeError:
        text = None  # raised below: the error carries what was read
    if text is None or len(text) > _LONGEST_PASSWORD:
        raise NotReady(
            "Standard input is not a password: it is not text, or far too long.",
            "migrator auth --password-stdin < a file with nothing but the password",
        )
    # Blanks and quotes may be part of the password; the trailing newline is not.
    if not (password := text.strip("\r\n")):
        raise NotReady("There is no password on standard input.", "migrator auth")
    return Secret(password)


def _asked(settings: Settings, email: str | None, password: Secret | None) -> tuple[str, Secret]:
    from migrator.config import Secret

    if not can_ask():
        missing = "e-mail" if password else "password" if email else "login"
        raise NotReady(f"There is no terminal to ask for the {missing} on.", _HOW)
    print(f"LeadGenius at {settings.leadgenius_url}", file=sys.stderr)
    try:
        return email or _line("e-mail: "), password or Secret(getpass.getpass("password: "))
    except EOFError:
        raise NotReady("No login was given.", "migrator auth") from None


def _line(prompt: str) -> str:
    # `input` would print its prompt on stdout, which is for data.
    print(prompt, end="", file=sys.stderr, flush=True)
    if not (line := sys.stdin.readline()):
        raise EOFError
    return line.strip()


# The stored login


def _status(settings: Settings, *, is_json: bool) -> int:
    from migrator.leadgenius import login_status
    from migrator.streams import tell

    found = login_status(settings)
    if is_json:
        tell(json_text(_as_json(settings, found)))
    else:
        tell("\n".join(f"{label:<9}{one_line(text)}" for label, text in _lines(settings, found)))
    if found.is_usable:
        return ExitCode.DONE
    raise NotReady(_unusable(found), "migrator auth")


def _unusable(found: LoginStatus) -> str:
    if found.kind is None:
        return "There is no login for LeadGenius."
    return "The stored token has expired, and nothing can renew it."


def _lines(settings: Settings, found: LoginStatus) -> list[tuple[str, str]]:
    from migrator import preflight

    file = str(settings.auth_file)
    if not settings.auth_file.exists():
        file += " (there is no such file)"
    elif not settings.auth_file_applies:
        file += " (not used: it is of another host or account)"
    return [
        ("login", _who(settings, found)),
        ("service", settings.leadgenius_url),
        ("file", file),
        ("token", preflight.token_in_words(found)),
        ("renewal", preflight.renewal_in_words(found)),
    ]


def _who(settings: Settings, found: LoginStatus) -> str:
    if found.kind == "api_key":
        return f"API key of the user {settings.user_id}" if settings.user_id else "API key"
    return settings.leadgenius_email or settings.user_id or "unknown"


def _as_json(settings: Settings, found: LoginStatus) -> Mapping[str, Any]:
    expires = found.expires_at
    return {
        "usable": found.is_usable,
        "email": settings.leadgenius_email,
        "user_id": settings.user_id,
        "base_url": settings.leadgenius_url,
        "file": str(settings.auth_file),
        "file_applies": settings.auth_file_applies,
        "kind": found.kind,
        "expires_at": None if expires is None else _iso(expires),
        "seconds_left": None if found.seconds_left is None else round(found.seconds_left),
        "renewed_by": list(found.renewals),
    }


def _iso(seconds: float) -> str | None:
    try:
        return utc_time(seconds)
    except (ValueError, OverflowError, OSError):
        return None  # a token can name a year that no calendar has


COMMAND = Command(
    "auth",
    "log in to LeadGenius and keep the token in the credentials file",
    [
        "migrator auth",
        "migrator auth --status",
        "migrator auth --email me@example.com --password-stdin < password.txt",
    ],
    _add_options,
    auth,
    about="E-mail and password come from the environment, or are asked for on a terminal. A push "
    "with both in its environment needs no `auth` before it.",
)
