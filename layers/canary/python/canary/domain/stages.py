"""Stages: how many slots there are in each, and what comes after."""

from __future__ import annotations

from typing import Any

from canary.domain import flip
from canary.domain.app import Seen
from canary.domain.baseline import Baseline
from canary.domain.evidence import Evidence
from canary.domain.judge import Case, Judgement
from canary.domain.pace import headroom, share_of, slots
from canary.domain.release import FLIPPER, NoticeKind, Release
from canary.domain.states import Gate, ReleaseState
from canary.domain.steps import SaveRelease

_S = ReleaseState


def begun(release: Release, number: int, evidence: Evidence, baseline: Baseline, now: int) -> dict[str, Any]:
    """What changes in a release when stage ``number`` (from 0) begins."""
    stage = release.plan.stages[number]
    earned = slots(evidence, baseline)
    allowed = None if stage.quota is None else release.claimed + stage.quota
    return {
        "stage": number,
        "stage_since": now,
        "stage_base": release.claimed - release.tally.lost,
        "asked_at": None,
        "allowed": allowed,
        "granted": _granted(release, allowed, earned + evidence.overdue if stage.earned else None, headroom(stage, baseline)),
        "share": share_of(stage, earned, baseline),
    }


def granting(release: Release, case: Case) -> dict[str, Any]:
    """What changes in a release when its slots and its share follow the evidence; nothing: they are as they should be."""
    stage = case.now
    earned = slots(case.evidence, case.baseline)
    room = headroom(stage, case.baseline)
    granted = _granted(release, release.allowed, earned + case.evidence.overdue if stage.earned else None, room)
    if not stage.earned and release.granted - release.claimed >= room // 2:
        granted = release.granted  # enough are free; a write for each request would cost more than it is worth
    wanted = {"granted": granted, "share": share_of(stage, earned, case.baseline)}
    return {name: value for name, value in wanted.items() if getattr(release, name) != value}


def _granted(release: Release, allowed: int | None, earned: int | None, free: int) -> int:
    """How many slots may have been claimed by now. What is claimed cannot be taken back, so it is never less than that.

    ``free`` ones may be claimed from now on, unless they have to be earned. ``earned`` ones may be on the way, beside those that
    hang: else two of them would keep all that could tell more from coming.
    """
    if earned is not None:
        return max(release.claimed, release.tally.settled + earned)
    return release.claimed + free if allowed is None else min(allowed, release.claimed + free)


def advance(release: Release, seen: Seen, case: Case, now: int, why: str, who: str = FLIPPER) -> SaveRelease:
    """Go on from a stage that has passed: to the next one, or to the flip.

    Where requests are counted, all of them were; where evidence is weighed, others may be on their way.
    """
    passed = f"stage {release.stage + 1} of {len(release.plan.stages)} passed: {why}"
    if release.stage + 1 < len(release.plan.stages):
        changes = begun(release, release.stage + 1, case.evidence, case.baseline, now)
        if release.state is _S.HELD:
            gate = Gate.CLOSED if seen.app.stopped or release.stopping else Gate.OPEN
            after = release.moved(_S.RUNNING, now=now, why=passed, who=who, gate=gate, **changes)
        else:
            after = release.noted("next stage", now=now, why=passed, who=who, **changes)
    else:
        after = promoting(release, seen, now, passed, why, who)
    after = after.announcing(NoticeKind.STAGE_PASSED, f"{release.tag}: {passed}", now)
    return SaveRelease(release, after, passed, idle=not release.plan.judged)


def promoting(release: Release, seen: Seen, now: int, why: str, proof: str, who: str = FLIPPER) -> Release:
    """The release at the beginning of its flip: the gate is closed, and what is to be written is frozen."""
    if seen.current is None:
        raise flip.Foreign("there is no current any more")
    return release.moved(
        _S.PROMOTING,
        now=now,
        why=why,
        who=who,
        gate=Gate.CLOSED,
        verdict=f"{Judgement.PASS}: {proof}",
        flip=flip.frozen(seen.current, seen.previous, release.value),
    )
