"""A release and its state machine.

One table says which state may follow which; the diagram in ``docs/concepts.md`` is drawn from it. A release is changed by
`Release.moved` and `Release.noted` only, and every change leaves who, when and why in its history.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from canary.domain.audit import Status
from canary.domain.plan import Plan


class ReleaseState(StrEnum):
    OPENING = "OPENING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    HELD = "HELD"
    PROMOTING = "PROMOTING"
    WATCHING = "WATCHING"
    PROMOTED = "PROMOTED"
    ABORTING = "ABORTING"
    ABORTED = "ABORTED"
    SUPERSEDED = "SUPERSEDED"
    REJECTED = "REJECTED"
    ROLLING_BACK = "ROLLING_BACK"
    ROLLED_BACK = "ROLLED_BACK"


_S = ReleaseState

#: The whole state machine: from each state, the states that may follow.
TRANSITIONS: Final[Mapping[ReleaseState, frozenset[ReleaseState]]] = MappingProxyType(
    {
        _S.OPENING: frozenset({_S.RUNNING, _S.REJECTED, _S.ABORTED, _S.SUPERSEDED}),
        _S.RUNNING: frozenset({_S.PAUSED, _S.HELD, _S.PROMOTING, _S.ABORTING, _S.ABORTED, _S.SUPERSEDED}),
        _S.PAUSED: frozenset({_S.RUNNING, _S.PROMOTING, _S.ABORTING, _S.ABORTED, _S.SUPERSEDED}),
        _S.HELD: frozenset({_S.RUNNING, _S.PAUSED, _S.PROMOTING, _S.ABORTING, _S.ABORTED, _S.SUPERSEDED}),
        _S.PROMOTING: frozenset({_S.WATCHING, _S.HELD}),
        _S.WATCHING: frozenset({_S.PROMOTED, _S.ROLLING_BACK}),
        _S.PROMOTED: frozenset({_S.ROLLING_BACK}),
        _S.ABORTING: frozenset({_S.ABORTED}),
        _S.ROLLING_BACK: frozenset({_S.ROLLED_BACK, _S.PROMOTED}),
        _S.ABORTED: frozenset(),
        _S.SUPERSEDED: frozenset(),
        _S.REJECTED: frozenset(),
        _S.ROLLED_BACK: frozenset(),
    }
)

#: States in which a release has ended (a promoted one can still be taken back).
ENDED: Final = frozenset({_S.PROMOTED, _S.ABORTED, _S.SUPERSEDED, _S.REJECTED, _S.ROLLED_BACK})
#: States in which the evidence decides.
ON_TRIAL: Final = frozenset({_S.RUNNING, _S.PAUSED, _S.HELD})

FLIPPER: Final = "flipper"


class Gate(StrEnum):
    """Whether slots can be claimed at all."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"


class Verb(StrEnum):
    """What operators ask of a release."""

    PAUSE = "pause"
    RESUME = "resume"
    PROMOTE = "promote"
    ABORT = "abort"
    ROLLBACK = "rollback"


class IllegalMove(Exception):
    """A transition that the table does not have: a defect, never a situation."""


@dataclass(frozen=True, slots=True)
class Ask:
    """An operator's wish that the flipper carries out."""

    verb: Verb
    who: str
    why: str
    at: int


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a release's history."""

    at: int
    who: str
    what: str
    why: str


class NoticeKind(StrEnum):
    """The events that go out; the value is EventBridge's detail type."""

    OPENED = "Release Opened"
    STAGE_PASSED = "Stage Passed"
    PROMOTED = "Release Promoted"
    ABORTED = "Release Aborted"
    SUPERSEDED = "Release Superseded"
    ROLLED_BACK = "Release Rolled Back"
    HELD = "Release Held"
    REJECTED = "Release Rejected"


@dataclass(frozen=True, slots=True)
class Notice:
    """An event that still has to go out."""

    kind: NoticeKind
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Tally:
    """A release's counters. ``refunded`` slots went back unused; the others add up to the settled requests."""

    succeeded: int = 0
    failed: int = 0
    timed_out: int = 0
    aborted: int = 0
    lost: int = 0
    refunded: int = 0

    @property
    def failures(self) -> int:
        return self.failed + self.timed_out + self.aborted

    @property
    def settled(self) -> int:
        """Requests whose slot is used up."""
        return self.succeeded + self.failures + self.lost

    def plus(self, status: Status, *, unstarted: bool) -> Tally:
        """Count one more outcome."""
        if unstarted:
            return replace(self, refunded=self.refunded + 1)
        match status:
            case Status.SUCCEEDED:
                return replace(self, succeeded=self.succeeded + 1)
            case Status.FAILED:
                return replace(self, failed=self.failed + 1)
            case Status.TIMED_OUT:
                return replace(self, timed_out=self.timed_out + 1)
            case Status.ABORTED:
                return replace(self, aborted=self.aborted + 1)
            case Status.LOST:
                return replace(self, lost=self.lost + 1)
            case _:
                raise ValueError(f"{status} is not an outcome")


@dataclass(frozen=True, slots=True)
class Flip:
    """What a flip writes, frozen when it starts: a re-run writes the same. ``before`` was current at ``version``."""

    before: str
    version: int
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One attempt to make latest the current stack.

    ``claimed``, ``open`` and, downwards, ``gate`` are written by routers and operators as well; everything else by the flipper
    alone, on condition that ``rev`` is what it read. ``value`` is the parameter as it stood, ``target`` its ARN.
    ``granted`` slots are allowed so far; ``forgiven`` are unknown or refunded ones that an operator let pass by ``resume``.
    """

    app: str
    release: str
    rev: int
    state: ReleaseState
    since: int
    opened_at: int
    written_at: int
    value: str
    target: str
    tag: str
    by: str | None = None
    commit: str | None = None
    plan: Plan = field(default_factory=Plan)
    stage: int = 0
    stage_since: int = 0
    granted: int = 0
    claimed: int = 0
    gate: Gate = Gate.CLOSED
    open: Mapping[str, int] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    counted: Mapping[str, str] = field(default_factory=dict)
    lost_forgiven: int = 0
    refunds_forgiven: int = 0
    state_machine: str | None = None
    asks: tuple[Ask, ...] = ()
    flip: Flip | None = None
    verdict: str | None = None
    reason: str | None = None
    refusal: str | None = None
    warning: str | None = None
    restored_from: str | None = None
    ended_at: int | None = None
    notices: tuple[Notice, ...] = ()
    history: tuple[Change, ...] = ()

    @property
    def in_flight(self) -> int:
        """Claims whose outcome is not counted yet."""
        return self.claimed - self.tally.settled

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    def moved(self, to: ReleaseState, *, now: int, why: str, who: str = FLIPPER, **changes: Any) -> Release:
        """Return this release in state ``to``, with the change in its history. Raises `IllegalMove`."""
        if to not in TRANSITIONS[self.state]:
            raise IllegalMove(f"{self.release}: {self.state} cannot become {to}")
        change = Change(now, who, f"{self.state} → {to}", why)
        ended: dict[str, Any] = {"ended_at": now} if to in ENDED else {}
        return replace(self, state=to, since=now, reason=why, history=(*self.history, change), **ended, **changes)

    def announcing(self, kind: NoticeKind, text: str, now: int) -> Release:
        """Return this release with one more notice to send."""
        return replace(self, notices=(*self.notices, Notice(kind, text, now)))

    def noted(self, what: str, *, now: int, why: str, who: str = FLIPPER, **changes: Any) -> Release:
        """Return this release changed without a new state, with the change in its history."""
        return replace(self, history=(*self.history, Change(now, who, what, why)), **changes)


def release_key(version: int, value: str, modified_at: int) -> str:
    """Derive a release's key from what SSM returns for ``latest``; ``modified_at`` in milliseconds.

    Router and flipper derive the same key with no further read, and a newer write gives another one.
    """
    digest = hashlib.sha256((value + timestamp(modified_at)).encode()).hexdigest()
    return f"{version:08d}-{digest[:8]}"


def version_of(release: str) -> int:
    """The version of ``latest`` that a release's key was derived from."""
    return int(release.split("-", 1)[0])


def timestamp(at: int) -> str:
    """Write a time as ``2026-11-21T09:30:00.123Z``."""
    moment = datetime.fromtimestamp(at // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at % 1000:03d}Z"


def from_timestamp(text: str) -> int:
    """Read a time back into milliseconds."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)
