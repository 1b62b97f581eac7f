"""Counting what has ended, exactly once: first in the release, with a mark for each id; then in the rows; then the marks go.

One part after the other, so that the release never holds more than a few marks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Final, TypeVar

from canary.domain.audit import IN_FLIGHT, Arm, Row, Status
from canary.domain.batch import unseen_since
from canary.domain.counting import accounted, is_new
from canary.domain.release import Release
from canary.flipping.world import World

#: Ids in one write: an expression has 4 KB.
_PART: Final = 50

T = TypeVar("T")

_METRICS = {
    Status.SUCCEEDED: "OutcomeSucceeded",
    Status.FAILED: "OutcomeFailed",
    Status.TIMED_OUT: "OutcomeTimedOut",
    Status.ABORTED: "OutcomeAborted",
    Status.LOST: "OutcomeLost",
}


class _Overtaken(Exception):
    """Somebody else has changed the release since it was read."""


def count(world: World, release: Release, rows: dict[str, Row], *, whole: bool) -> frozenset[str]:
    """Clear what is counted, and count what has ended and is not. Raises `Unavailable`.

    Evidence settles only while the ``whole`` of what runs is known. Returns the ids that have ended and are not counted, since
    somebody else was faster: the next pass goes on.
    """
    current = release
    with suppress(_Overtaken):
        current = _cleared(world, current, rows)
        tell = current.control is None  # a control sample tells at once where current's workflows run
        news = [name for name, row in rows.items() if is_new(row, current) or name in current.open or (tell and _sample(row))]
        waiting = list(parts(news))
        while waiting:
            current = _counted(world, current, rows, waiting, whole=whole)
            del waiting[0]
            current = _cleared(world, current, rows)
    return frozenset(name for name, row in rows.items() if is_new(row, current))


def _counted(world: World, release: Release, rows: Mapping[str, Row], waiting: list[list[str]], *, whole: bool) -> Release:
    """Count the first of the parts that wait, in one write. Raises `_Overtaken`."""
    now, *later = waiting
    part = [rows[name] for name in now]
    after = accounted(release, part)
    after = _absorbed(after, rows, [name for names in later for name in names]) if whole else after
    after = _saved(world, release, after)
    for row in part:
        if is_new(row, release) and row.arm is Arm.LATEST:
            world.count(_METRICS[row.status], release.app, 1)
    return after


def _cleared(world: World, release: Release, rows: dict[str, Row]) -> Release:
    """Take what is counted out of the index of rows in flight, then its marks out of the release. Raises `_Overtaken`."""
    for row in filter(None, map(rows.get, release.counted)):
        if not row.counted:
            world.audit.mark_counted(row)
            rows[row.request_id] = replace(row, counted=True)
    for names in parts(release.counted):
        marks = {name: status for name, status in release.counted.items() if name not in names}
        release = _saved(world, release, replace(release, counted=marks))
    return release


def _saved(world: World, before: Release, after: Release) -> Release:
    if not world.releases.save(before, after):
        raise _Overtaken
    return replace(after, rev=before.rev + 1)


def _sample(row: Row) -> bool:
    return row.arm is Arm.CURRENT and row.status is Status.RUNNING


def _absorbed(release: Release, rows: Mapping[str, Row], later: Collection[str]) -> Release:
    """The release with its evidence settled up to the oldest claim that has not ended, or is not counted yet."""
    going = [row.claimed_at for row in rows.values() if row.status in IN_FLIGHT and row.arm is Arm.LATEST]
    unseen = [at for request_id, at in release.open.items() if request_id not in rows]
    if (since := unseen_since(release.batches.values())) is not None:
        unseen.append(since)
    oldest = min((*going, *unseen, *(rows[name].claimed_at for name in later)), default=None)
    return replace(release, gathered=release.gathered.settled_before(oldest))


def parts(items: Iterable[T]) -> Iterator[list[T]]:
    """Split what is to be written into parts that fit into one write each."""
    iterator = iter(items)
    while part := list(islice(iterator, _PART)):
        yield part
