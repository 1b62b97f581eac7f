"""What the router knows of an app: parameters and release, read seldom, kept while AWS does not answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from canary.domain.moments import release_key
from canary.domain.target import Allowed, InvalidTarget, Pointer, is_blank, parse_pointer
from canary.errors import Unavailable
from canary.routing.beside import Beside, nothing
from canary.routing.needs import Parameters, Slots
from canary.routing.problem import Problem

if TYPE_CHECKING:  # a router starts often, and each of these modules takes its time to import
    from canary.domain.offer import Offer
    from canary.domain.parameter import Parameter

#: Parameters and releases are read again after this long, give or take a fifth.
FRESH_MS: Final = 5_000
#: So much longer they are used while they are read again, beside the call. A process that was frozen for longer reads them first.
STALE_MS: Final = 5_000
#: An app that cannot be served is looked up again soon: each request until then is turned away.
SOON_MS: Final = 1_000
#: After a failed read the next try waits longer: an account has 40 parameter reads a second for everybody.
RETRY_MS: Final = 15_000
_MOST_APPS: Final = 1_000


class Known(NamedTuple):
    """What a request needs to know of its app.

    ``trial`` names the release on trial and ``latest`` its target. ``release`` is its item, None while it may get nothing.
    ``refused`` says why latest must not be called, ``degraded`` what could not be read.
    """

    current: Pointer
    transform_id: str | None = None
    trial: str | None = None
    latest: Pointer | None = None
    release: Offer | None = None
    refused: str | None = None
    degraded: str | None = None


@dataclass(slots=True)
class _Entry:
    known: Known | Problem
    until: int


@dataclass(slots=True)
class _Trial:
    """The release that ``latest`` names, as it was read; ``release`` is None while it may get nothing."""

    name: str
    release: Offer | None
    latest: Pointer | None
    until: int
    degraded: str | None = None


class View:
    """The router's cache, one for each process."""

    def __init__(
        self,
        parameters: Parameters,
        slots: Slots,
        allowed: Allowed,
        *,
        clock: Callable[[], int],
        draw: Callable[[], float],
        count: Callable[[str, str], None],
        beside: Beside | None = None,
    ) -> None:
        self._parameters = parameters
        self._slots = slots
        self._allowed = allowed
        self._clock = clock
        self._draw = draw
        self._count = count
        self._beside = beside
        self._stale_ms = STALE_MS if beside else 0
        self._apps: dict[str, _Entry] = {}
        self._trials: dict[str, _Trial] = {}

    def of(self, app: str) -> Known:
        """Tell what is known of an app. Raises `Problem`: 404, there is no such app; 503, there is nothing to route to."""
        now = self._clock()
        entry = self._apps.get(app)
        if entry is None or now >= entry.until + (self._stale_ms if isinstance(entry.known, Known) else 0):
            entry = self._read(app, entry, now)
            if app not in self._apps and len(self._apps) >= _MOST_APPS:
                oldest = next(iter(self._apps))
                self._apps.pop(oldest)
                self._trials.pop(oldest, None)
            self._apps[app] = entry
        if isinstance(entry.known, Problem):
            raise entry.known.with_traceback(None)  # kept and raised again, it would gather the frames of every request
        if entry.known.trial is None:
            return entry.known
        return self._with_release(app, entry.known, entry.known.trial, now - self._stale_ms)

    def refreshing(self, app: str) -> Callable[[], None]:
        """Begin to read again what is due, beside a call; return what waits for the end of that."""
        if self._beside is None or not self._is_due(app, self._clock()):
            return nothing
        return self._beside(lambda: self._refresh(app))

    def _is_due(self, app: str, now: int) -> bool:
        entry, trial = self._apps.get(app), self._trials.get(app)
        if entry is None or not isinstance(entry.known, Known):
            return False
        return now >= entry.until or (entry.known.trial is not None and trial is not None and now >= trial.until)

    def _refresh(self, app: str) -> None:
        now, entry = self._clock(), self._apps[app]
        if now >= entry.until:
            entry = self._apps[app] = self._read(app, entry, now)
        if isinstance(entry.known, Known) and entry.known.trial is not None:
            self._with_release(app, entry.known, entry.known.trial, now)

    def forget_slots(self, release: Offer) -> None:
        """Remember that no slot is to be had, until the release is read again."""
        trial = self._trials.get(release.app)
        if trial is not None and trial.release is not None and trial.release.release == release.release:
            trial.release = None

    def _read(self, app: str, before: _Entry | None, now: int) -> _Entry:
        try:
            parameters = self._parameters.read(app, "current", "latest", "plan")
        except Unavailable as error:
            until = now + self._jittered(RETRY_MS)
            if before is not None and isinstance(before.known, Known):
                return _Entry(before.known._replace(degraded=str(error)), until)
            known = self._mirrored(app, str(error))
            return _Entry(known, until if isinstance(known, Known) else now + self._jittered(SOON_MS))
        return _Entry(self._understood(app, parameters), now + self._jittered(FRESH_MS))

    def _understood(self, app: str, parameters: Mapping[str, Parameter]) -> Known | Problem:
        if "current" not in parameters:
            return Problem(404, f"there is no app {app!r}: its parameter `current` is not set")
        try:
            current = self._checked(app, parameters["current"].value)
        except InvalidTarget as error:
            return self._mirrored(app, f"current cannot be used: {error}")
        known = Known(current, transform_id=_expression(parameters.get("plan")))
        latest = parameters.get("latest")
        if latest is None or is_blank(latest.value):
            return known
        known = known._replace(trial=release_key(latest.version, latest.value, latest.modified_at))
        try:
            return known._replace(latest=self._checked(app, latest.value))
        except InvalidTarget as error:
            return known._replace(refused=str(error))  # it gets nothing, but another release may go first

    def _mirrored(self, app: str, why: str) -> Known | Problem:
        try:
            item = self._slots.app(app)
        except Unavailable:
            return Problem(503, "neither the parameters nor their mirror can be read: try again", retry_after=5)
        if item is None or item.mirror is None:
            return Problem(503, "nothing to route to: current cannot be read, and there is no mirror of it", retry_after=5)
        try:
            return Known(self._checked(app, item.mirror.value), degraded=why)
        except InvalidTarget:
            return Problem(503, "nothing to route to: neither current nor its mirror names an allowed target", retry_after=60)

    def _checked(self, app: str, value: str) -> Pointer:
        pointer = parse_pointer(value)
        if refusal := self._allowed.refusal(pointer.target):
            self._count("TargetRefused", app)
            raise InvalidTarget(refusal)
        return pointer

    def _with_release(self, app: str, known: Known, name: str, at: int) -> Known:
        """The same with the release's item, read again if it was to be by ``at``."""
        trial = self._trials.get(app)
        if trial is None or trial.name != name or at >= trial.until:
            trial = _Trial(name, None, known.latest, self._clock() + self._jittered(FRESH_MS))
            try:
                self._look_up(app, trial)
            except Unavailable as error:
                trial.degraded = str(error)
            self._trials[app] = trial
        degraded = known.degraded or trial.degraded
        return known._replace(release=trial.release, latest=trial.latest, degraded=degraded)

    def _look_up(self, app: str, trial: _Trial) -> None:
        """Read the release that ``latest`` names, or the one that goes first: that has its own target."""
        release = self._slots.release(app, trial.name)
        first = self._slots.release(app, release.behind) if release is not None and release.behind else None
        if first is None or first.ended:
            trial.release = release
            return
        try:
            trial.latest, trial.release = self._checked(app, first.value), first
        except InvalidTarget:
            trial.release = None

    def _jittered(self, milliseconds: int) -> int:
        return round(milliseconds * (0.8 + 0.4 * self._draw()))


def _expression(plan: Parameter | None) -> str | None:
    if plan is None or is_blank(plan.value):
        return None
    from canary.domain.plan import InvalidPlan  # noqa: PLC0415 - most apps have no plan, and start without these modules
    from canary.domain.plan_document import parse_plan  # noqa: PLC0415

    try:
        return parse_plan(plan.value).transform_id
    except InvalidPlan:
        return None  # the flipper refuses a release with such a plan; current goes on with the defaults
