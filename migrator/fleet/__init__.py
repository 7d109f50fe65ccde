"""
Many journeys on one machine: each is a child process in a folder of its own.

The parent sends nothing and reads no credentials file; of a `.env` it keeps the names of the
variables and `MIGRATOR_LEDGER`. It starts children, reads the JSON that they print, starts those
again that can go on later, and keeps the pace of each LeadGenius login, whose limit the journeys of
that login share. The modules, lowest first:

    fleet.definition   `fleet.toml` -> journeys, checked
    fleet.environment  the variables that a child gets, and no others
    fleet.schedule     exit codes -> try again after how long, and the code of the whole
    fleet.shared_pace  one rate limiter for several processes: the parent's end and the child's
    fleet.child        one child process, and what it says
    fleet.status       how far a journey is, as people and JSON see it
    fleet.supervisor   the loop over all of them
"""

from migrator.fleet.definition import FleetJourney, read_fleet
from migrator.fleet.shared_pace import SharedRateLimiter
from migrator.fleet.status import JourneyStatus, Phase, as_json, totals
from migrator.fleet.supervisor import FleetOrder, Supervisor

__all__ = [
    "FleetJourney",
    "FleetOrder",
    "JourneyStatus",
    "Phase",
    "SharedRateLimiter",
    "Supervisor",
    "as_json",
    "read_fleet",
    "totals",
]
