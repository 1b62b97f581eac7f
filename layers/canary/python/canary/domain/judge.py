"""The judge: what the evidence of a stage says. PASS, FAIL or WAIT, always with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from canary.domain.plan import Plan
from canary.domain.release import Release


class Judgement(StrEnum):
    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    FAIL = "FAIL"
    WAIT = "WAIT"


@dataclass(frozen=True, slots=True)
class Verdict:
    judgement: Judgement
    reason: str

    def __str__(self) -> str:
        return f"{self.judgement}: {self.reason}"


def judge(release: Release, now: int, *, bake: bool = True) -> Verdict:
    """Judge the stage that ``release`` is in. Unknown is never success, and no evidence never passes.

    ``bake=False`` leaves out the stage's minimum time (an operator's ``promote``).
    """
    plan, tally = release.plan, release.tally
    if tally.failures > plan.max_failures:
        return Verdict(Judgement.FAIL, _failed(release))
    needed = plan.quota_through(release.stage)
    known = tally.succeeded + tally.failures
    if known < needed or tally.succeeded == 0 or release.in_flight or release.open:
        return Verdict(Judgement.WAIT, _waiting(release, needed))
    baked_at = release.stage_since + plan.stages[release.stage].bake_ms
    if bake and now < baked_at:
        return Verdict(Judgement.WAIT, f"{_succeeded(release)}; baking for {duration(baked_at - now)} more")
    return Verdict(Judgement.PASS, _succeeded(release))


def missing(release: Release) -> str | None:
    """Say what keeps a release from going on by itself: outcomes that stayed unknown, slots that came back too often."""
    tally = release.tally
    if tally.lost > release.lost_forgiven:
        return f"the outcome of {_requests(tally.lost - release.lost_forgiven)} is unknown (LOST), and unknown is not success"
    if tally.refunded - release.refunds_forgiven > release.plan.max_lost:
        return f"{_requests(tally.refunded - release.refunds_forgiven)} could not be sent to latest (see `error` in the audit)"
    return None


def weight_of_proof(plan: Plan) -> str | None:
    """Say how little a short plan proves: the failure rate that n of n successes exclude at 95 %, 1 − 0.05^(1/n)."""
    if plan.quota > 10:
        return None
    excluded = 100 * (1 - 0.05 ** (1 / plan.quota))
    return f"{plan.quota} of {plan.quota}: at 95 % only failure rates above {excluded:.1f} % are excluded"


def duration(milliseconds: int) -> str:
    """Write a duration for people: ``41 s``, ``12 min``, ``3 h 20 min``, ``2 d 4 h``."""
    seconds = max(0, round(milliseconds / 1000))
    if seconds < 90:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def _failed(release: Release) -> str:
    tally = release.tally
    return f"{tally.failures} of {tally.succeeded + tally.failures} finished requests failed ({release.plan.max_failures} may)"


def _succeeded(release: Release) -> str:
    tally = release.tally
    words = f"{tally.succeeded} of {tally.succeeded + tally.failures} requests succeeded"
    return words + (f" ({tally.failures} failed, {release.plan.max_failures} may)" if tally.failures else "")


def _waiting(release: Release, needed: int) -> str:
    unclaimed = max(0, release.granted - release.claimed)
    words = [f"{release.tally.succeeded} of {needed} succeeded"]
    if release.in_flight:
        words.append(f"{release.in_flight} running")
    if unclaimed:
        words.append(f"{unclaimed} {'slot' if unclaimed == 1 else 'slots'} free")
    return ", ".join(words)


def _requests(count: int) -> str:
    return "1 request" if count == 1 else f"{count} requests"
