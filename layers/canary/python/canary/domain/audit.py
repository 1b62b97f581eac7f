"""Rows of the audit table: one for each request that was sent to latest."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from canary.domain.target import state_machine_of


class Arm(StrEnum):
    """Which stack a row's request went to: latest, or current as a control sample of a release."""

    LATEST = "latest"
    CURRENT = "current"


class Status(StrEnum):
    """A row's status. CLAIMED and RUNNING are in flight, the others are outcomes and never change again."""

    CLAIMED = "CLAIMED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    ABORTED = "ABORTED"
    LOST = "LOST"


IN_FLIGHT: Final = frozenset({Status.CLAIMED, Status.RUNNING})
OUTCOMES: Final = frozenset(Status) - IN_FLIGHT
#: Outcomes that speak against a stack.
FAILURES: Final = frozenset({Status.FAILED, Status.TIMED_OUT, Status.ABORTED})

#: How long a finished row stays in the table.
KEEP_MS: Final = 90 * 86_400_000
#: Clocks differ a little. An execution that started longer before its request than this is somebody else's.
SKEW_MS: Final = 5_000
#: A router lives 29 s at most; a claim without a row, or a row without an execution, that is older than this was left behind.
GRACE_MS: Final = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One audit row.

    ``share``: the coin's, in parts of 10,000. ``batch``: the one that its slot came from, if it did. ``unstarted``: surely
    nothing ran, so the slot goes back. ``counted``: in the release's counters.
    """

    app: str
    release: str
    request_id: str
    status: Status
    claimed_at: int
    target: str
    tag: str
    arm: Arm = Arm.LATEST
    share: int | None = None
    batch: str | None = None
    transform_id: str | None = None
    state_machine: str | None = None
    started_at: int | None = None
    stopped_at: int | None = None
    tenant: str | None = None
    error: str | None = None
    payload_sha256: str | None = None
    payload_bytes: int | None = None
    unstarted: bool = False
    fell_back: bool = False
    counted: bool = False

    @property
    def duration_ms(self) -> int | None:
        """How long the workflow ran, once it has ended."""
        if self.started_at is None or self.stopped_at is None:
            return None
        return max(0, self.stopped_at - self.started_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowUpdate:
    """What became of a row in flight. Fields left None stay as they are in the row."""

    status: Status
    transform_id: str | None = None
    state_machine: str | None = None
    started_at: int | None = None
    stopped_at: int | None = None
    error: str | None = None
    unstarted: bool = False
    fell_back: bool = False


class ExecutionStatus(StrEnum):
    """What Step Functions says of an execution; MISSING when it knows none, UNREADABLE when we may not ask."""

    RUNNING = "RUNNING"
    PENDING_REDRIVE = "PENDING_REDRIVE"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    ABORTED = "ABORTED"
    MISSING = "MISSING"
    UNREADABLE = "UNREADABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One execution as it was observed."""

    arn: str
    status: ExecutionStatus
    started_at: int | None = None
    stopped_at: int | None = None
    error: str | None = None

    @property
    def name(self) -> str:
        """Its name: a request id, where the router has started it."""
        return self.arn.rsplit(":", 1)[-1]


def settle(row: Row, seen: Execution | None, now: int) -> RowUpdate | None:
    """Say what an observation makes of a row in flight; None when it says nothing new.

    ``seen`` is the row's execution, found by transform id or, for a CLAIMED row, by name; None: nothing to look for.
    """
    if row.status not in IN_FLIGHT:
        return None
    age = now - (row.started_at or row.claimed_at)
    if seen is None or seen.status is ExecutionStatus.MISSING:
        if age <= GRACE_MS:
            return None
        error = (
            "no answer on record and no execution found: the router was cut off"
            if row.status is Status.CLAIMED
            else f"the execution {row.transform_id} is not known to Step Functions"
        )
        return RowUpdate(status=Status.LOST, stopped_at=now, error=error)
    if seen.started_at is not None and seen.started_at < row.claimed_at - SKEW_MS:
        error = f"the execution {seen.arn} had started before the request was claimed: it says nothing about it"
        return RowUpdate(status=Status.LOST, stopped_at=now, error=error)
    arn, machine = (None, None) if row.transform_id else (seen.arn, state_machine_of(seen.arn))
    match seen.status:
        case ExecutionStatus.UNREADABLE | ExecutionStatus.PENDING_REDRIVE:
            return None
        case ExecutionStatus.RUNNING if row.status is Status.RUNNING:
            return None
        case ExecutionStatus.RUNNING:
            return RowUpdate(status=Status.RUNNING, transform_id=arn, state_machine=machine, started_at=seen.started_at)
        case outcome:
            return RowUpdate(
                status=Status(outcome.value),
                transform_id=arn,
                state_machine=machine,
                started_at=seen.started_at,
                stopped_at=seen.stopped_at or now,
                error=seen.error,
            )


def abandoned(app: str, release: str, request_id: str, claimed_at: int, target: str, tag: str, now: int) -> Row | None:
    """The row that fences off a router which claimed and was never heard of again; None while it may still be alive."""
    if now - claimed_at <= GRACE_MS:
        return None
    return Row(
        app=app,
        release=release,
        request_id=request_id,
        status=Status.LOST,
        claimed_at=claimed_at,
        stopped_at=now,
        target=target,
        tag=tag,
        unstarted=True,
        error="claimed, then never sent: the router was cut off; the slot was given back",
    )
