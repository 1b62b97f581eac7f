"""The routers: many of them, and each knows a release as it was a few seconds ago."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from math import inf
from typing import Final

from canary.domain.evidence import ALONE
from canary.simulating.trace import Stream, Trace
from canary.simulating.world import GOOD

#: A router reads a release again after this long.
FRESH_MS: Final = 5_000
#: And it is busy with a request for so long: the more traffic, the more routers there are.
_BUSY_MS: Final = 300


class Routers:
    """Which requests claim a slot, and which of current's failures are compared: those of requests that lost the coin.

    A request is treated as its router believes, and that is what was so up to `FRESH_MS` ago; a slot that is gone is refused all
    the same. Failures of current are drawn as they come, so that it costs nothing how many requests succeed.
    """

    def __init__(self, trace: Trace) -> None:
        world = trace.world
        chances, waits, takes = trace.dice(3)
        self._world = world
        self._chances = Stream(chances.random)
        self._waits = Stream(waits.standard_exponential)
        self._takes = Stream(lambda count: world.durations.sample(takes, count))
        self._gaps = trace.latest.gaps
        self._drawn = self._candidates = self._failed = 0
        each = min(world.per_ms, 1 / _BUSY_MS)
        self._reads_now = 1 / (1 + FRESH_MS * each)
        self._times: list[float] = [-inf]
        self._shares = [0]
        self._claims_from = self._failures_from = 0.0
        self._until_candidate, self._until_failure = self._gaps[0], self._waits[0]
        self._ending: list[tuple[float, int]] = []
        self._counts: Counter[int] = Counter()

    def tell(self, at: float, share: int) -> None:
        """From then on slots are to be had at a share; 0: there are none."""
        if share == self._shares[-1]:
            return
        if not self._shares[-1]:
            self._claims_from = at
        self._times.append(at)
        self._shares.append(share)

    def claim(self, until: float) -> tuple[float, int] | None:
        """The next request that claims a slot, and the share that its coin had; None when there is none until then."""
        if not self._shares[-1]:
            return None
        while True:
            most = max(self._shares[bisect_right(self._times, self._claims_from - FRESH_MS) - 1 :])
            rate = self._world.per_ms * most / ALONE
            at = self._claims_from + self._until_candidate / rate
            if at >= until:
                self._until_candidate -= max(0.0, until - self._claims_from) * rate
                self._claims_from = max(until, self._claims_from)
                return None
            self._claims_from = at
            self._candidates += 1
            self._until_candidate = self._gaps[self._candidates]
            share = self._believed(at)
            if share and self._chance() * most < share:
                return at, share

    def failures(self, now: float) -> Mapping[int, int]:
        """Count current's failures that have ended, by share."""
        self._draw(now)
        while self._ending and self._ending[0][0] <= now:
            self._counts[heapq.heappop(self._ending)[1]] += 1
        return dict(self._counts)

    def _believed(self, at: float) -> int:
        """What a router believes of the slots: their share, or 0."""
        age = 0.0 if self._chance() < self._reads_now else FRESH_MS * self._chance()
        return self._shares[bisect_right(self._times, at - age) - 1]

    def _draw(self, now: float) -> None:
        """Draw current's failures among the requests since it was last asked."""
        if any(0 < share < ALONE for share in self._shares):
            edges = [at for each in self._world.outages for at in (each.after, each.after + each.lasts)]
            for until in sorted({now, *(at for at in edges if self._failures_from < at < now)}):
                self._draw_until(until)
        self._failures_from = now
        kept = bisect_right(self._times, now - FRESH_MS) - 1
        del self._times[:kept], self._shares[:kept]

    def _draw_until(self, until: float) -> None:
        """The same, for a time in which the rate stays as it is."""
        world = self._world
        rate = world.per_ms * world.failing(GOOD.failing(world.normal), self._failures_from)
        while rate and (at := self._failures_from + self._until_failure / rate) < until:
            self._failures_from = at
            self._failed += 1
            self._until_failure = self._waits[self._failed]
            share = self._believed(at)
            if 0 < share < ALONE and self._chance() >= share / ALONE:
                heapq.heappush(self._ending, (at + self._takes[self._failed] * world.failing_takes, share))
        self._until_failure -= (until - self._failures_from) * rate
        self._failures_from = until

    def _chance(self) -> float:
        self._drawn += 1
        return self._chances[self._drawn - 1]
