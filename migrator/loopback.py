"""Whether a web address is of this machine: a pure function of its text. It looks no name up."""

import ipaddress
from urllib.parse import urlsplit


def is_loopback(url: str) -> bool:
    """Whether it is this machine: a name that only begins like it (127.0.0.1.example) is not."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
