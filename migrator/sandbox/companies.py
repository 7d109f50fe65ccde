"""
The portal's companies: company n is a pure function of the seed and n.

Owns how a generated company looks, and which ids HubSpot no longer knows. It keeps nothing in
memory and must never need another company to make one.
"""

from dataclasses import dataclass

from migrator.sandbox import sample_data
from migrator.sandbox.seeded_random import SeededRandom

_FIRST_ID = 900_000_051
_STEP = 37

# In 1,000: the awkward ones that the guide and HubSpot's documentation speak of.
_FATES = (
    (12, "gone"),  # asked for by id, it comes back as an error of a 207
    (12, "merged"),  # asked for by id, it does not come back at all
    (10, "nameless"),
    (5, "blank"),
    (40, "no_domain"),
    (120, "no_industry"),
)

Properties = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class Company:
    """
    A company as the portal holds it.

    Args:
        silent: Merged into another: a batch read leaves it out and reports no error.
    """

    id: str
    properties: Properties
    silent: bool = False


class GeneratedCompanies:
    """
    All generated companies of one portal.

    Args:
        count: How many; ids beyond are unknown to the portal.
    """

    def __init__(self, seed: int, count: int) -> None:
        self._seed = seed
        self.count = count

    def id_of(self, index: int) -> str:
        """The id of company `index`, which must be one of `range(count)`."""
        return str(_FIRST_ID + _STEP * index)

    def index_of(self, company_id: str) -> int | None:
        """The inverse of `id_of`; None for an id that was never generated."""
        if not company_id.isdecimal():
            return None
        index, rest = divmod(int(company_id) - _FIRST_ID, _STEP)
        return index if rest == 0 and 0 <= index < self.count else None

    def domain_of(self, index: int) -> str | None:
        """Where its people have their e-mail; None when the portal does not know."""
        return None if self._fate(index) == "no_domain" else self._domain(index)

    def get(self, company_id: str) -> Company | None:
        """The company of that id; None when it never was or is gone."""
        index = self.index_of(company_id)
        if index is None or self._fate(index) == "gone":
            return None
        return Company(company_id, self._properties(index), silent=self._fate(index) == "merged")

    def _fate(self, index: int) -> str:
        return SeededRandom(self._seed, "fate", index).weighted(_FATES, "plain")

    def _domain(self, index: int) -> str:
        return f"{sample_data.FIRMS[index % len(sample_data.FIRMS)].lower()}-{index}.example"

    def _properties(self, index: int) -> Properties:
        dice = SeededRandom(self._seed, "firm", index)
        fate = self._fate(index)
        firm = sample_data.FIRMS[index % len(sample_data.FIRMS)]
        name = f"{firm} {index} {dice.pick(sample_data.KINDS_OF_FIRM)}"
        city, country = dice.pick(sample_data.PLACES)
        return {
            "name": {"nameless": None, "blank": ""}.get(fate, name),
            "domain": self.domain_of(index),
            "industry": None if fate == "no_industry" else dice.pick(sample_data.INDUSTRIES),
            "phone": f"+49 30 {100000 + index}",
            "city": city,
            "country": country,
        }
