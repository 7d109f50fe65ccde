"""Words that several checks share."""

from migrator.config import SettingsReport
from migrator.errors import NotReady


def faults_of(survey: SettingsReport, *prefixes: str) -> None:
    """
    Go on only when nothing is wrong with the variables that begin so.

    Raises:
        NotReady: something is; its message has one line for each fault.
    """
    faults = [fault for fault in survey.faults if fault.about.startswith(prefixes)]
    if faults:
        hints = dict.fromkeys(fault.hint for fault in faults)
        raise NotReady("\n".join(fault.message for fault in faults), "; ".join(hints))
