"""The scheduler: actors run until their next AWS call; then it says who goes on, and what becomes of the call."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from greenlet import getcurrent, greenlet

from canary.errors import Denied, Unavailable
from tests.fakes.calls import Calls, Killed
from tests.fakes.clock import Clock


class Fault(StrEnum):
    """What becomes of a call, other than that it works."""

    REFUSED = "refused"
    THROTTLED = "throttled"
    DENIED = "denied"
    UNANSWERED = "done, answer lost"
    TWICE = "done twice"
    SLOW = "done, answer late"
    STALE = "stale answer"
    CRASH_BEFORE = "crash before it"
    CRASH_AFTER = "done, crash after it"


#: Error codes, as `Unavailable` bears them.
CODES = {Fault.REFUSED: "InternalServerError", Fault.THROTTLED: "ThrottlingException", Fault.DENIED: "AccessDeniedException"}
LOST = "ReadTimeout"
#: What eventually consistent reads may show, in milliseconds of age.
AGES = {
    "ssm.read": 3_000,
    "ssm.history": 3_000,
    "ddb.release": 2_000,
    "ddb.app": 2_000,
    "ddb.recent": 2_000,
    "ddb.in_flight": 5_000,
    "sfn.observe": 5_000,
    "sfn.list": 8_000,
}
#: Calls that read what may be stale, by the name that they are made under.
_STALE = {
    "ssm.read",
    "ssm.history",
    "ddb.recent",
    "ddb.in_flight",
    "sfn.observe",
    "sfn.past",
    "sfn.failures",
    "sfn.started",
    "sfn.succeeded",
}
_ROUTERS_STALE = {"ddb.release", "ddb.app"}
#: Clients send these once; the others may be sent again when their answer is lost.
_ONCE = ("ssm.write", "stack.call")


class Actor:
    """One process at work. ``skew``: how far its clock is off, in milliseconds."""

    def __init__(self, name: str, kind: str, work: Callable[[], None], born: int, skew: int = 0) -> None:
        self.name = name
        self.kind = kind
        self.born = born
        self.skew = skew
        self.waiting = ""
        self.dead = False
        self.made = 0
        self.pace = 1.0  # how likely it is to go on, beside others
        self._greenlet = greenlet(lambda: self._live(work))
        self._hub = getcurrent()
        self._turn: Turn | None = None

    @property
    def ended(self) -> bool:
        return bool(self._greenlet.dead)

    def go_on(self, turn: Turn) -> None:
        """Run until its next call, or its end. Raises what its work raises."""
        self._turn = turn
        self._greenlet.switch()

    def wait(self, call: str) -> Turn:
        """Called by the actor itself: stop here until the scheduler has decided."""
        self.waiting = call
        self._hub.switch()
        assert self._turn is not None
        return self._turn

    def _live(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Killed:
            self.dead = True


@dataclass(frozen=True, slots=True)
class Turn:
    """What the scheduler has decided about one call."""

    fault: Fault | None = None


@dataclass
class Switchboard(Calls):
    """All calls of all actors. Calls of nobody (the hands of the test) take effect at once."""

    clock: Clock
    random: random.Random
    acting: Actor | None = None
    stale: bool = False
    calls: int = 0
    failed: list[tuple[int, str, str]] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    remembers = True

    def __post_init__(self) -> None:
        super().__init__()
        self.on_change: Callable[[str, Any, Any, Any], None] | None = None

    def made(self, name: str, effect: Callable[[], Any]) -> Any:
        actor = self.acting
        if actor is None:
            return effect()
        if actor.dead:
            raise Killed(actor.name)
        fault = actor.wait(name).fault
        self.calls += 1
        actor.made += 1
        if fault is None:
            return effect()
        self.faults[fault.value] += 1
        self.failed.append((self.clock.now, actor.name, name))
        return self._faulty(actor, name, effect, fault)

    def _faulty(self, actor: Actor, name: str, effect: Callable[[], Any], fault: Fault) -> Any:
        service = name.split(".", 1)[0]
        match fault:
            case Fault.REFUSED | Fault.THROTTLED:
                raise Unavailable(service, CODES[fault], f"{name}, by the scheduler")
            case Fault.DENIED:
                raise Denied(service, CODES[fault], f"{name}, by the scheduler")
            case Fault.CRASH_BEFORE:
                actor.dead = True
                raise Killed(actor.name)
            case Fault.STALE:
                self.stale = True
                try:
                    return effect()
                finally:
                    self.stale = False
        result = effect()
        match fault:
            case Fault.UNANSWERED:
                raise Unavailable(service, LOST, f"{name}, by the scheduler")
            case Fault.CRASH_AFTER:
                actor.dead = True
                raise Killed(actor.name)
            case Fault.TWICE:
                return effect()
            case _:
                if actor.wait(f"{name} answered").fault is Fault.CRASH_BEFORE:
                    actor.dead = True
                    raise Killed(actor.name)
                return result

    def faults_of(self, actor: str, since: int) -> set[str]:
        """The calls of an actor that had a fault of whatever kind."""
        return {call for at, name, call in self.failed if name == actor and at >= since}

    def now(self) -> int:
        return self.clock.now

    def age(self, call: str) -> int:
        return self.random.randrange(AGES[call]) if self.stale else 0

    def changed(self, kind: str, key: object, before: object, after: object) -> None:
        if self.on_change is not None:
            self.on_change(kind, key, before, after)


def possible(actor: Actor, fault: Fault) -> bool:
    """Whether a fault can come to the call that the actor is about to make."""
    call = actor.waiting
    match fault:
        case Fault.STALE:
            return call in _STALE or (actor.kind == "router" and call in _ROUTERS_STALE)
        case Fault.TWICE:
            return not call.startswith(_ONCE)
        case Fault.DENIED:
            return call.startswith(("sfn.", "cloudwatch."))
        case _:
            return True
