"""
Challenges at the login: what a person must do before LeadGenius issues a token.

The login is based on Cognito, which may answer with a challenge, such as a new password or a second
factor, instead of tokens. The migrator cannot answer one, only name it.
"""

import re
from collections.abc import Mapping
from typing import Any

from migrator.errors import NotReady

KEY_INSTEAD = "set LGP_API_KEY to an API key, which needs no login"

# The keys used by Cognito, and by Amplify, which wraps it.
_NAMES = ("challengeName", "ChallengeName", "challenge", "nextStep")
_INSIDE = ("challengeName", "name", "signInStep")


def challenge_of(data: Mapping[str, Any]) -> str | None:
    """The challenge in an answer, e.g. "NEW_PASSWORD_REQUIRED"; `None` = there is none."""
    for name in _NAMES:
        step = data.get(name)
        steps = [step.get(one) for one in _INSIDE] if isinstance(step, dict) else [step]
        for found in steps:
            if isinstance(found, str) and re.fullmatch(r"[A-Z][A-Z0-9_]{2,60}", found):
                return found
    return None


def challenged(login: str, challenge: str, base_url: str) -> NotReady:
    """
    The error for a challenge, with what to do.

    Args:
        login: Whose, e.g. "the login of ada@example.com".
    """
    in_browser = f"sign in once in the browser at {base_url} and"
    if "PASSWORD" in challenge:
        hint = f"{in_browser} set a new password; then migrator auth, or set LEADGENIUS_PASSWORD"
    else:
        hint = f"{KEY_INSTEAD}; or {in_browser} follow the instructions, then: migrator auth"
    return NotReady(f"LeadGenius answered {login} with {challenge} instead of a token.", hint)
