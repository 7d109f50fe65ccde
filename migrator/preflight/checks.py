"""The guide's checklist (section 9), in order, and what the leads look like."""

import time
from collections.abc import Iterator, Mapping
from shlex import quote
from typing import Any

from migrator.config import SettingsReport
from migrator.connections import open_hubspot, open_leadgenius
from migrator.errors import LedgerError
from migrator.hubspot import HubSpot
from migrator.hubspot_responses import Quota
from migrator.lead_profile import profile_json
from migrator.leadgenius import LeadGenius
from migrator.preflight.checklist import Check, Checklist, PreflightState, Warned, raise_problems
from migrator.preflight.hubspot import hubspot_checks
from migrator.preflight.leadgenius import leadgenius_checks
from migrator.preflight.ledger import ledger_checks, read_ledger
from migrator.preflight.payload import payload_checks
from migrator.preflight.probe import probe_checks
from migrator.preflight.ready import ready_checks
from migrator.private_files import exposed


class Preflight:
    """
    All checks, tried one after another as they are iterated.

    Args:
        survey: The settings of a stage and a push, with their problems.
        timeout_seconds: Timeout of a request.
    """

    def __init__(self, survey: SettingsReport, timeout_seconds: float) -> None:
        self._survey = survey
        self._timeout = timeout_seconds
        self._checklist = Checklist()
        self._facts = PreflightState()

    def checks(self) -> Iterator[Check]:
        """Try every check, even after one has failed."""
        settings, facts = self._survey.settings, self._facts
        fault = self._read_ledger()
        yield self._checklist.attempt("Settings", ".env", self._dotenv)
        if self._survey.settings.auth_file.exists():
            yield self._checklist.attempt("Settings", "credentials file", self._auth_file)
        yield from hubspot_checks(self._checklist, self._survey, self._hubspot, facts)
        yield from leadgenius_checks(self._checklist, self._survey, self._leadgenius, facts)
        yield from probe_checks(self._checklist, settings, facts)
        yield from ledger_checks(self._checklist, settings, fault, facts)
        yield from payload_checks(self._checklist, facts)
        yield from ready_checks(self._checklist, settings.ledger, facts)

    def _hubspot(self) -> HubSpot:
        return open_hubspot(self._survey.settings, time.sleep, self._timeout)

    def _leadgenius(self) -> LeadGenius:
        return open_leadgenius(self._survey.settings, time.sleep, self._timeout)[0]

    def _read_ledger(self) -> LedgerError | None:
        try:
            self._facts.ledger = read_ledger(self._survey.settings.ledger)
        except LedgerError as error:
            return error
        return None

    def _dotenv(self) -> str:
        raise_problems(self._survey, ".env")
        path = self._survey.dotenv
        if not path.exists():
            return f"no {path}; only the environment is read"
        if path in self._survey.exposed:
            raise Warned(
                f"{path} is read, but other users of this machine can read it too", "chmod 600 .env"
            )
        return f"{path} is read"

    def _auth_file(self) -> str:
        path = self._survey.settings.auth_file
        if path not in self._survey.exposed:
            return f"{path} is readable by its owner only"
        if path in exposed(path):
            raise Warned(
                f"other users of this machine can read {path}", f"chmod 600 {quote(str(path))}"
            )
        raise Warned(
            f"other users of this machine could read {path}; it has mode 600 now",
            "migrator auth, for new tokens, if the machine has other users",
        )

    @property
    def failed(self) -> list[Check]:
        """The checks that have failed so far."""
        return self._checklist.failed

    @property
    def next_command(self) -> str:
        """The next command to type if no check has failed."""
        ledger = self._facts.ledger
        if ledger is None or not ledger.is_staged:
            return "migrator stage"
        return "migrator push --resume" if ledger.is_push_unfinished else "migrator push"

    def profile_as_json(self) -> Mapping[str, Any] | None:
        """The profile of the leads that are ready to send; `None` = there are none."""
        profile = self._facts.profile
        return None if profile is None else profile_json(profile)

    def hubspot_as_json(self) -> Mapping[str, Any]:
        """HubSpot's size and limits as JSON values; `None` = unknown."""
        facts = self._facts
        return {
            "portal_id": None if facts.account is None else facts.account.portal_id,
            "contacts": facts.contact_count,
            "stage_requests": facts.stage_requests,
            **vars(facts.quota or Quota(None, None, None, None)),
        }
