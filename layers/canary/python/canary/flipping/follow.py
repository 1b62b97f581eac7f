"""Follow: how the requests of a release ended, counted exactly once.

A row becomes terminal; then the release counts it and marks its id, in one write; then the row leaves the index of rows in
flight; then the mark goes. Whatever a crash leaves undone, the next pass finds by what is still there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final, TypeVar

from canary.domain.audit import IN_FLIGHT, ExecutionStatus, Row, RowUpdate, Status, abandoned, settle
from canary.domain.release import Release
from canary.domain.target import InvalidTarget, TargetKind, execution_arn, is_execution, parse_target
from canary.flipping.world import World

#: Ids in one write: an expression has 4 KB.
_BATCH: Final = 50

T = TypeVar("T")

_METRICS = {
    Status.SUCCEEDED: "OutcomeSucceeded",
    Status.FAILED: "OutcomeFailed",
    Status.TIMED_OUT: "OutcomeTimedOut",
    Status.ABORTED: "OutcomeAborted",
    Status.LOST: "OutcomeLost",
}


def follow(world: World, release: Release) -> str | None:
    """Bring a release's rows and counters up to date. Return why an outcome cannot be read, None when all can.

    Raises `Unavailable`. Gives up quietly when somebody else is faster: the next pass goes on.
    """
    if not (release.in_flight or release.open or release.counted):
        return None
    app, name = release.app, release.release
    ids = set(world.audit.in_flight(app, name)) | release.open.keys() | release.counted.keys()
    rows = dict(world.audit.rows(app, name, ids))
    _fence_off(world, release, rows)
    unreadable = _settle_rows(world, release, rows)
    _count(world, release, rows)
    return unreadable


def _fence_off(world: World, release: Release, rows: dict[str, Row]) -> None:
    """Close the door on routers that claimed and were never heard of: the row that they would have to put is put here."""
    for request_id, claimed_at in release.open.items():
        if request_id in rows:
            continue
        row = abandoned(release.app, release.release, request_id, claimed_at, release.target, release.tag, world.clock())
        if row is not None:
            rows[request_id] = world.audit.put(row) or row


def _settle_rows(world: World, release: Release, rows: dict[str, Row]) -> str | None:
    in_flight = [row for row in rows.values() if row.status in IN_FLIGHT]
    wanted = {row.request_id: arn for row in in_flight if (arn := _execution_of(row, release, rows))}
    seen = world.executions.observe(wanted.values()) if wanted else {}
    unreadable = None
    for row in in_flight:
        execution = seen.get(wanted.get(row.request_id, ""))
        if execution is not None and execution.status is ExecutionStatus.UNREADABLE:
            unreadable = f"the status of {execution.arn} cannot be read: {execution.error}"
        update = settle(row, execution, world.clock())
        if update is not None and world.audit.update(row, update):
            rows[row.request_id] = _updated(row, update)
    return unreadable


def _execution_of(row: Row, release: Release, rows: Mapping[str, Row]) -> str | None:
    """The execution to ask about: the row's own, or the one that a target which uses our request id would have started."""
    if row.transform_id is not None:
        return row.transform_id if is_execution(row.transform_id) else None
    try:
        target = parse_target(row.target)
    except InvalidTarget:
        return None
    if target.kind is TargetKind.STATE_MACHINE:
        return execution_arn(row.target, row.request_id)
    siblings = (other.state_machine for other in rows.values() if other.state_machine and other.target == row.target)
    machine = release.state_machine or next(siblings, None)
    return execution_arn(machine, row.request_id) if machine else None


def _updated(row: Row, update: RowUpdate) -> Row:
    return replace(
        row,
        status=update.status,
        unstarted=update.unstarted,
        transform_id=row.transform_id or update.transform_id,
        stopped_at=update.stopped_at,
    )


def _count(world: World, release: Release, rows: Mapping[str, Row]) -> None:
    """Count what has ended and is not counted, and clear what is: the release first, the rows after it."""
    current = release
    news = [row for row in rows.values() if _is_new(row, release) or row.request_id in release.open]
    for batch in _batches(news):
        after = _accounted(current, batch)
        if not world.releases.save(current, after):
            return
        for row in batch:
            if _is_new(row, current):
                world.count(_METRICS[row.status], release.app, 1)
        current = replace(after, rev=current.rev + 1)
    for counted in filter(None, map(rows.get, current.counted)):
        if not counted.counted:
            world.audit.mark_counted(counted)
    for ids in _batches(current.counted):
        after = replace(current, counted={name: status for name, status in current.counted.items() if name not in ids})
        if not world.releases.save(current, after):
            return
        current = replace(after, rev=current.rev + 1)


def _is_new(row: Row, release: Release) -> bool:
    return row.status not in IN_FLIGHT and not row.counted and row.request_id not in release.counted


def _accounted(release: Release, rows: Sequence[Row]) -> Release:
    """The release with these rows seen: their outcomes counted, once, and their ids no longer open."""
    new = [row for row in rows if _is_new(row, release)]
    tally = release.tally
    for row in new:
        tally = tally.plus(row.status, unstarted=row.unstarted)
    seen = {row.request_id for row in rows}
    return replace(
        release,
        tally=tally,
        counted={**release.counted, **{row.request_id: row.status.value for row in new}},
        open={request_id: at for request_id, at in release.open.items() if request_id not in seen},
        claimed=release.claimed - sum(row.unstarted for row in new),
        state_machine=release.state_machine or next((row.state_machine for row in rows if row.state_machine), None),
    )


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, _BATCH)):
        yield batch
