"""Alarms, in memory. The contract suite holds this to what the real adapter does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from canary.domain.alarm import AlarmState
from tests.fakes.calls import Calls


@dataclass
class FakeAlarms:
    """CloudWatch alarms by their names."""

    calls: Calls
    alarms: dict[str, AlarmState] = field(default_factory=dict)

    def states(self, names: Iterable[str]) -> Mapping[str, AlarmState]:
        wanted = dict.fromkeys(names)
        if not wanted:
            return {}
        return self.calls.made("cloudwatch.states", lambda: {name: self.alarms[name] for name in wanted if name in self.alarms})
