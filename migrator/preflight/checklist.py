"""A checklist that is worked through to its end, whatever fails on the way."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from migrator.errors import MigratorError
from migrator.hubspot import Account, Quota
from migrator.leadgenius import LeadGeniusClient
from migrator.ledger import Binding
from migrator.mapping import DEFAULT, Rules

HUBSPOT, LEADGENIUS, LEDGER, RULES = "HubSpot", "LeadGenius", "Ledger", "Rules"


@dataclass(frozen=True)
class Check:
    """
    One thing that was tried.

    Args:
        ok: `None` = it was not tried, because something else has to be right first.
        found: What was found, or why not.
        next: What to type next; `None` = nothing.
        is_warning: It keeps nothing from working, and should be put right all the same.
    """

    group: str
    name: str
    ok: bool | None
    found: str
    next: str | None = None
    is_warning: bool = False


class Warned(Exception):
    """
    It works, and yet something is wrong with it.

    Args:
        found: What.
        next: What to type next.
    """

    def __init__(self, found: str, next: str) -> None:
        super().__init__(found)
        self.found = found
        self.next = next


class Skipped(Exception):
    """There is nothing to try it on; its text says why."""


@dataclass(frozen=True)
class LedgerFacts:
    """What the ledger says of itself, read once."""

    binding: Binding
    chosen: str | None
    is_staged: bool
    is_canary_passed: bool
    is_forgotten: bool
    in_doubt: int
    rules: Rules


@dataclass
class PreflightState:
    """What the checks found out so far, for those that come after them."""

    account: Account | None = None
    contacts: Sequence[Mapping[str, Any]] = ()
    companies: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    contact_count: int | None = None
    quota: Quota | None = None
    clients: Sequence[LeadGeniusClient] = ()
    client_id: str | None = None
    ledger: LedgerFacts | None = None

    @property
    def rules(self) -> Rules:
        """The mapping that the next stage maps by."""
        return DEFAULT if self.ledger is None else self.ledger.rules

    @property
    def stage_requests(self) -> int | None:
        """
        How many requests a stage makes at the most.

        A page for each hundred contacts, and a batch for each hundred companies; of those there
        are hardly more than contacts. Besides, the account and HubSpot's own count; and where that
        differs, the last page and the count once more.
        """
        return None if self.contact_count is None else 4 + 2 * -(-self.contact_count // 100)


class Checklist:
    """The checks so far."""

    def __init__(self) -> None:
        self.checks: list[Check] = []

    @property
    def failed(self) -> list[Check]:
        """Those that found something wrong."""
        return [check for check in self.checks if check.ok is False]

    def attempt(
        self, group: str, name: str, act: Callable[[], str], needs: Collection[str] = ()
    ) -> Check:
        """
        Try one thing, if all that it needs is right.

        Args:
            act: Returns what it found, or raises what is wrong in words (`Warned` = it works).
            needs: Other checks, each as "group name".
        """
        check = self._tried(group, name, act, [one for one in needs if not self._is_right(one)])
        self.checks.append(check)
        return check

    def _tried(
        self, group: str, name: str, act: Callable[[], str], lacking: Sequence[str]
    ) -> Check:
        if lacking:
            first = lacking[0].removeprefix(f"{group} ")
            return Check(group, name, None, f"not tried: it needs {first} to be right")
        try:
            return Check(group, name, True, act())
        except Warned as warning:
            return Check(group, name, True, warning.found, warning.next, is_warning=True)
        except Skipped as reason:
            return Check(group, name, None, f"not tried: {reason}")
        except MigratorError as error:
            return Check(group, name, False, error.message, error.hint)

    def _is_right(self, wanted: str) -> bool:
        return any(f"{one.group} {one.name}" == wanted and one.ok for one in self.checks)
