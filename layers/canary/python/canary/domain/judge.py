"""The judge: what the evidence says. PASS, FAIL or WAIT, or ERROR where it could not be seen; always with the reason.

A pure function of a `Case`, which is kept with every decision, so that each verdict can be computed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from canary.domain.alarm import AlarmState
from canary.domain.baseline import Baseline
from canary.domain.evidence import Evidence
from canary.domain.measure import Numbers, failing, measured, overdue, slow
from canary.domain.plan import Plan, Stage
from canary.domain.sight import WatchSight
from canary.domain.words import duration, percent, requests


class Judgement(StrEnum):
    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    FAIL = "FAIL"
    WAIT = "WAIT"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Verdict:
    """``numbers`` are there where evidence was weighed, not only counted."""

    judgement: Judgement
    reason: str
    numbers: Numbers | None = None

    def __str__(self) -> str:
        return f"{self.judgement}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """All that the judge looks at. Times in milliseconds.

    ``completed`` requests have ended in the stage, ``in_flight`` are claimed and not counted, of which ``unseen`` were claimed
    since the last pass; ``free`` slots can be claimed. ``succeeded``, ``failures``, ``lost``, ``refunded`` are the release's
    counters, the ``forgiven`` ones let pass by a person. ``watch``: the executions since its promotion, once it is current.
    ``bake`` is False where an operator promotes: that leaves out the stage's minimum time and number.
    """

    plan: Plan
    stage: int
    at: int
    stage_since: int
    completed: int = 0
    in_flight: int = 0
    unseen: int = 0
    free: int = 0
    succeeded: int = 0
    failures: int = 0
    lost: int = 0
    lost_forgiven: int = 0
    refunded: int = 0
    refunds_forgiven: int = 0
    evidence: Evidence = field(default_factory=Evidence)
    baseline: Baseline = field(default_factory=Baseline)
    alarms: Mapping[str, AlarmState] = field(default_factory=dict)
    blind: str | None = None
    watch: WatchSight | None = None
    bake: bool = True

    @property
    def now(self) -> Stage:
        """The stage that is judged."""
        return self.plan.stages[self.stage]

    @property
    def last(self) -> bool:
        return self.stage + 1 == len(self.plan.stages)


def judge(case: Case) -> Verdict:
    """Judge a stage, or the watch. Unknown is never success, and no evidence never passes."""
    weighed = case.plan.judged or case.watch is not None
    numbers = measured(case.evidence, case.baseline, case.plan) if weighed else None
    if why := _fails(case, numbers):
        return Verdict(Judgement.FAIL, why, numbers)
    if why := _unseen(case):
        return Verdict(Judgement.ERROR, why, numbers)
    waits = _watch_waits(case) if case.watch is not None else _waits(case, numbers)
    if waits:
        if case.watch is None and (why := _unsent(case)):
            return Verdict(Judgement.ERROR, why, numbers)
        return Verdict(Judgement.WAIT, ", ".join(waits), numbers)
    return Verdict(Judgement.PASS, _passes(case, numbers), numbers)


def _fails(case: Case, numbers: Numbers | None) -> str | None:
    plan = case.plan
    if plan.max_failures is not None and case.failures > plan.max_failures:
        ended = case.succeeded + case.failures
        return f"{case.failures} of {ended} finished requests failed ({plan.max_failures} may)"
    if ringing := [name for name in case.now.alarms if case.alarms.get(name) is AlarmState.ALARM]:
        return f"the alarm {ringing[0]!r} is in state ALARM"
    if numbers is None:
        return None
    return failing(case.evidence, case.baseline, plan, numbers) or slow(case.evidence, numbers)


def _unseen(case: Case) -> str | None:
    """What could not be observed: it says nothing, neither good nor bad."""
    if case.blind:
        return case.blind
    if case.watch is not None and _unwatched(case, case.watch):
        return "nothing has ended since the promotion: there was nothing to watch"
    if missing := [name for name in case.now.alarms if name not in case.alarms]:
        return f"there is no alarm {missing[0]!r} in CloudWatch, and what is not there is not OK"
    if case.watch is None and case.lost > case.lost_forgiven:
        return f"the outcome of {requests(case.lost - case.lost_forgiven)} is unknown (LOST), and unknown is not success"
    return None


def _unwatched(case: Case, watch: WatchSight) -> bool:
    """Whether the time of a watch is over, and nothing was seen in it."""
    return watch.succeeded + watch.failed == 0 and case.at >= case.stage_since + longest(case.plan)


def _unsent(case: Case) -> str | None:
    if (count := case.refunded - case.refunds_forgiven) > case.plan.max_lost:
        return f"{requests(count)} could not be sent to latest (see `error` in the audit)"
    return None


def _waits(case: Case, numbers: Numbers | None) -> list[str]:
    """What the stage still needs, in words; nothing: it has passed."""
    stage = case.now
    waits: list[str] = []
    short = stage.quota is not None and case.completed < stage.quota
    if short or case.succeeded == 0 or (not case.plan.judged and (case.in_flight or case.unseen)):
        waits.append(_progress(case))
    elif case.completed < stage.min_completed:
        waits.append(f"{case.completed} of {stage.min_completed} finished in this stage")
    if numbers is not None and (case.last or stage.open_ended) and not numbers.proved:
        waits += [] if waits or case.succeeded == 0 else [_progress(case)]
        waits.append(_unproved(numbers))
    if case.bake and not short and case.completed < stage.bake.completed:
        waits.append(f"{case.completed} of {stage.bake.completed} finished while it bakes")
    if case.bake and not waits and case.at < (baked := case.stage_since + stage.bake.ms):
        waits.append(f"{_ended(case)}; baking for {duration(baked - case.at)} more")
    if waits and (hanging := overdue(case.evidence, case.baseline, case.plan)):
        waits.append(hanging)
    waits += [f"the alarm {name!r} has insufficient data" for name in stage.alarms if case.alarms[name] is not AlarmState.OK]
    return waits


def longest(plan: Plan) -> int:
    """How long a watch lasts at most, in milliseconds: with too little traffic its number of executions may never be reached."""
    return max(plan.watch.ms, plan.deadline_ms if plan.watch.completed else 0)


def _watch_waits(case: Case) -> list[str]:
    span, watch = case.plan.watch, case.watch or WatchSight()
    ended = watch.succeeded + watch.failed
    if ended < span.completed and case.at < case.stage_since + longest(case.plan):
        return [f"watching: {ended} of {span.completed} executions have ended since the promotion, {watch.failed} failed"]
    if not ended and case.at < case.stage_since + longest(case.plan):
        return ["watching: nothing has ended since the promotion"]
    if case.at < (until := case.stage_since + span.ms):
        return [f"watching for {duration(until - case.at)} more: {watch.failed} of {requests(watch.started)} failed so far"]
    return []


def _passes(case: Case, numbers: Numbers | None) -> str:
    if case.watch is not None:
        return f"watched: {case.watch.failed} of {case.watch.started} executions failed since the promotion"
    if numbers is None:
        return _ended(case)
    hanging = overdue(case.evidence, case.baseline, case.plan)
    ended = f"{_ended(case)}; {hanging}" if hanging else _ended(case)
    return f"{ended}; it fails at most {percent(numbers.at_most)} of the time, at 95 %"


def _ended(case: Case) -> str:
    words = f"{case.succeeded} of {case.succeeded + case.failures} requests succeeded"
    may = case.plan.max_failures
    return words + (f" ({case.failures} failed{f', {may} may' if may is not None else ''})" if case.failures else "")


def _progress(case: Case) -> str:
    """How far the stage is: ``3 of 5 finished, 2 running, oldest 41 min (p99.9 is 65 min), 1 slot free``."""
    quota = case.now.quota
    if case.plan.judged or quota is None:
        words = [f"{case.completed} of {quota} finished" if quota is not None else f"{case.completed} finished"]
    else:
        needed = sum(stage.quota or 0 for stage in case.plan.stages[: case.stage + 1])
        words = [f"{case.succeeded} of {needed} succeeded"]
    if case.in_flight:
        oldest = f", the oldest for {duration(case.evidence.oldest_ms)}" if case.evidence.oldest_ms else ""
        normal = f" (p99.9 is {duration(case.baseline.slowest_ms)})" if oldest and case.baseline.timed else ""
        words.append(f"{case.in_flight} running{oldest}{normal}")
    if case.free > 0:
        words.append(f"{case.free} {'slot' if case.free == 1 else 'slots'} free")
    return ", ".join(words)


def _unproved(numbers: Numbers) -> str:
    ahead = f"; about {numbers.clean_runs} more in a row would do" if numbers.clean_runs else ""
    return f"it fails at most {percent(numbers.at_most)} of the time, at 95 %, and {percent(numbers.bad)} must be excluded{ahead}"
