"""How a command would log in to LeadGenius, and the words for it."""

import time

from migrator.config import AuthFile, Settings
from migrator.leadgenius import LoginStatus, login_status

_WAYS = {
    "refresh_token": "by the refresh token of the credentials file",
    "login": "by e-mail and password",
}


def standing_of(settings: Settings) -> LoginStatus:
    """
    How a command with these settings would log in; no request is made.

    Raises:
        NotReady: the credentials file is damaged.
    """
    stored = AuthFile(settings.auth_file).read() if settings.auth_file_applies else {}
    return login_status(
        stored,
        time.time(),
        has_login=bool(settings.leadgenius_email and settings.leadgenius_password),
        has_api_key=bool(settings.api_key),
    )


def token_in_words(found: LoginStatus) -> str:
    """For how long the token lives, in the time zone of who reads it."""
    if found.kind == "api_key":
        return "none is needed: an API key does not expire by itself"
    if found.kind != "token":
        return "none is kept; a command gets one when it begins" if found.renewals else "none"
    if found.expires_at is None or found.seconds_left is None:
        return "unknown how long it lives: it does not say"
    try:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(found.expires_at))
    except (ValueError, OverflowError, OSError):
        return "unknown how long it lives: it names no time that there is"
    if found.seconds_left <= 0:
        return f"expired on {when}"
    return f"until {when} ({duration(found.seconds_left)} left)"


def renewal_in_words(found: LoginStatus) -> str:
    """What gets a new token."""
    if found.kind == "api_key":
        return "none is needed"
    return ", or ".join(_WAYS[way] for way in found.renewals) or "impossible; migrator auth"


def duration(seconds: float) -> str:
    """A time span in its two largest units at the most."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{rest} s"
