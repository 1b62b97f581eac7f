"""What the judge would say of a release now: from its item, its rows in flight and its alarms, and from its newest record.

Nothing here writes, and what cannot change is read once, so that one can look again every second. How current fails meanwhile
only the flipper reads, by pages: of that the newest record tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from canary.domain.audit import IN_FLIGHT, Arm, Row
from canary.domain.case import case_of
from canary.domain.counting import is_new
from canary.domain.evidence import ALONE, Running
from canary.domain.judge import Case, Verdict, judge
from canary.domain.record import Record
from canary.domain.release import Release
from canary.domain.sight import Sight
from canary.domain.states import ON_TRIAL, Hold
from canary.errors import Unavailable
from canary.ports import Alarms, Audit, Records

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """A release on trial as it would be judged now. ``record`` is its newest decision, ``trouble`` what could not be read."""

    case: Case
    verdict: Verdict
    record: Record | None = None
    trouble: str | None = None


def verdict_now(release: Release, now: int) -> Verdict:
    """Judge a release on trial from its item alone. That is all there is to it where a plan counts and has no alarms."""
    return judge(case_of(release, Sight(), now))


class Weigher:
    """Weighs releases on trial. Requests in flight and records are kept for the next look."""

    def __init__(self, audit: Audit, records: Records, alarms: Alarms) -> None:
        self._audit = audit
        self._records = records
        self._alarms = alarms
        self._running: dict[str, Running | None] = {}
        self._newest: Record | None = None

    def weigh(self, release: Release, now: int) -> Weighed | None:
        """Judge a release as it stands; None when it is not on trial."""
        if release.state not in ON_TRIAL:
            return None
        stage, troubles = release.plan.stages[release.stage], list[str]()
        sight, record = Sight(), None
        if release.plan.judged:
            record = _tried(troubles, lambda: self._record(release))
            running = _tried(troubles, lambda: self._in_flight(release)) or ()
            sight = replace(sight, running=running, blind=_still_blind(release, record), **_compared(release, record))
        if stage.alarms:
            sight = replace(sight, alarms=_tried(troubles, lambda: self._alarms.states(stage.alarms)) or {})
        trouble = f"not everything can be read from here: {troubles[0]}" if troubles else None
        case = case_of(release, replace(sight, blind=trouble or sight.blind), now)
        return Weighed(case=case, verdict=judge(case), record=record, trouble=trouble)

    def _in_flight(self, release: Release) -> tuple[Running, ...]:
        """Requests on latest that are not counted yet. The index names them; a row is read when its name is new."""
        names = {*self._audit.in_flight(release.app, release.release), *release.open} - release.counted.keys()
        new = names - self._running.keys()
        rows = self._audit.rows(release.app, release.release, new) if new else {}
        self._running = {name: known for name, known in self._running.items() if name in names}
        self._running |= {name: _running(row, release) for name, row in rows.items()}
        unseen = [Running(at, release.share) for name, at in release.open.items() if name not in self._running]
        return (*(each for each in self._running.values() if each is not None), *unseen)

    def _record(self, release: Release) -> Record | None:
        if release.record is None:
            return None
        known = self._newest
        if known is None or (known.app, known.release, known.name) != (release.app, release.release, release.record):
            self._newest = self._records.named(release.app, release.release, release.record)
        return self._newest


def _tried(troubles: list[str], look: Callable[[], T]) -> T | None:
    """Look; what cannot be read is said, and the rest is shown all the same."""
    try:
        return look()
    except Unavailable as error:
        troubles.append(str(error))
        return None


def _running(row: Row, release: Release) -> Running | None:
    """A row as what runs; None where it is current's, or counted."""
    if row.arm is not Arm.LATEST or not (row.status in IN_FLIGHT or is_new(row, release)):
        return None
    return Running(row.claimed_at, row.share if row.share is not None else release.share, row.started_at)


def _compared(release: Release, record: Record | None) -> Mapping[str, Any]:
    """How current failed meanwhile, by the newest record. Where that is older than a failure of latest, nothing is compared."""
    control = release.control
    if not release.plan.judged or (control is not None and not control.named):
        return {}
    if control is None:
        return {"control": {}, "uncompared": not any(each.control for each in release.gathered.shares.values())}
    shares = {share: each for share, each in release.gathered.shares.items() if share != ALONE}
    epochs = {each["share"]: each for each in record.case["evidence"]["epochs"]} if record else {}
    known = {share: epochs[share]["both"] - epochs[share]["latest"] for share in shares if share in epochs}
    newer = any(each.failed > (epochs[share]["latest"] if share in epochs else 0) for share, each in shares.items())
    return {
        "control": {share: max(0, failures - shares[share].control) for share, failures in known.items()},
        "uncompared": newer,
    }


def _still_blind(release: Release, record: Record | None) -> str | None:
    """What the flipper could not read when it held the release."""
    blind = record.case["blind"] if record is not None and release.hold is Hold.OBSERVATION else None
    return str(blind) if blind else None
