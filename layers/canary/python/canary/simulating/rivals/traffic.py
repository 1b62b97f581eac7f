"""What a metric shows of a stack that gets a share of the traffic, which changes at known times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from canary.simulating.durations import Floats
from canary.simulating.trace import Arm, Flags
from canary.simulating.world import Version, World

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Phase:
    """So long, in minutes, so many percent of the requests."""

    minutes: int
    percent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The executions of one stack: when they start, when they end (and so enter a metric), and which failed. Milliseconds."""

    starts: Floats
    ends: Floats
    failed: Flags

    def exposed(self, before: float) -> int:
        """How many had started by then."""
        return int(np.searchsorted(self.starts, before))

    def ended(self, since: float, before: float) -> tuple[int, int]:
        """How many ended in a time, and how many of them failed."""
        there = (self.ends >= since) & (self.ends < before)
        return int(there.sum()), int((there & self.failed).sum())

    def by_minute(self, minutes: int) -> tuple[Floats, Floats]:
        """How many ended in each of the first minutes, and how many of them failed."""
        within = self.ends < minutes * MINUTE_MS
        at = (self.ends[within] // MINUTE_MS).astype(np.intp)
        ended = np.bincount(at, minlength=minutes).astype(np.float64)
        failed = np.bincount(at, weights=self.failed[within], minlength=minutes)
        return ended, failed.astype(np.float64)


def shown(world: World, arm: Arm, version: Version, phases: Sequence[Phase]) -> Shown:
    """Send the share of each phase to a stack."""
    rates = [world.per_ms * phase.percent / 100 for phase in phases]
    masses = [rate * phase.minutes * MINUTE_MS for rate, phase in zip(rates, phases, strict=True)]
    expected = sum(masses)
    masses_until = np.concatenate([[0.0], np.cumsum(masses)])
    minutes_until = np.concatenate([[0.0], np.cumsum([phase.minutes for phase in phases])])
    arrivals = _upto(arm, expected)
    starts = np.interp(arrivals, masses_until, minutes_until * MINUTE_MS)
    failed, takes = arm.outcomes(version, starts)
    return Shown(starts=starts, ends=starts + takes, failed=failed)


def _upto(arm: Arm, mass: float) -> Floats:
    """Give the arrivals of a Poisson process of rate one, up to a time."""
    count = 16
    while True:
        arrivals = np.cumsum(arm.gaps.upto(count))
        if arrivals[-1] > mass:
            return arrivals[: np.searchsorted(arrivals, mass)]
        count = max(2 * count, int(1.1 * mass))
