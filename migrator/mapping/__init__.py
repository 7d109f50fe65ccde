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

Modules are loaded when a name of theirs is first imported from here: to parse the built-in mapping
and the lists of words takes a while, and `migrator show` needs neither.
"""

from collections.abc import Iterator
from types import ModuleType
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


def __getattr__(name: str) -> Any:
    """Load the modules up to the one that has a name (PEP 562)."""
    if name in __all__:
        for module in _modules():
            if hasattr(module, name):
                globals()[name] = getattr(module, name)
                return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _modules() -> Iterator[ModuleType]:
    """The modules, those that load quickly first."""
    from migrator.mapping import emails, fields, identity, text

    yield from (fields, text, emails, identity)
    from migrator.mapping import companies, overrides, rules

    yield from (rules, companies, overrides)
    from migrator.mapping import data_quality, leads, parser

    yield from (parser, leads, data_quality)
