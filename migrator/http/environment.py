"""
The network settings of this machine's environment: proxies and certificate authorities.

They are read once per service. A setting that cannot work is not an outage: its variable is
reported at once, without waiting for the service. The error of an exchange shows which of the two
it is. The text of an exception is never shown, because a proxy's URL may contain a password.
"""

import importlib.util
import os
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import BadStatusLine
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.utils import get_environ_proxies, prepend_scheme_if_needed
from urllib3.util import Url, parse_url

from migrator.errors import NotReady

# In the order of precedence: those of requests, curl and OpenSSL.
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: (\d{3})")
_LOGIN_WANTED = 407

# OpenSSL's codes for certificate errors: wrong host name; expired or not yet valid.
_OTHER_HOST = {62, 64}
_OTHER_TIME = {9, 10}


@dataclass(frozen=True)
class NetworkSettings:
    """
    The network settings that apply to one service.

    Args:
        url: The URL of the service; only its scheme and host count.
        proxy: The URL of the proxy as configured; `None` = no proxy.
        proxy_variable: The variable that names it.
        bundle: A file or folder of certificate authorities; `None` = those of the package certifi.
        bundle_variable: The variable that names it.
        is_read: Whether the environment applies; it does not to a service on this machine.
    """

    url: str
    proxy: str | None = None
    proxy_variable: str = ""
    bundle: str | None = None
    bundle_variable: str = ""
    is_read: bool = False

    @classmethod
    def of(cls, url: str) -> "NetworkSettings":
        """Read the environment."""
        proxies = get_environ_proxies(url)
        key = next((one for one in (urlsplit(url).scheme, "all") if proxies.get(one)), None)
        bundle = next((name for name in _BUNDLES if os.environ.get(name)), "")
        return cls(
            url,
            None if key is None else proxies[key],
            "" if key is None else _variable(key),
            os.environ.get(bundle),
            bundle,
            is_read=True,
        )

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings as arguments of the adapter of requests."""
        proxies = {} if self.proxy is None else {"all": self.proxy}
        return {"stream": True, "verify": self.bundle or True, "cert": None, "proxies": proxies}

    def fault(self, causes: Sequence[BaseException]) -> NotReady | None:
        """
        Find the setting because of which a request never left.

        Args:
            causes: The error and its chain of causes.

        Returns:
            The error to raise; `None` = no setting is the cause, as far as the error shows.
        """
        return self._bundle_fault() or self._proxy_fault(causes) or self._certificate_fault(causes)

    def _bundle_fault(self) -> NotReady | None:
        if self.bundle is None or (why := _bundle_problem(Path(self.bundle))) is None:
            return None
        return NotReady(
            f"{self.bundle_variable} names {self.bundle}, {why}.",
            f"set {self.bundle_variable} to a file of certificate authorities (PEM), or unset it",
        )

    def _proxy_fault(self, causes: Sequence[BaseException]) -> NotReady | None:
        if self.proxy is None:
            return None
        name, host = self.proxy_variable, urlsplit(self.url).hostname
        hint = f"correct or unset {name}; if no proxy is needed, add {host} to NO_PROXY"
        if (why := _proxy_problem(self.proxy)) is not None:
            return NotReady(f"{name} {why}.", hint)
        status = _tunnel_status(causes)
        if status >= 500 or not any(isinstance(one, _FAULTS_OF_PROXIES) for one in causes):
            return None  # the proxy works; the service behind it may be back soon
        if status == _LOGIN_WANTED:
            hint = f"put the proxy's user and password into {name}: http://USER:PASSWORD@host:port"
        why = f"it answers {status}" if status else "it cannot be reached, or is not a proxy"
        return NotReady(f"The proxy {_shown(self.proxy)} of {name} cannot be used: {why}.", hint)

    def _certificate_fault(self, causes: Sequence[BaseException]) -> NotReady | None:
        found = next((one for one in causes if isinstance(one, ssl.SSLCertVerificationError)), None)
        if found is None:
            return None
        origin = "/".join(self.url.split("/")[:3])
        return NotReady(
            f"The certificate of {origin} cannot be verified: {found.verify_message.rstrip('.')}.",
            self._certificate_hint(found.verify_code),
        )

    def _certificate_hint(self, code: int) -> str:
        if code in _OTHER_HOST:
            return "check the base URL: the certificate is for another host"
        if code in _OTHER_TIME:
            return "check the clock of this machine"
        if not self.is_read:
            return "use http:// for a service on this machine"
        if self.bundle is not None:
            return f"add the certificate authority that signed it to {self.bundle}"
        return (
            "if a proxy or firewall signs the certificates here, set REQUESTS_CA_BUNDLE to the "
            "file of its certificate authority (PEM)"
        )


# Before a request leaves, only the answer to CONNECT can have a bad status line.
_FAULTS_OF_PROXIES = (urllib3.exceptions.ProxyError, BadStatusLine)


def _variable(key: str) -> str:
    """The variable that names the proxy for a scheme; the lower-case one takes precedence."""
    names = (f"{key}_proxy", f"{key}_proxy".upper())
    return next((name for name in names if os.environ.get(name)), "the system's settings")


def _bundle_problem(path: Path) -> str | None:
    """What is wrong with a bundle, to follow its path in a message; `None` = nothing."""
    if not path.exists():
        return "which does not exist"
    if path.is_dir():
        return None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        return "which contains no certificate"
    except OSError:
        return "which cannot be read"
    return None


def _proxy_problem(proxy: str) -> str | None:
    """What is wrong with a proxy URL, to follow its variable in a message; `None` = nothing."""
    try:
        url = _parsed(proxy)
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError):
        return "is not the URL of a proxy"
    if not url.host:
        return "is not the URL of a proxy"
    if (url.scheme or "").startswith("socks"):
        is_installed = importlib.util.find_spec("socks") is not None
        return None if is_installed else "names a SOCKS proxy, for which PySocks is not installed"
    return None if url.scheme in ("http", "https") else "has an unknown scheme"


def _shown(proxy: str) -> str:
    """The URL of a proxy without user and password."""
    url = _parsed(proxy)
    return f"{url.scheme}://{url.netloc}"


def _parsed(proxy: str) -> Url:
    return parse_url(prepend_scheme_if_needed(proxy, "http"))  # type: ignore[no-untyped-call]


def _tunnel_status(causes: Sequence[BaseException]) -> int:
    """The status with which a proxy refused a tunnel; 0 = none."""
    found = (_TUNNEL_REFUSED.search(str(one)) for one in causes if type(one) is OSError)
    return next((int(one[1]) for one in found if one), 0)
