"""The watch after a promotion: all requests go to what was latest, and the flipper may still take it back."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, inf
from typing import Final

import numpy as np

from canary.domain.sight import WatchSight
from canary.domain.states import ReleaseState
from canary.domain.steps import SaveRelease
from canary.domain.watching import LAG_MS, begun_watch, watching
from canary.simulating.durations import Floats
from canary.simulating.policy import Ending, Fate
from canary.simulating.scene import after_flip
from canary.simulating.trial import SCHEDULE_MS, Trial

_AT_ONCE: Final = 256


class _Everybody:
    """All requests since the promotion, in the order in which they start."""

    def __init__(self, trial: Trial, since: int) -> None:
        self._trial = trial
        self._since = since
        self._first = trial.claimed
        span = trial.release.plan.watch
        self._asked = span.completed
        self._grow(ceil(1.02 * trial.trace.world.per_ms * span.ms) + 2 * span.completed + _AT_ONCE)

    def _grow(self, count: int) -> None:
        trace = self._trial.trace
        gaps = trace.latest.gaps.upto(self._first + count)[self._first :]
        self.starts: Floats = self._since + np.cumsum(gaps) / trace.world.per_ms
        failed, takes = trace.latest.outcomes(self._trial.version, self.starts, self._first)
        self._ends: Floats = self.starts + takes
        self._failed: tuple[Floats, Floats] = (self.starts[failed], self._ends[failed])
        self._succeeded = _earliest(self._ends[~failed], self._asked)

    def reach(self, at: float) -> None:
        """Draw all that start until then."""
        while self.starts[-1] < at:
            self._grow(2 * len(self.starts))

    def complete(self) -> float:
        """When as many as the watch asks for have ended."""
        if not self._asked:
            return 0
        while (bound := float(_earliest(self._ends, self._asked)[-1])) == inf:
            if len(self._ends) > 16 * (self._asked + _AT_ONCE):
                return inf
            self._grow(2 * len(self._ends))
        self.reach(bound)
        return float(_earliest(self._ends, self._asked)[-1])

    def failures(self, until: float) -> Floats:
        """When the failures until then are seen."""
        self.reach(until)
        starts, ends = self._failed
        known = np.maximum(ends, starts + LAG_MS)
        return known[known <= until]

    def seen(self, now: float) -> WatchSight:
        """What the flipper sees of them."""
        started = self.started(now - LAG_MS)
        starts, ends = self._failed
        failed = int(((ends <= now) & (starts < now - LAG_MS)).sum())
        succeeded = int(np.searchsorted(self._succeeded, now, side="right"))
        return WatchSight(started=started, failed=failed, succeeded=min(succeeded, max(0, self._asked - failed)))

    def started(self, before: float) -> int:
        """How many had been started by then."""
        self.reach(before)
        return int(np.searchsorted(self.starts, before))


def _earliest(ends: Floats, count: int) -> Floats:
    if count >= len(ends):
        return np.sort(ends)
    return np.sort(np.partition(ends, count)[:count])


def watched(trial: Trial) -> Fate:
    """Go through the watch of a release that is being promoted, if its plan has one."""
    promoted_at, samples, span = trial.now, trial.samples, trial.release.plan.watch
    promoted = Fate(
        ending=Ending.PROMOTED, at=promoted_at, exposed=trial.claimed, promoted_at=promoted_at, samples=samples, why=trial.why
    )
    if not span:
        return promoted
    trial.release = begun_watch(trial.release, promoted_at).after
    everybody = _Everybody(trial, promoted_at)
    over = max(promoted_at + span.ms, everybody.complete() + LAG_MS)
    if over == inf:
        return promoted
    for now in _looks(trial, everybody, over):
        step = _look(trial, everybody, now)
        if step is None:
            continue
        trial.note(step)
        if step.after.state is ReleaseState.ROLLING_BACK:
            return Fate(
                ending=Ending.ROLLED_BACK,
                at=now,
                exposed=trial.claimed + everybody.started(now),
                promoted_at=promoted_at,
                samples=samples,
                why=trial.why,
            )
        break
    return promoted


def _looks(trial: Trial, everybody: _Everybody, over: float) -> list[int]:
    """When the schedule wakes the flipper to something new: a failure, the end of a request of the trial, the end of it all."""
    turns = [at for at in trial.turns() if at < over]
    failures = np.unique(np.ceil(everybody.failures(over) / SCHEDULE_MS)) * SCHEDULE_MS
    return sorted({*map(int, failures), *(_scheduled(at) for at in (*turns, over, over + SCHEDULE_MS))})


def _look(trial: Trial, everybody: _Everybody, now: int) -> SaveRelease | None:
    release, sight = trial.observe(now)
    trial.release = release
    sight = replace(sight, watch=everybody.seen(now))
    step = watching(release, after_flip(release, sight), now)
    return step if isinstance(step, SaveRelease) else None


def _scheduled(at: float) -> int:
    return ceil(at / SCHEDULE_MS) * SCHEDULE_MS
