"""Evidence: what a release keeps of its outcomes, in constant space, and what the judge reads from it at one moment.

Outcomes come in any order and each comes once (the release's ``counted`` sees to that); nothing here depends on their order.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from canary.domain.baseline import Baseline
from canary.domain.share import ALONE as ALONE  # noqa: PLC0414 - where all but the router look for it

#: So many finished requests are kept apart, each in a slice of its own; above it neighbours are put together.
MOST_SLICES: Final = 64
_BINS: Final = 5


@dataclass(frozen=True, slots=True)
class Share:
    """Outcomes of requests that were sent at one share: those of latest, and ``control``: current's failures meanwhile."""

    finished: int = 0
    failed: int = 0
    control: int = 0


@dataclass(frozen=True, slots=True)
class Slice:
    """Outcomes of latest that were claimed up to ``until``, and after the slice before."""

    until: int
    finished: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What a release keeps of its outcomes.

    ``shares`` by what the coin was worth. ``bins`` counts finished requests of latest by duration. ``prefix`` holds those that
    were claimed before the oldest one that is unfinished, ``tail`` the others, oldest first. Failed workflows of current that
    started before ``compared_until`` (0: the release's opening) are in ``shares``; later ones are read anew in each pass.
    """

    shares: Mapping[int, Share] = field(default_factory=dict)
    bins: tuple[int, ...] = (0,) * _BINS
    prefix: Slice = Slice(0)
    tail: tuple[Slice, ...] = ()
    compared_until: int = 0

    def plus(self, *, share: int, failed: bool, claimed_at: int, duration_bin: int | None) -> Gathered:
        """Add an outcome of latest. ``duration_bin`` is None where its duration says nothing."""
        there = self.shares.get(share, Share())
        added = Share(there.finished + 1, there.failed + failed, there.control)
        bins, at = self.bins, duration_bin
        if at is not None:
            bins = (*bins[:at], bins[at] + 1, *bins[at + 1 :])
        return replace(self, shares={**self.shares, share: added}, bins=bins, tail=_inserted(self.tail, claimed_at, failed))

    def with_control(self, failures: Mapping[int, int], until: int | None = None) -> Gathered:
        """Add failures of current, of requests that had lost the coin, by share: all that started before ``until``, if given."""
        shares = dict(self.shares)
        for share, count in failures.items():
            there = shares.get(share, Share())
            shares[share] = replace(there, control=there.control + count)
        return replace(self, shares=shares, compared_until=self.compared_until if until is None else until)

    def settled_before(self, oldest: int | None) -> Gathered:
        """Move what was claimed before the oldest unfinished claim (None: there is none) from the tail to the prefix."""
        ready = [each for each in self.tail if oldest is None or each.until < oldest]
        if not ready:
            return self
        prefix = Slice(
            max(self.prefix.until, ready[-1].until),
            self.prefix.finished + sum(each.finished for each in ready),
            self.prefix.failed + sum(each.failed for each in ready),
        )
        return replace(self, prefix=prefix, tail=self.tail[len(ready) :])


def _inserted(tail: tuple[Slice, ...], claimed_at: int, failed: bool) -> tuple[Slice, ...]:  # noqa: FBT001 - an outcome
    at = bisect_left(tail, claimed_at, key=lambda each: each.until)
    if at < len(tail) and tail[at].finished > 1:  # several together: which of them were claimed before this one is forgotten
        there = tail[at]
        return (*tail[:at], Slice(there.until, there.finished + 1, there.failed + failed), *tail[at + 1 :])
    grown = (*tail[:at], Slice(claimed_at, 1, int(failed)), *tail[at:])
    return grown if len(grown) <= MOST_SLICES else _merged(grown)


def _merged(tail: tuple[Slice, ...]) -> tuple[Slice, ...]:
    """Put the two smallest neighbours together. They are credited together then, later rather than sooner.

    But not what was claimed in one moment in part with what came later: it would be credited in part.
    """
    before = [-1, *(each.until for each in tail)]
    whole = [number for number in range(len(tail) - 1) if before[number] < tail[number].until]
    at = min(whole, key=lambda number: tail[number].finished + tail[number + 1].finished)
    first, second = tail[at], tail[at + 1]
    both = Slice(second.until, first.finished + second.finished, first.failed + second.failed)
    return (*tail[:at], both, *tail[at + 2 :])


@dataclass(frozen=True, slots=True)
class Running:
    """One request on latest that has not ended: when it was claimed, at which share, when its workflow started."""

    claimed_at: int
    share: int
    started_at: int | None = None

    def age(self, now: int) -> int:
        """How long it has been on its way."""
        return max(0, now - (self.started_at if self.started_at is not None else self.claimed_at))

    def ran(self, now: int) -> int:
        """How long its workflow has been running for certain."""
        return self.age(now) if self.started_at is not None else 0


@dataclass(frozen=True, slots=True)
class Epoch:
    """Failures under one share below `ALONE`: of either stack (``both``), and those of ``latest``."""

    share: int
    both: int
    latest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that outcomes say at one moment.

    ``alone_*`` are requests at a share of `ALONE`, or of a release whose current cannot be compared; running ones count as
    started. ``prefix_*`` are those that were claimed before the oldest unfinished one. ``bins`` count running ones in the
    lowest bin that their age allows. ``overdue`` ones of those that run have run for so long that they count as failed until
    they end: in ``alone_*``, whatever their share, since nobody knows of current's, and in ``prefix_*``.
    """

    finished: int = 0
    failed: int = 0
    lost: int = 0
    running: int = 0
    overdue: int = 0
    oldest_ms: int = 0
    alone_started: int = 0
    alone_failed: int = 0
    epochs: tuple[Epoch, ...] = ()
    bins: tuple[int, ...] = (0,) * _BINS
    prefix_finished: int = 0
    prefix_failed: int = 0


def gather(
    kept: Gathered,
    running: Iterable[Running],
    control: Mapping[int, int] | None,
    baseline: Baseline,
    *,
    hung_after: float,
    lost: int,
    now: int,
    unseen_since: int | None = None,
) -> Evidence:
    """Read the evidence at one moment. ``control``: current's failures by share; None where current cannot be compared.

    Of what was claimed after ``unseen_since`` some may run unseen. A request is overdue once it has been on its way for longer
    than ``hung_after`` times what 99.9 % of current's take.
    """
    going = tuple(running)
    late = baseline.overdue_ms(hung_after)
    overdue = [each for each in going if late is not None and each.age(now) > late]
    in_time = [each for each in going if late is None or each.age(now) <= late] if overdue else going
    claims = [each.claimed_at for each in in_time]
    oldest = min([*claims, unseen_since] if unseen_since is not None else claims, default=None)
    ready = kept.settled_before(oldest).prefix
    hung = sum(oldest is None or each.claimed_at < oldest for each in overdue)
    compared = {*kept.shares, *control} - {ALONE} if control is not None else set()
    alone = [each for share, each in kept.shares.items() if share not in compared]
    bins = list(kept.bins)
    for each in going:
        bins[baseline.bin_of(each.ran(now))] += 1
    return Evidence(
        finished=sum(each.finished for each in kept.shares.values()),
        failed=sum(each.failed for each in kept.shares.values()),
        lost=lost,
        running=len(going),
        overdue=len(overdue),
        oldest_ms=max((each.age(now) for each in going), default=0),
        alone_started=sum(each.finished for each in alone)
        + sum(control is None or each.share == ALONE for each in in_time)
        + len(overdue),
        alone_failed=sum(each.failed for each in alone) + len(overdue),
        epochs=tuple(_epoch(share, kept.shares.get(share, Share()), control or {}) for share in sorted(compared)),
        bins=tuple(bins) if baseline.timed else (0,) * _BINS,
        prefix_finished=ready.finished + hung,
        prefix_failed=ready.failed + hung,
    )


def _epoch(share: int, outcomes: Share, control: Mapping[int, int]) -> Epoch:
    mine = outcomes.failed
    return Epoch(share, mine + outcomes.control + control.get(share, 0), mine)
