"""A release on trial: the evidence decides, unless it was overtaken or an operator asks for something."""

from __future__ import annotations

from canary.domain import judge
from canary.domain.app import Seen
from canary.domain.asks import carry_out
from canary.domain.changes import abort, advance, overtaken, save
from canary.domain.judge import Judgement
from canary.domain.release import Gate, NoticeKind, Release, ReleaseState
from canary.domain.steps import Step

_S = ReleaseState


def on_trial(release: Release, seen: Seen, now: int) -> Step | None:
    """Decide on an unfinished release: overtaken, asked for, failed, passed, out of time, or held."""
    if step := overtaken(release, seen, now):
        return step
    if release.asks:
        return carry_out(release, seen, now)
    verdict = judge.judge(release, now)
    if verdict.judgement is Judgement.FAIL:
        return abort(release, verdict.reason, now, verdict=str(verdict))
    running = release.state is _S.RUNNING
    no_current = seen.serving is None
    if running and release.gate is Gate.OPEN and verdict.judgement is Judgement.PASS and not no_current:
        return advance(release, seen, now, verdict.reason)
    if now >= release.opened_at + release.plan.deadline_ms:
        why = f"not decided within its deadline of {judge.duration(release.plan.deadline_ms)}: {verdict.reason}"
        return abort(release, why, now, verdict=str(verdict))
    obstacle = judge.missing(release) or seen.unreadable.get(release.release)
    obstacle = obstacle or ("current is missing or names no target that may be called" if no_current else None)
    if running and obstacle:
        held = release.moved(_S.HELD, now=now, why=obstacle, gate=Gate.CLOSED, verdict=str(verdict))
        text = f"{release.tag} is held: {obstacle}. Next: `canary resume {release.app}` or `canary abort {release.app}`"
        return save(release, held.announcing(NoticeKind.HELD, text, now))
    return None
