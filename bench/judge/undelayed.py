"""The promotion's proof by itself: one execution after the other, each known before the next one starts."""

from __future__ import annotations

from canary.domain.bets import PASS_AT, promotion_bound
from canary.domain.measure import bad_rate
from canary.domain.plan import Plan
from canary.simulating.trace import Trace
from canary.simulating.world import Version


def samples(plan: Plan, trace: Trace, version: Version, most: int = 100_000) -> int:
    """How many executions it takes until the promotion is proved; ``most`` where it is not before that."""
    normal, bad = trace.baseline.rate, bad_rate(plan, trace.baseline)
    failed = 0
    for number in range(most):
        failed += trace.latest.outcome(version, number, 0.0)[0]
        if promotion_bound(number + 1, failed, normal, bad) >= PASS_AT:
            return number + 1
    return most
