"""What a ledger says before its push is rehearsed."""

from dataclasses import dataclass
from pathlib import Path

from migrator.errors import NotReady
from migrator.findings import ProbeRecord
from migrator.ledger import HeldContact, Ledger
from migrator.probe_records import newest_probe
from migrator.report import Report, plan
from migrator.report.labels import local
from migrator.states import Hold, State
from migrator.text import one_line

# What keeps a contact from being created, of which a rehearsal names every case.
_NOT_CREATED = (Hold.REFUSED, Hold.GAVE_UP)
_ALL = 1 << 62


@dataclass(frozen=True)
class Staged:
    """
    A ledger before the rehearsal.

    Args:
        ledger: Its file.
        url: LeadGenius's base URL, which is asked nothing.
        probed: What the newest probe found there; `None` = it was never probed.
        contacts, sendable: Contacts in the ledger, and those that a push would send.
        arrived: Contacts that have a lead.
        has_sent: Whether it has intents to send.
        not_created: Contacts that are held already as refused or given up.
        seconds, per_minute: How long the real push takes, and the rate that is assumed.
    """

    ledger: Path
    url: str
    probed: ProbeRecord | None
    contacts: int
    sendable: int
    arrived: int
    has_sent: bool
    not_created: frozenset[str]
    seconds: float
    per_minute: float

    @property
    def settle_seconds(self) -> int:
        """How long a doubt has to rest by what the probe measured."""
        return 0 if self.probed is None else self.probed.findings.needed_settle_s

    @property
    def manner(self) -> str:
        """What the sandbox is set to."""
        if self.probed is None:
            return "the sandbox behaves as the guide says: LeadGenius was not probed yet"
        when = local(self.probed.probed_ms)
        return f"the sandbox behaves as the probe of {when} found {one_line(self.url)}"


def read_staged(ledger: Ledger, leadgenius_url: str, state_folder: Path) -> Staged:
    """
    Read a ledger.

    The rate is the one that an earlier push found, else the limit that the probe found, else the
    guide's.

    Args:
        leadgenius_url: As configured, for a ledger that is not bound yet.

    Raises:
        LedgerForgotten: the ledger's personal data was erased.
        NotReady: nothing was staged yet, or nothing is left to send.
    """
    plan.check_staged(ledger)
    binding = ledger.runs.binding()
    url = binding.leadgenius_url or leadgenius_url
    probed = newest_probe(state_folder, url, ledger)
    limit = probed.findings.rate_limit if probed else None
    real = plan.read(
        ledger,
        leadgenius_url=url,
        client_id=binding.client_id,
        look=None,
        not_looked=None,
        per_minute=ledger.runs.rate() or limit,
        samples=0,
    )
    sendable = real.sendable + real.report.in_doubt
    if not sendable:
        raise NotReady(
            f"Nothing is left to send in the ledger {ledger.path}, so there is nothing to "
            "rehearse.",
            "migrator report",
        )
    return Staged(
        ledger.path,
        url,
        probed,
        real.report.accounted,
        sendable,
        arrived(real.report),
        ledger.runs.origin().intents > 0,
        frozenset(one.hubspot_id for one in not_created(ledger)),
        real.requests.seconds,
        real.requests.per_minute,
    )


def arrived(report: Report) -> int:
    """Contacts that have a lead."""
    return report.states[State.POSTED].total + report.states[State.VERIFIED].total


def not_created(ledger: Ledger) -> list[HeldContact]:
    """All contacts that LeadGenius refused, or that were given up."""
    return [one for hold in _NOT_CREATED for one in ledger.counts.held(hold, _ALL)]
