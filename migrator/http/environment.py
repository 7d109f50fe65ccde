"""
What this machine's environment says of the way to a service: its proxy, and whom to trust.

Read once for each service. A setting that cannot work is no outage: it is named by its variable, so
that nobody waits for it. Which of the two it is, an exchange that failed is asked, and no text of
an exception is shown: a proxy's URL may hold a password.
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

# As requests and curl read them, and then as OpenSSL does.
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: (\d{3})")
_LOGIN_WANTED = 407

# OpenSSL's numbers of what is wrong with a certificate.
_OTHER_HOST = {62, 64}
_OTHER_TIME = {9, 10}


@dataclass(frozen=True)
class NetworkSettings:
    """
    The way to one service.

    Args:
        url: The service's; only its scheme and host count.
        proxy: The proxy's URL as it was given; `None` = there is none.
        proxy_variable: Where it was given.
        bundle: A file or folder of certificate authorities; `None` = those of the package certifi.
        bundle_variable: Where it was given.
        is_read: Whether the environment counts; it does not for a service on this machine.
    """

    url: str
    proxy: str | None = None
    proxy_variable: str = ""
    bundle: str | None = None
    bundle_variable: str = ""
    is_read: bool = False

    @classmethod
    def of(cls, url: str) -> "NetworkSettings":
        """What the environment says at this moment."""
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
        """The same, as requests' adapter takes it."""
        proxies = {} if self.proxy is None else {"all": self.proxy}
        return {"stream": True, "verify": self.bundle or True, "cert": None, "proxies": proxies}

    def fault(self, causes: Sequence[BaseException]) -> NotReady | None:
        """
        The setting because of which a request never left.

        Args:
            causes: The error, what caused that, and so on.

        Returns:
            `None` = it is none of them, as far as the error tells.
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
        hint = f"correct or unset {name}; where no proxy is needed, name {host} in NO_PROXY"
        if (why := _proxy_problem(self.proxy)) is not None:
            return NotReady(f"{name} {why}.", hint)
        status = _tunnel_status(causes)
        if status >= 500 or not any(isinstance(one, _FAULTS_OF_PROXIES) for one in causes):
            return None  # what is behind a proxy that works may be back soon
        if status == _LOGIN_WANTED:
            hint = f"put the proxy's user and password into {name}: http://USER:PASSWORD@host:port"
        why = f"it answers {status}" if status else "it cannot be reached, or is no proxy"
        return NotReady(f"The proxy {_shown(self.proxy)} of {name} opens no way: {why}.", hint)

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
            return "check the base URL: the certificate is that of another host"
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


# Until a request leaves, only an answer to CONNECT has a status line.
_FAULTS_OF_PROXIES = (urllib3.exceptions.ProxyError, BadStatusLine)


def _variable(key: str) -> str:
    """Where the proxy for a scheme was given: Python reads the lower-case name first."""
    names = (f"{key}_proxy", f"{key}_proxy".upper())
    return next((name for name in names if os.environ.get(name)), "the system's settings")


def _bundle_problem(path: Path) -> str | None:
    """To be read after the path; `None` = it can be used."""
    if not path.exists():
        return "which does not exist"
    if path.is_dir():
        return None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        return "which holds no certificate"
    except OSError:
        return "which cannot be read"
    return None


def _proxy_problem(proxy: str) -> str | None:
    """To be read after the variable's name; `None` = it may well be one."""
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
    """Without the user and the password in it."""
    url = _parsed(proxy)
    return f"{url.scheme}://{url.netloc}"


def _parsed(proxy: str) -> Url:
    return parse_url(prepend_scheme_if_needed(proxy, "http"))  # type: ignore[no-untyped-call]


def _tunnel_status(causes: Sequence[BaseException]) -> int:
    """What a proxy answered that was asked for a tunnel; 0 = nothing."""
    found = (_TUNNEL_REFUSED.search(str(one)) for one in causes if type(one) is OSError)
    return next((int(one[1]) for one in found if one), 0)
