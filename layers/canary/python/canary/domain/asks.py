"""What operators ask for, carried out: each ask becomes one change of the release, or a refusal in its history."""

from __future__ import annotations

from dataclasses import replace

from canary.domain import judge
from canary.domain.app import Seen
from canary.domain.changes import abort, advance, save
from canary.domain.judge import Judgement
from canary.domain.release import ON_TRIAL, Ask, Flip, Gate, Release, ReleaseState, Verb
from canary.domain.steps import SaveRelease, Step

_S = ReleaseState
#: Verbs that close the gate at once; nothing that was asked before them opens it again.
_STOPPING = frozenset({Verb.PAUSE, Verb.ABORT})


class NotPossible(Exception):
    """An operator asks for what the release's state does not allow."""


def carry_out(release: Release, seen: Seen, now: int) -> Step | None:
    """Carry out the oldest ask; None while it has to wait."""
    ask, rest = release.asks[0], replace(release, asks=release.asks[1:])
    if ask.verb is Verb.ROLLBACK:
        return _rollback(release, rest, ask, seen, now)
    if release.state not in ON_TRIAL:
        return _refuse(release, rest, ask, f"the release is {release.state}", now)
    match ask.verb:
        case Verb.ABORT:
            return _asked(release, abort(rest, _why(ask), now, ask.who, verdict=str(judge.judge(release, now))))
        case Verb.PAUSE if release.state is _S.PAUSED:
            return _refuse(release, rest, ask, "it is paused already", now)
        case Verb.PAUSE:
            return save(release, rest.moved(_S.PAUSED, now=now, why=_why(ask), who=ask.who, gate=Gate.CLOSED))
        case Verb.RESUME:
            return _resume(release, rest, ask, seen, now)
        case Verb.PROMOTE:
            return _promote(release, rest, ask, seen, now)


def refuse_asks(release: Release, now: int) -> Step:
    """Strike off the oldest ask of a release that can no longer follow it."""
    rest = replace(release, asks=release.asks[1:])
    return _refuse(release, rest, release.asks[0], f"the release is {release.state}", now)


def _refuse(release: Release, rest: Release, ask: Ask, why: str, now: int) -> Step:
    return save(release, rest.noted(f"{ask.verb} refused", now=now, why=why, who=ask.who))


def _asked(release: Release, step: SaveRelease) -> SaveRelease:
    """The same step, measured against the release that still holds the ask."""
    return replace(step, before=release)


def _why(ask: Ask) -> str:
    return f"{ask.verb} by {ask.who}: {ask.why}"


def _resume(release: Release, rest: Release, ask: Ask, seen: Seen, now: int) -> Step:
    if release.state is _S.RUNNING and release.gate is Gate.OPEN:
        return _refuse(release, rest, ask, "it is running already", now)
    if seen.app.stopped:
        return _refuse(release, rest, ask, "all gates are stopped: `canary start-all` first", now)
    changes = {
        "gate": Gate.CLOSED if any(later.verb in _STOPPING for later in rest.asks) else Gate.OPEN,
        "granted": release.granted + release.tally.lost - release.lost_forgiven,
        "lost_forgiven": release.tally.lost,
        "refunds_forgiven": release.tally.refunded,
    }
    if release.state is _S.RUNNING:
        return save(release, rest.noted("gate opened", now=now, why=_why(ask), who=ask.who, **changes))
    return save(release, rest.moved(_S.RUNNING, now=now, why=_why(ask), who=ask.who, **changes))


def _promote(release: Release, rest: Release, ask: Ask, seen: Seen, now: int) -> Step:
    verdict = judge.judge(release, now, bake=False)
    unknown = judge.missing(release) or ("current is missing or must not be called" if seen.serving is None else None)
    if verdict.judgement is not Judgement.PASS or unknown:
        return _refuse(release, rest, ask, f"promotion needs proof: {unknown or verdict.reason}", now)
    return _asked(release, advance(rest, seen, now, f"{verdict.reason}; {_why(ask)}", ask.who))


def _rollback(release: Release, rest: Release, ask: Ask, seen: Seen, now: int) -> Step | None:
    if release.state is not _S.PROMOTED:
        return _refuse(release, rest, ask, f"the release is {release.state}: only the last promotion can be taken back", now)
    unfinished = [other for other in seen.releases.values() if not other.ended]
    if unfinished:
        running = next((other for other in unfinished if other.state in ON_TRIAL), None)
        return abort(running, f"rollback of {release.tag} by {ask.who}", now, ask.who) if running else None
    current, previous = seen.current, seen.previous
    if current is None or current.pointer is None or current.pointer.target.arn != release.target:
        return _refuse(release, rest, ask, "current is not this release's stack any more", now)
    if previous is None or previous.pointer is None:
        return _refuse(release, rest, ask, "there is no previous stack", now)
    if previous.pointer.target.arn == release.target:
        return _refuse(release, rest, ask, "previous is the same stack", now)
    if seen.previous_problem:
        return _refuse(release, rest, ask, f"previous cannot serve: {seen.previous_problem}", now)
    flip = Flip(current.value, current.version, previous.value)
    return save(release, rest.moved(_S.ROLLING_BACK, now=now, why=_why(ask), who=ask.who, flip=flip))


def asked(release: Release, ask: Ask) -> Release:
    """Return the release with an operator's ask put to the flipper; a stopping verb closes the gate at once.

    Raises `NotPossible` when the release cannot follow it, saying what can be done instead.
    """
    if why := _impossible(release, ask.verb):
        raise NotPossible(why)
    gate = Gate.CLOSED if ask.verb in _STOPPING else release.gate
    return replace(release, asks=(*release.asks, ask), gate=gate)


def _impossible(release: Release, verb: Verb) -> str | None:
    if verb is Verb.ROLLBACK:
        if release.state is _S.PROMOTED:
            return None
        return f"release {release.release} is {release.state}: only a promoted one can be rolled back"
    if release.state in ON_TRIAL or (release.state is _S.OPENING and verb is Verb.ABORT):
        return None
    if release.state in {_S.PROMOTING, _S.WATCHING}:
        return f"release {release.release} is {release.state} just now: once it is PROMOTED, `canary rollback {release.app}`"
    if release.state is _S.PROMOTED:
        return f"release {release.release} is {release.state}: use `canary rollback {release.app}` to take it back"
    return f"release {release.release} is {release.state}: there is nothing to {verb}"
