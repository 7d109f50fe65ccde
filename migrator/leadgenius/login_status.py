"""
How a command would log in to LeadGenius, from local settings and files, without a request.

Only a request can show whether LeadGenius accepts that login. No secret is returned.
"""

import time
from dataclasses import dataclass

from migrator.config import AuthFile, Settings
from migrator.leadgenius.login import claims


@dataclass(frozen=True)
class LoginStatus:
    """
    How a command would log in now.

    Args:
        kind: "api_key", "token" (one is stored), "login" (e-mail and password), "refresh_token", or
            `None` = it cannot.
        expires_at: When the stored token expires (seconds since the epoch); `None` = there is no
            token, or it does not state it.
        seconds_left: Time until then; 0 or less = it has expired.
        renewals: The ways to get a new token: "refresh_token", "login"; an API key needs none.
    """

    kind: str | None
    expires_at: float | None
    seconds_left: float | None
    renewals: tuple[str, ...]

    @property
    def is_usable(self) -> bool:
        """Whether a command could log in, as far as known without a request."""
        lives = self.seconds_left is not None and self.seconds_left > 0
        return self.kind == "api_key" or lives or bool(self.renewals)


def login_status(settings: Settings) -> LoginStatus:
    """
    How a command with these settings would log in now.

    Raises:
        NotReady: the credentials file is damaged.
    """
    stored = AuthFile(settings.auth_file).read() if settings.auth_file_applies else {}
    expires = claims(str(stored.get("token") or "")).get("exp")
    is_told = isinstance(expires, int | float) and not isinstance(expires, bool)
    expires_at = float(expires) if is_told else None  # type: ignore[arg-type]
    ways = {
        "refresh_token": bool(stored.get("refresh_token")),
        "login": bool(settings.leadgenius_email and settings.leadgenius_password),
    }
    renewals = tuple(way for way, is_open in ways.items() if is_open)
    kinds = ("token",) if stored.get("token") else renewals
    return LoginStatus(
        # An API key takes precedence over everything else.
        "api_key" if settings.api_key else next(iter(kinds), None),
        expires_at,
        None if expires_at is None else expires_at - time.time(),
        () if settings.api_key else renewals,
    )
