"""Replaying: what a plan would have decided about a release that has ended, on what is on record of it.

The outcomes come in the order in which they really came, and the code that decides real releases decides after each of them. No
outcome is made up: where the record ends before the plan would have decided, the answer is UNDECIDED.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum

from canary.domain.alarm import AlarmState
from canary.domain.app import App, Parameter, Seen
from canary.domain.audit import IN_FLIGHT, Arm, Row
from canary.domain.baseline import Baseline
from canary.domain.case import case_of
from canary.domain.counting import accounted
from canary.domain.evidence import ALONE, Evidence, Running
from canary.domain.judge import Case, Judgement, judge
from canary.domain.measure import bad_rate
from canary.domain.plan import Plan, Stage
from canary.domain.release import Release, release_key, version_of
from canary.domain.sight import Sight
from canary.domain.stages import begun
from canary.domain.states import ON_TRIAL, PASSING_HOLDS, Gate, ReleaseState
from canary.domain.steps import SaveRelease
from canary.domain.trial import on_trial
from canary.domain.words import percent

_S = ReleaseState


class Decision(StrEnum):
    """What a plan would have done. REJECT: it would not have let the release begin."""

    PROMOTE = "PROMOTE"
    ABORT = "ABORT"
    REJECT = "REJECT"
    UNDECIDED = "UNDECIDED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tape:
    """What is on record of a release. Times in milliseconds.

    ``rows`` are its requests on latest and, where current can be compared, current's failures (None of them is ``counted``).
    ``began``: the first slots were granted. Requests could come until ``covered``, and what became of them is known ``until``.
    ``uncompared``: current's failures could not be read.
    """

    release: Release
    baseline: Baseline
    rows: tuple[Row, ...]
    began: int
    covered: int
    until: int
    compared: bool = False
    uncompared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What came out: after ``ended`` requests and ``after_ms``, ``exposed`` requests having gone to latest.

    ``left_out``: requests that the plan had no slot for when they came. ``clean_runs`` successes in a row are the least that an
    UNDECIDED release still needed; None where no number of them would have done, or only time was needed.
    """

    decision: Decision
    reason: str
    ended: int = 0
    after_ms: int = 0
    exposed: int = 0
    left_out: int = 0
    clean_runs: int | None = None


def replay(tape: Tape, plan: Plan) -> Replayed:
    """Let a plan decide about a release again."""
    normal, bad = tape.baseline.rate, bad_rate(plan, tape.baseline)
    if plan.judged and bad <= normal:
        why = f"{percent(bad)} is to be excluded, and current itself failed {percent(normal)} of the time"
        return Replayed(decision=Decision.REJECT, reason=why)
    return _Replay(tape, plan).run()


class _Kind(IntEnum):
    """What happens, in the order of what happens at the same time."""

    ENDED = 0
    CAME = 1
    GREW_OLD = 2
    TIME_PASSED = 3


class _Replay:
    """One release under one plan, from event to event."""

    def __init__(self, tape: Tape, plan: Plan) -> None:
        self._tape = tape
        self._release = _opened(tape, plan)
        self._running: dict[int, Running] = {}
        self._events = [(row.claimed_at, _Kind.CAME, number) for number, row in enumerate(tape.rows)]
        heapq.heapify(self._events)
        self._now = tape.began
        self._left_out = 0
        self._await(tape.began + plan.deadline_ms)
        self._await_bake()

    def run(self) -> Replayed:
        """Go through the record, as far as it goes or until the plan has decided."""
        while self._events and self._release.state in ON_TRIAL:
            at, kind, number = heapq.heappop(self._events)
            if at > self._tape.until or self._is_out_of_sight(at, kind):
                break
            if kind is _Kind.CAME:
                self._came(number)
                continue
            if kind is _Kind.GREW_OLD and number not in self._running:
                continue
            self._now = at
            if kind is _Kind.ENDED:
                self._ended(number)
            self._decide()
        return self._told()

    def _is_out_of_sight(self, at: int, kind: _Kind) -> bool:
        """Whether what would have happened by now is not on record.

        It would have got more requests, or a person would have been asked; what time does without them, nobody knows.
        """
        release = self._release
        if release.hold is not None and release.hold not in PASSING_HOLDS:
            return at >= min(
                each for each in (release.gate_ends, release.opened_at + release.plan.deadline_ms) if each is not None
            )
        return kind is _Kind.TIME_PASSED and at > self._tape.covered and self._free

    @property
    def _free(self) -> bool:
        """Whether a request that comes now gets a slot."""
        release = self._release
        return release.state is _S.RUNNING and release.gate is Gate.OPEN and release.claimed < release.granted

    def _came(self, number: int) -> None:
        row = self._tape.rows[number]
        if not self._free:
            self._left_out += row.arm is Arm.LATEST
            return
        ends = max(row.claimed_at, row.stopped_at or 0) if row.status not in IN_FLIGHT else None
        if ends is not None:
            heapq.heappush(self._events, (ends, _Kind.ENDED, number))
        if row.arm is Arm.LATEST:
            self._release = replace(self._release, claimed=self._release.claimed + 1)
            self._running[number] = Running(row.claimed_at, _share(row), row.started_at)
            self._await_age(number)

    def _ended(self, number: int) -> None:
        self._running.pop(number, None)
        release = accounted(self._release, [self._tape.rows[number]])
        oldest = min((each.claimed_at for each in self._running.values()), default=None)
        self._release = replace(release, counted={}, gathered=release.gathered.settled_before(oldest))

    def _decide(self) -> None:
        """Decide as the flipper does, until nothing more follows from what is known."""
        while isinstance(step := on_trial(self._release, self._seen(), self._now), SaveRelease):
            before, self._release = self._release, step.after
            if self._release.state not in ON_TRIAL or (before.state, before.stage) == (self._release.state, self._release.stage):
                return
            if before.stage != self._release.stage:
                self._await_bake()

    def _await(self, at: int) -> None:
        heapq.heappush(self._events, (at, _Kind.TIME_PASSED, -1))

    def _await_bake(self) -> None:
        release = self._release
        if bake := release.plan.stages[release.stage].bake.ms:
            self._await(release.stage_since + bake)

    def _await_age(self, number: int) -> None:
        """Look again when a workflow takes longer than most, and when it hangs."""
        baseline, plan, running = self._release.baseline, self._release.plan, self._running[number]
        if not (plan.judged and baseline.timed):
            return
        started = running.started_at if running.started_at is not None else running.claimed_at
        for age in {*baseline.cuts_ms, round(plan.hung_after * baseline.slowest_ms)}:
            heapq.heappush(self._events, (started + age + 1, _Kind.GREW_OLD, number))

    def _seen(self) -> Seen:
        """What the flipper sees: latest is the release, and some current serves."""
        release, latest = self._release, _latest(self._tape.release)
        return Seen(
            app=App(app=release.app),
            current=latest,
            latest=latest,
            previous=None,
            releases={release.release: release},
            sights={release.release: self._sight()},
        )

    def _sight(self) -> Sight:
        compared = self._tape.compared or self._tape.uncompared
        return Sight(
            running=tuple(self._running.values()),
            control={} if compared else None,  # its failures are counted with the release
            uncompared=self._tape.uncompared,
            alarms={name: AlarmState.OK for stage in self._release.plan.stages for name in stage.alarms},
        )

    def _told(self) -> Replayed:
        release = self._release
        told = Replayed(
            decision=Decision.UNDECIDED,
            reason=release.reason or "",
            ended=release.tally.known,
            after_ms=self._now - self._tape.began,
            exposed=release.claimed,
            left_out=self._left_out,
        )
        if release.state not in ON_TRIAL:
            return replace(told, decision=Decision.PROMOTE if release.state is _S.PROMOTING else Decision.ABORT)
        if release.state is _S.HELD:
            return replace(told, reason=f"a person would have been asked: {release.reason}")
        case = case_of(release, self._sight(), self._now)
        verdict = judge(case)
        needed = _needed(case, verdict.numbers.clean_runs if verdict.numbers else 0)
        return replace(told, reason=verdict.reason, clean_runs=needed if verdict.judgement is Judgement.WAIT else None)


def _needed(case: Case, proof: int) -> int | None:
    """How many successes in a row a release needs at least; None where no number of them would do, or only time is needed."""
    stages, done = case.plan.stages[case.stage :], case.completed
    total = here = max(0, _completions(case.now) - done, 0 if case.succeeded else 1)
    for number, stage in enumerate(stages, start=1):
        total += _completions(stage) if number > 1 else 0
        if number == len(stages) or stage.open_ended:
            total = max(total, proof)
    quotas = [stage.quota for stage in stages if stage.quota is not None]
    stuck = case.now.quota is not None and here > case.now.quota - done
    enough = len(quotas) < len(stages) or total <= sum(quotas) - done
    return total if total and enough and not stuck else None


def _completions(stage: Stage) -> int:
    return max(stage.quota or 0, stage.min_completed, stage.bake.completed)


def _share(row: Row) -> int:
    return row.share if row.share is not None else ALONE


def _latest(release: Release) -> Parameter:
    return Parameter(release.value, version_of(release.release), release.written_at)


def _opened(tape: Tape, plan: Plan) -> Release:
    """The release under another plan, with its first slots granted. A preflight has no part in it."""
    real, latest = tape.release, _latest(tape.release)
    fresh = Release(
        app=real.app,
        release=release_key(latest.version, latest.value, latest.modified_at),
        rev=1,
        state=_S.OPENING,
        since=tape.began,
        opened_at=tape.began,
        written_at=real.written_at,
        value=real.value,
        target=real.target,
        tag=real.tag,
        plan=replace(plan, preflight=()),
        baseline=tape.baseline,
        accepted=True,
    )
    changes = begun(fresh, 0, Evidence(), tape.baseline, tape.began)
    return fresh.moved(_S.RUNNING, now=tape.began, why="replayed", gate=Gate.OPEN, **changes)
