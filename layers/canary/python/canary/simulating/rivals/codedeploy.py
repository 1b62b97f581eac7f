"""AWS CodeDeploy's Canary10Percent5Minutes, with a CloudWatch alarm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from canary.simulating.policy import Ending, Fate
from canary.simulating.rivals.traffic import MINUTE_MS, Phase, shown
from canary.simulating.trace import Trace
from canary.simulating.world import Version

_MINUTES: Final = 5


class Alarm(Protocol):
    """A CloudWatch alarm with a period of a minute."""

    name: str

    def rings(self, ended: float, failed: float) -> bool:
        """Whether such a minute sets it off."""


class AnyError:
    """One error is enough."""

    name = "any error"

    def rings(self, ended: float, failed: float) -> bool:  # noqa: ARG002 - the protocol
        """Whether such a minute sets it off."""
        return failed > 0


class ErrorRate:
    """More than one in twenty."""

    name = "rate > 5 %"

    def rings(self, ended: float, failed: float) -> bool:
        """Whether such a minute sets it off."""
        return ended > 0 and failed / ended > 0.05


@dataclass(frozen=True)
class CodeDeploy:
    """Ten percent for five minutes, then everybody."""

    alarm: Alarm

    @property
    def name(self) -> str:
        return f"CodeDeploy Canary10Percent5Minutes, alarm on {self.alarm.name}"

    @property
    def assumptions(self) -> tuple[str, ...]:
        return (
            "10 % of the requests for 5 minutes, then all, and nobody looks any more",
            f"one alarm on the new version's executions ({self.alarm.name}), one period of a minute, looked at every minute",
            "an execution is counted in the minute in which it ends; a minute without data is not breaching",
        )

    def release(self, trace: Trace, version: Version) -> Fate:
        """Put a version through it."""
        seen = shown(trace.world, trace.latest, version, [Phase(_MINUTES, 10)])
        ended, failed = seen.by_minute(_MINUTES)
        for minute in self._ringing(ended.tolist(), failed.tolist()):
            at = (minute + 1) * MINUTE_MS
            return Fate(ending=Ending.ABORTED, at=at, exposed=seen.exposed(at), samples=int(ended[: minute + 1].sum()))
        at = _MINUTES * MINUTE_MS
        return Fate(ending=Ending.PROMOTED, at=at, exposed=len(seen.starts), promoted_at=at, samples=int(ended.sum()))

    def _ringing(self, ended: list[float], failed: list[float]) -> Iterator[int]:
        return (minute for minute in range(_MINUTES) if self.alarm.rings(ended[minute], failed[minute]))
