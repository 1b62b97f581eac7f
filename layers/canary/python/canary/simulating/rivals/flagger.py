"""Flagger's progressive traffic shifting."""

from __future__ import annotations

from typing import Final

from canary.simulating.policy import Ending, Fate
from canary.simulating.rivals.traffic import MINUTE_MS, Phase, Shown, shown
from canary.simulating.trace import Trace
from canary.simulating.world import Version

_STEP: Final = 10
_MAX: Final = 50
_THRESHOLD: Final = 5
_SUCCESS: Final = 0.99


class Flagger:
    """Ten percent more every minute in which all is well."""

    name = "Flagger, success ≥ 99 %, threshold 5"
    assumptions = (
        "stepWeight 10, maxWeight 50, interval 1m: every minute in which the check succeeds 10 % more, up to 50 %, then all",
        "request-success-rate of what ended in the last minute, at least 99 %; no data is a failed check, and the weight stays",
        "threshold 5: at the check after the fifth failed one it is rolled back",
    )

    def release(self, trace: Trace, version: Version) -> Fate:
        """Put a version through it."""
        phases: list[Phase] = []
        weight, failures = _STEP, 0
        while True:
            phases.append(Phase(1, weight))
            seen = shown(trace.world, trace.latest, version, phases)
            at = len(phases) * MINUTE_MS
            if failures >= _THRESHOLD:
                return Fate(ending=Ending.ABORTED, at=at, exposed=len(seen.starts))
            if not _succeeds(seen, at):
                failures += 1
            elif weight >= _MAX:
                return Fate(ending=Ending.PROMOTED, at=at, exposed=len(seen.starts), promoted_at=at)
            else:
                weight += _STEP


def _succeeds(seen: Shown, at: float) -> bool:
    ended, failed = seen.ended(at - MINUTE_MS, at)
    return ended > 0 and 1 - failed / ended >= _SUCCESS
