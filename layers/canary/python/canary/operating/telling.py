"""Telling a decision: what was seen, what each bet says of it, and what was done, for people who are no statisticians.

A bet is told by its odds: what somebody would have by now who had staked 1 on latest being worse than current. Where latest
is as good as current, such a stake becomes a hundred in one release of a hundred at most, however often one looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import exp
from typing import Any, Final

from canary.domain.baseline import Baseline
from canary.domain.bets import CUTS
from canary.domain.evidence import ALONE, Evidence
from canary.domain.judge import Case
from canary.domain.measure import Numbers
from canary.domain.record import Record
from canary.domain.sight import WatchSight
from canary.domain.words import duration, percent, requests

#: What is told, and in which words.
Told = tuple[str, str]

#: exp() of more than this is beyond what a float holds, and what people can picture long before.
_MOST: Final = 13.8


def told(record: Record, case: Case) -> Iterator[Told]:
    """Tell a decision in sentences."""
    numbers = numbers_of(record)
    yield "seen", _seen(case)
    if case.watch is not None:
        yield "watched", _watched(case.watch)
    if numbers is not None:
        yield "shares", _shares(case.evidence)
        if case.baseline.timed:
            yield "durations", _durations(case.evidence, case.baseline)
    yield from (("alarm", f"{name!r} was in state {state}") for name, state in case.alarms.items())
    if case.blind:
        yield "unseen", case.blind
    if numbers is not None:
        yield from _bets(numbers, case)
    if not case.bake:
        yield "asked", "an operator had asked to promote, so the stage's minimum time and number were left out"
    yield "verdict", f"{record.judgement}: {record.reason}"
    yield "done", record.decision


def normal(baseline: Baseline) -> str:
    """Tell what latest was held against, and where that was read."""
    if not baseline.executions:
        return f"nothing was known of current ({baseline.source}), so {percent(baseline.rate)} failures were taken for normal"
    count = f"{baseline.failed} of current's newest {baseline.executions} executions had failed"
    times = [f"{percent(cut)} within {duration(ms)}" for cut, ms in zip(CUTS, baseline.cuts_ms, strict=True)]
    ended = f"{', '.join(times)}, 99.9 % within {duration(baseline.slowest_ms)} had ended"
    few = "" if baseline.timed else ", too few to compare durations"
    return f"{count}: {percent(baseline.rate)} is normal. {ended}{few}. Read when the release opened, from {baseline.source}"


def excluded(numbers: Numbers) -> str:
    """Tell how often latest fails at most, whenever one looks, and what has to be excluded."""
    words = f"at most {percent(numbers.at_most)} of the time, at 95 %"
    return f"{words}; {percent(numbers.bad)} {'is excluded, as it has to be' if numbers.proved else 'has to be excluded'}"


def stakes(numbers: Numbers, *, timed: bool) -> str:
    """Tell how the bets are to be read."""
    enough, chance = _worth(numbers.failures_at), percent(exp(-numbers.failures_at))
    words = (
        f"somebody stakes 1 on latest failing more often than current; when it has become {enough}, latest is thrown out. "
        f"With a version as good as current it comes to that in {chance} of releases at most, however often one looks"
    )
    if not timed:
        return words
    enough, chance = _worth(numbers.durations_at), percent(exp(-numbers.durations_at))
    return f"{words}. Another stake is on latest being slower: {enough}, {chance}"


def numbers_of(record: Record) -> Numbers | None:
    """The numbers on record; None where none were needed, or where they are not what this version knows."""
    fields: dict[str, Any] = dict(record.numbers)
    try:
        return Numbers(**fields)
    except TypeError:
        return None


def _seen(case: Case) -> str:
    evidence = case.evidence
    words = f"{case.succeeded} succeeded on latest, {case.failures} failed, {case.in_flight} in flight"
    if evidence.oldest_ms:
        words += f", the oldest for {duration(evidence.oldest_ms)}"
    if case.lost:
        words += f"; of {requests(case.lost)} the outcome is unknown (LOST)"
    if case.refunded:
        words += f"; {requests(case.refunded)} could not be sent"
    free = "1 slot free" if case.free == 1 else f"{case.free} slots free"
    return f"{words}; stage {case.stage + 1} of {len(case.plan.stages)}: {case.completed} ended, {free}"


def _watched(watch: WatchSight) -> str:
    return f"{watch.started} executions had started since the promotion; {watch.failed} failed, {watch.succeeded} succeeded"


def _shares(evidence: Evidence) -> str:
    """Against what each request is compared: current at the same time, or its history."""
    words = [
        f"while {percent(each.share / ALONE)} went to latest, {each.both} failed on either stack, {each.latest} of them on latest"
        for each in evidence.epochs
    ]
    alone = f"{requests(evidence.alone_started)} held against the history alone, {evidence.alone_failed} failed"
    return "; ".join([*words, alone] if evidence.alone_started or not words else words)


def _durations(evidence: Evidence, baseline: Baseline) -> str:
    cuts = [duration(ms) for ms in baseline.cuts_ms]
    bins = [f"{count} up to {cut}" for count, cut in zip(evidence.bins, cuts, strict=False)]
    longer = f"{evidence.bins[-1]} longer, as {percent(1 - CUTS[-1])} of current's take"
    return f"{', '.join(bins)}, {longer}; running ones are counted by their age so far"


def _bets(numbers: Numbers, case: Case) -> Iterator[Told]:
    worth = f"the stake is worth {_worth(numbers.failures)} of {_worth(numbers.failures_at)}"
    yield "failures", f"{worth} ({_parts(numbers, case)})"
    if case.baseline.timed:
        worth = f"the stake is worth {_worth(numbers.durations_decide)} of {_worth(numbers.durations_at)}"
        yield "slowness", f"{worth} (evidence {numbers.durations_decide:.2f} of {numbers.durations_at:.2f})"
    yield "promotion", _promotion(numbers)
    yield "earned", f"{requests(numbers.slots)} on latest at a time"


def _worth(won: float) -> str:
    """Write what a stake has become."""
    if won > _MOST:
        return "more than a million"
    worth = exp(won)
    return f"{worth:.0f}" if worth >= 10 else f"{worth:.2g}" if worth >= 0.01 else "less than 0.01"


def _parts(numbers: Numbers, case: Case) -> str:
    history = numbers.failures - numbers.concurrent
    parts = f"evidence {numbers.failures:.2f} of {numbers.failures_at:.2f}"
    if case.evidence.epochs:
        parts += f": {history:.2f} against the history, {numbers.concurrent:.2f} against current at the same time"
    if numbers.history < history - 0.01:
        parts += f"; counted plainly, the history says {numbers.history:.2f}, but more failures never speak for latest"
    return parts


def _promotion(numbers: Numbers) -> str:
    words = f"it fails {excluded(numbers)}"
    if not numbers.proved:
        words += f", which {numbers.clean_runs} more in a row without a failure would do"
    return f"{words} (proof {numbers.bound:.2f} of {numbers.bound_at:.2f})"
