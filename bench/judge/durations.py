"""How often the bet on durations throws out a version as fast as current. Drawn, since there are too many cases to follow.

One run in eight is of a good version, whose durations fall among those of the history as the Dirichlet null says, the others are
of the versions that the bet supposes. Each run that is thrown out counts with its chance under the null over its chance of being
drawn, eight at most: few runs give a rare event exactly enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import exp, sqrt
from random import Random

from canary.domain.bets import SLOWER, closed_duration_bet, duration_bet, marks, slow_at

#: One run in so many is of a good version: these take the longest.
_GOOD = 8
#: Beyond this a wealth changes no weight any more.
_ENOUGH = 500.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A chance, and the standard error of it."""

    chance: float
    error: float


def thrown_out_as_slow(durations: int, within: int, runs: int, seed: int) -> Estimate:
    """The chance of a good version within so many executions, with a look after each."""
    random = Random(seed)
    weights = [_run(durations, within, random, good=number % _GOOD == 0) for number in range(runs)]
    mean = sum(weights) / runs
    return Estimate(mean, sqrt(sum((weight - mean) ** 2 for weight in weights)) / runs)


def _run(durations: int, within: int, random: Random, *, good: bool) -> float:
    gaps = [high - low for low, high in pairwise((0, *marks(durations), durations + 1))]
    counts, chances = [0] * len(gaps), random.choice(SLOWER)
    for _ in range(within):
        null = [gap + count for gap, count in zip(gaps, counts, strict=True)]
        counts[random.choices(range(len(gaps)), null if good else chances)[0]] += 1
        if closed_duration_bet(counts, durations) >= slow_at(0.01):
            return _GOOD / (1 + (_GOOD - 1) * exp(min(duration_bet(counts, durations), _ENOUGH)))
    return 0.0
