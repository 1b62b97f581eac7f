"""The pace: how many requests a release may have on the way, and how often the coin shows latest, by what it has proved."""

from __future__ import annotations

from math import floor
from typing import Final

from canary.domain.baseline import Baseline
from canary.domain.bets import at_most
from canary.domain.evidence import ALONE, Evidence
from canary.domain.plan import Stage

#: Failures that are put at risk at once: with a failure rate of U at most, so many of what is on the way may be expected to fail.
AT_RISK: Final = 2
#: More are never out at once. ``open`` holds what was claimed since the last pass, and an item has 400 KB.
MOST_OUT: Final = 1_000
#: With fewer than this on the way at current's own traffic, a coin would leave latest so little that nothing were learned.
_BUSY: Final = 20
#: What an earned coin may be worth, in parts of 10,000: few values, since each has a count of failures of its own in the release.
#: The least keeps evidence coming, however busy current is; above the most a failure says too little: the rarer latest, the more.
_SHARES: Final = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 400, 500, 600, 800, 1_000, 1_300, 1_600, 2_000)
_SOME_PASSES_MS: Final = 180_000
#: Passes follow one another in seconds: what is claimed faster than this, a second, is out before its evidence is looked at.
_MOST_A_SECOND: Final = 2


def slots(evidence: Evidence, baseline: Baseline) -> int:
    """How many may be on the way at once: 2 while nothing is known, then 2, 3, 5, 8, 13 … as long as all goes well."""
    bound = at_most(evidence.finished + evidence.overdue, evidence.failed + evidence.overdue, baseline.rate)
    return max(1, min(MOST_OUT, floor(AT_RISK / bound)))


def headroom(stage: Stage, baseline: Baseline) -> int:
    """How many slots may be free at once where evidence does not say it: enough for some passes of the flipper."""
    if not stage.uncounted or not baseline.interval_ms:
        return MOST_OUT
    return max(MOST_OUT, _SOME_PASSES_MS * stage.weight // (100 * baseline.interval_ms))


def share_of(stage: Stage, earned: int, baseline: Baseline) -> int:
    """The coin's share, in parts of 10,000. A stage's weight is a ceiling; earned slots need only so much of the traffic.

    With little traffic there is no coin: latest gets the stage's whole weight while slots are free, and is held against the
    history. With much, the coin shows latest about half as often as the slots could take. So they are hardly ever used up: while
    routers have not heard of it yet, requests would count as compared that could not have gone to latest.
    """
    weight = ALONE * stage.weight // 100
    if not stage.earned or baseline.mean_ms < _BUSY * baseline.interval_ms or not baseline.interval_ms:
        return weight
    needed = ALONE * earned * baseline.interval_ms // (2 * baseline.mean_ms)
    most = ALONE * _MOST_A_SECOND * baseline.interval_ms // 1000
    return min(weight, max((each for each in _SHARES if each <= min(most, needed)), default=_SHARES[0]))
