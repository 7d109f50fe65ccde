"""
The variables that a child process gets: those of the contract, and no others (section 8).

Its HubSpot token and its login are not among them: it reads the `.env` of its own folder itself. So
no journey's credentials pass through the parent or stand in `/proc/PID/environ`.
"""

from collections.abc import Mapping

from migrator.config import dotenv_names
from migrator.fleet.definition import FleetJourney

_HANDED_ON = frozenset({"PATH", "HOME", "LANG", "TZ", "TMPDIR", "XDG_STATE_HOME", "MIGRATOR_FENCE"})
_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy", "no_proxy"})
_AUTHORITIES = frozenset({"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"})
_AUTH_FILE = "LEADGENIUS_AUTH_FILE"
AUTH_FILE_NAME = ".leadgenius_auth.json"


def environment_of(journey: FleetJourney, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a journey's child process, made from the parent's."""
    handed = {name: value for name, value in environ.items() if _is_handed_on(name)}
    if _AUTH_FILE not in dotenv_names(journey.folder / ".env"):
        # The default one, in the home directory, would be shared by all journeys.
        handed[_AUTH_FILE] = str(journey.folder / AUTH_FILE_NAME)
    return handed


def _is_handed_on(name: str) -> bool:
    plain = name in _HANDED_ON | _AUTHORITIES or name.startswith("LC_")
    return plain or name.lower() in _PROXIES
