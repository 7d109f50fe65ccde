"""HubSpot's part of the checklist: the token, its scopes, the companies, the quota."""

from collections.abc import Callable, Iterator

from migrator.config import SettingsReport
from migrator.errors import Declined, MigratorError, NotReady
from migrator.hubspot import HubSpot
from migrator.mapping import choose_company
from migrator.preflight.checklist import (
    HUBSPOT,
    Check,
    Checklist,
    PreflightState,
    Skipped,
    raise_problems,
)
from migrator.text import count_noun


def hubspot_checks(
    checklist: Checklist,
    survey: SettingsReport,
    open_: Callable[[], HubSpot],
    facts: PreflightState,
) -> Iterator[Check]:
    """Try HubSpot; it is opened only when its settings are valid."""
    source = _HubSpotChecks(survey, open_, facts)
    for name, act, needs in (
        ("credentials", source.credentials, ()),
        ("token", source.token, ("credentials",)),
        ("portal", source.portal, ("token",)),
        ("contacts scope", source.contacts_scope, ("token",)),
        ("companies scope", source.companies_scope, ("contacts scope",)),
        ("associations", source.associations, ("contacts scope",)),
        ("contacts", source.contacts, ("contacts scope",)),
        ("quota", source.quota, ("contacts scope",)),
    ):
        wanted = [f"{HUBSPOT} {need}" for need in needs]
        yield checklist.attempt(HUBSPOT, name, act, wanted)


class _HubSpotChecks:
    _hubspot: HubSpot

    def __init__(
        self, survey: SettingsReport, open_: Callable[[], HubSpot], facts: PreflightState
    ) -> None:
        self._survey = survey
        self._open = open_
        self._facts = facts
        self._portal_fault: NotReady | None = None

    def credentials(self) -> str:
        raise_problems(self._survey, "HUBSPOT")
        self._hubspot = self._open()
        return f"HUBSPOT_ACCESS_TOKEN is set in {self._survey.origins['HUBSPOT_ACCESS_TOKEN']}"

    def token(self) -> str:
        try:
            self._facts.account = self._hubspot.account()
        except Declined:
            raise
        except NotReady as error:
            # The token is valid, but has no scope to read its account.
            self._portal_fault = error
        return "accepted by HubSpot"

    def portal(self) -> str:
        account = self._facts.account
        if account is None:
            raise self._portal_fault or NotReady("The portal is unknown.", "set HUBSPOT_PORTAL_ID")
        return f"{account.portal_id}{f', time zone {account.time_zone}' * bool(account.time_zone)}"

    def contacts_scope(self) -> str:
        page = next(self._hubspot.pages(self._facts.rules.contact_properties, None))
        self._facts.contacts = page.contacts
        return f"the token may read them: {count_noun(len(page.contacts), 'contact')} returned"

    def companies_scope(self) -> str:
        ids = {choose_company(contact).company_id for contact in self._facts.contacts} - {None}
        wanted = sorted(one for one in ids if one is not None)
        # Without a company, request one that hardly exists, which also tests the scope.
        names = self._facts.rules.company_properties
        found = self._hubspot.companies(wanted or ["1"], names)
        self._facts.companies = found
        read = sum(about is not None for about in found.values())
        named = sum(bool((about or {}).get("name")) for about in found.values())
        return (
            f"the token may read them: {read:,} of {len(wanted):,} returned, {named:,} with a name"
        )

    def associations(self) -> str:
        contacts = self._facts.contacts
        if not contacts:
            raise Skipped("HubSpot has no contact")
        rules = [choose_company(contact).rule for contact in contacts]
        listed = sum(rule in ("primary", "first") for rule in rules)
        if not listed and "associatedcompanyid" in rules:
            raise NotReady(
                "HubSpot returns the contacts without their companies.",
                "check that the token has the scope crm.objects.companies.read, then: "
                "migrator preflight",
            )
        return f"{listed:,} of the first {count_noun(len(contacts), 'contact')} have a company"

    def contacts(self) -> str:
        try:
            self._facts.contact_count = self._hubspot.contact_count()
        except MigratorError as error:
            # For information only; nothing depends on it.
            raise Skipped(f"they cannot be counted in advance ({error.message})") from None
        return f"{count_noun(self._facts.contact_count, 'contact')} in total"

    def quota(self) -> str:
        quota, need = self._hubspot.quota, self._facts.stage_requests
        self._facts.quota = quota
        if quota is None:
            raise Skipped("HubSpot does not state its limits")
        parts = []
        if quota.requests is not None and quota.interval_seconds is not None:
            parts.append(f"{quota.requests:,} requests in {quota.interval_seconds:g} s")
        if quota.left_today is not None:
            of_all = "" if quota.daily is None else f" of {quota.daily:,}"
            parts.append(f"{quota.left_today:,}{of_all} left today")
        if need is not None:
            parts.append(f"a stage makes up to {need:,}")
        if None not in (quota.left_today, need) and quota.left_today < need:  # type: ignore[operator]
            raise NotReady(
                f"HubSpot's daily quota is too small: {', '.join(parts)}.",
                "migrator preflight again after midnight in HubSpot's time zone; a stage that "
                "uses it up stops, and continues where it stopped",
            )
        return ", ".join(parts)
