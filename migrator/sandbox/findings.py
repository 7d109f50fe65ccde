"""
A sandbox that behaves as a probe found a destination.

The findings are the JSON object of `migrator probe`. A key that is missing or null means that the
destination is as the guide says.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

# The fields that the vendor documents as writable.
_WRITABLE = """
    firstName lastName fullName contactName email emailStatus phoneNumber sanitizedPhoneNumber
    linkedinUrl headline title seniority companyName companyUrl companyDomain companyLinkedinUrl
    country state city industry status notes leadQualify functions departments subdepartments
    keywords"""
_MARKS = frozenset({"status", "deletedAt", "deletedBy"})

# Where one value of a finding is one quirk: the key (of `update` behind a point), value and quirk.
_QUIRKS = (
    ("cursor", "nextToken", "next_token"),
    ("total_is_page_size", False, "real_total"),
    ("batch_saves", True, "batch_saves"),
    ("same_email", "refused", "unique_email"),
    ("same_email", "updated", "updating_email"),
    ("update.partial", False, "replacing_update"),
    ("update.null_clears", False, "null_ignored"),
    ("update.empty_clears", True, "empty_clears"),
    ("delete", "hidden", "hidden_deletes"),
    ("delete", "marked", "marked_deletes"),
    *(
        (key, value, f"{key}_{value}")
        for key in ("phone", "empty_string", "dot_last_name")
        for value in ("kept", "dropped")
    ),
)


def sandbox_options(findings: Mapping[str, Any]) -> dict[str, Any]:
    """
    The keyword arguments of a `Sandbox` that behaves as found.

    Args:
        findings: With the keys of `migrator probe --json`; others are ignored, and so is what does
            not bear on behaviour, such as `settle_s`.

    Returns:
        `quirks`, each as `--quirk` takes it, and as far as they were found `latency_seconds`,
        `read_lag_seconds`, `late_seconds` and `rate_limit` (requests a minute).
    """
    options: dict[str, Any] = {"quirks": [*_switches(findings), *_valued(findings)]}
    if latency := findings.get("latency_ms"):
        options["latency_seconds"] = _latency_range(latency["median"] / 1000, latency["p95"] / 1000)
    names = {"list_lag_s": "read_lag_seconds", "late_s": "late_seconds", "rate_limit": "rate_limit"}
    options.update({name: findings[key] for key, name in names.items() if findings.get(key)})
    return options


def _switches(findings: Mapping[str, Any]) -> Iterator[str]:
    found = dict(findings)
    found.update({f"update.{key}": value for key, value in (found.get("update") or {}).items()})
    return (quirk for key, value, quirk in _QUIRKS if found.get(key) == value)


def _valued(findings: Mapping[str, Any]) -> Iterator[str]:
    if findings.get("late_s"):
        yield f"late_commit={findings['late_s']:.3f}"
    if findings.get("page_limit"):
        yield f"page_limit={findings['page_limit']}"
    notes = findings.get("notes_kept")
    if isinstance(notes, int) and not isinstance(notes, bool):
        yield f"notes_limit={notes}"
    if dropped := _dropped(findings.get("fields_kept"), notes):
        yield f"dropped_fields={','.join(sorted(dropped))}"
    if (listed := findings.get("listing_fields")) is not None:
        # The leads of a probe that were listed had no marks yet.
        marks = _MARKS if findings.get("delete") == "marked" else frozenset()
        # No field that is sent has an odd name.
        plain = {name for name in listed if name.isidentifier()}
        yield f"listed_fields={','.join(sorted({'id', *plain, *marks}))}"


def _dropped(kept: Collection[str] | None, notes: object) -> frozenset[str]:
    """What is known of the notes is not concluded from the other fields."""
    dropped = frozenset() if kept is None else frozenset(_WRITABLE.split()).difference(kept)
    if notes is None:
        return dropped
    return dropped | {"notes"} if notes is False else dropped - {"notes"}


def _latency_range(median: float, p95: float) -> tuple[float, float]:
    """The range whose values, evenly spread, have this median and this 95th percentile."""
    half = max(0.0, p95 - median) / 0.9
    return max(0.0, median - half), median + half
