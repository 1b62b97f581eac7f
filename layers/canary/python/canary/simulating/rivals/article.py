"""The rule of the article that this router began with: the first two requests succeed, and the stack is current."""

from __future__ import annotations

from math import inf

from canary.simulating.policy import Ending, Fate
from canary.simulating.trace import Trace
from canary.simulating.world import Version


class FirstTwo:
    """Two requests."""

    name = "article: first two succeed"
    assumptions = ("the next two requests go to latest; when both have succeeded it is promoted, at the first failure it is out",)

    def release(self, trace: Trace, version: Version) -> Fate:
        """Put a version through it."""
        starts, at = [], 0.0
        for number in range(2):
            at += trace.latest.gaps[number] / trace.world.per_ms
            starts.append(at)
        ends = [
            (start + takes, failed)
            for number, start in enumerate(starts)
            for failed, takes in [trace.latest.outcome(version, number, start)]
        ]
        out = min((end for end, failed in ends if failed), default=inf)
        if out < inf:
            return Fate(ending=Ending.ABORTED, at=out, exposed=sum(start <= out for start in starts), samples=2)
        end = max(end for end, _ in ends)
        if end == inf:
            return Fate(ending=Ending.UNDECIDED, at=inf, exposed=2)
        return Fate(ending=Ending.PROMOTED, at=end, exposed=2, promoted_at=end, samples=2)
