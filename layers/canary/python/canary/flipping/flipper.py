"""The flipper: one pass for each app with work. Level-triggered: what woke it only says where to look first."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from canary.domain.app import Seen
from canary.domain.lifecycle import decide, unfinished
from canary.domain.release import Release
from canary.domain.sight import Sight
from canary.domain.states import Hold, ReleaseState
from canary.domain.steps import Announce, RunProbe, Step
from canary.errors import Unavailable
from canary.flipping.execute import execute
from canary.flipping.follow import follow
from canary.flipping.look import follow_probes, look, unfollowed
from canary.flipping.observe import observe
from canary.flipping.world import World

#: Longer than the flipper's timeout (60 s), so that a killed pass never meets a living one.
LEASE_MS: Final = 75_000
#: A pass that has not come to rest after so many steps goes on with the next one.
_MOST_STEPS: Final = 60
#: Others who woke meanwhile leave word; after so many more looks the schedule takes over.
_MOST_LOOKS: Final = 3
#: A pass that meets more errors than this is given up.
_MOST_TROUBLES: Final = 5


#: Among so many of an app's newest releases is one that a pass has opened late, or an operator has asked late.
_NEWEST: Final = 5
#: A release is followed once more, so often, where somebody else was faster to change it.
_MOST_FOLLOWED: Final = 3
#: A preflight whose requests take longer than this goes on in the next pass: other apps wait.
_SLOW_MS: Final = 3_000


class Log(Protocol):
    """Where a pass tells what it does."""

    def __call__(self, message: str, **facts: object) -> None: ...


@dataclass(frozen=True, slots=True)
class Pass:
    """What came of an app's pass: ``done``, ``busy`` (somebody else has the lease) or ``failed``."""

    app: str
    result: str
    steps: int = 0
    held: int = 0
    error: str | None = None


class Flipper:
    """Makes passes. ``owner`` names this process in leases."""

    def __init__(self, world: World, log: Log, *, owner: str | None = None) -> None:
        self._world = world
        self._log = log
        self._owner = owner or uuid.uuid4().hex

    def run(self, first: Iterable[str] = (), until: int | None = None) -> list[Pass]:
        """Make a pass for every app, ``first`` ones first. An app whose pass fails does not stop the others.

        After ``until`` (milliseconds) no further pass is begun. Where the round begins changes with the minute, so that no app
        is always the last one.
        """
        world = self._world
        names = self._names()
        turn = world.clock() // 60_000 % len(names) if names else 0
        hinted = [app for app in first if app in names]
        passes: list[Pass] = []
        for app in dict.fromkeys((*hinted, *names[turn:], *names[:turn])):
            if until is not None and world.clock() >= until:
                self._log("no time is left for the other apps; the next pass begins with others", passed=len(passes))
                break
            passes.append(self._guarded(app))
        for done in passes:
            if done.result == "done":  # of the others nothing new is known, and no news leaves the alarm as it is
                world.count("ReleaseHeld", done.app, done.held)
            if done.result == "failed":
                world.count("PassFailed", done.app, 1)
        return passes

    def _names(self) -> tuple[str, ...]:
        """All apps, from the parameters and from the table: either may fail, or lack an app that the other has."""
        names: list[str] = []
        errors: list[Unavailable] = []
        for source in (self._world.parameters.apps, self._world.apps.apps):
            try:
                names += source()
            except Unavailable as error:
                errors.append(error)
                self._log("apps cannot be listed", error=str(error))
        if len(errors) > 1:
            raise errors[0]
        return tuple(sorted(set(names)))

    def _guarded(self, app: str) -> Pass:
        try:
            return self._pass(app)
        except Exception as error:  # noqa: BLE001 - the edge of one app: the others go on, and the cause is logged
            self._log("the pass failed; the next one goes on from there", app=app, error=repr(error))
            return Pass(app, "failed", error=repr(error))

    def _pass(self, app: str) -> Pass:
        world = self._world
        now = world.clock()
        if not world.apps.lease(app, self._owner, now, now + LEASE_MS):
            return Pass(app, "busy")
        given_back, result = False, "failed"
        try:
            done = self._work(app)
            for _ in range(_MOST_LOOKS):
                result = done.result
                if given_back := self._give_back(app, result):
                    break
                done = self._work(app)  # what woke the others may have come after our look
            return done
        finally:
            while not given_back:
                given_back = self._give_back(app, result)

    def _give_back(self, app: str, result: str) -> bool:
        return self._world.apps.give_back(app, self._owner, self._world.clock(), done=result == "done")

    def _work(self, app: str) -> Pass:
        world = self._world
        sights: dict[str, Sight] = {}
        troubles: list[str] = []
        going = self._unfinished(app, troubles)
        seen = observe(world, app, sights, troubles, going)
        for name in seen.app.followed:
            if name in seen.releases:
                self._see(seen.releases[name], sights, troubles)
        steps, probed = 0, frozenset[str]()
        while steps < _MOST_STEPS:
            looked_at = world.clock()  # not later: what was read may be old by the time that it is decided upon
            seen = observe(world, app, sights, troubles, going, probed)
            step = decide(seen, looked_at)
            if step is None:
                break
            self._tell(app, step)
            began = world.clock()
            try:
                execute(world, seen, step)
            except Unavailable as error:  # done or not, the next look tells: that is safer than to send it again
                troubles.append(f"{type(step).__name__}: {error}")
                if isinstance(step, Announce) or len(troubles) > _MOST_TROUBLES:
                    raise
                probed |= _probing(step)
            probed |= _probing(step) if world.clock() - began > _SLOW_MS else frozenset()
            steps += 1
        if troubles:
            self._log("the pass could not see everything", app=app, error=troubles[0])
            return Pass(app, "failed", steps, _held(seen), troubles[0])
        return Pass(app, "done", steps, held=_held(seen))

    def _unfinished(self, app: str, troubles: list[str]) -> list[str]:
        """Those of the newest releases that go on, or are asked for something, whether they are followed or not."""
        try:
            return [release.release for release in self._world.releases.recent(app, _NEWEST) if unfinished(release)]
        except Unavailable as error:  # one that cannot be understood, say: what is followed goes on
            troubles.append(f"the newest releases cannot be read: {error}")
            return []

    def _see(self, release: Release, sights: dict[str, Sight], troubles: list[str]) -> None:
        """Follow a release's requests, and look at what else its decision needs. A rollback must not wait for Step Functions."""
        world, name = self._world, release.release
        try:
            follow_probes(world, release)
            followed = follow(world, release)
            for _ in range(_MOST_FOLLOWED):
                if followed.overtaken:
                    followed = follow(world, world.releases.release(release.app, name) or release)
            counted = world.releases.release(release.app, name) or release
            troubles += followed.troubles
            if followed.whole and not followed.overtaken:  # else the next pass sees more
                sights[name] = look(world, counted, followed, troubles)
        except Unavailable as error:
            words = f"the requests of release {name} cannot be followed: {error}"
            troubles.append(words)
            sights[name] = unfollowed(world, release, words, troubles)

    def _tell(self, app: str, step: Step) -> None:
        self._log(type(step).__name__, app=app, why=step.why)


def _probing(step: Step) -> frozenset[str]:
    return frozenset({step.release.release} if isinstance(step, RunProbe) else ())


def _held(seen: Seen) -> int:
    """Releases that are HELD, but for those that wait for an approval that their plan asked for; and watches that are blind."""
    blind = sum(r.state is ReleaseState.WATCHING and r.hold is not None for r in seen.releases.values())
    return blind + sum(r.state is ReleaseState.HELD and r.hold is not Hold.APPROVAL for r in seen.releases.values())
