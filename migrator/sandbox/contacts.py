"""
The portal's generated contacts: contact n is a pure function of the seed and n.

This module defines the unusual kinds of contacts and their shares. `expected_leads` says what must
become of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from migrator.sandbox import sample_data
from migrator.sandbox.companies import GeneratedCompanies
from migrator.sandbox.seeded_random import SeededRandom

Properties = dict[str, str | None]
Row = tuple[str, str]  # company id, type of the association
Names = tuple[str | None, str | None]

# Defined in every portal: null where a record has no value.
MERGED_IDS = "hs_merged_object_ids"
MORE_EMAILS = "hs_additional_emails"
ALWAYS_DEFINED = frozenset({MERGED_IDS, MORE_EMAILS})

PRIMARY = "contact_to_company"
UNLABELED = "contact_to_company_unlabeled"

_EPOCH = datetime(2019, 1, 1, 8, tzinfo=UTC)
_NEIGHBOURHOOD = 20  # the greatest distance between a duplicate and the contact it repeats

# Shares in 1,000; the rest is plain.
_MAIL_KINDS = (
    (12, "absent"),
    (5, "empty"),
    (3, "blank"),
    (6, "invalid"),
    (14, "duplicate"),
    (6, "padded"),
    (10, "shouted"),
    (80, "free"),
)
_NAME_KINDS = (
    (12, "no_first"),
    (15, "no_last"),
    (8, "no_names"),
    (6, "empty_last"),
    (8, "dot_last"),
    (5, "mark_last"),
    (5, "mark_first"),
    (10, "padded"),
    (6, "doubled"),
    (6, "control"),
    (8, "combining"),
    (8, "right_to_left"),
    (6, "emoji"),
)
_NAME_QUIRKS: dict[str, Callable[[str, str, SeededRandom], Names]] = {
    "plain": lambda first, last, rng: (first, last),
    "no_first": lambda first, last, rng: (rng.pick((None, "")), last),
    "no_last": lambda first, last, rng: (first, None),
    "no_names": lambda first, last, rng: (None, None),
    "empty_last": lambda first, last, rng: (first, rng.pick(("", "  "))),
    "dot_last": lambda first, last, rng: (first, "."),
    "mark_last": lambda first, last, rng: (first, rng.pick(sample_data.MARKS)),
    "mark_first": lambda first, last, rng: (rng.pick(sample_data.MARKS), last),
    "padded": lambda first, last, rng: (f"  {first}\t", f"\u00a0{last} \n"),
    "doubled": lambda first, last, rng: (f"{first}  Maria", f"{last} \u3000 Jr."),
    "control": lambda first, last, rng: (f"{first}\x00", f"{last[:1]}\x07{last[1:]}\x7f"),
    "combining": lambda first, last, rng: rng.pick(sample_data.COMBINING),
    "right_to_left": lambda first, last, rng: rng.pick(sample_data.RIGHT_TO_LEFT),
    "emoji": lambda first, last, rng: rng.pick(sample_data.EMOJI),
}
_LOCAL_PARTS: tuple[Callable[[str, str, int], str], ...] = (
    lambda first, last, n: f"{first}.{last}.{n}",
    lambda first, last, n: f"{first}_{last}{n}",
    lambda first, last, n: f"{first[0]}{last}-{n}",
    lambda first, last, n: f"{first}{n}",
    lambda first, last, n: f"{n}.{last}",
    lambda first, last, n: f"{first}+{last}.{n}",
)
_INVALID: tuple[Callable[[int], str], ...] = (
    lambda n: f"reception {n}",
    lambda n: f"two@@signs-{n}.example",
    lambda n: f"white space{n}@initech.example",
    lambda n: f"@nobody-{n}.example",
    lambda n: f"nowhere{n}@",
    lambda n: f"a{n}@b@c.example",
)
_EMPLOYMENTS = (
    (260, "none"),
    (150, "primary_last"),
    (60, "labelled"),
    (60, "named_by_property"),
    (40, "no_primary"),
)


@dataclass(frozen=True, slots=True)
class Contact:
    """
    A contact of the portal.

    Args:
        companies: Rows in HubSpot's order: one per label, so a company may appear several times.
        archived_at: When it was archived; None = it is not.
    """

    id: str
    properties: Properties
    companies: tuple[Row, ...] = ()
    archived_at: str | None = None


@dataclass(frozen=True, slots=True)
class _Sketch:
    """The values that determine a contact's e-mail; also generated for neighbours."""

    first: tuple[str, str]
    last: tuple[str, str]
    employer: int
    mail_kind: str
    mail: str


class GeneratedContacts:
    """
    All generated contacts of one portal.

    Args:
        companies: Their employers; there must be at least one.
    """

    def __init__(self, seed: int, companies: GeneratedCompanies) -> None:
        self._seed = seed
        self._companies = companies

    def contact(self, index: int, contact_id: str) -> Contact:
        """Contact `index`, counted from 0, under the id that the portal gives it."""
        sketch = self._sketch(index)
        rng = SeededRandom(self._seed, "quirks", index)
        companies, chosen = self._employment(sketch, rng)
        first, last = _NAME_QUIRKS[rng.weighted(_NAME_KINDS, "plain")](
            sketch.first[0], sketch.last[0], rng
        )
        city, country = rng.pick(sample_data.PLACES)
        properties: Properties = {
            "firstname": first,
            "lastname": last,
            "email": self._mail(index, sketch, rng),
            "jobtitle": _title(rng),
            **_phones(index, rng),
            "city": city,
            "country": country,
            "lifecyclestage": rng.pick((*sample_data.LIFECYCLES, None)),
            "hs_lead_status": rng.pick((*sample_data.STATUSES, None, "")),
            # Guide, bug 5: an outdated text, if any.
            "company": "Some Former Employer" if rng.chance(20) else None,
            "associatedcompanyid": chosen,
            **_dates(index, contact_id),
        }
        return Contact(contact_id, properties, companies)

    def _sketch(self, index: int) -> _Sketch:
        rng = SeededRandom(self._seed, "sketch", index)
        first, last = rng.pick(sample_data.FIRST), rng.pick(sample_data.LAST)
        employer = rng.below(self._companies.count)
        kind = rng.weighted(_MAIL_KINDS, "plain")
        local = rng.pick(_LOCAL_PARTS)(first[1], last[1], index)
        domain = self._companies.domain_of(employer) or f"{last[1]}-works.example"
        if kind == "free":
            domain = rng.pick(sample_data.FREE_MAIL)
        return _Sketch(first, last, employer, kind, f"{local}@{domain}")

    def _mail(self, index: int, sketch: _Sketch, rng: SeededRandom) -> str | None:
        match sketch.mail_kind:
            case "absent":
                return None
            case "empty":
                return ""
            case "blank":
                return "  "
            case "invalid":
                return rng.pick(_INVALID)(index)
            case "duplicate":
                return self._mail_of_a_neighbour(index, sketch, rng)
            case "padded":
                return f" {sketch.mail}\t"
            case "shouted":
                return sketch.mail.upper()
            case _:
                return sketch.mail

    def _mail_of_a_neighbour(self, index: int, sketch: _Sketch, rng: SeededRandom) -> str:
        start = index - 1 - rng.below(_NEIGHBOURHOOD)
        for other in range(start, max(start - _NEIGHBOURHOOD, -1), -1):
            if (neighbour := self._sketch(other)).mail_kind == "plain":
                mail = neighbour.mail
                return rng.pick((mail, mail.upper(), mail.capitalize(), f"{mail} "))
        return sketch.mail

    def _employment(self, sketch: _Sketch, rng: SeededRandom) -> tuple[tuple[Row, ...], str | None]:
        """The associations, and the `associatedcompanyid` that goes with them."""
        mine = self._companies.id_of(sketch.employer)
        other = self._companies.id_of(rng.below(self._companies.count))
        kind = rng.weighted(_EMPLOYMENTS, "one")
        if kind == "none" or (sketch.mail_kind == "free" and rng.chance(800)):
            return (), None
        rows: dict[str, tuple[Row, ...]] = {
            "one": ((mine, UNLABELED), (mine, PRIMARY)),
            "primary_last": ((other, UNLABELED), (mine, UNLABELED), (mine, PRIMARY)),
            "labelled": ((other, "former_employer"), (other, UNLABELED), (mine, PRIMARY)),
            "named_by_property": ((other, UNLABELED), (mine, UNLABELED)),
            "no_primary": ((mine, "consultant"), (mine, UNLABELED), (other, UNLABELED)),
        }
        return rows[kind], None if kind == "no_primary" else mine


def _title(rng: SeededRandom) -> str | None:
    title = rng.pick(sample_data.TITLES)
    long = ", ".join(sample_data.TITLES) * 12
    return rng.weighted(((200, None), (40, ""), (10, " "), (10, f" {title} "), (4, long)), title)


def _phones(index: int, rng: SeededRandom) -> Properties:
    phone, mobile = f"+49 30 {index:07}", f"(0170) {index:07}"
    kinds: tuple[tuple[int, Names], ...] = (
        (300, (None, None)),
        (100, (None, mobile)),
        (40, ("", mobile)),
        (100, (phone, mobile)),
        (10, (f" {phone} ", None)),
        (5, (" ", None)),
    )
    landline, mobilephone = rng.weighted(kinds, (phone, None))
    return {"phone": landline, "mobilephone": mobilephone}


def _dates(index: int, contact_id: str) -> Properties:
    created = _EPOCH + timedelta(minutes=37 * index)
    return {
        "createdate": stamp(created),
        "lastmodifieddate": stamp(created + timedelta(days=200)),
        "hs_object_id": contact_id,
    }


def stamp(moment: datetime) -> str:
    """Format a time like HubSpot: UTC, milliseconds, Z."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
