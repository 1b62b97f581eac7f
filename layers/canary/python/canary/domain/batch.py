"""Batches: slots that one router process takes in one write, and gives out for a few seconds.

For stages that send a share of the traffic and count no requests. There a write for each request would make the release the
hottest item of its table. A batch is claimed as a whole: at no time are more slots claimed than were granted. What a process
did not use it gives back with its next batch; of a process that is gone the flipper counts the rows, once none can come any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from canary.domain.audit import GRACE_MS

#: So long a process gives slots out of a batch: stop means stop within it.
BATCH_MS: Final = 3_000
#: Indexes of a table lag behind it, and in no order: by seconds at most, and a row is put a little after its claim.
LAG_MS: Final = 10_000
#: More are never taken at once.
MOST_SLOTS: Final = 200


@dataclass(frozen=True, slots=True)
class Batch:
    """So many ``slots`` were taken at once."""

    slots: int
    taken_at: int

    def open(self, now: int) -> bool:
        """Whether its slots may still be given out."""
        return now < self.taken_at + BATCH_MS

    def over(self, now: int) -> bool:
        """Whether no row of it can come any more: a request outlives neither its slot's time nor the router's own timeout."""
        return now > self.taken_at + BATCH_MS + GRACE_MS


def unseen_since(batches: Iterable[Batch]) -> int | None:
    """Since when requests may run that no pass has seen; None while all are seen.

    Without batches the counters tell whether the index of rows in flight shows all that runs. How many slots of a batch are used
    they do not tell: so rows of an open batch that are seen may hide that others, whose batches have come back, are not yet.
    These were put shortly before the oldest batch was taken, or later.
    """
    oldest = min((batch.taken_at for batch in batches), default=None)
    return None if oldest is None else oldest - LAG_MS


def size_after(batch: Batch | None, used: int, now: int) -> int:
    """How many slots to take next: twice as many where they went before their time, else as many as were used."""
    if batch is None:
        return 1
    if batch.open(now):
        return min(MOST_SLOTS, 2 * batch.slots)
    return max(1, min(MOST_SLOTS, used))
