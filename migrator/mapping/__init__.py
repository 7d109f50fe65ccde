"""
Maps a contact and its company to a lead, or excludes it with a reason, by configurable rules.

The payload rules of the guide (section 5, bugs 3 to 6) and the record line are fixed; a mapping
file cannot change them. All functions are pure. The modules:

    fields        the fields that a lead may have
    rules         the rules of a mapping file
    parser        parses and validates a mapping file; the built-in one follows the guide
    leads         contact + company -> lead, or the reason why not
    companies     chooses the company of a contact
    overrides     values that a person has put in place of HubSpot's
    identity      the record line, and the comparison of a listed lead with the sent one
    emails        finds the address in a text, and normalises addresses
    free_mail     domains that do not name a company
    data_quality  leads that a person should look at before they are sent
    text          converts JSON values to clean text

A module is loaded when one of its names is first imported from here: to parse the built-in mapping
and the lists of words takes longer than `migrator show` does otherwise.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from migrator.mapping.companies import CompanyChoice, choose_company
    from migrator.mapping.data_quality import Finding, findings
    from migrator.mapping.emails import email_key
    from migrator.mapping.fields import FIELDS
    from migrator.mapping.identity import (
        Comparison,
        comparable,
        compare,
        is_removed,
        note_lines,
        record_line,
        records_in,
        same_value,
    )
    from migrator.mapping.leads import Exclusion, MappedLead, to_lead
    from migrator.mapping.overrides import overlay, values
    from migrator.mapping.parser import (
        DEFAULT,
        InvalidMapping,
        MappingProblem,
        advised,
        doubts,
        parse,
    )
    from migrator.mapping.rules import COMPANY_PREFIX, NoteLine, PropertySource, Rules
    from migrator.mapping.text import text_of

__all__ = [
    "COMPANY_PREFIX",
    "DEFAULT",
    "FIELDS",
    "CompanyChoice",
    "Comparison",
    "Exclusion",
    "Finding",
    "InvalidMapping",
    "MappedLead",
    "MappingProblem",
    "NoteLine",
    "PropertySource",
    "Rules",
    "advised",
    "choose_company",
    "comparable",
    "compare",
    "doubts",
    "email_key",
    "findings",
    "is_removed",
    "note_lines",
    "overlay",
    "parse",
    "record_line",
    "records_in",
    "same_value",
    "text_of",
    "to_lead",
    "values",
]
_MODULES = {
    "companies": ("CompanyChoice", "choose_company"),
    "data_quality": ("Finding", "findings"),
    "emails": ("email_key",),
    "fields": ("FIELDS",),
    "identity": (
        "Comparison",
        "comparable",
        "compare",
        "is_removed",
        "note_lines",
        "record_line",
        "records_in",
        "same_value",
    ),
    "leads": ("Exclusion", "MappedLead", "to_lead"),
    "overrides": ("overlay", "values"),
    "parser": ("DEFAULT", "InvalidMapping", "MappingProblem", "advised", "doubts", "parse"),
    "rules": ("COMPANY_PREFIX", "NoteLine", "PropertySource", "Rules"),
    "text": ("text_of",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a name's module (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
