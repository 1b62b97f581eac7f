"""Follow: how the requests of a release ended, counted exactly once.

A row becomes terminal; then the release counts it and marks its id, in one write; then the row leaves the index of rows in
flight; then the mark goes. Whatever a crash leaves undone, the next pass finds by what is still there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from canary.domain.audit import GRACE_MS, IN_FLIGHT, Arm, ExecutionStatus, Row, RowUpdate, Status, abandoned, settle
from canary.domain.counting import is_new
from canary.domain.evidence import Running
from canary.domain.plan import OnAbort
from canary.domain.release import Release
from canary.domain.states import ReleaseState
from canary.domain.target import InvalidTarget, TargetKind, execution_arn, is_execution, parse_target
from canary.errors import Unavailable
from canary.flipping.count import count, parts
from canary.flipping.world import World

#: After so many workflows that could not be stopped the next pass tries again.
_MOST_TROUBLES: Final = 3


@dataclass(frozen=True, slots=True)
class Followed:
    """What following a release has shown: what runs on latest, control samples that run, and what cannot be read.

    ``whole`` is False while the index of rows in flight lags behind the counters: then more may be running. ``overtaken``:
    somebody else was faster to change a row or the release, and what has ended is not counted yet. ``troubles``: what could
    not be done, and is tried again by the next pass.
    """

    running: tuple[Running, ...] = ()
    controls: int = 0
    blind: str | None = None
    whole: bool = True
    overtaken: bool = False
    troubles: tuple[str, ...] = ()


def follow(world: World, release: Release) -> Followed:
    """Bring a release's rows and counters up to date. Raises `Unavailable`.

    Gives up quietly when somebody else is faster: the next pass goes on.
    """
    release = _without_dead_batches(world, release)
    app, name = release.app, release.release
    ids = set(world.audit.in_flight(app, name)) | release.open.keys() | release.counted.keys()
    if not ids:
        return Followed(whole=release.in_flight <= sum(batch.slots for batch in release.batches.values()))
    rows = dict(world.audit.rows(app, name, ids))
    whole = _is_whole(release, rows)
    _fence_off(world, release, rows)
    blind, refused = _settle_rows(world, release, rows)
    uncounted = count(world, release, rows, whole=whole)
    return Followed(
        running=_running(release, rows),
        controls=sum(row.arm is Arm.CURRENT and row.status in IN_FLIGHT for row in rows.values()),
        blind=blind,
        whole=whole,
        overtaken=bool(uncounted) or refused,
        troubles=_stop(world, release, rows.values()),
    )


def _is_whole(release: Release, rows: Mapping[str, Row]) -> bool:
    """Whether all requests are there that the counters say are on their way; of a batch nobody knows how many are used yet."""
    unseen = sum(request_id not in rows for request_id in release.open)
    found = sum(row.arm is Arm.LATEST and (row.status in IN_FLIGHT or is_new(row, release)) for row in rows.values())
    unused = sum(batch.slots for batch in release.batches.values())
    return unseen + found + unused >= release.in_flight


def _without_dead_batches(world: World, release: Release) -> Release:
    """Take back what processes that are gone had not used of their batches: their rows tell what they had.

    All are found dead before their rows are counted: after that none can come. Hundreds may have died at once.
    """
    now = world.clock()
    dead = {name: batch for name, batch in release.batches.items() if batch.over(now)}
    if not dead:
        return release
    oldest = min(batch.taken_at for batch in dead.values())
    used = world.audit.of_batches(release.app, release.release, dead.keys(), oldest)
    for names in parts(dead):
        unused = sum(dead[name].slots - used.get(name, 0) for name in names)
        kept = {name: each for name, each in release.batches.items() if name not in names}
        after = replace(release, claimed=release.claimed - unused, batches=kept)
        if not world.releases.save(release, after):
            break
        release = replace(after, rev=release.rev + 1)
    return release


def _running(release: Release, rows: Mapping[str, Row]) -> tuple[Running, ...]:
    """Requests on latest that have not ended."""
    known = [row for row in rows.values() if row.arm is Arm.LATEST and row.status in IN_FLIGHT]
    running = [Running(row.claimed_at, _share(row.share, release), row.started_at) for row in known]
    unseen = [Running(at, release.share) for request_id, at in release.open.items() if request_id not in rows]
    return (*running, *unseen)


def _share(share: int | None, release: Release) -> int:
    return share if share is not None else release.share


def _stop(world: World, release: Release, rows: Iterable[Row]) -> tuple[str, ...]:
    """Stop what still runs on a stack that is out, where the plan says so; say what could not be stopped."""
    if release.plan.on_abort is not OnAbort.STOP or release.state not in {ReleaseState.ABORTING, ReleaseState.ABORTED}:
        return ()
    troubles: list[str] = []
    for row in rows:
        if len(troubles) > _MOST_TROUBLES:
            break
        if row.status is Status.RUNNING and row.arm is Arm.LATEST and row.transform_id and is_execution(row.transform_id):
            try:
                world.executions.stop(row.transform_id, f"canary release {release.release} was aborted: {release.reason}"[:1000])
            except Unavailable as error:  # one that may not be stopped does not keep the others from it
                troubles.append(f"{row.transform_id} could not be stopped: {error}")
    return tuple(troubles)


def _fence_off(world: World, release: Release, rows: dict[str, Row]) -> None:
    """Close the door on routers that claimed and were never heard of: the row that they would have to put is put here."""
    for request_id, claimed_at in release.open.items():
        if request_id in rows:
            continue
        row = abandoned(release.app, release.release, request_id, claimed_at, release.target, release.tag, world.clock())
        if row is not None:
            rows[request_id] = world.audit.put(row) or row


def _settle_rows(world: World, release: Release, rows: dict[str, Row]) -> tuple[str | None, bool]:
    """Settle what has ended. Tells what cannot be read, and whether a row had moved on since it was read."""
    in_flight = [row for row in rows.values() if row.status in IN_FLIGHT]
    wanted = {row.request_id: arn for row in in_flight if (arn := _execution_of(row, release, rows, world.clock()))}
    seen = world.executions.observe(wanted.values()) if wanted else {}
    unreadable, refused = None, False
    for row in in_flight:
        execution = seen.get(wanted.get(row.request_id, ""))
        if execution is None and row.request_id in wanted:  # there are too many to look at, and the next pass goes on
            rows[row.request_id] = replace(row, started_at=world.clock())  # nobody knows for how long it has been running
            continue
        update = settle(row, execution, world.clock())
        if update is not None:
            if world.audit.update(row, update):
                rows[row.request_id] = _updated(row, update)
            else:  # its router was faster, or our own first try, whose answer was lost
                refused = True
        elif execution is not None and execution.status is ExecutionStatus.RUNNING and execution.started_at is not None:
            rows[row.request_id] = replace(row, started_at=execution.started_at)  # the row's is that of the call
        elif execution is not None and execution.status is ExecutionStatus.UNREADABLE:
            unreadable = f"the status of {execution.arn} cannot be read: {execution.error}"
            rows[row.request_id] = replace(row, started_at=world.clock())  # nobody knows for how long it has been running
    return unreadable, refused


def _execution_of(row: Row, release: Release, rows: Mapping[str, Row], now: int) -> str | None:
    """The execution to ask about: the row's own, or the one that a target which uses our request id would have started."""
    if row.transform_id is not None:
        return row.transform_id if is_execution(row.transform_id) else None
    try:
        target = parse_target(row.target)
    except InvalidTarget:
        return None
    if target.kind is TargetKind.STATE_MACHINE:
        return execution_arn(row.target, row.request_id)
    if now - row.claimed_at <= GRACE_MS:  # what the stack itself answers goes before a guess, and its router may still tell
        return None
    siblings = (other.state_machine for other in rows.values() if other.state_machine and other.target == row.target)
    machine = release.state_machine or next(siblings, None)
    return execution_arn(machine, row.request_id) if machine else None


def _updated(row: Row, update: RowUpdate) -> Row:
    return replace(
        row,
        status=update.status,
        unstarted=update.unstarted,
        transform_id=row.transform_id or update.transform_id,
        state_machine=row.state_machine or update.state_machine,
        started_at=update.started_at if update.started_at is not None else row.started_at,
        stopped_at=update.stopped_at,
    )
