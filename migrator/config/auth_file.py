"""
The credentials file, `~/.leadgenius_auth.json`, which the vendor's own scripts read and write too.

The file is readable by its owner only from the first byte, is replaced atomically, and keeps the
keys that other programs store in it.
"""

import contextlib
import json
import shlex
import stat
from pathlib import Path
from typing import Any

from migrator.config.validation import FILE_KEYS, problem
from migrator.errors import NotReady
from migrator.private_files import replace, restrict_to_owner, without_links


class AuthFile:
    """The credentials file; `FILE_KEYS` are the keys that migrator uses."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Any]:
        """
        The content of the file; {} if it does not exist.

        Our keys are stripped strings, valid for a header where they are sent in one, or absent.
        Other keys are unchanged.

        Raises:
            NotReady: the file cannot be read, is not a JSON object, or has an invalid key of ours.
        """
        document = self._document()
        for key in [key for key in document if key in FILE_KEYS]:
            if not isinstance(document[key], str | None):
                raise self._damaged(f"its {key} is not a string")
            document[key] = (document[key] or "").strip()
            if not document[key]:
                del document[key]
            elif fault := problem(key, document[key]):
                raise self._damaged(f"its {key} {fault}")
        return document

    def update(self, **changes: str | None) -> None:
        """
        Set keys, remove those that are None, and keep all others; atomic, with mode 0600.

        Raises:
            NotReady: the file is damaged (and stays unchanged), or cannot be written.
        """
        document = {key: value for key, value in self.read().items() if key not in changes}
        document |= {key: value for key, value in changes.items() if value is not None}
        try:
            replace(without_links(self.path), json.dumps(document, indent=2) + "\n")
        except OSError as error:
            raise NotReady(
                f"{self.path}: cannot be written ({error.strerror})",
                "make it writable, or set LEADGENIUS_AUTH_FILE to another path",
            ) from error

    def _document(self) -> dict[str, Any]:
        document: object = None
        try:
            document = json.loads(self._text())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._damaged(f"cannot be read ({error.strerror})") from error
        except (ValueError, RecursionError):
            pass  # raised below: this error carries the whole file, and must not be chained
        if not isinstance(document, dict):
            raise self._damaged("is not a JSON object")
        return document

    def _text(self) -> str:
        # Something else, such as /dev/null, must not be moved away, and may have no end.
        try:
            is_file = stat.S_ISREG(self.path.stat().st_mode)
        except ValueError:  # no file can have such a name
            is_file = False
        if not is_file:
            raise NotReady(
                f"{self.path}: is not a file", "set LEADGENIUS_AUTH_FILE to another path"
            )
        with self.path.open(encoding="utf-8-sig") as stream:
            # Another script may have left it readable to all. Another user's file stays as it is.
            with contextlib.suppress(PermissionError):
                restrict_to_owner(stream.fileno())
            return stream.read()

    def _damaged(self, fault: str) -> NotReady:
        # It may contain what the vendor's scripts need, so it is not overwritten.
        name = shlex.quote(str(self.path))
        return NotReady(f"{self.path}: {fault}", f"mv {name} {name}.damaged && migrator auth")
