"""LeadGenius's part of the checklist: the login and how it is renewed, the client, its leads."""

import time
from collections.abc import Callable, Iterator

from migrator.config import SettingsReport
from migrator.errors import NotReady
from migrator.leadgenius import LeadGenius, LoginStatus, login_status
from migrator.leadgenius.api import NAMING, client_hint
from migrator.preflight.checklist import (
    LEADGENIUS,
    Check,
    Checklist,
    PreflightState,
    raise_problems,
)
from migrator.text import duration

_WAYS = {
    "refresh_token": "by the refresh token of the credentials file",
    "login": "by e-mail and password",
}


def leadgenius_checks(
    checklist: Checklist,
    survey: SettingsReport,
    open_: Callable[[], LeadGenius],
    facts: PreflightState,
) -> Iterator[Check]:
    """Try LeadGenius; it is opened only when its settings are valid."""
    target = _LeadGeniusChecks(survey, open_, facts)
    for name, act, needs in (
        ("credentials", target.credentials, ()),
        ("base URL", target.base_url, ("credentials",)),
        ("login", target.login, ("credentials",)),
        ("renewal", target.renewal, ("login",)),
        ("client", target.client, ("login",)),
        ("leads", target.leads, ("client",)),
    ):
        wanted = [f"{LEADGENIUS} {need}" for need in needs]
        yield checklist.attempt(LEADGENIUS, name, act, wanted)


class _LeadGeniusChecks:
    _leadgenius: LeadGenius

    def __init__(
        self, survey: SettingsReport, open_: Callable[[], LeadGenius], facts: PreflightState
    ) -> None:
        self._survey = survey
        self._settings = survey.settings
        self._open = open_
        self._facts = facts

    def credentials(self) -> str:
        raise_problems(self._survey, "LEADGENIUS", "LGP")
        self._leadgenius = self._open()
        found, origins = login_status(self._settings), self._survey.origins
        if found.kind == "api_key":
            place = origins.get("LGP_API_KEY", self._settings.auth_file)
            return f"an API key, set in {place}"
        if found.kind == "login":
            return f"e-mail and password; the password is set in {origins['LEADGENIUS_PASSWORD']}"
        whose = self._settings.leadgenius_email or self._settings.user_id or "an unnamed account"
        return f"the login of {whose}, in {self._settings.auth_file}"

    def base_url(self) -> str:
        return f"{self._settings.leadgenius_url}, to which /api is added"

    def login(self) -> str:
        self._facts.clients = self._leadgenius.clients()
        return f"accepted by LeadGenius; token: {token_in_words(login_status(self._settings))}"

    def renewal(self) -> str:
        found = login_status(self._settings)
        if found.kind != "api_key" and not found.renewals:
            raise NotReady(
                "The token cannot be renewed: a push would stop when it expires.",
                "migrator auth, or set LEADGENIUS_EMAIL and LEADGENIUS_PASSWORD",
            )
        return renewal_in_words(found)

    def client(self) -> str:
        client_id, why = self._chosen()
        # An option or variable takes precedence over the ledger, so --use would not help there.
        naming = "migrator clients --use"
        if why == "the command line":
            naming = NAMING
        elif self._settings.client_id is not None:
            naming = f"set LEADGENIUS_CLIENT_ID (it is set in {why}) to"
        name = self._leadgenius.check_client(client_id, naming).name
        self._facts.client_id = client_id
        return f"{client_id} ({name}), a client_id and not an internal id; {why}"

    def _chosen(self) -> tuple[str, str]:
        ledger, named = self._facts.ledger, self._settings.client_id
        if named is not None:
            return named, self._survey.origins["LEADGENIUS_CLIENT_ID"]
        if ledger is not None and ledger.binding.client_id is not None:
            return ledger.binding.client_id, "the ledger is bound to it"
        if ledger is not None and ledger.chosen is not None:
            return ledger.chosen, "it was chosen in this ledger"
        clients, naming = self._facts.clients, "migrator clients --use"
        only = f"{naming} {clients[0].client_id}" if len(clients) == 1 else None
        hint = only or client_hint(clients, naming)
        raise NotReady("No client is chosen to send the leads to.", hint)

    def leads(self) -> str:
        client_id = self._facts.client_id or ""
        has_some = self._leadgenius.has_leads(client_id)
        return f"listed under {client_id}: {'some' if has_some else 'none yet'}"


def token_in_words(found: LoginStatus) -> str:
    """When the token expires, in the local time zone."""
    if found.kind == "api_key":
        return "not needed: an API key does not expire by itself"
    if found.kind != "token":
        return "none is stored; each command gets one at its start" if found.renewals else "none"
    if found.expires_at is None or found.seconds_left is None:
        return "its expiry is unknown: it states none"
    try:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(found.expires_at))
    except (ValueError, OverflowError, OSError):
        return "its expiry is unknown: it states an impossible time"
    if found.seconds_left <= 0:
        return f"expired on {when}"
    return f"until {when} ({duration(found.seconds_left)} left)"


def renewal_in_words(found: LoginStatus) -> str:
    """How a new token is obtained."""
    if found.kind == "api_key":
        return "not needed"
    return ", or ".join(_WAYS[way] for way in found.renewals) or "impossible; migrator auth"
