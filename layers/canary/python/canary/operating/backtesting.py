"""Backtesting: what a plan would have decided about an app's past releases, read from the tables and replayed. Nothing writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from canary.domain.asks import NotPossible
from canary.domain.audit import FAILURES, IN_FLIGHT, SKEW_MS, Arm, Execution, Row, Status
from canary.domain.baseline import MOST_PAST, Baseline, Past, baseline_of
from canary.domain.evidence import ALONE
from canary.domain.plan import OnAbort, Plan
from canary.domain.release import Release
from canary.domain.request_id import digest_of, record_of
from canary.domain.states import ENDED, ReleaseState
from canary.errors import Unavailable
from canary.operating.reading import MOST_RELEASES, Reader, Wanted
from canary.operating.replaying import Decision, Replayed, Tape, replay
from canary.ports import Executions

_S = ReleaseState
#: Where a release goes when it gets no more requests.
_OVER: Final = frozenset({_S.PROMOTING, _S.ABORTING, *ENDED})
_PROMOTED: Final = frozenset({_S.PROMOTED, _S.ROLLED_BACK})
_FROZEN: Final = "the history frozen when it opened"
_NOTHING: Final = "no history"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """One release, and what the plan would have done. ``sent`` requests really went to latest.

    ``against`` says what latest was held against, ``meanwhile`` what is known of current's failures in the same time.
    """

    release: Release
    replayed: Replayed
    sent: int
    baseline: Baseline
    against: str
    meanwhile: str

    @property
    def agrees(self) -> bool | None:
        """Whether the plan would have promoted what was promoted; None where either has decided nothing."""
        if self.replayed.decision is Decision.UNDECIDED or self.release.state is _S.SUPERSEDED:
            return None
        return (self.replayed.decision is Decision.PROMOTE) == (self.release.state in _PROMOTED)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A release that cannot be replayed."""

    release: Release
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """What a plan would have decided about an app's newest releases, newest first."""

    app: str
    plan: Plan
    tested: tuple[Tested, ...]
    left_out: tuple[LeftOut, ...]


def backtest(reader: Reader, executions: Executions, app: str, plan: Plan, *, most: int, now: int) -> Backtest:
    """Replay an app's newest releases that have ended. Raises `NotPossible` when there is none, and `Unavailable`."""
    past = reader.releases(app, MOST_RELEASES)
    chosen = [release for release in past if release.ended][:most]
    if not chosen:
        reader.overview(app)  # says so where there is no such app
        raise NotPossible(f"{app!r} has had no release that has ended, so there is nothing to replay: see `canary simulate`")
    archive = _Archive(reader, executions, past)
    tested, left_out = list[Tested](), list[LeftOut]()
    for release in chosen:
        rows = archive.rows(release)
        if why := _missing(release, rows):
            left_out.append(LeftOut(release, why))
        else:
            tested.append(archive.tested(release, rows, plan, now))
    return Backtest(app=app, plan=plan, tested=tuple(tested), left_out=tuple(left_out))


class _Archive:
    """The past of an app. What more than one release needs is read once."""

    def __init__(self, reader: Reader, executions: Executions, past: Sequence[Release]) -> None:
        self._reader = reader
        self._executions = executions
        self._past = past
        self._rows: dict[str, tuple[Row, ...]] = {}
        self._failures: dict[str, Sequence[Execution] | Unavailable] = {}

    def rows(self, release: Release) -> tuple[Row, ...]:
        """Read the rows of a release, as yet uncounted."""
        if release.release not in self._rows:
            found = self._reader.rows(release.app, [release.release], Wanted())
            self._rows[release.release] = tuple(replace(row, counted=False) for row in found)
        return self._rows[release.release]

    def tested(self, release: Release, rows: Sequence[Row], plan: Plan, now: int) -> Tested:
        """Replay one release."""
        began = next((change.at for change in release.history if _leads_to(change.what) is _S.RUNNING), release.opened_at)
        baseline, against = self._baseline(release, began)
        latest = [row for row in rows if row.arm is Arm.LATEST]
        control, meanwhile = self._control(release, rows) if plan.judged else ((), "")
        until = _until(release, latest, now)
        tape = Tape(
            release=release,
            baseline=baseline,
            rows=(*(_left_alone(row, release, until) for row in latest), *(control if isinstance(control, tuple) else ())),
            began=began,
            covered=_covered(release, latest, began),
            until=until,
            compared=isinstance(control, tuple),
            uncompared=isinstance(control, Unavailable),
        )
        return Tested(
            release=release,
            replayed=replay(tape, plan),
            sent=sum(not row.unstarted for row in latest),
            baseline=baseline,
            against=against,
            meanwhile=meanwhile,
        )

    def _baseline(self, release: Release, began: int) -> tuple[Baseline, str]:
        """The history that was frozen; else that of the stack which was current, from the releases that made it so."""
        if release.baseline.executions:
            return release.baseline, _FROZEN
        target = _current(self._past, began)
        older = [one for one in self._past if one.target == target and one.opened_at < began and one is not release]
        rows = [row for one in older for row in self.rows(one) if _is_past(row, began)]
        past = sorted((_past(row) for row in rows), key=lambda each: each.started_at)[-MOST_PAST:]
        source = f"{len(past)} requests on record of the stack that was current" if past else _NOTHING
        return baseline_of(past, source), source

    def _control(self, release: Release, rows: Sequence[Row]) -> tuple[tuple[Row, ...] | Unavailable | None, str]:
        """Current's failures while the coin decided; None where they are not on record."""
        calls = tuple(row for row in rows if row.arm is Arm.CURRENT and row.status in FAILURES and row.transform_id is None)
        told = release.control
        if not release.plan.judged or (told is None and not calls) or (told is not None and not told.named):
            return None, "current's failures in the same time are not on record: its history alone is compared"
        machine = told.machine if told is not None else None
        if machine is None or all(row.share in (None, ALONE) for row in rows):
            return calls, "current's failures in the same time are compared"
        found = self._failed(machine)
        if isinstance(found, Unavailable):
            return found, f"current's failures in the same time cannot be read, so requests of the coin say nothing: {found}"
        return (*calls, *_marked(release, found)), "current's failures in the same time are compared"

    def _failed(self, machine: str) -> Sequence[Execution] | Unavailable:
        if machine not in self._failures:
            since = min(one.opened_at for one in self._past if one.control is not None and one.control.machine == machine)
            try:
                self._failures[machine] = self._executions.failures(machine, since - SKEW_MS)
            except Unavailable as error:
                self._failures[machine] = error
        return self._failures[machine]


def _missing(release: Release, rows: Sequence[Row]) -> str | None:
    """Say why a release cannot be replayed."""
    known = sum(row.arm is Arm.LATEST for row in rows)
    counted = release.tally.settled + release.tally.refunded
    if known < counted:
        return f"{counted - known} of {counted} rows have expired"
    return None if known else "no request went to latest"


def _leads_to(what: str) -> ReleaseState | None:
    """The state that a line of a release's history ends in; None where it is no move."""
    before, arrow, after = what.partition(" → ")
    return ReleaseState(after) if arrow and before in ReleaseState.__members__ else None


def _covered(release: Release, latest: Sequence[Row], began: int) -> int:
    """Until when the record shows what requests would have done: as long as there were slots for them."""
    over = (change.at for change in release.history if _leads_to(change.what) in _OVER)
    if release.claimed < release.granted:
        return next(over, release.since)
    return max((row.claimed_at for row in latest), default=began)


def _until(release: Release, latest: Sequence[Row], now: int) -> int:
    """Until when workflows were left alone: what we have stopped ourselves says nothing.

    What is on record has happened, also where the clock here is slow.
    """
    until = max([now, *(row.stopped_at for row in latest if row.stopped_at is not None)])
    if release.plan.on_abort is not OnAbort.STOP:
        return until
    over = next((change.at for change in release.history if _leads_to(change.what) is _S.ABORTING), until)
    ended = (row.stopped_at for row in latest if row.status is Status.ABORTED and row.stopped_at is not None)
    return min((at for at in ended if at >= over), default=until)


def _left_alone(row: Row, release: Release, until: int) -> Row:
    """The row as it was before we stopped its workflow: running."""
    stops = release.plan.on_abort is OnAbort.STOP and row.status is Status.ABORTED
    if not stops or row.stopped_at is None or row.stopped_at < until:
        return row
    return replace(row, status=Status.RUNNING, stopped_at=None)


def _current(past: Sequence[Release], at: int) -> str | None:
    """The stack that the promotions on record had made current by then."""
    moves = [(change.at, _leads_to(change.what), one.target) for one in past for change in one.history if change.at < at]
    serving: list[str] = []
    for _, state, target in sorted(move for move in moves if move[1] is not None):
        if state is _S.WATCHING:
            serving.append(target)
        elif state is _S.ROLLED_BACK and serving and serving[-1] == target:
            serving.pop()
    return serving[-1] if serving else None


def _is_past(row: Row, before: int) -> bool:
    ended = row.arm is Arm.LATEST and row.status not in IN_FLIGHT | {Status.LOST}
    return ended and row.stopped_at is not None and row.stopped_at < before


def _past(row: Row) -> Past:
    return Past(row.status in FAILURES, row.started_at if row.started_at is not None else row.claimed_at, row.duration_ms)


def _marked(release: Release, failed: Sequence[Execution]) -> Iterator[Row]:
    """Current's failed workflows that lost the release's coin, as their names tell, in the shape of control samples."""
    digest = digest_of(release.release)
    for execution in failed:
        name = execution.arn.rsplit(":", 1)[-1]
        mark = record_of(name)
        if mark is None or mark.control is None or mark.control[0] != digest or execution.started_at is None:
            continue
        yield Row(
            app=release.app,
            release=release.release,
            request_id=name,
            status=Status.FAILED,
            claimed_at=execution.started_at,
            target=execution.arn,
            tag="current",
            arm=Arm.CURRENT,
            share=mark.control[1],
            stopped_at=execution.stopped_at,
        )


def counts(tested: Sequence[Tested]) -> Mapping[str, int]:
    """Count what came out. ``caught``: promoted, taken back later, and the plan would have thrown it out."""
    decided = [each for each in tested if each.agrees is not None]
    otherwise = [each for each in decided if not each.agrees]
    return {
        "replayed": len(tested),
        "same": len(decided) - len(otherwise),
        "otherwise": len(otherwise),
        "not_promoted": sum(each.release.state in _PROMOTED for each in otherwise),
        "not_thrown_out": sum(each.release.state not in _PROMOTED for each in otherwise),
        "caught": sum(each.release.state is _S.ROLLED_BACK for each in otherwise),
        "undecided": sum(each.replayed.decision is Decision.UNDECIDED for each in tested),
        "without_comparison": sum(each.replayed.decision is not Decision.UNDECIDED and each.agrees is None for each in tested),
        "sent": sum(each.sent for each in tested),
        "exposed": sum(each.replayed.exposed for each in tested),
    }
