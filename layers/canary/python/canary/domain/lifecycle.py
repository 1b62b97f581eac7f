"""What the flipper does next for an app: one pure decision from all that was observed.

The flipper asks again after every step, so a step may fail, be lost or be done twice: the next decision starts from what is.
"""

from __future__ import annotations

from dataclasses import replace

from canary.domain import flip
from canary.domain.app import Seen
from canary.domain.asks import carry_out, refuse_asks
from canary.domain.audit import GRACE_MS
from canary.domain.changes import held, save, waits
from canary.domain.evidence import ALONE
from canary.domain.opening import adopt, blank_left, learned, opening
from canary.domain.release import NoticeKind, Release
from canary.domain.states import Hold, ReleaseState
from canary.domain.steps import Announce, BlankLatest, RestoreLatest, SaveApp, Step
from canary.domain.target import is_blank
from canary.domain.trial import on_trial
from canary.domain.watching import begun_watch, watching

_S = ReleaseState


def decide(seen: Seen, now: int) -> Step | None:
    """Name the next step for an app; None when there is nothing to do until something changes."""
    return (
        _restore(seen)
        or flip.mirror_step(seen)
        or _astray(seen)
        or next((step for release in _in_order(seen) if (step := _next_for(release, seen, now))), None)
        or _left_over(seen)
        or adopt(seen, now)
        or _check_off(seen)
        or _announce(seen)
        or _let_go(seen, now)
    )


def _restore(seen: Seen) -> Step | None:
    lost = flip.swallowed(seen.history)
    if lost is None or seen.latest is None or not flip.history_is_whole(seen):
        return None
    return RestoreLatest(lost.value, lost.release, seen.latest.version, "a write of ours landed on a newer release: put it back")


def _astray(seen: Seen) -> Step | None:
    """Follow what is not followed, though it goes on or is asked for something.

    A pass that came late has opened what others had given up; or an operator has asked, just when it was let go.
    """
    known = {*seen.app.followed, seen.app.promoted}
    lost = tuple(name for name, release in seen.releases.items() if unfinished(release) and name not in known)
    if not lost:
        return None
    after = replace(seen.app, followed=(*seen.app.followed, *lost))
    return SaveApp(after, f"release {lost[0]} is not over, and nobody follows it")


def unfinished(release: Release) -> bool:
    """Whether there is something to do for a release, wherever it is named."""
    return not release.ended or bool(release.asks)


def _left_over(seen: Seen) -> Step | None:
    """Blank what still names a release that has ended: while it ended, an older latest was seen.

    A release that was superseded is named by an older latest only.
    """
    release = seen.releases.get(flip.latest_key(seen) or "")
    if release is None or not release.ended or release.state is _S.SUPERSEDED or waits(release, seen):
        return None
    return BlankLatest(release.release, "latest names a release that has ended")


def _in_order(seen: Seen) -> list[Release]:
    """The releases with work, oldest first; the last promoted one comes last, since a rollback waits for a running release."""
    names = [name for name in seen.app.followed if name != seen.app.promoted]
    names += [seen.app.promoted] if seen.app.promoted else []
    return [seen.releases[name] for name in names if name in seen.releases]


def _next_for(release: Release, seen: Seen, now: int) -> Step | None:
    match release.state:
        case _S.OPENING:
            return opening(release, seen, now)
        case _S.RUNNING | _S.PAUSED | _S.HELD:
            return on_trial(release, seen, now) or learned(release, seen)
        case _S.PROMOTING:
            return _promoting(release, seen, now)
        case _S.WATCHING:
            return watching(release, seen, now)
        case _S.ABORTING:
            return _aborting(release, seen, now)
        case _S.ROLLING_BACK:
            return _rolling_back(release, seen, now)
        case _S.PROMOTED:
            return _promoted(release, seen, now)
        case _S.REJECTED | _S.ABORTED if step := blank_left(release, seen):
            return step
        case _S.ROLLED_BACK if release.asks and release.release == seen.app.promoted:
            return carry_out(release, seen, now)
        case _:
            return refuse_asks(release, now) if release.asks else None


def _promoting(release: Release, seen: Seen, now: int) -> Step | None:
    try:
        step = flip.next_flip_step(release, seen)
    except flip.Foreign as error:
        if release.returning:
            why = f"it cannot return: {error}"
            after = release.moved(_S.ROLLED_BACK, now=now, why=why, flip=None, returning=False)
            return save(release, after.announcing(NoticeKind.HELD, f"{release.tag}: {why}", now))
        return held(release, Hold.FOREIGN, str(error), now, release.verdict)
    return step or begun_watch(release, now)


def _aborting(release: Release, seen: Seen, now: int) -> Step | None:
    why = release.reason or "aborted"
    if step := flip.quarantine_step(release, seen, now, why) or blank_left(release, seen):
        return step
    after = release.moved(_S.ABORTED, now=now, why=why)
    return save(release, after.announcing(NoticeKind.ABORTED, f"{release.tag} is out and quarantined: {why}", now))


def _promoted(release: Release, seen: Seen, now: int) -> Step | None:
    if release.asks and release.release == seen.app.promoted:
        return carry_out(release, seen, now)
    return refuse_asks(release, now) if release.asks else None


def _rolling_back(release: Release, seen: Seen, now: int) -> Step | None:
    try:
        step = flip.next_rollback_step(release, seen, now)
    except flip.Foreign as error:
        after = release.moved(_S.PROMOTED, now=now, why=f"the rollback stopped: {error}")
        return save(release, after.announcing(NoticeKind.HELD, f"{release.tag} was not taken back: {error}", now))
    if step:
        return step
    after = release.moved(_S.ROLLED_BACK, now=now, why=release.reason or "rolled back")
    return save(release, after.announcing(NoticeKind.ROLLED_BACK, f"{release.tag} was taken back: {release.reason}", now))


def _check_off(seen: Seen) -> Step | None:
    """Remember that this version of ``latest`` swallowed nothing, so that its history is not read again."""
    latest = seen.latest
    if latest is None or latest.version == seen.app.checked or not flip.history_is_whole(seen):
        return None
    if not is_blank(latest.value) and flip.latest_key(seen) not in seen.releases:
        return None
    return SaveApp(replace(seen.app, checked=latest.version), "the history of latest is in order")


def _announce(seen: Seen) -> Step | None:
    """Send what is to be told, after all else: a topic that does not answer must not keep a release from being stopped."""
    for release in _in_order(seen):
        if release.notices:
            return Announce(release, release.notices[0], f"tell the world: {release.notices[0].kind}")
    return None


def _let_go(seen: Seen, now: int) -> Step | None:
    """Follow no longer what has ended and is settled to the last request."""
    kept = tuple(name for name in seen.app.followed if _has_work(name, seen, now))
    if kept == seen.app.followed:
        return None
    return SaveApp(replace(seen.app, followed=kept), "ended, and every request is settled")


def _has_work(name: str, seen: Seen, now: int) -> bool:
    release = seen.releases.get(name)
    if release is None:
        return name == flip.latest_key(seen)
    pending = release.in_flight or release.open or release.counted or release.notices or release.asks
    sight = seen.sights.get(name)
    followed = sight is not None and not sight.unfollowed
    samples = sight.controls if sight and followed else release.plan.judged  # not looked at: some may still run
    pending = pending or samples or _may_be_sampled(release, now)
    waiting = release.state in {_S.REJECTED, _S.ABORTED} and name == flip.latest_key(seen)
    return not release.ended or bool(pending) or waiting


def _may_be_sampled(release: Release, now: int) -> bool:
    """Whether a router that has not heard of the end yet may still put a control sample."""
    tossed = release.share < ALONE or any(share < ALONE for share in release.gathered.shares)
    return release.plan.judged and tossed and release.ended_at is not None and now < release.ended_at + GRACE_MS
