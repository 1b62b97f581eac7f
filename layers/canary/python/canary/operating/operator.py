"""The operator's verbs. Stopping verbs close the gate themselves, at once; the rest is left to the flipper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from canary.domain.app import App, Mirror, Stopped
from canary.domain.asks import NotPossible, asked
from canary.domain.plan_document import parse_plan
from canary.domain.release import Ask, Release, Verb, release_key
from canary.domain.states import Gate, ReleaseState
from canary.domain.target import BLANK, parse_pointer
from canary.operating.outcome import Outcome, Result, outcome
from canary.operating.queue import in_turn
from canary.ports import Apps, Parameters, Releases

#: Tries against others who write the same item; each try reads it anew.
_TRIES: Final = 10
_POLL_SECONDS: Final = 0.5


class Flippers(Protocol):
    """The flipper, to be woken."""

    def wake(self, app: str) -> str:
        """Have a pass made, and return its result for the app: ``done``, ``busy``, ``failed``."""


class Contended(Exception):
    """Somebody else kept writing the same item."""


class Operator:
    """One operator at one installation. ``who`` and ``why`` go on record with everything."""

    def __init__(
        self, parameters: Parameters, releases: Releases, apps: Apps, flipper: Flippers, *, who: str, clock: Callable[[], int]
    ) -> None:
        self._parameters = parameters
        self._releases = releases
        self._apps = apps
        self._flipper = flipper
        self.who = who
        self._clock = clock

    def init(self, app: str, value: str, plan: str | None = None) -> None:
        """Set an app up: ``current`` at a target, ``latest`` and ``previous`` blank, and its plan, if it is to have its own.

        Raises `InvalidTarget`, `InvalidPlan`, `NotPossible`.
        """
        parse_pointer(value)
        parse_plan(plan)
        there = self._parameters.read(app, "current", "latest", "previous")
        if "current" in there:
            raise NotPossible(f"{app!r} exists already: release with `canary release {app} --arn …`")
        for name in ("latest", "previous"):
            if name not in there:
                self._parameters.write(app, name, BLANK)
        if plan is not None:
            self._parameters.write(app, "plan", plan)
        self._parameters.write(app, "current", value)

    def set_plan(self, app: str, text: str) -> None:
        """Write an app's plan, for its next release. Raises `InvalidPlan`, `NotPossible`."""
        parse_plan(text)
        self._must_exist(app)
        self._parameters.write(app, "plan", text)

    def release(self, app: str, value: str) -> str:
        """Write a target to ``latest`` and return the release's id. Raises `InvalidTarget`, `NotPossible`."""
        parse_pointer(value)
        self._must_exist(app)
        version = self._parameters.write(app, "latest", value)
        written = self._parameters.read(app, "latest").get("latest")  # absent, where the read is older than the first write
        if written is not None and written.version == version:
            return release_key(version, written.value, written.modified_at)
        # The read is stale, or somebody has written since: ours is in the history.
        mine = next((each for each in self._parameters.history(app) if each.version == version), None)
        if mine is None:
            raise Contended(f"latest of {app!r} is written, but not to be read yet: see `canary releases {app}`")
        return release_key(version, mine.value, mine.modified_at)

    def ask(
        self, app: str, verb: Verb, why: str, release: str | None = None, *, force: bool = False, meant: Release | None = None
    ) -> Release:
        """Ask for a verb; return the release as it was asked. Raises `NotPossible`, `Contended`.

        ``meant``: the release as whoever asks has seen it. A rollback that somebody else has asked for since is not taken back.
        """
        ask = Ask(verb, self.who, why, self._clock(), force)
        for _ in range(_TRIES):
            before = self.addressed(app, verb, release)
            if ask in before.asks:  # an earlier try had landed, and only its answer was lost
                return before
            if meant is not None and _rolled_back(meant) is not _rolled_back(before):
                found = f"release {before.release} is {before.state} by now"
                raise NotPossible(f"{found}, and was {meant.state} just before: see `canary status {app}`")
            after = asked(before, ask)
            if self._releases.save(before, after):
                return after
        raise Contended(f"a release of {app!r} keeps changing: try again")

    def addressed(self, app: str, verb: Verb, name: str | None = None) -> Release:
        """The release that a verb is for: the one named, else the running one, or for a rollback the last promotion.

        Raises `NotPossible` when there is none.
        """
        if verb is Verb.ROLLBACK:
            promoted = self._app(app).promoted
            if promoted is None:
                raise NotPossible(f"nothing of {app!r} was promoted yet, so there is nothing to take back")
            if name not in {None, promoted}:  # the flipper looks at no other, so the ask would wait for ever
                raise NotPossible(f"only the last promotion of {app!r} can be taken back: that is {promoted}, not {name}")
            name = promoted
        release = self._releases.release(app, name) if name is not None else self.running(app)
        if release is None:
            words = f"{app!r} has no release {name}" if name else f"no release of {app!r} is running"
            raise NotPossible(f"{words}: see `canary releases {app}`")
        return release

    def carried_out(self, asked: Release, *, pause: Callable[[float], None], timeout_ms: int) -> Outcome:
        """Wait a little for an ask to be carried out; return what became of it so far."""
        until = self._clock() + timeout_ms
        while True:
            now = self._releases.release(asked.app, asked.release)
            result = outcome(asked, now or asked)
            if result.result is not Result.PENDING or self._clock() >= until:
                return result
            pause(_POLL_SECONDS)

    def stop(self, app: str, why: str) -> None:
        """Close the gates of an app, whatever its releases do: first the app's own switch, then each gate."""
        self._change_app(app, lambda item: replace(item, stopped=Stopped(self.who, why, self._clock())))
        for name in self._app(app).followed:
            self._change_gate(app, name, Gate.CLOSED, f"stop-all: {why}")

    def start(self, app: str) -> None:
        """Open the gates again that only the emergency stop had closed."""
        self._change_app(app, lambda item: replace(item, stopped=None))
        for name in self._app(app).followed:
            self._change_gate(app, name, Gate.OPEN, "start-all")

    def release_anew(self, release: Release) -> str:
        """Write a release's value to ``latest`` once more, its stack out of quarantine; return the new release's id."""
        if release.target in self._app(release.app).quarantine:
            self.retry(release.app, release.target)
        return self.release(release.app, release.value)

    def retry(self, app: str, target: str) -> None:
        """Lift a target's quarantine. Raises `NotPossible` when it is in none."""
        if target not in self._app(app).quarantine:
            raise NotPossible(f"{target} is not in quarantine")
        self._change_app(
            app, lambda item: replace(item, quarantine={arn: q for arn, q in item.quarantine.items() if arn != target})
        )

    def repair_mirror(self, app: str) -> None:
        """Copy ``current`` to the mirror. Raises `NotPossible` when current names no target."""
        current = self._parameters.read(app, "current").get("current")
        if current is None or current.pointer is None:
            raise NotPossible(f"current of {app!r} names no target, so there is nothing to copy to the mirror")
        mirror = Mirror(current.value, current.version)
        self._change_app(app, lambda item: replace(item, mirror=mirror))

    def repair_current(self, app: str) -> str:
        """Write the mirror's value to a ``current`` that is missing or names no target; return it. Raises `NotPossible`."""
        current = self._parameters.read(app, "current").get("current")
        if current is not None and current.pointer is not None:
            raise NotPossible(f"current of {app!r} names a target: nothing was overwritten")
        mirror = self._app(app).mirror
        if mirror is None:
            raise NotPossible(f"{app!r} has no mirror: set it up with `canary init {app} --arn …`")
        self._parameters.write(app, "current", mirror.value)
        return mirror.value

    def wake(self, app: str) -> str:
        """Have the flipper make a pass now."""
        return self._flipper.wake(app)

    def running(self, app: str) -> Release | None:
        """The release that is not ended, if there is one; where one waits for another, the one that goes first."""
        found = (self._releases.release(app, name) for name in self._app(app).followed)
        return next(iter(in_turn(release for release in found if release is not None)), None)

    def _must_exist(self, app: str) -> None:
        if "current" not in self._parameters.read(app, "current"):
            raise NotPossible(f"there is no app {app!r} (it has no `current`): set it up with `canary init {app} --arn …`")

    def _app(self, app: str) -> App:
        return self._apps.app(app) or App(app=app)

    def _change_app(self, app: str, change: Callable[[App], App]) -> None:
        for _ in range(_TRIES):
            before = self._app(app)
            if self._apps.save_app(before, change(before)):
                return
        raise Contended(f"the item of {app!r} keeps changing: try again")

    def _change_gate(self, app: str, name: str, gate: Gate, why: str) -> None:
        for _ in range(_TRIES):
            before = self._releases.release(app, name)
            if before is None or before.ended:
                return
            if gate is Gate.OPEN and (before.gate is gate or before.state is not ReleaseState.RUNNING or before.asks):
                return
            if gate is Gate.OPEN and self._app(app).stopped:  # stopped again since: whoever stops writes the app first
                return
            # A gate that is closed already is closed again: a flipper that is about to open it, not having seen the switch, then
            # finds the release changed and looks anew.
            after = replace(before.noted("gate", now=self._clock(), why=f"{gate.value} by {why}", who=self.who), gate=gate)
            if self._releases.save(before, after):
                return
        raise Contended(f"release {name} keeps changing: try again")


def _rolled_back(release: Release) -> bool:
    """Whether a rollback would take the last one back."""
    return release.state is ReleaseState.ROLLED_BACK
