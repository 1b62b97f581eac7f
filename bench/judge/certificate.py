"""The certificate: how often the rule that decides throws out a version that is as good as current. Computed, not sampled.

A good version fails at exactly current's rate, and so did the executions of its history. For all histories of a size at once the
chances of all counts of failures are followed from execution to execution; what reaches the region where the rule says FAIL is
out for good. What is too unlikely to be followed counts as thrown out: every chance here is an upper bound.

`python -m bench.judge.certificate` prints the table: some minutes on one core.
"""

from __future__ import annotations

from functools import lru_cache
from math import exp, lgamma, log, log1p

import numpy as np
from numpy.typing import NDArray

from canary.domain.bets import closed_history_bet, concurrent_bet, fails_at, most_told

#: Current's rates of failure, and sizes of the history.
RATES = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2)
HISTORIES = (20, 25, 30, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
#: Shares of a coin, and how many failures it is followed for.
SHARES = (0.05, 0.1, 0.25, 0.5)
COINS = 3_000
#: Histories, and counts of failures after each of them, that are less likely than this are not followed.
TOO_UNLIKELY = 1e-12

Chances = NDArray[np.float64]
Edges = NDArray[np.int64]


def thrown_out(rate: float, history: int, within: int | None = None, wealth: float = fails_at(0.01)) -> float:
    """The chance of a good version over all histories of one size, within so many executions; None: however many there are."""
    failures, likely = _histories(rate, history)
    until = within or most_told(history)  # from there on only the proportion of failures counts
    edges = np.stack([region(history, each, wealth, until) for each in failures])
    walk = _Walk(rate, likely)
    for started in range(1, until + 1):
        walk.step(edges[:, started])
    inside = walk.chances.sum() if within else walk.never_exceed(edges[:, until] / until)
    return float(1 - inside)


def blamed(share: float, failures: int, wealth: float = fails_at(0.01)) -> float:
    """The chance that one of the first failures under a coin throws out a version no worse than current."""
    chances, first = np.ones(1), 0
    for both in range(1, failures + 1):
        chances = np.convolve(chances, (1 - share, share))
        while chances.size and concurrent_bet([(share, both, first + chances.size - 1)]) >= wealth:
            chances = chances[:-1]
        likely = np.flatnonzero(chances > TOO_UNLIKELY)
        first += int(likely[0])
        chances = chances[likely[0] : likely[-1] + 1]
    return 1 - float(chances.sum())


@lru_cache(4096)
def region(history: int, failures: int, wealth: float, until: int) -> Edges:
    """Where the rule says FAIL after one history: for each number of executions the fewest failures, or one more than all.

    A success never leads into it, and a failure never out of it: so with each execution the edge stays, or is one more.
    """

    def holds(started: int, failed: int) -> bool:
        return failed <= started and closed_history_bet(started, failed, history, failures) >= wealth

    edges: Edges = np.empty(until + 1, dtype=np.int64)
    firsts = [0]  # for each edge from 1 on: the fewest executions that have it
    while firsts[-1] <= until:
        edge, first = len(firsts), firsts[-1]
        before = firsts[-min(edge, 9)]
        last, beyond, stride = first, first + max(1, round((first - before) / min(edge, 8))), 1
        while beyond <= until and holds(beyond, edge):
            last, beyond, stride = beyond, beyond + stride, 2 * stride
        stride = 1
        while (middle := max(beyond - stride, (last + beyond) // 2)) > last:
            last, beyond = (middle, beyond) if middle <= until and holds(middle, edge) else (last, middle)
            stride *= 2
        edges[first:beyond] = edge
        firsts.append(beyond)
    return edges


class _Walk:
    """A good version on its way, after each of many histories: the chances of ``first`` failures and more, if it is not out.

    There is a row for each history, and a column for each count of failures.
    """

    def __init__(self, rate: float, likely: Chances) -> None:
        self._rate = rate
        self._started = self._first = 0
        self.chances: Chances = likely[:, np.newaxis]

    def step(self, edges: Edges) -> None:
        """Follow one more execution; where there are as many failures as the edge after a history, it is out."""
        rows, columns = self.chances.shape
        after = np.zeros((rows, columns + 1))
        after[:, :-1] = self.chances * (1 - self._rate)
        after[:, 1:] += self.chances * self._rate
        near = max(0, int(edges.min()) - self._first)  # up to here nothing is out
        counts = np.arange(self._first + near, self._first + columns + 1)
        after[:, near:][counts >= edges[:, np.newaxis]] = 0
        likely = np.flatnonzero(after.sum(axis=0) > TOO_UNLIKELY)
        kept = slice(likely[0], likely[-1] + 1) if likely.size else slice(0, 0)
        self.chances = after[:, kept]
        self._first += kept.start
        self._started += 1

    def never_exceed(self, slopes: Chances) -> float:
        """Bound the chance that its proportion of failures never reaches the slope of its history, by Lundberg's inequality."""
        never = 0.0
        for chances, slope in zip(self.chances, slopes, strict=True):
            if slope >= 1:
                never += float(chances.sum())
            elif slope > self._rate:
                missing = slope * self._started - self._first - np.arange(chances.size)
                ever = np.exp(-_adjustment(self._rate, slope) * np.maximum(missing, 0))
                never += float(chances @ (1 - ever))
        return never


def _histories(rate: float, history: int) -> tuple[list[int], Chances]:
    """The counts of failures that a history is likely to have, and their chances."""
    ways = (lgamma(history + 1) - lgamma(failures + 1) - lgamma(history - failures + 1) for failures in range(history + 1))
    chances = [exp(way + f * log(rate) + (history - f) * log1p(-rate)) for f, way in enumerate(ways)]
    likely = [failures for failures, chance in enumerate(chances) if chance > TOO_UNLIKELY]
    return likely, np.array([chances[failures] for failures in likely])


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
