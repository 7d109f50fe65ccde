"""
What there is to log in with, told from what is kept here alone: no request, and no secret.

That LeadGenius takes it, only a request can show.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from migrator.leadgenius.tokens import claims


@dataclass(frozen=True)
class LoginStatus:
    """
    How a command would log in now.

    Args:
        kind: "api_key", "token" (one is kept), "login" (e-mail and password), "refresh_token", or
            `None` = in no way.
        expires_at: When the kept token ends (seconds since the epoch); `None` = there is none, or
            it does not tell.
        seconds_left: Until then; not above 0 = it has ended.
        renewals: What gets a new token: "refresh_token", "login"; none is needed by a key.
    """

    kind: str | None
    expires_at: float | None
    seconds_left: float | None
    renewals: tuple[str, ...]

    @property
    def is_usable(self) -> bool:
        """Whether a command would have something to log in with."""
        lives = self.seconds_left is not None and self.seconds_left > 0
        return self.kind == "api_key" or lives or bool(self.renewals)


def login_status(
    stored: Mapping[str, Any], now: float, *, has_login: bool, has_api_key: bool
) -> LoginStatus:
    """
    Tell how a command would log in.

    Args:
        stored: The credentials file; {} = there is none, or nothing of it may be used.
        now: Seconds since the epoch.
        has_login: Whether e-mail and password are given.
        has_api_key: Whether an API key is; it goes before everything else.
    """
    expires = claims(str(stored.get("token") or "")).get("exp")
    is_told = isinstance(expires, int | float) and not isinstance(expires, bool)
    expires_at = float(expires) if is_told else None  # type: ignore[arg-type]
    ways = {"refresh_token": bool(stored.get("refresh_token")), "login": has_login}
    renewals = tuple(way for way, is_open in ways.items() if is_open)
    kinds = ("token",) if stored.get("token") else renewals
    return LoginStatus(
        "api_key" if has_api_key else next(iter(kinds), None),
        expires_at,
        None if expires_at is None else expires_at - now,
        () if has_api_key else renewals,
    )
