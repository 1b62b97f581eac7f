"""What an app's real executions are like: their number, their failures, their durations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from canary.domain.asks import NotPossible
from canary.domain.baseline import Past
from canary.domain.target import TargetKind
from canary.operating.reading import Overview
from canary.ports import Executions

#: With fewer finished executions nothing is said of an app.
LEAST_PAST = 20
_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """``hourly`` requests, of which a rate ``fails``. ``durations`` in milliseconds."""

    machine: str
    hourly: float
    fails: float
    durations: tuple[int, ...]


def likeness(overview: Overview, executions: Executions) -> Likeness:
    """Read the history of an app's current stack. Raises `NotPossible` where there is too little of it."""
    machine = machine_of(overview)
    past = executions.past(machine)
    if len(past) < LEAST_PAST:
        raise NotPossible(
            f"{machine} has {len(past)} finished executions, and {LEAST_PAST} are needed to say what they are like: "
            "give --requests-per-hour, --duration and --normal instead"
        )
    return Likeness(
        machine=machine,
        hourly=_hourly(past),
        fails=sum(each.failed for each in past) / len(past),
        durations=tuple(each.duration_ms for each in past if each.duration_ms is not None),
    )


def machine_of(overview: Overview) -> str:
    """Find the state machine of an app's current stack. Raises `NotPossible`."""
    current = overview.parameters.get("current")
    pointer = current.pointer if current else None
    if pointer is None:
        raise NotPossible(f"{overview.app!r} has no current stack: see `canary status {overview.app}`")
    target, learned = pointer.target, overview.item.learned
    if target.kind is TargetKind.STATE_MACHINE:
        return target.unqualified_arn
    if learned is not None and learned.target == target.arn and learned.control.machine is not None:
        return learned.control.machine
    raise NotPossible(
        f"where the workflows of {target.arn} run is not known before a release has compared with it: "
        "give --requests-per-hour, --duration and --normal instead"
    )


def _hourly(past: Sequence[Past]) -> float:
    starts = [each.started_at for each in past]
    return _HOUR_MS * (len(starts) - 1) / max(1, max(starts) - min(starts))
