"""What the router writes down of a request: for latest always, for current as a sample."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from canary.domain.audit import Arm, Row, RowUpdate, Status
from canary.domain.call import NOT_THE_STACKS_FAULT, Call, CallResult
from canary.domain.target import is_execution, shorten, state_machine_of

if TYPE_CHECKING:
    from canary.domain.offer import Offer
    from canary.domain.target import Pointer
    from canary.routing.router import Request

#: What the outcome of a call says of its row.
_TOLD_BY_A_CALL: Final = ("status", "transform_id", "state_machine", "started_at", "stopped_at", "error")


def claim_row(request: Request, request_id: str, share: int | None, release: Offer, pointer: Pointer, now: int) -> Row:
    """The row of a request that has a slot; ``share`` is the coin's."""
    return Row(
        app=request.app,
        release=release.release,
        request_id=request_id,
        status=Status.CLAIMED,
        claimed_at=now,
        target=pointer.target.arn,
        tag=pointer.tag,
        share=share,
        tenant=request.tenant,
        payload_sha256=hashlib.sha256(request.body).hexdigest(),
        payload_bytes=len(request.body),
    )


def given_up(there: Row | None, row: Row) -> bool:
    """Whether somebody else's row is there instead of ours."""
    return there is not None and (there.status, there.claimed_at) != (Status.CLAIMED, row.claimed_at)


def control_row(row: Row, outcome: RowUpdate) -> Row:
    """The same request as a sample of current."""
    return replace(row, arm=Arm.CURRENT, **{name: getattr(outcome, name) for name in _TOLD_BY_A_CALL})


def outcome_of(call: Call, started_at: int, now: int) -> RowUpdate:
    """What a call on latest puts on record."""
    if call.result is CallResult.UNCLEAR:
        return RowUpdate(status=Status.LOST, stopped_at=now, error=call.error)
    if call.result is not CallResult.ANSWERED:
        ours = call.result in NOT_THE_STACKS_FAULT
        return RowUpdate(status=Status.LOST if ours else Status.FAILED, stopped_at=now, error=call.error, unstarted=ours)
    if call.untraced:
        error = "no transform id was found in the answer (see the plan's transform_id): its outcome cannot be followed"
        return RowUpdate(status=Status.LOST, started_at=started_at, stopped_at=now, error=error)
    if call.transform_id is None:
        return RowUpdate(status=Status.SUCCEEDED, started_at=started_at, stopped_at=now)
    if not is_execution(call.transform_id):
        error = "the transform id is not the ARN of a Standard execution: its outcome cannot be followed"
        kept = shorten(call.transform_id)  # whatever it is: an index takes 2,048 bytes, an item 400 KB
        return RowUpdate(status=Status.LOST, transform_id=kept, started_at=started_at, stopped_at=now, error=error)
    machine = state_machine_of(call.transform_id)
    return RowUpdate(status=Status.RUNNING, transform_id=call.transform_id, state_machine=machine, started_at=started_at)
