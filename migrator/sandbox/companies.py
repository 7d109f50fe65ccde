"""The portal's generated companies: company n is a pure function of the seed and n."""

from dataclasses import dataclass

from migrator.sandbox import sample_data
from migrator.sandbox.seeded_random import SeededRandom

_FIRST_ID = 900_000_051
_STEP = 37

# Shares in 1,000 of the unusual kinds in the guide and in HubSpot's documentation.
_FATES = (
    (12, "gone"),  # a batch read reports it as an error of a 207
    (12, "merged"),  # a batch read omits it silently
    (10, "nameless"),
    (5, "blank"),
    (40, "no_domain"),
    (120, "no_industry"),
)

Properties = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class Company:
    """
    A company of the portal.

    Args:
        silent: Merged into another: a batch read omits it without an error.
    """

    id: str
    properties: Properties
    silent: bool = False


class GeneratedCompanies:
    """
    All generated companies of one portal.

    Args:
        count: The number of companies.
    """

    def __init__(self, seed: int, count: int) -> None:
        self._seed = seed
        self.count = count

    def id_of(self, index: int) -> str:
        """The id of company `index`, from 0 to `count - 1`."""
        return str(_FIRST_ID + _STEP * index)

    def index_of(self, company_id: str) -> int | None:
        """The inverse of `id_of`; None for other ids."""
        if not company_id.isdecimal():
            return None
        index, rest = divmod(int(company_id) - _FIRST_ID, _STEP)
        return index if rest == 0 and 0 <= index < self.count else None

    def domain_of(self, index: int) -> str | None:
        """The domain of its contacts' e-mails; None = the portal has none."""
        return None if self._fate(index) == "no_domain" else self._domain(index)

    def get(self, company_id: str) -> Company | None:
        """The company of that id; None = it does not exist."""
        index = self.index_of(company_id)
        if index is None or self._fate(index) == "gone":
            return None
        return Company(company_id, self._properties(index), silent=self._fate(index) == "merged")

    def _fate(self, index: int) -> str:
        return SeededRandom(self._seed, "fate", index).weighted(_FATES, "plain")

    def _domain(self, index: int) -> str:
        return f"{sample_data.FIRMS[index % len(sample_data.FIRMS)].lower()}-{index}.example"

    def _properties(self, index: int) -> Properties:
        rng = SeededRandom(self._seed, "firm", index)
        fate = self._fate(index)
        firm = sample_data.FIRMS[index % len(sample_data.FIRMS)]
        name = f"{firm} {index} {rng.pick(sample_data.KINDS_OF_FIRM)}"
        city, country = rng.pick(sample_data.PLACES)
        return {
            "name": {"nameless": None, "blank": ""}.get(fate, name),
            "domain": self.domain_of(index),
            "industry": None if fate == "no_industry" else rng.pick(sample_data.INDUSTRIES),
            "phone": f"+49 30 {100000 + index}",
            "city": city,
            "country": country,
        }
