"""
The mappings of one ledger: taking one up, and the rules that built each of its leads.

A new mapping is put in force only when nothing that waits to be sent was built by another one: so
no push ever sends a lead of rules that were given up. It maps nothing itself.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from migrator.errors import LedgerError
from migrator.ledger import Ledger, StoredMapping
from migrator.mapping import DEFAULT, InvalidMapping, Rules, parse


@dataclass(frozen=True)
class MappingSet:
    """
    The rules in force, and those by which leads were built that can change no more.

    Args:
        of_sent: The rules of each mapping that built what was sent, or may have been, by its id.
    """

    rules: Rules
    of_sent: Mapping[int, Rules]

    def of(self, mapping: int | None) -> Rules:
        """The rules that built a lead."""
        return self.rules if mapping is None else self.of_sent.get(mapping, self.rules)

    @property
    def contact_properties(self) -> tuple[str, ...]:
        """Those to ask for: without the older rules' own nobody saw what changed since a send."""
        return _joined(rules.contact_properties for rules in (self.rules, *self.of_sent.values()))

    @property
    def company_properties(self) -> tuple[str, ...]:
        """Those of companies to ask for."""
        return _joined(rules.company_properties for rules in (self.rules, *self.of_sent.values()))


def _joined(lists: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for one in lists for name in one))


def active_rules(ledger: Ledger) -> Rules:
    """The rules that the ledger's next lead is built by, if nobody puts others in force."""
    return _parsed(ledger, ledger.mappings.active())


def activate_mapping(
    ledger: Ledger, rules: Rules | None, check: Callable[[], None]
) -> tuple[MappingSet, int]:
    """
    Put a mapping in force, after what another one built and nobody sent was taken back.

    Whoever is stopped in between leaves the old one in force, and contacts that wait to be mapped.

    Args:
        rules: `None` = those in force stay.
        check: Called now and then; raises when the user wants to stop.

    Returns:
        The rules, and how many contacts were taken back.
    """
    mappings = ledger.mappings
    before, old = mappings.active(), active_rules(ledger)
    rules = rules or old
    mapping = mappings.store(rules.hash, rules.text)
    withdrawn = mappings.discard_others(mapping, check)
    if before is None or before.id != mapping:
        mappings.activate(mapping, begin_anew=_wants_more(rules, old))
    sent = {id_: _parsed(ledger, kept) for id_, kept in mappings.used_by_sent().items()}
    return MappingSet(rules, sent), withdrawn


def _wants_more(rules: Rules, old: Rules) -> bool:
    """Whether it wants properties that pages and companies read so far do not have."""
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
            f"The mapping that the ledger {ledger.path} keeps cannot be used: {error}.",
            "use the version of migrator that put it in force",
        ) from None
