"""
What a merge makes of two records: the primary's values, the other's where the primary has none.

Owns the new record's contents; which ids lead to it is the portal's. Pure.
"""

from migrator.sandbox.companies import Company
from migrator.sandbox.contacts import MERGED_IDS, MORE_EMAILS, PRIMARY, Contact, Properties, Row


def merged_contacts(primary: Contact, other: Contact) -> tuple[Properties, tuple[Row, ...]]:
    """Properties and rows of the contact that two become; the other's e-mail becomes a further."""
    own = _filled(primary.properties, other.properties)
    emails = [person.properties.get("email") for person in (primary, other)]
    further = [person.properties.get(MORE_EMAILS) or "" for person in (primary, other)]
    all_ = dict.fromkeys(text for text in (*emails, *";".join(further).split(";")) if text)
    created = min(str(person.properties["createdate"]) for person in (primary, other))
    return {
        **own,
        MORE_EMAILS: ";".join(one for one in all_ if one != own.get("email")) or None,
        MERGED_IDS: _ids(primary, other),
        "createdate": created,
    }, _rows(primary, other)


def merged_companies(primary: Company, other: Company) -> Properties:
    """Properties of the company that two become."""
    own = _filled(primary.properties, other.properties)
    return {**own, MERGED_IDS: _ids(primary, other)}


def _filled(primary: Properties, other: Properties) -> Properties:
    names = dict.fromkeys((*primary, *other))
    return {name: primary.get(name) or other.get(name) for name in names}


def _ids(*records: Contact | Company) -> str:
    """All ids that lead to the new record, those of earlier merges too."""
    texts = [text for one in records for text in (one.id, one.properties.get(MERGED_IDS)) if text]
    return ";".join(dict.fromkeys(";".join(texts).split(";")))


def _rows(primary: Contact, other: Contact) -> tuple[Row, ...]:
    has_primary = any(kind == PRIMARY for _, kind in primary.companies)
    rows = [row for row in other.companies if not (has_primary and row[1] == PRIMARY)]
    return tuple(dict.fromkeys((*primary.companies, *rows)))
