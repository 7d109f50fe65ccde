"""A checklist that continues after a failed check."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from migrator.config import SettingsReport
from migrator.errors import MigratorError, NotReady
from migrator.hubspot import Account
from migrator.hubspot_responses import Quota
from migrator.lead_profile import LeadProfile
from migrator.leadgenius import LeadGeniusClient
from migrator.ledger import Binding
from migrator.mapping import DEFAULT, Rules

HUBSPOT, LEADGENIUS, LEDGER, RULES = "HubSpot", "LeadGenius", "Ledger", "Rules"
READY_TO_SEND = "Ready to send"


@dataclass(frozen=True)
class Check:
    """
    The result of one check.

    Args:
        ok: `None` = not tried, because another check has to pass first.
        found: What was found, or why it was not tried.
        next: The next command to type; `None` = none.
        is_warning: Whether it passed, but something should be corrected.
    """

    group: str
    name: str
    ok: bool | None
    found: str
    next: str | None = None
    is_warning: bool = False


class Warned(Exception):
    """
    A check passed with a warning.

    Args:
        found: What is wrong.
        next: The next command to type.
    """

    def __init__(self, found: str, next: str) -> None:
        super().__init__(found)
        self.found = found
        self.next = next


class Hinted(Warned):
    """A check passed, and a command would tell more; nothing has to be corrected."""


class Skipped(Exception):
    """A check could not be tried; the message says why."""


@dataclass(frozen=True)
class LedgerFacts:
    """What the checks use of the ledger, read once."""

    binding: Binding
    chosen: str | None
    is_staged: bool
    is_canary_passed: bool
    is_forgotten: bool
    is_push_unfinished: bool
    to_send: int
    rules: Rules


@dataclass
class PreflightState:
    """The findings of earlier checks that later ones use."""

    account: Account | None = None
    contacts: Sequence[Mapping[str, Any]] = ()
    companies: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    contact_count: int | None = None
    quota: Quota | None = None
    clients: Sequence[LeadGeniusClient] = ()
    client_id: str | None = None
    ledger: LedgerFacts | None = None
    profile: LeadProfile | None = None

    @property
    def rules(self) -> Rules:
        """The mapping that the next stage will use."""
        return DEFAULT if self.ledger is None else self.ledger.rules

    @property
    def stage_requests(self) -> int | None:
        """
        The largest number of requests that a stage makes.

        One page for every 100 contacts; one batch for every 100 companies, of which there are
        hardly more than contacts; the account, and HubSpot's count; and, if the count differs, the
        last page and the count again.
        """
        return None if self.contact_count is None else 4 + 2 * -(-self.contact_count // 100)


class Checklist:
    """The checks tried so far."""

    def __init__(self) -> None:
        self.checks: list[Check] = []

    @property
    def failed(self) -> list[Check]:
        """The checks that failed."""
        return [check for check in self.checks if check.ok is False]

    def attempt(
        self, group: str, name: str, act: Callable[[], str], needs: Collection[str] = ()
    ) -> Check:
        """
        Try one check if those that it needs have passed.

        Args:
            act: Returns what it found, or raises what is wrong (`Warned` = it passed anyway).
            needs: Other checks, each as "group name".
        """
        check = self._tried(group, name, act, [one for one in needs if not self._has_passed(one)])
        self.checks.append(check)
        return check

    def _tried(
        self, group: str, name: str, act: Callable[[], str], lacking: Sequence[str]
    ) -> Check:
        if lacking:
            first = lacking[0].removeprefix(f"{group} ")
            return Check(group, name, None, f"not tried: {first} must pass first")
        try:
            return Check(group, name, True, act())
        except Warned as warning:
            is_warning = not isinstance(warning, Hinted)
            return Check(group, name, True, warning.found, warning.next, is_warning)
        except Skipped as reason:
            return Check(group, name, None, f"not tried: {reason}")
        except MigratorError as error:
            return Check(group, name, False, error.message, error.hint)

    def _has_passed(self, wanted: str) -> bool:
        return any(f"{one.group} {one.name}" == wanted and one.ok for one in self.checks)


def raise_problems(survey: SettingsReport, *prefixes: str) -> None:
    """
    Check the settings whose names begin with one of the prefixes.

    Raises:
        NotReady: some are invalid; the message has a line for each problem.
    """
    faults = [fault for fault in survey.faults if fault.about.startswith(prefixes)]
    if faults:
        hints = dict.fromkeys(fault.hint for fault in faults)
        raise NotReady("\n".join(fault.message for fault in faults), "; ".join(hints))
