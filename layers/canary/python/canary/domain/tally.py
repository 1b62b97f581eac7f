"""A release's counters."""

from __future__ import annotations

from dataclasses import dataclass, replace

from canary.domain.audit import Status


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
    def known(self) -> int:
        """Requests that are known to have ended, well or not."""
        return self.succeeded + self.failures

    @property
    def settled(self) -> int:
        """Requests whose slot is used up."""
        return self.known + self.lost

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
