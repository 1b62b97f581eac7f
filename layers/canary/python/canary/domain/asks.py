"""What operators ask for, carried out: each ask becomes one change of the release, or a refusal in its history."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from canary.domain import judge
from canary.domain.app import Seen
from canary.domain.case import case_of, sight_of
from canary.domain.changes import abort, amiss, save, with_record
from canary.domain.flip import frozen, may_be_old
from canary.domain.judge import Judgement
from canary.domain.plan import DAY_MS
from canary.domain.release import STOPPING, Ask, Release, Verb
from canary.domain.stages import advance, promoting
from canary.domain.states import ON_TRIAL, Gate, Hold, ReleaseState
from canary.domain.steps import SaveRelease, Step
from canary.domain.words import duration

_S = ReleaseState
#: States from which a rollback starts: a promotion, watched or not.
_PROMOTED = frozenset({_S.WATCHING, _S.PROMOTED})
#: States from which a release that is in the way can be aborted.
_STOPPABLE = ON_TRIAL | {_S.OPENING}
#: So long after a stack was current it can be current again at once; later it has to prove itself anew.
RETURN_MS: Final = 3 * DAY_MS


class NotPossible(Exception):
    """An operator asks for what the release's state does not allow."""


def carry_out(release: Release, seen: Seen, now: int) -> Step | None:
    """Carry out the oldest ask, an abort before any other; None while it has to wait."""
    ask = next((each for each in release.asks if each.verb is Verb.ABORT and release.state in _STOPPABLE), release.asks[0])
    at = release.asks.index(ask)
    rest = replace(release, asks=(*release.asks[:at], *release.asks[at + 1 :]))
    if ask.verb is Verb.ROLLBACK:
        return _rollback(release, rest, ask, seen, now)
    if ask.verb is Verb.ABORT and release.state is _S.OPENING:
        return _asked(release, abort(rest, _why(ask), now, ask.who))
    if release.state not in ON_TRIAL:
        return _refuse(release, rest, ask, f"the release is {release.state}", now)
    match ask.verb:
        case Verb.ABORT:
            return _abort(release, rest, ask, seen, now)
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


def _abort(release: Release, rest: Release, ask: Ask, seen: Seen, now: int) -> Step:
    """Stop the release, whatever can be seen of it; what is seen goes on record."""
    sight = sight_of(release, seen)
    if sight is None:
        return _asked(release, abort(rest, _why(ask), now, ask.who))
    case = case_of(release, sight, now)
    verdict = judge.judge(case)
    return with_record(_asked(release, abort(rest, _why(ask), now, ask.who, str(verdict))), case, verdict)


def _resume(release: Release, rest: Release, ask: Ask, seen: Seen, now: int) -> Step:
    if release.state is _S.RUNNING and release.gate is Gate.OPEN:
        return _refuse(release, rest, ask, "it is running already", now)
    if why := _answered_otherwise(release):
        return _refuse(release, rest, ask, why, now)
    if seen.app.stopped:
        return _refuse(release, rest, ask, "all gates are stopped: `canary start-all` first", now)
    again = release.tally.lost - release.lost_forgiven
    changes = {
        "gate": Gate.CLOSED if rest.stopping else Gate.OPEN,
        "granted": release.granted + again,
        "allowed": None if release.allowed is None else release.allowed + again,
        "lost_forgiven": release.tally.lost,
        "refunds_forgiven": release.tally.refunded,
    }
    if release.state is _S.RUNNING:
        return save(release, rest.noted("gate opened", now=now, why=_why(ask), who=ask.who, **changes))
    return save(release, rest.moved(_S.RUNNING, now=now, why=_why(ask), who=ask.who, **changes))


def _answered_otherwise(release: Release) -> str | None:
    """Say what helps a release that is held for a decision. Resumed, it would be held again, and its gate's time begin anew."""
    match release.hold:
        case Hold.APPROVAL:
            return f"it waits for approval: `canary promote {release.app}`, or `canary abort {release.app}`"
        case Hold.DEADLINE:
            force = f"`canary promote {release.app} --force`"
            return f"its deadline is over, and a person decides: {force}, or `canary abort {release.app}`"
        case _:
            return None


def _promote(release: Release, rest: Release, ask: Ask, seen: Seen, now: int) -> Step:
    """Go on from a stage that has proved enough; by ``force`` to the flip from wherever it is, if anything succeeded at all."""
    sight = sight_of(release, seen)
    if sight is None or sight.unread:
        unseen = (sight and sight.unread) or "its requests could not be looked at just now"
        return _refuse(release, rest, ask, f"promotion needs proof, and {unseen}: ask again", now)
    case = replace(case_of(release, sight, now), bake=False)
    verdict = judge.judge(case)
    if verdict.judgement is Judgement.FAIL:
        return _refuse(release, rest, ask, f"promotion needs proof: {verdict.reason}", now)
    if why := amiss(release, seen, forced=ask.force):
        return _refuse(release, rest, ask, f"promotion needs proof: {why}", now)
    if ask.force:
        if not release.tally.succeeded:
            why = "nothing has succeeded on latest yet, and no evidence never promotes, by force neither"
            return _refuse(release, rest, ask, why, now)
        why = f"forced past stage {release.stage + 1} of {len(release.plan.stages)} ({verdict}); {_why(ask)}"
        step = save(release, promoting(rest, seen, now, why, why, ask.who))
    elif verdict.judgement is not Judgement.PASS:
        return _refuse(release, rest, ask, f"promotion needs proof: {verdict.reason}", now)
    else:
        step = _asked(release, advance(rest, seen, case, now, f"{verdict.reason}; {_why(ask)}", ask.who))
    return with_record(step, case, verdict)


def _rollback(release: Release, rest: Release, ask: Ask, seen: Seen, now: int) -> Step | None:
    if may_be_old(release, seen, now):
        return None
    if release.state is _S.ROLLED_BACK:
        return _return(release, rest, ask, seen, now)
    if release.state not in _PROMOTED:
        return _refuse(release, rest, ask, f"the release is {release.state}: only the last promotion can be taken back", now)
    if unfinished := _others(release, seen):
        running = next((other for other in unfinished if other.state in _STOPPABLE), None)
        return abort(running, f"rollback of {release.tag} by {ask.who}", now, ask.who) if running else None
    if why := cannot_go_back(release, seen):
        return _refuse(release, rest, ask, why, now)
    return save(release, rolling_back(_once(rest, now), seen, now, _why(ask), ask.who))


def _once(rest: Release, now: int) -> Release:
    """Strike off what others asked at the same time: they meant this rollback, and not to take it back in its turn."""
    for ask in [ask for ask in rest.asks if ask.verb is Verb.ROLLBACK]:
        others = tuple(other for other in rest.asks if other is not ask)
        rest = rest.noted("rollback asked for as well", now=now, why=_why(ask), who=ask.who, asks=others)
    return rest


def _others(release: Release, seen: Seen) -> list[Release]:
    """Unfinished releases that go first; what only waits behind this one does not."""
    others = [other for name, other in seen.releases.items() if name != release.release and not other.ended]
    return [
        other for other in others if not (other.state is _S.OPENING and other.behind == release.release and not other.accepted)
    ]


def cannot_go_back(release: Release, seen: Seen) -> str | None:
    """Say why a promotion cannot be taken back."""
    current, previous = seen.current, seen.previous
    if current is None or current.pointer is None or current.pointer.target.arn != release.target:
        return "current is not this release's stack any more"
    if previous is None or previous.pointer is None:
        return "there is no previous stack"
    if previous.pointer.target.arn == release.target:
        return "previous is the same stack"
    return f"previous cannot serve: {seen.previous_problem}" if seen.previous_problem else None


def rolling_back(release: Release, seen: Seen, now: int, why: str, who: str) -> Release:
    """The release at the beginning of its rollback: what is to be written is frozen."""
    if seen.current is None or seen.previous is None:
        raise ValueError("nothing to go back to: cannot_go_back comes first")
    flip = frozen(seen.current, seen.previous, seen.previous.value)
    return release.moved(_S.ROLLING_BACK, now=now, why=why, who=who, flip=flip)


def _return(release: Release, rest: Release, ask: Ask, seen: Seen, now: int) -> Step | None:
    """Take a rollback back: the stack was current a short while ago, and is current again at once."""
    if unfinished := _others(release, seen):
        running = next((other for other in unfinished if other.state in _STOPPABLE), None)
        return abort(running, f"{release.tag} returns, by {ask.who}", now, ask.who) if running else None
    if now >= release.since + RETURN_MS:
        return _refuse(release, rest, ask, too_long_ago(release), now)
    if seen.serving is None:
        return _refuse(release, rest, ask, "current is missing or must not be called", now)
    if seen.serving.target.arn == release.target:
        return _refuse(release, rest, ask, "it is the current stack already", now)
    after = promoting(_once(rest, now), seen, now, _why(ask), f"it was current before; {_why(ask)}", ask.who)
    return save(release, replace(after, returning=True))


def too_long_ago(release: Release) -> str:
    """Say what helps where a rollback is too old to be taken back."""
    words = f"{release.tag} was current more than {duration(RETURN_MS)} ago, so it has to prove itself anew"
    return f"{words}: `canary retry {release.app} {release.target}`, then `canary release`"


def asked(release: Release, ask: Ask) -> Release:
    """Return the release with an operator's ask put to the flipper; a stopping verb closes the gate at once.

    Raises `NotPossible` when the release cannot follow it, saying what can be done instead.
    """
    if why := _impossible(release, ask.verb):
        raise NotPossible(why)
    gate = Gate.CLOSED if ask.verb in STOPPING else release.gate
    return replace(release, asks=(*release.asks, ask), gate=gate)


def _impossible(release: Release, verb: Verb) -> str | None:
    if verb is Verb.ROLLBACK:
        if release.state in _PROMOTED | {_S.ROLLED_BACK}:
            return None
        return f"release {release.release} is {release.state}: only a promoted one can be rolled back"
    if release.state in ON_TRIAL or (release.state is _S.OPENING and verb is Verb.ABORT):
        return _answered_otherwise(release) if verb is Verb.RESUME else None
    if release.state is _S.PROMOTING:
        return f"release {release.release} is {release.state} just now: once it is current, `canary rollback {release.app}`"
    if release.state in _PROMOTED:
        return f"release {release.release} is {release.state}: use `canary rollback {release.app}` to take it back"
    return f"release {release.release} is {release.state}: there is nothing to {verb}"
