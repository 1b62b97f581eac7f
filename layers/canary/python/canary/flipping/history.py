"""History: how current's executions ended before a release, read once, when it opens."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from canary.domain.app import Seen
from canary.domain.audit import FAILURES, IN_FLIGHT, Arm, Row, Status
from canary.domain.baseline import MOST_PAST, Baseline, Past, baseline_of
from canary.domain.release import Control, Release
from canary.domain.target import TargetKind
from canary.errors import Denied
from canary.flipping.world import World


def control_of(seen: Seen, releases: Mapping[str, Release]) -> Control | None:
    """Where current's workflows run; None while nothing has told that yet."""
    if seen.serving is None:
        return None
    target = seen.serving.target
    if target.kind is TargetKind.STATE_MACHINE:
        return Control(target.unqualified_arn, named=True)
    if seen.app.learned is not None and seen.app.learned.target == target.arn:
        return seen.app.learned.control
    promoted = releases.get(seen.app.promoted or "")
    if promoted is not None and promoted.target == target.arn and promoted.state_machine is not None:
        return Control(promoted.state_machine, named=promoted.named)
    return None


def baseline(world: World, seen: Seen, releases: Mapping[str, Release], control: Control | None) -> tuple[Baseline, str | None]:
    """Read current's history: from its state machine, else from the audit of the release that made it current.

    Beside it a warning where the state machine may not be read. Raises `Unavailable`.
    """
    warning = None
    if control is not None and control.machine is not None:
        try:
            past = world.executions.past(control.machine)
        except Denied as error:
            past, warning = (), f"current's history may not be read, so latest is compared with less: {error}"
        if past:
            return baseline_of(past, f"the executions of {control.machine}", control.machine), None
    machine = control.machine if control else None
    promoted = releases.get(seen.app.promoted or "")
    if promoted is None or seen.serving is None or promoted.target != seen.serving.target.arn:
        return baseline_of((), "no history", machine), warning
    newest = islice(world.audit.of_release(promoted.app, promoted.release, newest_first=True), MOST_PAST)
    found = [_past(row) for row in newest if row.arm is Arm.LATEST and row.status not in IN_FLIGHT | {Status.LOST}]
    return baseline_of(found, f"the audit of release {promoted.release}", machine), warning


def _past(row: Row) -> Past:
    started = row.started_at if row.started_at is not None else row.claimed_at
    return Past(row.status in FAILURES, started, row.duration_ms)
