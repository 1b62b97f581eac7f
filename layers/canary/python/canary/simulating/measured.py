"""What many fates come to: chances, exposure and times, each with how far chance may have moved it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Final

import numpy as np

from canary.simulating.policy import Ending, Fate

_HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class Chance:
    """How often something happened."""

    times: int
    of: int

    @property
    def rate(self) -> float:
        return self.times / self.of if self.of else 0.0

    @property
    def error(self) -> float:
        """The standard error. Of what never, or always, happened it is that of one case more or less."""
        if not self.of:
            return 0.0
        inside = min(max(self.times, 1), self.of - 1) / self.of if self.of > 1 else 0.5
        return sqrt(inside * (1 - inside) / self.of)


@dataclass(frozen=True, slots=True)
class Spread:
    """Numbers in short; all 0 where there are none."""

    count: int
    mean: float
    error: float
    median: float
    p95: float


def spread(values: Sequence[float]) -> Spread:
    """Put numbers in short."""
    if not values:
        return Spread(0, 0.0, 0.0, 0.0, 0.0)
    array = np.asarray(values, dtype=np.float64)
    error = float(array.std(ddof=1)) / sqrt(len(array)) if len(array) > 1 else 0.0
    median, p95 = np.quantile(array, [0.5, 0.95])
    return Spread(len(array), float(array.mean()), error, float(median), float(p95))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What became of the releases of one version under one policy.

    ``out``: aborted, or taken back in the watch (``taken_back``). ``shipped``: promoted, and left so. ``exposed``: executions
    until it was out or promoted, and those after a promotion that was taken back. ``hours``: to the promotion, if any.
    """

    releases: int
    out: Chance
    taken_back: Chance
    shipped: Chance
    undecided: Chance
    exposed: Spread
    hours: Spread
    samples: Spread
    causes: Mapping[str, int]

    def document(self) -> dict[str, Any]:
        """Write it as a JSON document."""
        return {
            "releases": self.releases,
            **{name: _chance(getattr(self, name)) for name in ("out", "taken_back", "shipped", "undecided")},
            **{name: _spread(getattr(self, name)) for name in ("exposed", "hours", "samples")},
            "causes": dict(self.causes),
        }


#: What was measured, by the names of policy and version.
Found = Mapping[tuple[str, str], Measured]


def measured(fates: Sequence[Fate]) -> Measured:
    """Put fates in short."""
    count = len(fates)
    endings = Counter(fate.ending for fate in fates)
    return Measured(
        releases=count,
        out=Chance(endings[Ending.ABORTED] + endings[Ending.ROLLED_BACK], count),
        taken_back=Chance(endings[Ending.ROLLED_BACK], count),
        shipped=Chance(endings[Ending.PROMOTED], count),
        undecided=Chance(endings[Ending.UNDECIDED], count),
        exposed=spread([fate.exposed for fate in fates]),
        hours=spread([fate.promoted_at / _HOUR_MS for fate in fates if fate.promoted_at is not None]),
        samples=spread([fate.samples for fate in fates if fate.promoted_at is not None]),
        causes=Counter(fate.why for fate in fates if fate.ending in {Ending.ABORTED, Ending.ROLLED_BACK} and fate.why),
    )


def _chance(chance: Chance) -> dict[str, float]:
    return {"rate": chance.rate, "error": chance.error}


def _spread(spread_: Spread) -> dict[str, float]:
    return {"mean": spread_.mean, "error": spread_.error, "median": spread_.median, "p95": spread_.p95}
