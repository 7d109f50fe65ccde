"""The guide's payload rules, checked on real contacts that are mapped in memory and never sent."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property

from migrator.errors import NotReady
from migrator.mapping import FIELDS, Exclusion, MappedLead, choose_company, to_lead
from migrator.preflight.checklist import RULES, Check, Checklist, PreflightState, Skipped
from migrator.text import count_noun

Lead = Mapping[str, str]


def payload_checks(checklist: Checklist, facts: PreflightState) -> Iterator[Check]:
    """Map the first contacts and check the leads; then list the rules that hold by design."""
    payload = _Payload(facts)
    for name, act in (
        ("mapping", payload.mapping),
        ("field names", payload.field_names),
        ("no empty strings", payload.no_empty_strings),
        ("names", payload.names),
    ):
        yield checklist.attempt(RULES, name, act, ["HubSpot contacts scope"])
    # Also on the guide's list, but not testable without a send.
    yield checklist.attempt(RULES, "one by one", lambda: "by design: no batch is ever sent")
    yield checklist.attempt(
        RULES, "token refresh", lambda: "by design: before a token expires, and after a 401"
    )
    yield checklist.attempt(RULES, "five first", lambda: _canary(facts))


def _canary(facts: PreflightState) -> str:
    if facts.ledger is not None and facts.ledger.is_canary_passed:
        return "done: the first leads were read back under the client_id"
    return "by design: the first push sends 5 and reads them back before the rest"


class _Payload:
    def __init__(self, facts: PreflightState) -> None:
        self._facts = facts

    @cached_property
    def _results(self) -> list[MappedLead | Exclusion]:
        portal_id = "0" if self._facts.account is None else self._facts.account.portal_id
        results = []
        for contact in self._facts.contacts:
            company = self._facts.companies.get(choose_company(contact).company_id or "")
            results.append(to_lead(contact, company, portal_id, self._facts.rules))
        if not results:
            raise Skipped("HubSpot has no contact")
        return results

    @property
    def _leads(self) -> list[Lead]:
        leads: list[Lead] = [one.lead for one in self._results if isinstance(one, MappedLead)]
        if not leads:
            raise Skipped("none of the first contacts becomes a lead")
        return leads

    def mapping(self) -> str:
        reasons = Counter(one.reason for one in self._results if isinstance(one, Exclusion))
        leads = len(self._results) - reasons.total()
        found = f"{leads:,} of the first {count_noun(len(self._results), 'contact')} become leads"
        held = ", ".join(f"{number:,} {reason}" for reason, number in sorted(reasons.items()))
        return f"{found}; would be held: {held}" if held else found

    def field_names(self) -> str:
        self._refuse(lambda lead: "phone" in lead, "a field phone (guide, bug 3)")
        names = sorted({name for lead in self._leads for name in lead})
        unknown = [name for name in names if name not in (*FIELDS, "notes")]
        warning = f"; not documented by LeadGenius: {', '.join(unknown)}" if unknown else ""
        return f"{', '.join(names)}{warning}"

    def no_empty_strings(self) -> str:
        self._refuse(lambda lead: not all(map(str.strip, lead.values())), "an empty field")
        return f"none in {count_noun(len(self._leads), 'lead')}; empty fields are left out"

    def names(self) -> str:
        self._refuse(_is_nameless, "no first or last name")
        return f"{count_noun(len(self._leads), 'lead')} with a first and a last name"

    def _refuse(self, is_bad: Callable[[Lead], bool], what: str) -> None:
        if bad := sum(map(is_bad, self._leads)):
            raise NotReady(
                f"{count_noun(bad, 'lead')} would have {what}, which LeadGenius rejects.",
                "report this as a bug in migrator, and push nothing",
            )


def _is_nameless(lead: Lead) -> bool:
    return any(lead.get(name, "").strip() in ("", ".") for name in ("firstName", "lastName"))
