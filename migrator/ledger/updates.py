"""
What LeadGenius was told of sent contacts (the base), and what HubSpot has for them now.

`contact.lead` of a sent contact is the base: what LeadGenius was last told and took. `new_lead` is
the lead that HubSpot would give now, where it differs.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from migrator.canonical_json import canonical_json
from migrator.ledger.database import Database


class Updates:
    """Questions about and changes of the base and the newer lead of sent contacts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def follow(self, taken: Sequence[tuple[int, Mapping[str, Any], str | None]]) -> None:
        """
        Make values that LeadGenius took part of the base, and have the lead verified again.

        Args:
            taken: Of each contact its key, the values, and its e-mail, normalised, if that is one.
        """
        if not taken:
            return
        stands = {
            row.key: row
            for row in self._database.rows(
                "SELECT key, lead, new_lead FROM contact "
                "WHERE key IN (SELECT value FROM json_each(:keys))",
                keys=json.dumps([key for key, *_ in taken]),
            )
        }
        changes = [
            {
                "key": key,
                "lead": canonical_json({**json.loads(stands[key].lead), **values}),
                "new_lead": stands[key].new_lead,
                "email_key": email_key,
            }
            for key, values, email_key in taken
        ]
        for state in ("", "state = 'posted', edited = NULL, "):
            self._database.execute(
                f"UPDATE contact SET {state}lead = :lead, "
                "new_lead = nullif(:new_lead, :lead), "
                "changed_ms = iif(:new_lead = :lead, NULL, changed_ms), "
                "email_key = ifnull(:email_key, email_key), tries = 0 "
                f"WHERE key = :key AND state = '{'verified' if state else 'posted'}'",
                changes,
            )
