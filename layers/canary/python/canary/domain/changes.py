"""Changes of a release that more than one decision makes."""

from __future__ import annotations

from canary.domain import flip
from canary.domain.app import Seen
from canary.domain.judge import Judgement
from canary.domain.release import FLIPPER, Flip, Gate, NoticeKind, Release, ReleaseState
from canary.domain.steps import SaveRelease

_S = ReleaseState


def save(before: Release, after: Release) -> SaveRelease:
    """Write a change, for the reason that its history ends with."""
    return SaveRelease(before, after, after.history[-1].why if after.history else "")


def overtaken(release: Release, seen: Seen, now: int) -> SaveRelease | None:
    """End a release that ``latest`` no longer names. An older value than the release's own is a stale read: no news."""
    key = flip.latest_key(seen)
    if key == release.release or (seen.latest is not None and seen.latest.modified_at < release.written_at):
        return None
    if key is None:
        after = release.moved(_S.ABORTED, now=now, why="withdrawn: latest was blanked by hand", gate=Gate.CLOSED)
        return save(release, after.announcing(NoticeKind.ABORTED, f"{release.tag} was withdrawn", now))
    after = release.moved(_S.SUPERSEDED, now=now, why=f"a newer write to latest: release {key}", gate=Gate.CLOSED)
    return save(release, after.announcing(NoticeKind.SUPERSEDED, f"{release.tag} gave way to release {key}", now))


def advance(release: Release, seen: Seen, now: int, why: str, who: str = FLIPPER) -> SaveRelease:
    """Go on from a stage that has passed: to the next one, or to the flip."""
    passed = f"stage {release.stage + 1} of {len(release.plan.stages)} passed: {why}"
    if release.stage + 1 < len(release.plan.stages):
        after = release.noted(
            "next stage",
            now=now,
            why=passed,
            who=who,
            stage=release.stage + 1,
            stage_since=now,
            granted=release.plan.quota_through(release.stage + 1) + release.lost_forgiven,
        )
    else:
        after = release.moved(
            _S.PROMOTING,
            now=now,
            why=passed,
            who=who,
            gate=Gate.CLOSED,
            verdict=f"{Judgement.PASS}: {why}",
            flip=_frozen(release, seen),
        )
    after = after.announcing(NoticeKind.STAGE_PASSED, f"{release.tag}: {passed}", now)
    return SaveRelease(release, after, passed, idle=True)


def abort(release: Release, why: str, now: int, who: str = FLIPPER, verdict: str | None = None) -> SaveRelease:
    """Stop an unfinished release: the gate closes in the same write."""
    return save(release, release.moved(_S.ABORTING, now=now, why=why, who=who, gate=Gate.CLOSED, verdict=verdict))


def _frozen(release: Release, seen: Seen) -> Flip:
    if seen.current is None:
        raise flip.Foreign("there is no current any more")
    return Flip(seen.current.value, seen.current.version, release.value)
