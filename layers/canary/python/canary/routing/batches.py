"""Batches of slots that this process has taken, for stages in which nothing counts the requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from canary.domain.batch import Batch, size_after

if TYPE_CHECKING:  # a router starts often, and each of these modules takes its time to import
    from canary.domain.offer import Offer
    from canary.routing.needs import Slots


@dataclass(slots=True)
class _Taken:
    """A batch and how many of its slots are left."""

    release: str
    name: str
    batch: Batch
    left: int


class Batches:
    """Gives slots out, one for each request, and takes more when they are used up or their time is over."""

    def __init__(self, slots: Slots, random_bits: Callable[[int], int]) -> None:
        self._slots = slots
        self._random_bits = random_bits
        self._lock = Lock()
        self._taken: dict[str, _Taken] = {}

    def slot(self, release: Offer, now: int) -> str | None:
        """Take one slot and name its batch; None where there is none. Raises `Unavailable`."""
        with self._lock:
            taken = self._taken.get(release.app)
            if taken is not None and taken.release != release.release:
                taken = None  # what is left of another release's the flipper takes back
            if taken is None or not taken.left or not taken.batch.open(now):
                taken = self._next(release, taken, now)
            if taken is None:
                return None
            taken.left -= 1
            return taken.name

    def forget(self, app: str) -> None:
        """Use no more of a batch of which it is not known how many slots have a row; what is left the flipper takes back."""
        with self._lock:
            self._taken.pop(app, None)

    def _next(self, release: Offer, before: _Taken | None, now: int) -> _Taken | None:
        """Take the next batch, and give back with it what is left of the one before, which no request may use any more."""
        self._taken.pop(release.app, None)
        used = before.batch.slots - before.left if before else 0
        batch = Batch(size_after(before.batch if before else None, used, now), now)
        name = f"{self._random_bits(64):016x}"
        unused = (before.name, before.left) if before else None
        slots = self._slots.claim_batch(release.app, release.release, (name, batch), release.granted, unused)
        if not slots:
            return None
        taken = _Taken(release.release, name, Batch(slots, now), slots)
        self._taken[release.app] = taken
        return taken
