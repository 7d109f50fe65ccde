"""
Opens both services as configured, and binds the ledger to them before any work begins.

So wrong settings are reported before the first contact is read or sent (guide, section 9).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from migrator.config import AuthFile, Settings
from migrator.errors import NotReady
from migrator.findings import Findings
from migrator.http import HttpClient, OutageBudget
from migrator.hubspot import HubSpot
from migrator.journey.fence import Fence
from migrator.journey.journey_lock import journey_key
from migrator.journey.sender import Sender
from migrator.leadgenius import Credentials, LeadGenius, Tokens
from migrator.leadgenius.api import client_hint
from migrator.ledger import Ledger

DEFAULT_TIMEOUT_SECONDS = 30.0

Pause = Callable[[float], None]


@dataclass(frozen=True)
class BoundDestination:
    """
    LeadGenius, the client to send to, and the portal that the leads come from.

    Args:
        findings: What a probe found out about this LeadGenius.
    """

    leadgenius: LeadGenius
    client_id: str
    portal_id: str
    findings: Findings = field(default_factory=Findings)


def open_hubspot(
    settings: Settings,
    pause: Pause = time.sleep,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    outage: OutageBudget | None = None,
) -> HubSpot:
    """Open HubSpot as configured, without a request."""
    http = HttpClient(
        "HubSpot",
        settings.hubspot_url,
        timeout_seconds=timeout_seconds,
        pause=pause,
        outage=outage,
    )
    http.redactor.add(*settings.secrets())
    token = settings.hubspot_token.reveal() if settings.hubspot_token else ""
    return HubSpot(http, token, settings.hubspot_version, settings.hubspot_portal_id)


def open_leadgenius(
    settings: Settings,
    pause: Pause = time.sleep,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    *,
    keep_login: bool = False,
    outage: OutageBudget | None = None,
) -> tuple[LeadGenius, Tokens]:
    """
    Open LeadGenius as configured, and its tokens, without a request.

    Args:
        keep_login: Whether to create the credentials file if there is none, or one of another host.
    """
    http = HttpClient(
        "LeadGenius",
        settings.leadgenius_url,
        timeout_seconds=timeout_seconds,
        pause=pause,
        outage=outage,
    )
    http.redactor.add(*settings.secrets())
    # The file's tokens are sent only to the file's host. Only `auth` creates a file: a rehearsal
    # with its login in the environment must leave no file in the home directory.
    exists = settings.auth_file.exists() and settings.auth_file_applies
    store = AuthFile(settings.auth_file) if exists or keep_login else None
    login = None
    if settings.leadgenius_email and settings.leadgenius_password:
        login = Credentials(settings.leadgenius_email, settings.leadgenius_password.reveal)
    api_key = None
    if settings.api_key:
        api_key = (settings.api_key.reveal(), settings.user_id)
    tokens = Tokens(http, store, login, api_key)
    return LeadGenius(http, tokens), tokens


def open_hasty(settings: Settings, tokens: Tokens, timeout_seconds: float) -> LeadGenius:
    """Open LeadGenius once more, so that its answers are given up after this time."""
    http = HttpClient("LeadGenius", settings.leadgenius_url, timeout_seconds=timeout_seconds)
    http.redactor.add(*settings.secrets())
    return LeadGenius(http, tokens)


def bind_source(ledger: Ledger, hubspot: HubSpot) -> str:
    """
    Bind the ledger to the token's portal.

    Returns:
        The portal's id.

    Raises:
        WrongJourney: the ledger belongs to another portal (design, I6).
    """
    portal_id = hubspot.account().portal_id
    ledger.runs.bind(portal_id=portal_id)
    return portal_id


def choose_destination(
    ledger: Ledger, settings: Settings, leadgenius: LeadGenius
) -> BoundDestination:
    """
    The client to which the ledger's leads are sent, compared with its binding; not checked yet.

    Raises:
        NotReady: nothing was staged yet, or no client is named.
        WrongJourney: the ledger belongs to another base URL or client (design, I6).
    """
    bound = ledger.runs.binding()
    if bound.portal_id is None:
        raise NotReady(f"Nothing is staged in the ledger {ledger.path} yet.", "migrator stage")
    client_id = settings.client_id or bound.client_id or ledger.runs.chosen_client()
    if client_id is None:
        raise NotReady(
            "No client is named that the leads are to go to.", client_hint(leadgenius.clients())
        )
    # The ledger is checked first, so that a mistake in the settings costs no request.
    ledger.runs.check(leadgenius_url=settings.leadgenius_url, client_id=client_id)
    return BoundDestination(leadgenius, client_id, bound.portal_id)


@contextmanager
def hold_sender(
    ledger: Ledger,
    settings: Settings,
    destination: BoundDestination,
    command: str,
    *,
    is_taken_over: bool = False,
) -> Iterator[Sender]:
    """
    Hold the right to send, before anything else is judged; `ledger` reports its intents to it.

    Args:
        command: The command, as it is typed after `migrator`.
        is_taken_over: Whether the user says that nothing works at the ledger's last place any more.

    Raises:
        LedgerBusy, FenceHeld: another process or machine sends for this journey.
        LedgerElsewhere: the ledger was last worked on elsewhere.
        NotReady: the state folder or the fence cannot be used.
    """
    key = journey_key(destination.portal_id, settings.leadgenius_url, destination.client_id)
    url, origin = settings.fence, ledger.runs.origin()
    sender = Sender(settings.state_folder, key, ledger.path, origin, command, ledger.check_lock)
    fence = None if url is None else lambda: Fence.hold(url.reveal(), key)
    sender.hold(is_taken_over=is_taken_over, fence=fence)
    ledger.on_intents(sender.record_intents)
    try:
        yield sender
    finally:
        ledger.on_intents(lambda intents: None)
        sender.close()


def bind_destination(ledger: Ledger, settings: Settings, destination: BoundDestination) -> None:
    """
    Bind the ledger to the base URL and the client, which must exist under its client_id.

    Raises:
        NotReady: there is no such client.
        UsageError: the id is an internal one.
    """
    client_id = destination.client_id
    if ledger.runs.binding().client_id is None:
        destination.leadgenius.check_client(client_id)
    else:
        destination.leadgenius.check_presence(client_id)
    ledger.runs.bind(leadgenius_url=settings.leadgenius_url, client_id=client_id)
