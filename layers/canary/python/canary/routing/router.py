"""The router: one request goes to one stack, and nobody is turned away because of a canary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from canary.domain.call import UNSTARTED, Call, CallResult
from canary.domain.claim import Claimed
from canary.domain.request_id import new_request_id, without_release
from canary.domain.share import ALONE
from canary.domain.states import Gate, ReleaseState
from canary.domain.target import Pointer, TargetKind
from canary.errors import Unavailable
from canary.routing.beside import nothing
from canary.routing.needs import Audit, Slots
from canary.routing.problem import Problem
from canary.routing.view import Known, View

if TYPE_CHECKING:  # a router starts often, and each of these modules takes its time to import
    from canary.domain.audit import Row, RowUpdate
    from canary.domain.offer import Offer
    from canary.ports import Targets
    from canary.routing.batches import Batches

#: What a target takes: Lambda 6 MB, Step Functions 256 KiB.
_MOST_BYTES: Final = {TargetKind.LAMBDA: 6 * 1024 * 1024, TargetKind.STATE_MACHINE: 256 * 1024}
#: Kept for writing down what happened and for answering.
_RESERVE_MS: Final = 500
#: What reading beside a call may take, where every read is as slow as it may be. With less time left there is none.
_REFRESH_MS: Final = 20_000
#: What current has at least, when latest has used up its time.
_CURRENTS_SHARE_MS: Final = 5_000


class Request(NamedTuple):
    """One request of an upstream app. ``deadline`` in milliseconds: the answer must be out by then."""

    app: str
    body: bytes
    deadline: int
    tenant: str | None = None


class Reply(NamedTuple):
    """What the upstream gets. ``because`` says why it went where it went, for the log; it is not sent."""

    status: int
    body: dict[str, Any]
    because: str = ""


class _Turn(NamedTuple):
    """One request on its way."""

    request: Request
    known: Known
    request_id: str
    toss: Toss | None
    because: str = ""
    fell_back: bool = False

    @property
    def share(self) -> int | None:
        """The coin's, if it was tossed."""
        return self.toss.share if self.toss is not None else None


class Toss(NamedTuple):
    """What the coin has shown a request, while slots were free: latest with a chance of ``share`` (of `ALONE`), or current."""

    release: str
    share: int
    to_latest: bool


class Router:
    """Sends requests to stacks. ``draw`` gives numbers from 0 to below 1; ``count`` takes a metric's name and an app."""

    def __init__(
        self,
        view: View,
        slots: Slots,
        audit: Audit,
        targets: Targets,
        *,
        clock: Callable[[], int],
        draw: Callable[[], float],
        random_bits: Callable[[int], int],
        count: Callable[[str, str], None],
    ) -> None:
        self._view = view
        self._slots = slots
        self._audit = audit
        self._targets = targets
        self._clock = clock
        self._draw = draw
        self._random_bits = random_bits
        self._sampled: dict[str, str] = {}  # by app: the release under which its current was sampled
        self._batches: Batches | None = None
        self.count = count

    def known(self, app: str) -> Known:
        """Tell what is known of an app, and count what is amiss. Raises `Problem`."""
        known = self._view.of(app)
        if known.degraded:
            self.count("Degraded", app)
        return known

    def toss(self, known: Known) -> Toss | None:
        """Toss the coin; None where there is nothing to toss for, since no release can take a request."""
        release = known.release
        if release is None or known.latest is None:
            return None
        if release.state is not ReleaseState.RUNNING or release.gate is not Gate.OPEN:
            return None
        if release.claimed >= release.granted and not release.batched:  # of a batch some may be left
            return None
        return Toss(release.release, release.share, to_latest=self._draw() * ALONE < release.share)

    def new_id(self, toss: Toss | None, key: str | None = None) -> str:
        """Make a request's id. It says which release may take the request, or that the coin has shown current."""
        won = toss is not None and toss.to_latest
        control = (toss.release, toss.share) if toss is not None and not won else None
        release = toss.release if toss is not None and won else None
        return new_request_id(self._clock(), self._random_bits(80), release, key, control)

    def send(self, request: Request, known: Known, request_id: str, toss: Toss | None) -> Reply:
        """Send a request to one stack, and to current if latest fails it. Raises `Problem`."""
        because = known.refused or known.degraded or ""
        turn = _Turn(request=request, known=known, request_id=request_id, toss=toss, because=because)
        if toss is not None and toss.to_latest and known.release is not None and known.latest is not None:
            result = self._try_latest(turn, known.release, known.latest)
            if isinstance(result, Reply):
                return result
            turn = result
        return self._send_to_current(turn)

    def _try_latest(self, turn: _Turn, release: Offer, latest: Pointer) -> Reply | _Turn:
        """Give latest the request, if there is a slot and a durable record of it; else hand the turn on, with the reason."""
        from canary.routing import rows  # noqa: PLC0415 - most routers start while there is no release

        request = turn.request
        if len(request.body) > _MOST_BYTES[latest.target.kind]:
            return turn._replace(because="too large for latest")
        if not self._has_time(request, release):
            return turn._replace(because="too little time is left for latest")
        claimed_at = self._clock()
        row = rows.claim_row(request, turn.request_id, turn.share, release, latest, claimed_at)
        try:
            claimed, batch = self._slot(turn, release, claimed_at)
            if claimed is not Claimed.WON:
                self._view.forget_slots(release)
                return turn._replace(because=f"slots: {claimed}")
            row = replace(row, batch=batch) if batch else row
            there = self._audit.put(row)
        except Unavailable as error:
            if self._batches is not None:
                self._batches.forget(request.app)
            self.count("Degraded", request.app)
            return _under_another_id(turn._replace(because=f"nothing goes to latest off the record: {error}"))
        if rows.given_up(there, row):
            return turn._replace(because="the flipper has given up this claim already")
        started_at = self._clock()
        call = self._call_latest(turn, release, latest)
        return self._after_latest(turn, release, latest, row, call, rows.outcome_of(call, started_at, self._clock()))

    def _slot(self, turn: _Turn, release: Offer, now: int) -> tuple[Claimed, str | None]:
        """Take a slot, out of a batch where requests are not counted. Raises `Unavailable`."""
        if not release.batched:
            return self._slots.claim(turn.request.app, release.release, turn.request_id, now), None
        if self._batches is None:
            from canary.routing.batches import Batches  # noqa: PLC0415 - most plans have no such stage

            self._batches = Batches(self._slots, self._random_bits)
        batch = self._batches.slot(release, now)
        return Claimed.WON if batch else Claimed.GONE, batch

    def _call_latest(self, turn: _Turn, release: Offer, latest: Pointer) -> Call:
        """Call latest, if there still is time: a stack is not to be judged by what is left of a slow request."""
        if not self._has_time(turn.request, release):
            return Call(result=CallResult.REFUSED, error="OutOfTime: too little of the request's time was left for latest")
        timeout_ms, expression = release.plan.latest_timeout_ms, release.plan.transform_id
        return self._targets.call(latest.target, turn.request.body, turn.request_id, release.release, timeout_ms, expression)

    def _has_time(self, request: Request, release: Offer) -> bool:
        return request.deadline - self._clock() >= release.plan.latest_timeout_ms + _CURRENTS_SHARE_MS + _RESERVE_MS

    def _after_latest(
        self, turn: _Turn, release: Offer, latest: Pointer, row: Row, call: Call, outcome: RowUpdate
    ) -> Reply | _Turn:
        app = turn.request.app
        answered = call.result is CallResult.ANSWERED
        falls_back = not answered and (call.result in UNSTARTED or _always_falls_back(release))
        try:
            if not self._audit.update(row, replace(outcome, fell_back=True) if falls_back else outcome):
                self.count("OutcomeRefused", app)  # the flipper has called it lost already, or an earlier try was heard after all
        except Unavailable:
            # The row stays CLAIMED and the flipper settles it: it finds the execution by its name, or calls it LOST.
            self.count("Degraded", app)
            turn = turn if answered else _under_another_id(turn)
        if answered:
            self.count("RoutedToLatest", app)
            return _reply(turn, "latest", latest, call)
        if falls_back:
            self.count("FellBack", app)
            return turn._replace(because=f"latest failed: {call.error}", fell_back=True)
        self.count("TargetFailed", app)
        raise _problem(call, f"latest ({latest.tag})", turn)

    def _send_to_current(self, turn: _Turn) -> Reply:
        request, current = turn.request, turn.known.current
        if len(request.body) > _MOST_BYTES[current.target.kind]:
            raise Problem(413, f"the body has {len(request.body)} bytes: more than the target takes", request_id=turn.request_id)
        timeout_ms = max(1, request.deadline - self._clock() - _RESERVE_MS)
        started_at = self._clock()
        refreshed = self._view.refreshing(request.app) if timeout_ms >= _REFRESH_MS else nothing
        try:
            call = self._targets.call(current.target, request.body, turn.request_id, None, timeout_ms, turn.known.transform_id)
        finally:
            refreshed()
        self._control(turn, current, call, started_at)
        if call.result is not CallResult.ANSWERED:
            self.count("TargetFailed", request.app)
            raise _problem(call, f"current ({current.tag})", turn)
        self.count("RoutedToCurrent", request.app)
        return _reply(turn, "current", current, call)

    def _control(self, turn: _Turn, current: Pointer, call: Call, started_at: int) -> None:
        """Keep a control sample: a call of current that failed while the coin decided, and once how its workflows are named.

        The first says that it is not latest alone that fails; the second where current's failed workflows are to be found.
        """
        release, toss = turn.known.release, turn.toss
        if release is None or toss is None or toss.to_latest or not release.plan.judged:
            return
        failed = call.result in {CallResult.FAILED, CallResult.TIMED_OUT, CallResult.MISSING}
        unknown = release.control is None and release.release != self._sampled.get(turn.request.app)
        if not failed and not (unknown and call.result is CallResult.ANSWERED):
            return
        from canary.routing import rows  # noqa: PLC0415 - as above

        outcome = rows.outcome_of(call, started_at, self._clock())
        row = rows.claim_row(turn.request, turn.request_id, turn.share, release, current, started_at)
        try:
            self._audit.put(rows.control_row(row, outcome))
            if not failed:
                self._sampled[turn.request.app] = release.release
        except Unavailable:
            self.count("Degraded", turn.request.app)


def _always_falls_back(release: Offer) -> bool:
    from canary.domain.plan import Fallback  # noqa: PLC0415 - imported already, with the plan of the release

    return release.plan.fallback is Fallback.ALWAYS


def _under_another_id(turn: _Turn) -> _Turn:
    """Go on under an id that is not latest's.

    The row of a claim may still be CLAIMED, and the flipper looks for its execution by name. Where current and latest share a
    state machine, current's run under the same name would be taken for latest's success.
    """
    return turn._replace(request_id=without_release(turn.request_id))


def _reply(turn: _Turn, arm: str, pointer: Pointer, call: Call) -> Reply:
    body: dict[str, Any] = {
        "request_id": turn.request_id,
        "app": turn.request.app,
        "routed_to": arm,
        "tag": pointer.tag,
        "transform_id": call.transform_id,
        "response": call.answer,
    }
    if turn.fell_back:
        body["fell_back"] = True
    return Reply(status=202 if call.transform_id else 200, body=body, because=turn.because)


def _problem(call: Call, who: str, turn: _Turn) -> Problem:
    match call.result:
        case CallResult.TIMED_OUT:
            return Problem(504, f"{who} did not answer in time; the work may be running", request_id=turn.request_id)
        case CallResult.REFUSED:
            detail = f"{who} cannot be called just now ({call.error}), and has started nothing"
            return Problem(503, detail, retry_after=2, request_id=turn.request_id)
        case CallResult.TOO_LARGE:
            return Problem(413, f"the body is more than {who} takes", request_id=turn.request_id)
        case _:
            return Problem(502, f"{who} failed: {call.error}", request_id=turn.request_id)
