"""Which of a contact's companies speaks for it; what of it is read, the rules say."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from migrator.mapping.text import as_mapping, identifier, properties_of

# The contact's property that names its primary company: asked for, whatever a mapping names.
PRIMARY_PROPERTY = "associatedcompanyid"
_PRIMARY = "contact_to_company"


class CompanyChoice(NamedTuple):
    """
    The company that speaks for a contact, and why.

    Args:
        company_id: HubSpot's id of it; None when the contact has no company.
        rule: `primary`, `associatedcompanyid` or `first`; None when the contact has no company.
    """

    company_id: str | None
    rule: str | None


def choose_company(contact: Mapping[str, Any]) -> CompanyChoice:
    """
    Choose the company of a contact: the primary one, else `associatedcompanyid`, else the first.

    The primary row need not come first. HubSpot cuts an inline list at 100 rows, so the primary may
    be missing from it: that is why the property is asked before the first row is believed.

    Args:
        contact: HubSpot's JSON, `{"id", "properties", "associations": {"companies": {"results":
            [{"id", "type"}, ...]}}}`; any key may be missing.
    """
    rows = _company_rows(contact)
    for company_id, kind in rows:
        if kind == _PRIMARY:
            return CompanyChoice(company_id, "primary")
    if company_id := identifier(properties_of(contact).get(PRIMARY_PROPERTY)):
        return CompanyChoice(company_id, "associatedcompanyid")
    if rows:
        return CompanyChoice(rows[0][0], "first")
    return CompanyChoice(None, None)


def _company_rows(contact: object) -> list[tuple[str, object]]:
    """Return `(company id, type)` of each association that names a company, in HubSpot's order."""
    associations = as_mapping(as_mapping(contact).get("associations"))
    rows = as_mapping(associations.get("companies")).get("results")
    given = map(as_mapping, rows if isinstance(rows, list) else [])
    named = ((identifier(row.get("id")), row.get("type")) for row in given)
    return [(company_id, kind) for company_id, kind in named if company_id]
