"""Presets: plans with a name, for common wishes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from canary.domain.plan import InvalidPlan
from canary.domain.plan_fields import choice, nearest, shown


@dataclass(frozen=True, slots=True)
class Preset:
    """A plan's document, and what it is for."""

    purpose: str
    document: Mapping[str, Any]


#: ``careful`` says its alpha, so that it goes on weighing evidence where somebody gives it stages that all have a number.
#: Its watch asks for both: at 6 requests an hour an hour shows nothing, and at 100 a second 50 executions are over in no time.
PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        "two-requests": Preset(
            "The default: two requests, and both have to succeed. Quick, and little proof.",
            {"stages": [{"quota": 2, "weight": 50}]},
        ),
        "careful": Preset(
            "Proof before promotion, at any traffic: few requests at first, more as they succeed, then a watch.",
            {
                "stages": [{"quota": "earned"}],
                "alpha": 0.01,
                "deadline": "14d",
                "watch": {"time": "1h", "completed": 50},
            },
        ),
        "fast": Preset(
            "Less proof, sooner: failing a quarter of the time is excluded, and an hour's watch does the rest.",
            {"stages": [{"quota": "earned"}], "max_failure_rate": 0.25, "watch": "1h"},
        ),
        "hotfix": Preset(
            "Out of an incident: the very next request, five minutes, and a day's watch. The release's record says hotfix.",
            {"stages": [{"quota": 1, "weight": 100, "bake": "5m"}], "watch": "24h"},
        ),
    }
)


def preset(name: object) -> Preset:
    """Find a preset. Raises `InvalidPlan`."""
    found = PRESETS.get(name) if isinstance(name, str) else None
    if found is None:
        near = nearest(name, PRESETS) if isinstance(name, str) else ""
        raise InvalidPlan(f"preset: there is no {shown(name)}{near}; there are {choice(PRESETS)}")
    return found
