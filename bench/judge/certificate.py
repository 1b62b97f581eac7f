"""The certificate: how often the rule that decides throws out a version that is as good as current. Computed, not sampled.

A good version fails at exactly current's rate, and so did the executions of its history. For each history the chances of all
counts of failures are followed from execution to execution; what reaches the region where the rule says FAIL is out for good.
What is too unlikely to be followed counts as thrown out: every chance here is an upper bound.

`python -m bench.judge.certificate` prints the table: a quarter of an hour on one core.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from math import exp, inf, lgamma, log, log1p

import numpy as np
from numpy.typing import NDArray

from canary.domain.bets import closed_history_bet, concurrent_bet, fails_at, most_told

#: Current's rates of failure, and sizes of the history.
RATES = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2)
HISTORIES = (20, 25, 30, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
#: Shares of a coin, and how many failures it is followed for.
SHARES = (0.05, 0.1, 0.25, 0.5)
COINS = 3_000
#: Counts and histories that are less likely than this are not followed.
TOO_UNLIKELY = 1e-12

Chances = NDArray[np.float64]


def thrown_out(rate: float, history: int, within: int | None = None, wealth: float = fails_at(0.01)) -> float:
    """The chance of a good version over all histories of one size, within so many executions; None: however many there are."""
    thrown, followed = 0.0, 0.0
    for failures, chance in _histories(rate, history):
        region, walk = _Region(history, failures, wealth), _Walk(rate)
        walk.go(region, within or region.settles)
        out = walk.out if within else walk.out + walk.will_exceed(region.slope())
        thrown, followed = thrown + chance * out, followed + chance
    return thrown + 1 - followed


def blamed(share: float, failures: int, wealth: float = fails_at(0.01)) -> float:
    """The chance that one of the first failures under a coin throws out a version no worse than current."""
    chances, first = np.ones(1), 0
    for both in range(1, failures + 1):
        chances = np.convolve(chances, (1 - share, share))
        while chances.size and concurrent_bet([(share, both, first + chances.size - 1)]) >= wealth:
            chances = chances[:-1]
        chances, dropped = _likely(chances)
        first += dropped
    return 1 - float(chances.sum())


class _Region:
    """Where the rule says FAIL after one history. No failure leads out of it, be it of one execution more or of one started."""

    def __init__(self, history: int, failures: int, wealth: float) -> None:
        self._history, self._failures, self._wealth = history, failures, wealth
        self._edge = 1
        #: From so many executions on only the proportion of failures counts.
        self.settles = most_told(history)

    def holds(self, started: int, failed: int) -> bool:
        return closed_history_bet(started, failed, self._history, self._failures) >= self._wealth

    def edge(self, started: int) -> int:
        """The fewest failures that are in it, or one more than all."""
        edge = min(self._edge, started)
        while edge > 0 and self.holds(started, edge - 1):
            edge -= 1
        while edge <= started and not self.holds(started, edge):
            edge += 1
        self._edge = edge
        return edge

    def slope(self) -> float:
        """The proportion of failures that is in it once only proportions count."""
        edge = self.edge(self.settles)
        return edge / self.settles if edge <= self.settles else inf


class _Walk:
    """A good version on its way: the chances of ``first`` failures and more, of those that are not out."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._started, self._first = 0, 0
        self._chances: Chances = np.ones(1)

    @property
    def out(self) -> float:
        return 1 - float(self._chances.sum())

    def go(self, region: _Region, until: int) -> None:
        """Follow it, as many executions at once as cannot end in the region: where all of them failing would not."""
        while self._started < until and self._chances.size:
            power = 0
            while self._started + 2**power <= until and not region.holds(*self._if_all_fail(2**power)):
                power += 1
            self._step(max(1, 2**power // 2))
            if power == 0:
                self._chances = self._chances[: max(0, region.edge(self._started) - self._first)]

    def will_exceed(self, slope: float) -> float:
        """Bound the chance that its proportion of failures ever reaches ``slope``, by Lundberg's inequality."""
        if slope >= 1:
            return 0.0
        if slope <= self._rate:
            return 1 - self.out
        missing = slope * self._started - self._first - np.arange(self._chances.size)
        return float(self._chances @ np.exp(-_adjustment(self._rate, slope) * np.maximum(missing, 0)))

    def _if_all_fail(self, steps: int) -> tuple[int, int]:
        return self._started + steps, self._first + self._chances.size - 1 + steps

    def _step(self, executions: int) -> None:
        more, first = _binomial(self._rate, executions)
        self._chances, dropped = _likely(np.convolve(self._chances, more))
        self._started += executions
        self._first += first + dropped


def _likely(chances: Chances) -> tuple[Chances, int]:
    """Leave out both ends as far as they are too unlikely; and say how many at the lower."""
    likely = np.flatnonzero(chances > TOO_UNLIKELY)
    return (chances[likely[0] : likely[-1] + 1], int(likely[0])) if likely.size else (chances[:0], 0)


@cache
def _binomial(rate: float, executions: int) -> tuple[Chances, int]:
    """The chances of failures in a power of two of executions, and of how many the first one is."""
    if executions == 1:
        return np.array((1 - rate, rate)), 0
    half, first = _binomial(rate, executions // 2)
    both, dropped = _likely(np.convolve(half, half))
    return both, 2 * first + dropped


def _histories(rate: float, history: int) -> Iterator[tuple[int, float]]:
    for failures in range(history + 1):
        ways = lgamma(history + 1) - lgamma(failures + 1) - lgamma(history - failures + 1)
        chance = exp(ways + failures * log(rate) + (history - failures) * log1p(-rate))
        if chance > TOO_UNLIKELY:
            yield failures, chance


def _adjustment(rate: float, slope: float) -> float:
    """The t above 0 at which exp(t · (failures − slope · executions)) neither grows nor shrinks on average."""
    low, high = 0.0, 1.0
    while _grows(rate, slope, high) < 0:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if _grows(rate, slope, middle) >= 0 else (middle, high)
    return low


def _grows(rate: float, slope: float, t: float) -> float:
    return log1p(-rate + rate * exp(t)) - t * slope


def run() -> None:
    """Print the chances, however many executions there are."""
    print("current fails  " + "".join(f"{100 * rate:7g} %" for rate in RATES))
    for history in HISTORIES:
        print(f"history {history:7}", *(f"{100 * thrown_out(rate, history):7.4f}%" for rate in RATES), flush=True)
    print(f"a coin, within {COINS} failures:", *(f"{100 * share:g} %: {100 * blamed(share, COINS):.4f}%" for share in SHARES))


if __name__ == "__main__":
    run()
