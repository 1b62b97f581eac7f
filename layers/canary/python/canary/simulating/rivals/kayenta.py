"""Kayenta, Netflix's and Spinnaker's automated canary analysis, with its default judge on the error rate."""

from __future__ import annotations

from math import sqrt
from typing import Final

import numpy as np

from canary.simulating.durations import Floats
from canary.simulating.policy import Ending, Fate
from canary.simulating.rivals.traffic import MINUTE_MS, Phase, Shown, shown
from canary.simulating.trace import Trace
from canary.simulating.world import GOOD, Version

_RUNS: Final = 3
_INTERVAL: Final = 10
_TOLERANCE: Final = 0.25
#: Of the standard normal: a two-sided interval of 98 %.
_Z: Final = 2.3263478740408408


class Kayenta:
    """Two copies, one of current and one of latest, compared minute by minute."""

    name = "Kayenta, 10 % + 10 % baseline, 3 × 10 min"
    assumptions = (
        "10 % of the requests to latest and 10 % to a fresh copy of current, for 30 minutes; judged every 10, from the start on",
        "the metric is the error rate of each minute; its default judge: Mann-Whitney at 98 %, tolerance 0.25, High is out",
        "a minute in which nothing ended has no value; a metric without values is Nodata and does not fail",
    )

    def release(self, trace: Trace, version: Version) -> Fate:
        """Put a version through it."""
        phases = [Phase(_RUNS * _INTERVAL, 10)]
        latest = shown(trace.world, trace.latest, version, phases)
        current = shown(trace.world, trace.compared, GOOD, phases)
        for run in range(1, _RUNS + 1):
            minutes = run * _INTERVAL
            at = minutes * MINUTE_MS
            if is_high(_error_rates(latest, minutes), _error_rates(current, minutes)):
                return Fate(ending=Ending.ABORTED, at=at, exposed=latest.exposed(at))
        at = _RUNS * _INTERVAL * MINUTE_MS
        return Fate(ending=Ending.PROMOTED, at=at, exposed=len(latest.starts), promoted_at=at)


def is_high(experiment: Floats, control: Floats) -> bool:
    """Whether the default judge calls an experiment's values higher than the control's."""
    if not len(experiment) or not len(control) or len(np.unique(np.concatenate([experiment, control]))) == 1:
        return False
    differences = np.sort(np.subtract.outer(experiment, control).ravel())
    pairs = len(differences)
    below = pairs / 2 - _Z * sqrt(pairs * (len(experiment) + len(control) + 1) / 12)
    lowest = differences[max(0, int(below))]
    return bool(lowest > _TOLERANCE * abs(float(np.median(differences))))


def _error_rates(seen: Shown, minutes: int) -> Floats:
    ended, failed = seen.by_minute(minutes)
    return failed[ended > 0] / ended[ended > 0]
