"""
Cursors that look opaque: a position in a list, sealed so that no client is tempted to read it.

Owns nothing but the seal. A serial number lets two cursors for one place differ, as they must after
an empty page: a client rightly takes a repeated cursor for an error.
"""

import base64
import binascii


class BadCursor(ValueError):
    """This text is no cursor of ours."""


def seal(position: str, serial: int = 0) -> str:
    """The cursor for everything after `position`. It may end in `=`, so clients must encode it."""
    return base64.urlsafe_b64encode(f"{serial}|{position}".encode()).decode()


def unseal(cursor: str) -> str:
    """
    The position that a cursor stands for.

    Raises:
        BadCursor: The text was made up or damaged on its way.
    """
    try:
        serial, separator, position = base64.urlsafe_b64decode(cursor).decode().partition("|")
    except (binascii.Error, ValueError) as error:
        raise BadCursor(cursor) from error
    if not separator or not serial.isdecimal():
        raise BadCursor(cursor)
    return position
