"""What the flipper does next for an app: one pure decision from all that was observed.

The flipper asks again after every step, so a step may fail, be lost or be done twice: the next decision starts from what is.
"""

from __future__ import annotations

from dataclasses import replace

from canary.domain import flip, judge
from canary.domain.app import Parameter, Seen
from canary.domain.asks import carry_out, refuse_asks
from canary.domain.changes import overtaken, save
from canary.domain.plan import InvalidPlan, parse_plan
from canary.domain.release import Gate, NoticeKind, Release, ReleaseState
from canary.domain.steps import Announce, BlankLatest, CreateRelease, RestoreLatest, SaveApp, Step
from canary.domain.target import MOST_CHARACTERS, InvalidTarget, is_blank, parse_pointer, shorten
from canary.domain.trial import on_trial

_S = ReleaseState


def decide(seen: Seen, now: int) -> Step | None:
    """Name the next step for an app; None when there is nothing to do until something changes."""
    return (
        _restore(seen)
        or flip.mirror_step(seen)
        or next((step for release in _in_order(seen) if (step := _next_for(release, seen, now))), None)
        or _adopt_latest(seen, now)
        or _check_off(seen)
        or _announce(seen)
        or _let_go(seen)
    )


def _restore(seen: Seen) -> Step | None:
    lost = flip.swallowed(seen.history)
    if lost is None or seen.latest is None or not _history_is_whole(seen):
        return None
    return RestoreLatest(lost.value, lost.release, seen.latest.version, "a write of ours landed on a newer release: put it back")


def _in_order(seen: Seen) -> list[Release]:
    """The releases with work, oldest first; the last promoted one comes last, since a rollback waits for a running release."""
    names = [name for name in seen.app.followed if name != seen.app.promoted]
    names += [seen.app.promoted] if seen.app.promoted else []
    return [seen.releases[name] for name in names if name in seen.releases]


def _next_for(release: Release, seen: Seen, now: int) -> Step | None:
    match release.state:
        case _S.OPENING:
            return _opening(release, seen, now)
        case _S.RUNNING | _S.PAUSED | _S.HELD:
            return on_trial(release, seen, now)
        case _S.PROMOTING:
            return _promoting(release, seen, now)
        case _S.WATCHING:
            return _watching(release, seen, now)
        case _S.ABORTING:
            return _aborting(release, seen, now)
        case _S.ROLLING_BACK:
            return _rolling_back(release, seen, now)
        case _S.PROMOTED:
            return _promoted(release, seen, now)
        case _:
            return refuse_asks(release, now) if release.asks else None


def _opening(release: Release, seen: Seen, now: int) -> Step | None:
    key = flip.latest_key(seen)
    if release.refusal:
        if key == release.release:
            return BlankLatest(release.release, "refused: the router stays with current")
        after = release.moved(_S.REJECTED, now=now, why=release.refusal)
        return save(release, after.announcing(NoticeKind.REJECTED, f"{release.tag}: {release.refusal}", now))
    if step := overtaken(release, seen, now):
        return step
    if seen.inspection is None:
        return None
    try:
        plan = parse_plan(seen.inspection.plan_text)
    except InvalidPlan as error:
        return _refuse(release, f"the plan cannot be used: {error}", now)
    if problem := _objection(release, seen):
        return _refuse(release, problem, now)
    target = parse_pointer(release.value).target
    warning = f"{target.arn} is mutable: publish a version and release that" if target.mutable else None
    proof = judge.weight_of_proof(plan)
    opened = release.moved(
        _S.RUNNING,
        now=now,
        why=f"{plan.quota_through(0)} slots granted",
        plan=plan,
        granted=plan.quota_through(0),
        gate=Gate.CLOSED if seen.app.stopped or release.asks else Gate.OPEN,  # an abort may have been asked for already
        stage_since=now,
        warning=warning,
    )
    text = f"{release.tag} is on trial: {plan.quota_through(0)} requests" + (f" ({proof})" if proof else "")
    return save(release, opened.announcing(NoticeKind.OPENED, text + (f". {warning}" if warning else ""), now))


def _objection(release: Release, seen: Seen) -> str | None:
    if seen.inspection is None or seen.inspection.problem:
        return seen.inspection.problem if seen.inspection else None
    if len(release.value) > MOST_CHARACTERS:
        return f"its value has {len(release.value)} characters, and current could not hold it: {MOST_CHARACTERS} at most"
    if seen.serving is None:
        return f"there is no valid current stack: set {release.app}/current first (canary init)"
    if seen.serving.target.arn == release.target:
        return "it is the current stack already"
    if entry := seen.app.quarantine.get(release.target):
        return (
            f"{release.tag!r} is quarantined since release {entry.release} ({entry.reason}): "
            f"see `canary status {release.app} --release {entry.release}`, then `canary retry {release.app} {release.target}`"
        )
    return None


def _refuse(release: Release, why: str, now: int) -> Step:
    return save(release, release.noted("refused", now=now, why=why, refusal=why))


def _promoting(release: Release, seen: Seen, now: int) -> Step | None:
    try:
        step = flip.next_flip_step(release, seen)
    except flip.Foreign as error:
        held = release.moved(_S.HELD, now=now, why=str(error), flip=None)
        cure = f"Next: `canary resume {release.app}` to flip from there, or `canary abort {release.app}`"
        text = f"{release.tag} is held: {error}. {cure}"
        return save(release, held.announcing(NoticeKind.HELD, text, now))
    return step or save(release, release.moved(_S.WATCHING, now=now, why=f"{release.tag} is current"))


def _watching(release: Release, seen: Seen, now: int) -> Step | None:
    if step := flip.blank_step(release, seen):
        return step
    if seen.app.promoted != release.release:
        return SaveApp(
            replace(seen.app, promoted=release.release),
            f"{release.release} is the promotion that a rollback takes back",
        )
    after = release.moved(_S.PROMOTED, now=now, why=release.verdict or "promoted")
    return save(release, after.announcing(NoticeKind.PROMOTED, f"{release.tag} is current now: {release.verdict}", now))


def _aborting(release: Release, seen: Seen, now: int) -> Step | None:
    why = release.reason or "aborted"
    if step := flip.quarantine_step(release, seen, now, why) or flip.blank_step(release, seen):
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


def _adopt_latest(seen: Seen, now: int) -> Step | None:
    """Open a release for what ``latest`` names, once no other is unfinished."""
    key = flip.latest_key(seen)
    known = seen.releases.get(key) if key else None
    if key is None or seen.latest is None or known is not None:
        return None
    if any(not release.ended for release in seen.releases.values()):
        return None
    if key not in seen.app.followed:
        return SaveApp(replace(seen.app, followed=(*seen.app.followed, key)), f"latest names release {key}")
    return CreateRelease(_created(key, seen.latest, seen, now), "a new release")


def _created(key: str, latest: Parameter, seen: Seen, now: int) -> Release:
    value, refusal = latest.value, None
    target, tag, by, commit = shorten(value), shorten(value, 40), None, None
    try:
        pointer = parse_pointer(value)
        target, tag, by, commit = pointer.target.arn, pointer.tag, pointer.by, pointer.commit
    except InvalidTarget as error:
        refusal = str(error)
    return Release(
        app=seen.app.app,
        release=key,
        rev=1,
        state=_S.OPENING,
        since=now,
        opened_at=now,
        written_at=latest.modified_at,
        value=value,
        target=target,
        tag=tag,
        by=by,
        commit=commit,
        refusal=refusal,
        restored_from=flip.restored_release(seen.history) if _history_is_whole(seen) else None,
    ).noted("opened", now=now, why=f"{tag} was written to latest", who=by or "release tagging")


def _check_off(seen: Seen) -> Step | None:
    """Remember that this version of ``latest`` swallowed nothing, so that its history is not read again."""
    latest = seen.latest
    if latest is None or latest.version == seen.app.checked or not _history_is_whole(seen):
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


def _history_is_whole(seen: Seen) -> bool:
    """Whether the history that was read ends with the latest that was read: either may be stale."""
    return bool(seen.history) and seen.latest is not None and seen.history[-1].version == seen.latest.version


def _let_go(seen: Seen) -> Step | None:
    """Follow no longer what has ended and is settled to the last request."""
    kept = tuple(name for name in seen.app.followed if _has_work(name, seen))
    if kept == seen.app.followed:
        return None
    return SaveApp(replace(seen.app, followed=kept), "ended, and every request is settled")


def _has_work(name: str, seen: Seen) -> bool:
    release = seen.releases.get(name)
    if release is None:
        return name == flip.latest_key(seen)
    pending = release.in_flight or release.open or release.counted or release.notices or release.asks
    return not release.ended or bool(pending)
