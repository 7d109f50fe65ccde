"""HubSpot's errors, and the answer for each fault."""

from typing import Any
from uuid import uuid4

from migrator.sandbox.messages import DROP, HANG, HTML, Answer, reply


class InvalidRequest(ValueError):
    """HubSpot would reject the request; the message says why."""


class NoSuchRecord(LookupError):
    """HubSpot has no record of that id."""


def problem(
    status: int, message: str, category: str, headers: tuple[tuple[str, str], ...] = (), **more: Any
) -> Answer:
    """An error in HubSpot's format."""
    body = {"status": "error", "message": message, "correlationId": str(uuid4())}
    return reply({**body, "category": category, **more}, status, headers)


def _throttled(policy: str) -> Answer:
    body = {
        "status": "error",
        "message": f"You have reached your {policy.lower()} limit.",
        "errorType": "RATE_LIMIT",
        "correlationId": str(uuid4()),
        "policyName": policy,
    }
    return reply(body, 429)


def _scopes_missing(key: str, scopes: list[str]) -> Answer:
    return problem(
        403,
        "This app hasn't been granted all required scopes to make this call.",
        category="MISSING_SCOPES",
        errors=[{"message": "Scopes are missing.", "context": {key: scopes}}],
    )


_SCOPES = ["crm.objects.contacts.read", "crm.objects.companies.read"]
# Any one of them is sufficient.
_GRANULAR = ["crm.objects.contacts.sensitive.read", *_SCOPES]
ERRORS = {
    "hubspot_error": problem(502, "Bad gateway.", category="INTERNAL_ERROR"),
    "hubspot_drop": DROP,
    "hubspot_throttle": _throttled("TEN_SECONDLY_ROLLING"),
    "hubspot_secondly": _throttled("SECONDLY"),
    "hubspot_daily": _throttled("DAILY"),
    "hubspot_locked": problem(423, "Too much at a time; locked.", category="LOCKED"),
    "hubspot_migrating": problem(
        477,
        "This account moves to another region.",
        "MIGRATION_IN_PROGRESS",
        (("Retry-After", "1"),),
    ),
    "hubspot_unauthorized": problem(
        401, "Authentication credentials not found.", category="INVALID_AUTHENTICATION"
    ),
    "missing_scopes": _scopes_missing("requiredScopes", _SCOPES),
    "missing_granular_scopes": _scopes_missing("requiredGranularScopes", _GRANULAR),
    "hubspot_html": HTML,
    "hubspot_hang": HANG,
    "companies_hang": HANG,
}
