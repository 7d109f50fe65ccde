"""
Activates a mapping, and finds the rules that built each lead of a ledger.

A new mapping becomes active only once no unsent lead was built by another one, so a push never
sends a lead of replaced rules.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from migrator.errors import LedgerError
from migrator.hubspot_responses import MERGED_IDS
from migrator.ledger import Ledger, StoredMapping
from migrator.mapping import DEFAULT, InvalidMapping, Rules, parse


@dataclass(frozen=True)
class MappingSet:
    """
    The active rules, and those of leads that were sent.

    Args:
        of_sent: The rules of each mapping that built leads that were or may have been sent, by id.
    """

    rules: Rules
    of_sent: Mapping[int, Rules]

    def of(self, mapping: int | None) -> Rules:
        """The rules that built a lead, by the id of its mapping."""
        return self.rules if mapping is None else self.of_sent.get(mapping, self.rules)

    @property
    def contact_properties(self) -> tuple[str, ...]:
        """
        Properties to request, with the one that names merged records.

        With those of older rules, changes since a send are detected.
        """
        known = (self.rules, *self.of_sent.values())
        return _joined((*(rules.contact_properties for rules in known), (MERGED_IDS,)))

    @property
    def company_properties(self) -> tuple[str, ...]:
        """Properties of companies to request."""
        return _joined(rules.company_properties for rules in (self.rules, *self.of_sent.values()))


def _joined(lists: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for one in lists for name in one))


def active_rules(ledger: Ledger) -> Rules:
    """The active rules of the ledger."""
    return _parsed(ledger, ledger.mappings.active())


def activate_mapping(
    ledger: Ledger, rules: Rules | None, check: Callable[[], None]
) -> tuple[MappingSet, int]:
    """
    Make a mapping the active one, after unsent leads of other mappings were discarded.

    A stop in between leaves the old one active, and contacts to be mapped again.

    Args:
        rules: `None` = keep the active ones.
        check: Called now and then; raises when the user wants to stop.

    Returns:
        The rules, and how many contacts have to be mapped again.
    """
    mappings = ledger.mappings
    before, old = mappings.active(), active_rules(ledger)
    rules = rules or old
    mapping = mappings.store(rules.hash, rules.text)
    withdrawn = mappings.discard_others(mapping, check)
    if before is None or before.id != mapping:
        mappings.activate(mapping, restart=_reads_more(rules, old))
    sent = {id_: _parsed(ledger, kept) for id_, kept in mappings.used_by_sent().items()}
    return MappingSet(rules, sent), withdrawn


def _reads_more(rules: Rules, old: Rules) -> bool:
    """Whether the rules read properties that were not extracted so far."""
    return not (
        set(rules.contact_properties) <= set(old.contact_properties)
        and set(rules.company_properties) <= set(old.company_properties)
    )


def _parsed(ledger: Ledger, kept: StoredMapping | None) -> Rules:
    if kept is None:
        return DEFAULT
    try:
        return parse(kept.text)
    except InvalidMapping as error:
        raise LedgerError(
            f"The mapping in the ledger {ledger.path} cannot be used: {error}.",
            "use the version of migrator that activated it",
        ) from None
