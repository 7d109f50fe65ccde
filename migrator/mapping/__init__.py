"""
Contact and company to lead, or the reason why not, by rules that a file may change.

The payload rules of the guide (section 5, bugs 3 to 6) and the line by which a lead is known as
ours hold whatever the file says. Pure: the same JSON and rules in, the same lead out; no clock, and
no file but its own. The rooms in it:

    rules       what a mapping file says
    parser      a mapping file, read and checked; the built-in one is the guide's
    leads       contact + company -> lead, or the reason why not
    companies   which company speaks for a contact
    overrides   what a person put in the place of HubSpot's values, laid over them
    identity    whose a lead is, and whether it is as it was sent
    emails      the address that a text holds, and what two spellings of one share
    free_mail   domains that name no company
    text        values of any kind as text that a lead can hold
"""

from migrator.mapping.companies import CompanyChoice, choose_company
from migrator.mapping.emails import email_key
from migrator.mapping.identity import Comparison, compare, is_removed, record_line, records_in
from migrator.mapping.leads import Exclusion, MappedLead, to_lead
from migrator.mapping.overrides import overlay, values
from migrator.mapping.parser import (
    DEFAULT,
    FIELDS,
    InvalidMapping,
    MappingProblem,
    advised,
    doubts,
    parse,
)
from migrator.mapping.rules import COMPANY_PREFIX, NoteLine, PropertySource, Rules

__all__ = [
    "COMPANY_PREFIX",
    "DEFAULT",
    "FIELDS",
    "CompanyChoice",
    "Comparison",
    "Exclusion",
    "InvalidMapping",
    "MappedLead",
    "MappingProblem",
    "NoteLine",
    "PropertySource",
    "Rules",
    "advised",
    "choose_company",
    "compare",
    "doubts",
    "email_key",
    "is_removed",
    "overlay",
    "parse",
    "record_line",
    "records_in",
    "to_lead",
    "values",
]
