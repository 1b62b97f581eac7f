"""Argo Rollouts with the background analysis of its documentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from canary.simulating.policy import Ending, Fate
from canary.simulating.rivals.traffic import MINUTE_MS, Phase, shown
from canary.simulating.trace import Trace
from canary.simulating.world import Version

_PHASES: Final = (Phase(10, 20), Phase(10, 40), Phase(10, 60), Phase(10, 80))
_INTERVAL: Final = 5
_FAILURE_LIMIT: Final = 3
_SUCCESS: Final = 0.95


@dataclass(frozen=True)
class Argo:
    """Twenty percent more every ten minutes, while the success rate is measured every five."""

    no_data_is_fine: bool = True

    @property
    def name(self) -> str:
        return f"Argo Rollouts, success ≥ 95 %, {'no data is fine' if self.no_data_is_fine else 'no data is failed'}"

    @property
    def assumptions(self) -> tuple[str, ...]:
        condition = "isNaN(result) || result >= 0.95" if self.no_data_is_fine else "result >= 0.95"
        return (
            "20, 40, 60 and 80 % of the requests for 10 minutes each, then all (the example in its documentation)",
            f"every 5 minutes the success rate of what ended in them; successCondition `{condition}`",
            "failureLimit 3: the fourth failed measurement aborts; the analysis runs from the first step on",
        )

    def release(self, trace: Trace, version: Version) -> Fate:
        """Put a version through it."""
        seen = shown(trace.world, trace.latest, version, _PHASES)
        total = sum(phase.minutes for phase in _PHASES)
        failures = 0
        for minute in range(_INTERVAL, total + 1, _INTERVAL):
            at = minute * MINUTE_MS
            ended, failed = seen.ended(at - _INTERVAL * MINUTE_MS, at)
            failures += not self._succeeds(ended, failed)
            if failures > _FAILURE_LIMIT:
                return Fate(ending=Ending.ABORTED, at=at, exposed=seen.exposed(at))
        at = total * MINUTE_MS
        return Fate(ending=Ending.PROMOTED, at=at, exposed=len(seen.starts), promoted_at=at)

    def _succeeds(self, ended: int, failed: int) -> bool:
        return self.no_data_is_fine if ended == 0 else 1 - failed / ended >= _SUCCESS
