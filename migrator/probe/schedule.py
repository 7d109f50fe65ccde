"""
Runs the experiments of a probe, so that their waits pass at the same time.

Between two listings, one experiment that is ready does its next step: a step makes a few requests,
and a listing must not be kept waiting, because what the listings show is timed.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from migrator.errors import Interrupted, MigratorError, NotReady, RunAgain, ServiceDown
from migrator.findings import Findings
from migrator.probe.experiments import Experiment, Found, Steps, Until
from migrator.probe.workbench import NotMeasured, Workbench


@dataclass
class _Running:
    """An experiment, and what it waits for; `None` = it has not begun."""

    experiment: Experiment
    steps: Steps
    until: Until | None = None


def run(
    experiments: Sequence[Experiment],
    bench: Workbench,
    pause: Callable[[float], None],
    on_end: Callable[[Experiment, str | None], None],
) -> Findings:
    """
    Run all experiments.

    Args:
        pause: Sleeps for so many seconds, or raises when the user interrupts.
        on_end: Called with each experiment that has ended, and the reason why it could not be
            made; `None` = it was made.

    Raises:
        NotReady, StoppedEarly: LeadGenius lists no leads, or took none.
        Interrupted: the user wants to stop.
    """
    waiting = [_Running(one, one.steps(bench)) for one in experiments]
    found: Found = {}
    failed: list[str] = []
    while waiting:
        if time.monotonic() >= bench.next_look_at():
            bench.look()
        # What is asked at the end waits for all others.
        others = [one for one in waiting if not one.experiment.is_last] or waiting
        if (one := next((each for each in others if _is_ready(each, bench)), None)) is None:
            pause(max(0.0, bench.next_look_at() - time.monotonic()))
            continue
        try:
            one.until = _advance(one, bench)
        except StopIteration as end:
            found.update(end.value)
            reason = None
        except NotMeasured as error:
            reason = str(error)
        except Interrupted:
            raise
        except MigratorError as error:
            reason = error.message.rstrip(".")
        else:
            continue
        waiting.remove(one)
        if reason is not None:
            failed.append(one.experiment.name)
        on_end(one.experiment, reason)
        _ensure_leads_are_taken(bench, reason)
    return Findings(**found, not_measured=tuple(failed))


def _is_ready(one: _Running, bench: Workbench) -> bool:
    return one.until is None or one.until.is_met() or _is_over(one.until, bench)


def _is_over(until: Until, bench: Workbench) -> bool:
    """Whether the wait is over, by a listing that began after its end."""
    return bench.look_began > until.since + bench.wait_seconds


def _advance(one: _Running, bench: Workbench) -> Until:
    if one.until is None:
        return next(one.steps)
    return one.steps.send(one.until.is_met())


def _ensure_leads_are_taken(bench: Workbench, reason: str | None) -> None:
    """After the first experiment, which sends plain leads: whether any of them was taken."""
    if any(lead.is_created for lead in bench.leads):
        return
    is_denied = any(lead.is_ruled_out for lead in bench.leads)
    message = f"LeadGenius took none of {len(bench.leads)} plain leads: {reason}."
    if is_denied:
        raise NotReady(message, "migrator auth --status, to see whose login it is")
    raise ServiceDown(message, RunAgain(after=" later"))
