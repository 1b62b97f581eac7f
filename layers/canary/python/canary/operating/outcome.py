"""What became of an operator's ask: read from the release's own history."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from canary.domain.release import Release, ReleaseState, Verb

_S = ReleaseState
#: States that the flipper passes in one go.
PASSING: Final = frozenset({_S.OPENING, _S.PROMOTING, _S.WATCHING, _S.ABORTING, _S.ROLLING_BACK})
#: Where a verb that was carried out must not end.
_FAILED: Final = {Verb.PROMOTE: _S.HELD, Verb.ROLLBACK: _S.PROMOTED}


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


def outcome(asked: Release, now: Release) -> Outcome:
    """Compare a release with what it was when its newest ask was put to it."""
    ask = asked.asks[-1]
    if ask in now.asks:
        return Outcome(Result.PENDING, "the flipper has not carried it out yet", now)
    since = now.history[len(asked.history) :]
    refusals = [change.why for change in since if (change.what, change.who) == (f"{ask.verb} refused", ask.who)]
    if refusals:
        return Outcome(Result.REFUSED, refusals[-1], now)
    if now.state in PASSING:
        return Outcome(Result.PENDING, f"it is under way: {now.state}", now)
    why = now.reason or ""
    if _FAILED.get(ask.verb) is now.state:
        return Outcome(Result.REFUSED, why, now)
    mine = f"{ask.verb} by {ask.who}: "
    return Outcome(Result.DONE, next((change.why for change in since if mine in change.why), why), now)
