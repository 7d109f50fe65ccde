"""What a table changes and what came of it, in words that fit a line."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from migrator.amend.plan import Change
from migrator.ledger import AmendableContact, Ledger
from migrator.text import count_noun

_LONGEST_VALUE = 50
_LONGEST_DETAIL = 100


@dataclass(frozen=True)
class AmendPreview:
    """Where amended contacts stand once they are mapped again, by HubSpot's id."""

    standings: Mapping[str, AmendableContact]

    @property
    def held(self) -> list[AmendableContact]:
        """Those that wait for a person still, or again."""
        return [one for one in self.standings.values() if one.held is not None]


def forecast(ledger: Ledger, changes: Sequence[Change]) -> AmendPreview:
    """Where these contacts stand now."""
    return AmendPreview(ledger.amendments.find([change.hubspot_id for change in changes]))


def line(change: Change, becomes: AmendableContact) -> str:
    """A contact: what changes, and what becomes of it."""
    parts = [
        f"{name}: {_shown(old)} -> {_shown(new)}" for name, (old, new) in change.fields.items()
    ]
    return " · ".join([f"contact {change.hubspot_id}", *parts, _end(change, becomes)])


def counts(forecast: AmendPreview) -> str:
    """All of them, by what becomes of them."""
    held = Counter(str(one.held) for one in forecast.held)
    sendable = len(forecast.standings) - held.total()
    parts = [f"{sendable:,} will be sendable"] if sendable else []
    parts += [f"{number:,} held: {reason}" for reason, number in sorted(held.items())]
    return f"{count_noun(len(forecast.standings), 'contact')} to amend: {' · '.join(parts)}"


def _end(change: Change, becomes: AmendableContact) -> str:
    if becomes.held is None:
        return "will be sendable"
    still = "still" if becomes.held is change.was_held else "will be"
    return f"{still} held: {becomes.held} ({_cut(becomes.detail or '', _LONGEST_DETAIL)})"


def _shown(value: str) -> str:
    return f'"{_cut(value, _LONGEST_VALUE)}"' if value else "(none)"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
