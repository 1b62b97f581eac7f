"""A release on trial: the evidence decides, unless it was overtaken or an operator asks for something."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from canary.domain import judge
from canary.domain.alarm import AlarmState
from canary.domain.app import Seen
from canary.domain.asks import carry_out
from canary.domain.case import case_of, sight_of
from canary.domain.changes import abort, amiss, held, overtaken, save, with_record
from canary.domain.judge import Case, Judgement, Verdict
from canary.domain.plan import GateDefault, ManualGate, NoData
from canary.domain.release import Release
from canary.domain.sight import Sight
from canary.domain.stages import advance, granting, promoting
from canary.domain.states import PASSING_HOLDS, Gate, Hold, ReleaseState
from canary.domain.steps import SaveRelease, Step
from canary.domain.words import duration, of_traffic

_S = ReleaseState
#: Makes a decision one that is on record.
Keep = Callable[[SaveRelease, Case, Verdict], SaveRelease]


def on_trial(release: Release, seen: Seen, now: int, keep: Keep = with_record) -> Step | None:
    """Decide on an unfinished release: overtaken, asked for, failed, passed, out of time, held, or given more slots.

    ``keep`` puts what was judged beside the decision.
    """
    if step := overtaken(release, seen, now):
        return step
    if release.asks:
        return carry_out(release, seen, now)
    sight = sight_of(release, seen)
    unread = sight.unread if sight else "its requests could not be looked at"
    case = case_of(release, sight or Sight(), now)
    verdict = judge.judge(case)
    if unread and (sight is None or verdict.judgement is not Judgement.FAIL):
        if now < release.opened_at + release.plan.deadline_ms:
            return None
        return _at_the_deadline(release, seen, case, Verdict(Judgement.ERROR, unread), now)
    step = _decided(release, seen, case, verdict, now)
    if step is None:
        return None
    return keep(step, case, verdict)


def _decided(release: Release, seen: Seen, case: Case, verdict: Verdict, now: int) -> SaveRelease | None:
    if verdict.judgement is Judgement.FAIL:
        return abort(release, verdict.reason, now, verdict=str(verdict))
    going = release.state is _S.RUNNING and release.gate is Gate.OPEN
    if verdict.judgement is Judgement.PASS and not amiss(release, seen):
        gate = case.now.gate
        if gate is not None and (going or release.hold is Hold.APPROVAL):
            return _at_the_gate(release, seen, case, verdict, gate, now)
        if going:
            return advance(release, seen, case, now, verdict.reason)
    if now >= release.opened_at + release.plan.deadline_ms:
        return _at_the_deadline(release, seen, case, verdict, now)
    obstacle = _obstacle(release, seen, case, verdict)
    lapsed = release.hold is Hold.APPROVAL and verdict.judgement is not Judgement.PASS  # what ran on has changed the verdict
    passing = release.hold in PASSING_HOLDS or lapsed
    if obstacle and (release.state is _S.RUNNING or (passing and obstacle[0] is not release.hold)):
        return held(release, *obstacle, now, verdict=str(verdict))
    if passing and not obstacle:
        gate_now = Gate.CLOSED if seen.app.stopped else Gate.OPEN
        why = f"no longer so: {release.reason}"
        asked_at = None if lapsed else release.asked_by(now)
        return save(release, release.moved(_S.RUNNING, now=now, why=why, gate=gate_now, asked_at=asked_at))
    if going and release.asked_at is not None:  # it was paused at its gate, and what ran on has changed the verdict
        return save(release, release.noted("approval lapsed", now=now, why=verdict.reason, asked_at=None))
    return _grant(release, case) if going else None


def _at_the_gate(release: Release, seen: Seen, case: Case, verdict: Verdict, gate: ManualGate, now: int) -> SaveRelease | None:
    """The stage has passed; a person says whether the release goes on, or, after a while, the plan does."""
    if release.hold is not Hold.APPROVAL:
        until = f"; after {duration(gate.timeout_ms)} without an answer the plan says {gate.default}"
        why = f"stage {release.stage + 1} waits for approval: {verdict.reason}{until}"
        step = held(release, Hold.APPROVAL, why, now, str(verdict))
        asked_at = release.asked_at if release.asked_at is not None else now  # its time goes on where it was left
        return replace(step, after=replace(step.after, asked_at=asked_at))
    if release.gate_ends is None or now < release.gate_ends:
        return None
    nobody = f"nobody answered at the gate of stage {release.stage + 1} within {duration(gate.timeout_ms)}"
    if gate.default is GateDefault.CONTINUE:
        if seen.app.stopped:  # it goes on once the emergency stop is over
            return None
        return advance(release, seen, case, now, f"{verdict.reason}; {nobody}, and the plan says continue")
    return abort(release, f"{nobody}, and the plan says abort", now, verdict=str(verdict))


def _at_the_deadline(release: Release, seen: Seen, case: Case, verdict: Verdict, now: int) -> SaveRelease | None:
    why, no_data = _out_of_time(release, verdict.reason), release.plan.no_data
    if no_data is NoData.HOLD:
        waits = release.state is _S.RUNNING or release.hold in PASSING_HOLDS
        return held(release, Hold.DEADLINE, why, now, str(verdict)) if waits else None
    tally, going = release.tally, release.state is _S.RUNNING and release.gate is Gate.OPEN
    quiet = all(case.alarms.get(name) is AlarmState.OK for name in case.now.alarms)
    clean = tally.succeeded > 0 and not tally.failures and verdict.judgement is Judgement.WAIT and quiet
    if no_data is NoData.PROMOTE and going and clean and not amiss(release, seen):
        why = f"{why}; nothing failed, and the plan says promote"
        return save(release, promoting(release, seen, now, why, why))
    return abort(release, why, now, verdict=str(verdict))


def _out_of_time(release: Release, why: str) -> str:
    return f"not decided within its deadline of {duration(release.plan.deadline_ms)}: {why}"


def _obstacle(release: Release, seen: Seen, case: Case, verdict: Verdict) -> tuple[Hold, str] | None:
    """What keeps a release from going on."""
    if verdict.judgement is Judgement.ERROR:
        return _cause(case), verdict.reason
    why = amiss(release, seen)
    return (Hold.CURRENT, why) if why else None


def _cause(case: Case) -> Hold:
    if case.blind:
        return Hold.OBSERVATION
    if any(name not in case.alarms for name in case.now.alarms):
        return Hold.ALARM
    return Hold.LOST if case.lost > case.lost_forgiven else Hold.UNSENT


def _grant(release: Release, case: Case) -> SaveRelease | None:
    changes = granting(release, case)
    if not changes:
        return None
    after = replace(release, **changes)
    free = max(0, after.granted - after.claimed)
    slots = "1 slot" if free == 1 else f"{free} slots"
    return SaveRelease(release, after, f"{slots} free, {of_traffic(after.share)}: as the evidence has earned")
