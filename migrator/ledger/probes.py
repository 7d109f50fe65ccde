"""What probes found out about LeadGenius, as far as this ledger keeps it."""

from migrator.canonical_json import canonical_json
from migrator.findings import Findings, ProbeRecord
from migrator.ledger.database import Database


class Probes:
    """The probes of a ledger. Each method is one transaction or joins one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self, url: str | None) -> ProbeRecord | None:
        """The newest probe of a base URL (`None` = of the one probed last); `None` = none."""
        rows = self._database.rows(
            "SELECT leadgenius_url AS url, probed_ms, findings FROM probe "
            "WHERE :url IS NULL OR leadgenius_url = :url ORDER BY probed_ms DESC LIMIT 1",
            url=url,
        )
        if not rows:
            return None
        found = Findings.of_json(self._database.decoded(rows[0].findings))
        return ProbeRecord(rows[0].url, rows[0].probed_ms, found)

    def adopt(self, record: ProbeRecord) -> None:
        """
        Keep a probe of the bound service that was made without this ledger, or before it was bound.

        It overrules what an update found out only if the probe says that updates replace leads:
        the probe may be the older of the two, and whole leads do no harm in any case.
        """
        self._keep(record, "AND ifnull(put_replaces, -1) < :does")

    def add(self, record: ProbeRecord) -> None:
        """
        Keep a probe. Whether its PUT replaces leads overrules what an update found out (the
        contract, section 3).
        """
        self._keep(record, "")

    def _keep(self, record: ProbeRecord, condition: str) -> None:
        is_partial = (record.findings.update or {}).get("partial")
        with self._database.transaction():
            self._insert(record)
            if is_partial is not None:
                self._database.run(
                    "UPDATE ledger SET put_replaces = :does "
                    f"WHERE leadgenius_url = :url {condition}",
                    {"does": int(not is_partial), "url": record.url},
                )

    def _insert(self, record: ProbeRecord) -> None:
        self._database.run(
            "INSERT INTO probe (leadgenius_url, probed_ms, findings) "
            "VALUES (:url, :at, :findings) "
            "ON CONFLICT DO UPDATE SET findings = excluded.findings",
            {
                "url": record.url,
                "at": record.probed_ms,
                "findings": canonical_json(record.findings.as_json()),
            },
        )
