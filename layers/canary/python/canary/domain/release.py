"""A release. `Release.moved` and `Release.noted` change it, and leave who, when and why in its history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from canary.domain.audit import Status
from canary.domain.baseline import Baseline
from canary.domain.batch import Batch
from canary.domain.evidence import Gathered
from canary.domain.moments import from_timestamp as from_timestamp  # noqa: PLC0414 - where all but the router look for it
from canary.domain.moments import release_key as release_key  # noqa: PLC0414
from canary.domain.moments import timestamp as timestamp  # noqa: PLC0414
from canary.domain.moments import version_of as version_of  # noqa: PLC0414
from canary.domain.plan import Plan, batched
from canary.domain.states import ENDED, TRANSITIONS, Gate, Hold, IllegalMove, ReleaseState
from canary.domain.tally import Tally

FLIPPER: Final = "flipper"


class Verb(StrEnum):
    """What operators ask of a release."""

    PAUSE = "pause"
    RESUME = "resume"
    PROMOTE = "promote"
    ABORT = "abort"
    ROLLBACK = "rollback"


#: Verbs that close the gate at once; nothing that was asked before them opens it again.
STOPPING: Final = frozenset({Verb.PAUSE, Verb.ABORT})


@dataclass(frozen=True, slots=True)
class Ask:
    """An operator's wish that the flipper carries out. ``force``: a promotion that does not wait for the rest of its proof."""

    verb: Verb
    who: str
    why: str
    at: int
    force: bool = False


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
class Flip:
    """What a flip writes, frozen when it starts: a re-run writes the same.

    ``before`` was current at ``version``; ``previous`` is the version of previous then, 0 for none. ``written``: it is on record
    that current is ``after`` (of a rollback, which goes on with previous).
    """

    before: str
    version: int
    after: str
    previous: int = 0
    written: bool = False


@dataclass(frozen=True, slots=True)
class Probe:
    """One synthetic request of the preflight, and how it went."""

    status: Status
    transform_id: str | None = None
    started_at: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Control:
    """Where current's workflows run (None: it has none), and whether they bear our request ids, which tells them apart."""

    machine: str | None
    named: bool


@dataclass(frozen=True, slots=True)
class Watched:
    """What is counted of the promoted stack's executions ``since`` its promotion.

    ``started`` of them from ``counted_from`` on and before ``until``: the promotion, or later, where more started between two
    looks than can be listed. ``failed`` of those that started before ``failed_until``; later ones are read anew in each pass.
    """

    since: int = 0
    counted_from: int = 0
    until: int = 0
    started: int = 0
    failed_until: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One attempt to make latest the current stack.

    ``claimed``, ``open``, ``batches`` and, downwards, ``gate`` are written by routers and operators as well; everything else by
    the flipper alone, on condition that ``rev`` is what it read. ``value`` is the parameter as it stood, ``target`` its ARN.

    ``granted`` slots are allowed so far, up to ``allowed`` of them in this stage (None: as the evidence or the coin gives them);
    ``share`` is the coin's, in parts of 10,000. ``forgiven`` are unknown or refunded ones that an operator let pass.
    ``stage_base`` requests were known or on their way when the stage began; ``asked_at`` a person was first asked at its gate,
    or later by as long as nobody could answer.
    ``accepted``: target and plan were looked at, and the preflight may run. ``against`` is the current that it is compared with,
    whose ``baseline`` and ``control`` these are. ``behind`` names the release that goes first, and that routers serve meanwhile.
    ``returning``: it was taken back, and that is being taken back. ``record`` names its newest evidence record.
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
    stage_base: int = 0
    asked_at: int | None = None
    share: int = 5_000
    allowed: int | None = None
    granted: int = 0
    claimed: int = 0
    gate: Gate = Gate.CLOSED
    open: Mapping[str, int] = field(default_factory=dict)
    batches: Mapping[str, Batch] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    counted: Mapping[str, str] = field(default_factory=dict)
    lost_forgiven: int = 0
    refunds_forgiven: int = 0
    state_machine: str | None = None
    named: bool = False
    against: str | None = None
    baseline: Baseline = field(default_factory=Baseline)
    gathered: Gathered = field(default_factory=Gathered)
    control: Control | None = None
    accepted: bool = False
    probes: Mapping[int, Probe] = field(default_factory=dict)
    behind: str | None = None
    hold: Hold | None = None
    watched: Watched = field(default_factory=Watched)
    returning: bool = False
    record: str | None = None
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

    @property
    def stopping(self) -> bool:
        """Whether somebody has asked to stop it: that has closed the gate, and nothing opens it before the ask is carried out."""
        return any(ask.verb in STOPPING for ask in self.asks)

    @property
    def batched(self) -> bool:
        """Whether routers take slots in batches."""
        return batched(self.plan.stages, self.stage)

    def moved(self, to: ReleaseState, *, now: int, why: str, who: str = FLIPPER, **changes: Any) -> Release:
        """Return this release in state ``to``, with the change in its history. Raises `IllegalMove`."""
        if to not in TRANSITIONS[self.state]:
            raise IllegalMove(f"{self.release}: {self.state} cannot become {to}")
        change = Change(now, who, f"{self.state} → {to}", why)
        fixed: dict[str, Any] = {"ended_at": now if to in ENDED else None, "hold": None, "asked_at": self.asked_by(now)}
        return replace(self, state=to, since=now, reason=why, history=(*self.history, change), **{**fixed, **changes})

    def asked_by(self, now: int) -> int | None:
        """``asked_at``, later by as long as nobody can answer: while it is paused, or held for anything but its approval."""
        asks = self.state not in {ReleaseState.PAUSED, ReleaseState.HELD} or self.hold is Hold.APPROVAL
        return self.asked_at if asks or self.asked_at is None else self.asked_at + now - self.since

    @property
    def gate_ends(self) -> int | None:
        """When the plan answers for the person who is asked at its gate; None while nobody is."""
        gate = self.plan.stages[self.stage].gate
        if gate is None or self.hold is not Hold.APPROVAL:
            return None
        return (self.since if self.asked_at is None else self.asked_at) + gate.timeout_ms

    def announcing(self, kind: NoticeKind, text: str, now: int) -> Release:
        """Return this release with one more notice to send."""
        return replace(self, notices=(*self.notices, Notice(kind, text, now)))

    def noted(self, what: str, *, now: int, why: str, who: str = FLIPPER, **changes: Any) -> Release:
        """Return this release changed without a new state, with the change in its history."""
        return replace(self, history=(*self.history, Change(now, who, what, why)), **changes)
