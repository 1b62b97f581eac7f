"""What became of an operator's ask: read from the release's own history."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from canary.domain.release import Release, Verb
from canary.domain.states import ReleaseState

_S = ReleaseState
#: States that the flipper passes in one go; OPENING and WATCHING may last, see `passing`.
_PASSING: Final = frozenset({_S.OPENING, _S.PROMOTING, _S.WATCHING, _S.ABORTING, _S.ROLLING_BACK})
#: Moves that end what a verb had begun, since somebody else wrote current.
_STOPPED: Final = {
    Verb.PROMOTE: frozenset({f"{_S.PROMOTING} → {_S.HELD}"}),
    Verb.ROLLBACK: frozenset({f"{_S.ROLLING_BACK} → {_S.PROMOTED}", f"{_S.PROMOTING} → {_S.ROLLED_BACK}"}),
}


class Result(StrEnum):
    """DONE: it is so. REFUSED: it is not going to be. PENDING: the flipper has not come to it yet."""

    DONE = "DONE"
    REFUSED = "REFUSED"
    PENDING = "PENDING"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an ask, and the release as it is now."""

    result: Result
    why: str
    release: Release


def passing(release: Release) -> bool:
    """Whether the flipper takes a release on from its state in seconds: there is no preflight, no watch and nobody before it."""
    if release.state is _S.WATCHING:
        return release.returning or not release.plan.watch
    if release.state is _S.OPENING:
        return release.behind is None and not release.accepted
    return release.state in _PASSING


def outcome(asked: Release, now: Release) -> Outcome:
    """Compare a release with what it was when its newest ask was put to it."""
    ask = asked.asks[-1]
    if ask in now.asks:
        return Outcome(Result.PENDING, "the flipper has not carried it out yet", now)
    since = now.history[len(asked.history) :]
    refusals = [change.why for change in since if (change.what, change.who) == (f"{ask.verb} refused", ask.who)]
    if refusals:
        return Outcome(Result.REFUSED, refusals[-1], now)
    if passing(now):
        return Outcome(Result.PENDING, f"it is under way: {now.state}", now)
    if stopped := [change.why for change in since if change.what in _STOPPED.get(ask.verb, ())]:
        return Outcome(Result.REFUSED, stopped[-1], now)
    mine = f"{ask.verb} by {ask.who}: "
    return Outcome(Result.DONE, next((change.why for change in since if mine in change.why), now.reason or ""), now)
