"""One release on trial, from event to event: requests claim slots, workflows end, and the flipper passes."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import replace
from math import ceil, inf
from typing import Final

from canary.domain.audit import Status
from canary.domain.bets import closed_duration_bet, slow_at
from canary.domain.changes import with_record
from canary.domain.evidence import Running
from canary.domain.judge import Case, Judgement, Verdict
from canary.domain.plan import Plan
from canary.domain.record import Record
from canary.domain.release import Release
from canary.domain.sight import Sight
from canary.domain.states import Gate, Hold, ReleaseState
from canary.domain.steps import SaveRelease
from canary.domain.trial import on_trial
from canary.simulating.routers import Routers
from canary.simulating.scene import all_ok, on_trial_sight, opened
from canary.simulating.trace import Trace
from canary.simulating.world import Version

#: A pass takes so long with all that it reads; what ends meanwhile is seen by the next one.
PASS_MS: Final = 2_000
#: The schedule that wakes the flipper when nothing else does.
SCHEDULE_MS: Final = 60_000
_LAST_BIN: Final = 4


class Trial:
    """One version under one plan. ``now`` is the time of the last pass, ``claimed`` what has gone to latest."""

    def __init__(self, plan: Plan, trace: Trace, version: Version) -> None:
        self.trace = trace
        self.version = version
        self.release = opened(plan, trace.baseline)
        self.now = 0
        self.claimed = 0
        self.samples = 0
        self.why = ""
        self._arm = trace.latest
        self._running: list[tuple[float, int, bool, Running]] = []
        self._routers = Routers(trace)
        self._free = 0
        self._late = self.release.baseline.overdue_ms(plan.hung_after)
        self._ages = False
        self._follow_slots()

    def next_pass(self) -> bool:
        """Go on to the next pass; False when nothing will happen any more."""
        at = self._until_next()
        if at == inf:
            return False
        self._pass(ceil(at))
        return True

    def observe(self, now: int) -> tuple[Release, Sight]:
        """Count what has ended, and see what has not."""
        self.now = now
        release = self._counted(now)
        names = release.plan.stages[release.stage].alarms
        running = tuple(each[3] for each in self._running)
        return release, Sight(running=running, control=self._routers.failures(now), alarms=all_ok(names))

    def turns(self) -> list[float]:
        """When what runs now will have ended, and when it hangs, if it does before that."""
        late = self._late
        hangs = [each[3].claimed_at + late + 1 for each in self._running] if late is not None else []
        return [*(each[0] for each in self._running), *hangs]

    def note(self, step: SaveRelease) -> None:
        """Keep what decided."""
        record = step.record
        self.why = cause(record) if record else "nothing could be seen"
        self.samples = record.case["evidence"]["prefix_finished"] if record else 0

    def _until_next(self) -> float:
        """Let requests claim slots until the flipper passes again; return when that is."""
        due, older = self._due(), self._older(self.now)
        while True:
            wake = max(self._running[0][0], self.now + PASS_MS) if self._running else inf
            at = min(wake, due, older)
            if claim := self._routers.claim(at):
                first = next(self._in_time(), None) is None
                self._claim(*claim)
                due, older = (self._due(), self._older(self.now)) if first else (due, older)
            elif older < min(wake, due) and not self._is_slow(older):
                older = self._older(older)  # a pass would find nothing new
            else:
                return at

    def _claim(self, at: float, share: int) -> None:
        failed, takes = self._arm.outcome(self.version, self.claimed, at)
        claimed_at = ceil(at)
        running = Running(claimed_at, share, claimed_at)
        heapq.heappush(self._running, (claimed_at + max(1.0, takes), self.claimed, failed, running))
        self.claimed += 1
        self._free -= 1
        if not self._free:
            self._routers.tell(at, 0)

    def _pass(self, now: int) -> None:
        """Observe, decide, do."""
        release, sight = self.observe(now)
        while isinstance(step := on_trial(release, on_trial_sight(release, sight), now, _keep), SaveRelease):
            before, release = release, step.after
            if release.state not in {ReleaseState.RUNNING, ReleaseState.HELD}:
                self.note(step)
                break
            if (before.state, before.stage) == (release.state, release.stage):
                break  # slots were granted; the same evidence asks for no more than that
        self.release = release
        self._follow_slots()
        self._ages = self._may_become_slow()

    def _counted(self, now: int) -> Release:
        """The release with what has ended in its counters, as following it leaves it."""
        release, baseline = self.release, self.release.baseline
        tally, gathered = release.tally, release.gathered
        while self._running and self._running[0][0] <= now:
            end, _, failed, running = heapq.heappop(self._running)
            ran = ceil(end) - running.claimed_at
            tally = tally.plus(Status.FAILED if failed else Status.SUCCEEDED, unstarted=False)
            gathered = gathered.plus(
                share=running.share,
                failed=failed,
                claimed_at=running.claimed_at,
                duration_bin=baseline.bin_of(ran) if baseline.timed else None,
            )
        oldest = self._oldest() if self._running else None
        return replace(release, claimed=self.claimed, tally=tally, gathered=gathered.settled_before(oldest))

    def _follow_slots(self) -> None:
        """Let routers claim, or no longer claim, what has been granted."""
        release = self.release
        going = release.state is ReleaseState.RUNNING and release.gate is Gate.OPEN
        self._free = max(0, release.granted - self.claimed) if going else 0
        self._routers.tell(self.now, release.share if self._free else 0)

    def _due(self) -> float:
        """When time alone changes something, but for what grows older: the schedule finds that within a minute."""
        release, plan = self.release, self.release.plan
        if release.hold is Hold.DEADLINE:
            return inf
        times = [release.opened_at + plan.deadline_ms]
        baked = release.stage_since + plan.stages[release.stage].bake.ms
        if baked > self.now:
            times.append(baked)
        if release.gate_ends is not None:
            times.append(release.gate_ends)
        if self._late is not None and (first := min(self._in_time(), default=None)) is not None:
            times.append(first + self._late + 1)
        return _scheduled(max(self.now + 1, min(times)))

    def _older(self, now: float) -> float:
        """When the schedule next finds something running that has grown into another bin, if that may matter."""
        if not self._ages:
            return inf
        cuts = self.release.baseline.cuts_ms
        crossings = (each[3].claimed_at + cut + 1 for each in self._running for cut in cuts)
        return _scheduled(min((at for at in crossings if at > now), default=inf))

    def _oldest(self) -> int:
        return min(each[3].claimed_at for each in self._running)

    def _in_time(self) -> Iterator[int]:
        """When those were claimed that run and do not hang yet."""
        return (each[3].claimed_at for each in self._running if self._late is None or self.now - each[3].claimed_at <= self._late)

    def _is_slow(self, now: float) -> bool:
        """Whether durations alone would say FAIL, with what runs as old as it is then."""
        baseline = self.release.baseline
        bins = list(self.release.gathered.bins)
        for each in self._running:
            bins[baseline.bin_of(int(now) - each[3].claimed_at)] += 1
        return self._says_slow(bins)

    def _may_become_slow(self) -> bool:
        """Whether durations could say FAIL before anything ends, by what runs now, or may be claimed, growing older."""
        bins = list(self.release.gathered.bins)
        bins[_LAST_BIN] += len(self._running) + self._free
        return self._says_slow(bins)

    def _says_slow(self, bins: list[int]) -> bool:
        baseline = self.release.baseline
        return baseline.timed and closed_duration_bet(bins, baseline.executions) >= slow_at(self.release.plan.alpha)


def _keep(step: SaveRelease, case: Case, verdict: Verdict) -> SaveRelease:
    """Put what ends the trial on record. Nobody reads why slots were granted, and there are thousands of these decisions."""
    return with_record(step, case, verdict) if step.after.state is not step.before.state else step


def cause(record: Record) -> str:
    """Say in a word what decided: hung, where what hangs counts among the failures."""
    numbers = record.numbers
    if record.judgement != Judgement.FAIL:
        return "proof" if record.judgement == Judgement.PASS else "deadline"
    if numbers and numbers["failures"] < numbers["failures_at"]:
        return "durations"
    return "hung" if numbers and record.case["evidence"]["overdue"] else "failures"


def _scheduled(at: float) -> float:
    return ceil(at / SCHEDULE_MS) * SCHEDULE_MS if at < inf else inf
