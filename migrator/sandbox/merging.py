"""The result of merging two records: the primary's values, and the other's where it has none."""

from migrator.sandbox.companies import Company
from migrator.sandbox.contacts import MERGED_IDS, MORE_EMAILS, PRIMARY, Contact, Properties, Row


def merged_contacts(primary: Contact, other: Contact) -> tuple[Properties, tuple[Row, ...]]:
    """Properties and rows of the merged contact; the other e-mail becomes an additional one."""
    own = _filled(primary.properties, other.properties)
    emails = [contact.properties.get("email") for contact in (primary, other)]
    further = [contact.properties.get(MORE_EMAILS) or "" for contact in (primary, other)]
    all_ = dict.fromkeys(text for text in (*emails, *";".join(further).split(";")) if text)
    created = min(str(contact.properties["createdate"]) for contact in (primary, other))
    return {
        **own,
        MORE_EMAILS: ";".join(one for one in all_ if one != own.get("email")) or None,
        MERGED_IDS: _ids(primary, other),
        "createdate": created,
    }, _rows(primary, other)


def merged_companies(primary: Company, other: Company) -> Properties:
    """Properties of the merged company."""
    own = _filled(primary.properties, other.properties)
    return {**own, MERGED_IDS: _ids(primary, other)}


def _filled(primary: Properties, other: Properties) -> Properties:
    names = dict.fromkeys((*primary, *other))
    return {name: primary.get(name) or other.get(name) for name in names}


def _ids(*records: Contact | Company) -> str:
    """All ids of the merged record, including those of earlier merges."""
    texts = [text for one in records for text in (one.id, one.properties.get(MERGED_IDS)) if text]
    return ";".join(dict.fromkeys(";".join(texts).split(";")))


def _rows(primary: Contact, other: Contact) -> tuple[Row, ...]:
    has_primary = any(kind == PRIMARY for _, kind in primary.companies)
    rows = [row for row in other.companies if not (has_primary and row[1] == PRIMARY)]
    return tuple(dict.fromkeys((*primary.companies, *rows)))
