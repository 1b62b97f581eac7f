"""The numbers behind a verdict: wealth of the bets, the promotion bound, and what they are held against."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log1p

from canary.domain.baseline import Baseline
from canary.domain.bets import (
    CUTS,
    PASS_AT,
    at_most,
    closed_duration_bet,
    closed_history_bet,
    concurrent_bet,
    duration_bet,
    fails_at,
    history_bet,
    promotion_bound,
    slow_at,
)
from canary.domain.evidence import ALONE, Evidence
from canary.domain.pace import slots
from canary.domain.plan import Plan
from canary.domain.words import duration, percent


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """Natural logarithms of wealth beside what says FAIL or PASS; rates from 0 to 1; ``slots`` that are earned.

    ``failures`` decides, and is ``history`` + ``concurrent`` or, once more failures would lower it, what it was at its best.
    ``clean_runs`` successes in a row would prove the rest.
    """

    history: float
    concurrent: float
    failures: float
    failures_at: float
    durations: float
    durations_decide: float
    durations_at: float
    bound: float
    bound_at: float
    normal: float
    bad: float
    at_most: float
    slots: int
    clean_runs: int

    @property
    def proved(self) -> bool:
        """Whether latest is good enough to be promoted."""
        return self.bound >= self.bound_at


def bad_rate(plan: Plan, baseline: Baseline) -> float:
    """The failure rate that must be excluded: the plan's, else five times the normal one, 10 % at least.

    Where that is more than half way from normal to certain failure, half way: a stack that fails nearly always proves nothing.
    """
    normal = baseline.rate
    return plan.max_failure_rate if plan.max_failure_rate is not None else min(max(5 * normal, 0.1), (1 + normal) / 2)


def measured(evidence: Evidence, baseline: Baseline, plan: Plan) -> Numbers:
    """Weigh the evidence."""
    started, failed = evidence.alone_started, evidence.alone_failed
    concurrent = concurrent_bet((each.share / ALONE, each.both, each.latest) for each in evidence.epochs)
    normal, bad = baseline.rate, bad_rate(plan, baseline)
    finished = evidence.prefix_finished
    bound = promotion_bound(finished, evidence.prefix_failed, normal, bad) if finished else 0.0
    missing = max(0.0, PASS_AT - bound) / (log1p(-normal) - log1p(-bad)) if bad > normal else 0.0
    return Numbers(
        history=history_bet(started, failed, baseline.executions, baseline.failed),
        concurrent=concurrent,
        failures=closed_history_bet(started, failed, baseline.executions, baseline.failed) + concurrent,
        failures_at=fails_at(plan.alpha),
        durations=duration_bet(evidence.bins, baseline.executions) if baseline.timed else 0.0,
        durations_decide=closed_duration_bet(evidence.bins, baseline.executions) if baseline.timed else 0.0,
        durations_at=slow_at(plan.alpha),
        bound=bound,
        bound_at=PASS_AT,
        normal=normal,
        bad=bad,
        at_most=at_most(finished, evidence.prefix_failed, normal),
        slots=slots(evidence, baseline),
        clean_runs=ceil(missing),
    )


def failing(evidence: Evidence, baseline: Baseline, plan: Plan, numbers: Numbers) -> str | None:
    """Say that latest fails too often, or hangs."""
    if numbers.failures < numbers.failures_at:
        return None
    words = f"{evidence.failed} of {evidence.finished} finished requests failed, where {percent(baseline.rate)} is normal"
    if hanging := overdue(evidence, baseline, plan):
        words += f"; {hanging}"
    if compared := sum(each.both for each in evidence.epochs):
        share = sum(each.latest for each in evidence.epochs)
        words += f"; of {compared} failures while the coin decided, {share} were latest's"
    return f"{words} (evidence {numbers.failures:.2f} of {numbers.failures_at:.2f})"


def overdue(evidence: Evidence, baseline: Baseline, plan: Plan) -> str | None:
    """Say what hangs, and so counts as failed until it ends."""
    if not evidence.overdue:
        return None
    normal = f"{plan.hung_after:g} times the {duration(baseline.slowest_ms)} in which 99.9 % of current's end"
    hang = "1 request hangs" if evidence.overdue == 1 else f"{evidence.overdue} requests hang"
    return f"{hang}: on the way for {duration(evidence.oldest_ms)}, more than {normal}"


def slow(evidence: Evidence, numbers: Numbers) -> str | None:
    """Say that latest is slower than current."""
    if numbers.durations_decide < numbers.durations_at:
        return None
    total = sum(evidence.bins)
    beyond = [(sum(evidence.bins[number:]), cut) for number, cut in enumerate(CUTS, 1)]
    count, cut = max(beyond, key=lambda each: each[0] + total * each[1])  # where it differs most from current
    words = f"it is slower than current: {count} of {total} took longer than {percent(cut)} of current's do"
    return f"{words} (evidence {numbers.durations_decide:.2f} of {numbers.durations_at:.2f})"
