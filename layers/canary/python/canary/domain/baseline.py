"""The baseline: how current's executions ended before a release. It is frozen when the release opens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from canary.domain.bets import marks, normal_rate

#: Newest executions that are looked at, at most.
MOST_PAST: Final = 10_000
#: One in so many may still run where a history is read.
_RUNNING: Final = 20
#: With fewer durations than this nothing is said of durations.
LEAST_DURATIONS: Final = 20


@dataclass(frozen=True, slots=True)
class Past:
    """One finished execution of current. ``duration_ms`` is None where only its end is on record."""

    failed: bool
    started_at: int
    duration_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """``failed`` of ``executions`` failed. Times in milliseconds, 0 where there is no history.

    ``cuts_ms`` are the 25, 50, 75 and 95 % order statistics of the durations, ``slowest_ms`` is their 99.9 %, ``interval_ms`` the
    mean time from one start to the next. ``machine`` is current's state machine, ``source`` says where all this was read.
    """

    executions: int = 0
    failed: int = 0
    cuts_ms: tuple[int, int, int, int] = (0, 0, 0, 0)
    slowest_ms: int = 0
    mean_ms: int = 0
    interval_ms: int = 0
    machine: str | None = None
    source: str = "no history"

    @property
    def rate(self) -> float:
        """How often current fails: above 0 and below 1, also without a history."""
        return normal_rate(self.executions, self.failed)

    @property
    def timed(self) -> bool:
        """Whether durations can be compared."""
        return self.executions >= LEAST_DURATIONS and self.slowest_ms > 0

    def overdue_ms(self, hung_after: float) -> int | None:
        """How long a request may be on its way before it counts as hanging; None where durations say nothing."""
        return round(hung_after * self.slowest_ms) if self.timed else None

    def bin_of(self, duration_ms: int) -> int:
        """The bin of a duration, 0 to 4: of one that is still growing the lowest that it can end in."""
        return sum(duration_ms > cut for cut in self.cuts_ms)


def baseline_of(past: Sequence[Past], source: str, machine: str | None = None) -> Baseline:
    """Make the baseline from finished executions, in any order. Durations are told only where all of them are known."""
    if not past:
        return Baseline(machine=machine, source=source)
    starts = [each.started_at for each in past]
    count = len(past)
    untimed = Baseline(
        executions=count,
        failed=sum(each.failed for each in past),
        interval_ms=round((max(starts) - min(starts)) / (count - 1)) if count > 1 else 0,
        machine=machine,
        source=source,
    )
    durations = sorted(each.duration_ms for each in past if each.duration_ms is not None)
    if len(durations) < count:
        return untimed
    first, second, third, fourth = (durations[max(1, mark) - 1] for mark in marks(count))
    return replace(
        untimed,
        cuts_ms=(first, second, third, fourth),
        slowest_ms=durations[-(-999 * count // 1000) - 1],
        mean_ms=round(sum(durations) / count),
    )


def still_settling(ended: Sequence[bool]) -> int:
    """How many of the newest executions say too little yet, since too many beside them still run; ``ended``: newest first.

    Among executions of which most run, those that have ended are the quick ones: failures above all. From the returned place on,
    one in twenty runs at most, or two in all: a workflow that hangs does not take the history with it.
    """
    running, settling = 0, len(ended)
    for place in range(len(ended) - 1, -1, -1):
        running += not ended[place]
        if running <= 2 or _RUNNING * running <= len(ended) - place:
            settling = place
    return settling
