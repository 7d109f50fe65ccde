"""Chooses the company of a contact."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from migrator.mapping.text import as_mapping, identifier, properties_of

# The contact's property with the id of its primary company; always requested.
PRIMARY_PROPERTY = "associatedcompanyid"
_PRIMARY = "contact_to_company"


class CompanyChoice(NamedTuple):
    """
    The company chosen for a contact, and why.

    Args:
        company_id: Its HubSpot id; `None` = the contact has no company.
        rule: `primary`, `associatedcompanyid` or `first`; `None` = the contact has no company.
    """

    company_id: str | None
    rule: str | None


def choose_company(contact: Mapping[str, Any], gone: Collection[str] = ()) -> CompanyChoice:
    """
    Choose the company of a contact: the primary one, else `associatedcompanyid`, else the first.

    The primary row may be anywhere in the list, or missing: HubSpot cuts inline lists at 100 rows.
    So the property takes precedence over the first row. Companies that no longer exist are skipped,
    unless none of them exists.

    Args:
        contact: HubSpot's JSON, `{"id", "properties", "associations": {"companies": {"results":
            [{"id", "type"}, ...]}}}`; any key may be missing.
        gone: Ids of companies that no longer exist.
    """
    first = None
    for choice in _choices(contact):
        if choice.company_id not in gone:
            return choice
        first = first or choice
    return first or _NO_COMPANY


_NO_COMPANY = CompanyChoice(None, None)


def _choices(contact: Mapping[str, Any]) -> Iterator[CompanyChoice]:
    rows = _company_rows(contact)
    for one, kind in rows:
        if kind == _PRIMARY:
            yield CompanyChoice(one, "primary")
    if company_id := identifier(properties_of(contact).get(PRIMARY_PROPERTY)):
        yield CompanyChoice(company_id, "associatedcompanyid")
    yield from (CompanyChoice(one, "first") for one, _ in rows)


def _company_rows(contact: object) -> list[tuple[str, object]]:
    """Return `(company id, type)` of each association with a valid id, in HubSpot's order."""
    associations = as_mapping(as_mapping(contact).get("associations"))
    rows = as_mapping(associations.get("companies")).get("results")
    given = map(as_mapping, rows if isinstance(rows, list) else ())
    return [(one, row.get("type")) for row in given if (one := identifier(row.get("id")))]
