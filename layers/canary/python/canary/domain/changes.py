"""Changes of a release that more than one decision makes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from canary import __version__
from canary.domain import flip
from canary.domain.app import Seen
from canary.domain.audit import GRACE_MS
from canary.domain.case import recorded
from canary.domain.judge import Case, Verdict
from canary.domain.plan import OnNewRelease
from canary.domain.release import FLIPPER, NoticeKind, Release, version_of
from canary.domain.states import ON_TRIAL, Gate, Hold, ReleaseState
from canary.domain.steps import SaveRelease

_S = ReleaseState


def save(before: Release, after: Release) -> SaveRelease:
    """Write a change, for the reason that its history ends with."""
    return SaveRelease(before, after, after.history[-1].why if after.history else "")


def with_record(step: SaveRelease, case: Case, verdict: Verdict) -> SaveRelease:
    """The same step, with the record of what was judged."""
    record = recorded(step.before, case, verdict, step.why, __version__)
    return replace(step, after=replace(step.after, record=record.name), record=record)


def overtaken(release: Release, seen: Seen, now: int) -> SaveRelease | None:
    """End a release that ``latest`` no longer names. An older value than the release's own is a stale read: no news.

    Where the plan says so, a newer write does not end it: the newer release waits behind it, or is refused.
    """
    key = flip.latest_key(seen)
    if _opened_late(release, seen) and not goes_on(release):
        return _superseded(release, f"version {seen.app.newest}", now)
    if key == release.release or (seen.latest is not None and seen.latest.modified_at < release.written_at):
        return None
    if seen.latest is None and now < release.written_at + GRACE_MS:  # a read that is older than the first write shows none
        return None
    if seen.latest is not None and seen.latest.version != seen.app.checked and key is None and not flip.history_is_whole(seen):
        return None  # the blank may be ours, and have landed on this release: its history will tell
    if key is None:
        after = release.moved(_S.ABORTED, now=now, why="withdrawn: latest was blanked by hand", gate=Gate.CLOSED)
        return save(release, after.announcing(NoticeKind.ABORTED, f"{release.tag} was withdrawn", now))
    if goes_on(release):
        return None
    return _superseded(release, f"release {key}", now)


def _opened_late(release: Release, seen: Seen) -> bool:
    """Whether a newer write was taken for a release already, when this one opened. A parameter made anew begins at version 1."""
    older = version_of(release.release) < seen.app.newest and release.written_at < seen.app.newest_at
    return release.state is _S.OPENING and older


def _superseded(release: Release, newer: str, now: int) -> SaveRelease:
    after = release.moved(_S.SUPERSEDED, now=now, why=f"a newer write to latest: {newer}", gate=Gate.CLOSED)
    return save(release, after.announcing(NoticeKind.SUPERSEDED, f"{release.tag} gave way to {newer}", now))


def amiss(release: Release, seen: Seen, *, forced: bool = False) -> str | None:
    """Say what is wrong with current: it cannot be left, or it is not the one that a judged release was compared with."""
    if seen.serving is None:
        return "current is missing or names no target that may be called"
    arn = seen.serving.target.arn
    if release.plan.judged and not forced and release.against not in {None, arn}:
        return f"current is {arn} by now, and the evidence compares with {release.against}: write that back, or release again"
    return None


def waits(release: Release, seen: Seen) -> bool:
    """Whether another release goes first: then ``latest`` stays as it is, so that routers find that one."""
    first = seen.releases.get(release.behind) if release.behind else None
    return first is not None and not first.ended


def goes_on(release: Release) -> bool:
    """Whether a release goes on although ``latest`` names a newer one."""
    under_way = release.state in ON_TRIAL or release.state is _S.WATCHING or (release.state is _S.OPENING and release.accepted)
    return under_way and release.plan.on_new_release is not OnNewRelease.SUPERSEDE


def abort(release: Release, why: str, now: int, who: str = FLIPPER, verdict: str | None = None) -> SaveRelease:
    """Stop an unfinished release: the gate closes in the same write."""
    return save(release, release.moved(_S.ABORTING, now=now, why=why, who=who, gate=Gate.CLOSED, verdict=verdict))


def held(release: Release, cause: Hold, why: str, now: int, verdict: str | None = None) -> SaveRelease:
    """Hold a release that cannot go on by itself, and say what helps. What it was about to flip is forgotten."""
    fields: dict[str, Any] = {"gate": Gate.CLOSED, "hold": cause, "verdict": verdict, "flip": None}
    if release.state is _S.HELD:
        fields |= {"since": now, "asked_at": release.asked_by(now)}
        after = release.noted("held for another reason", now=now, why=why, reason=why, **fields)
    else:
        after = release.moved(_S.HELD, now=now, why=why, **fields)
    return save(release, after.announcing(NoticeKind.HELD, f"{release.tag} is held: {why}. {_cure(release.app, cause)}", now))


def _cure(app: str, cause: Hold) -> str:
    match cause:
        case Hold.APPROVAL:
            return f"Next: `canary promote {app}` or `canary abort {app}`"
        case Hold.DEADLINE:
            return f"Next: `canary promote {app} --force` or `canary abort {app}`"
        case Hold.FOREIGN:
            return f"Next: `canary resume {app}` to flip from there, or `canary abort {app}`"
        case Hold.OBSERVATION | Hold.ALARM | Hold.CURRENT:
            return f"It goes on by itself once that is mended; or `canary abort {app}`"
        case Hold.LOST | Hold.UNSENT:
            return f"Next: `canary resume {app}` or `canary abort {app}`"
