"""A history: one seed, one order of events. It runs, then comes to rest; what does not hold is in ``broken``."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from canary.domain.states import ReleaseState
from tests.histories.deeds import Deeds
from tests.histories.installation import Defect, Installation
from tests.histories.invariants import Watch
from tests.histories.rest import calm_down, come_to_rest, open_release, promote_what_can_be
from tests.histories.scheduling import Actor, Fault, Turn, possible
from tests.histories.theme import Theme, theme_of

#: A router is killed after 29 s. A flipper after 60 s; one that lives on all the same writes no parameter any more.
_ROUTER_MS, _FLIPPER_MS = 29_000, 60_000
_LEAPS_MS = (1_000, 6_000, 6_000, 20_000, 62_000, 80_000, 80_000, 15 * 60_000, 3_700_000)
#: The chance of a fault at the calls that a theme picks out.
_HOT = 0.3
_PACES = (1.0, 1.0, 1.0, 5.0, 0.1, 0.02)
_OUTAGES = ("ssm", "ddb", "sfn", "events", "cloudwatch")


@dataclass
class History:
    """One history. ``told``: time, actor, call and what became of it."""

    seed: int
    told: list[tuple[int, str, str, str]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.theme: Theme = theme_of(self.random)
        self.place = Installation(self.theme, self.random, self.told)
        self.actors: list[Actor] = []
        self._last: Actor | None = None
        self.out: dict[str, int] = {}
        self.deeds = Deeds(self.place, self.begin)
        self._kinds = list(self.theme.weights)
        self._often = list(self.theme.weights.values())
        self._faults = [(fault, chance) for fault, chance in self.theme.faults.items() if chance]
        self._any = sum(chance for _, chance in self._faults)

    @property
    def watch(self) -> Watch:
        return self.place.watch

    def run(self) -> History:
        """Run it to its end."""
        try:
            for act, steps in enumerate(self.theme.acts):
                if act and not self.watch.broken:
                    calm_down(self)
                    promote_what_can_be(self)
                if self.random.random() < self.theme.opened:
                    open_release(self)
                until = self.place.board.calls + steps
                while self.place.board.calls < until and not self.watch.broken:
                    self._step()
            if not self.watch.broken:
                come_to_rest(self)
        except Defect as defect:
            self.watch.broken.append(f"a defect: {defect}")
        finally:
            self.broken = self.watch.broken
            self.bury(self.actors)
        return self

    def begin(self, name: str, kind: str, work: Callable[[], None], skew: int = 0) -> Actor:
        """Put an actor on the stage."""
        actor = Actor(name, kind, work, self.place.clock.now, skew)
        actor.pace = self.random.choice(_PACES)
        self.actors.append(actor)
        return actor

    def go_on(self, actor: Actor, fault: Fault | None = None) -> None:
        """Let an actor make the call that it is about to make, and run up to its next one."""
        board, call = self.place.board, actor.waiting
        note = fault.value if fault else ""
        if call:
            self.told.append((self.place.clock.now, actor.name, call, note))
        board.acting = actor
        try:
            actor.go_on(Turn(fault))
        except Defect:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            self.watch.broken.append(f"a defect in {actor.name}: {error!r}")
        finally:
            board.acting = None
        if actor.ended:
            self.actors.remove(actor)
            if actor.dead:
                self.told.append((self.place.clock.now, actor.name, "", "is dead"))
                self.deeds.died(actor)

    def let_time_pass(self, milliseconds: int) -> None:
        """Let time pass, and what is due begin."""
        self.place.clock.pass_by(milliseconds)
        if milliseconds >= 1_000:
            self.told.append((self.place.clock.now, "", "", f"{milliseconds / 1000:,.0f} s pass"))
        self.place.stacks.pass_time()
        for service in [service for service, until in self.out.items() if until <= self.place.clock.now]:
            del self.out[service]

    def outlived(self, actor: Actor) -> bool:
        """Whether an actor has outlived its function's timeout, which no process does."""
        return self.place.clock.now - actor.born > (_ROUTER_MS if actor.kind == "router" else _FLIPPER_MS)

    def bury(self, actors: list[Actor]) -> None:
        """Kill actors: where they stand, nothing more happens."""
        for actor in list(actors):
            actor.dead = True
            while not actor.ended:
                self.go_on(actor, Fault.CRASH_BEFORE)

    def _step(self) -> None:
        rng = self.random
        if rng.random() < self.theme.leaps:
            self.let_time_pass(rng.choice(_LEAPS_MS))
        else:
            self.let_time_pass(rng.randrange(40))
        if self._is_flipping() and rng.random() < 0.06:
            self.deeds.do("foreign")
        if self.theme.mood == "switches" and rng.random() < 0.04 and self._may_open():
            self.deeds.do("stop-all")
        if self.actors and rng.random() < 0.85:
            actor = self._next()
            self.go_on(actor, self._fault(actor))
            return
        deed = rng.choices(self._kinds, self._often)[0]
        if deed == "outage":
            self._outage()
        else:
            self.deeds.do(deed)

    def _next(self) -> Actor:
        """Who goes on: some are left standing for long, while others make many calls."""
        rng = self.random
        if self._last in self.actors and rng.random() < self.theme.bursts:
            return self._last
        (actor,) = rng.choices(self.actors, [actor.pace for actor in self.actors])
        if rng.random() < 0.1:
            actor.pace = rng.choice(_PACES)
        self._last = actor
        return actor

    def _is_flipping(self) -> bool:
        """Whether current is about to be written, and this is a history in which somebody else may do so."""
        releases = self.watch.releases.values()
        foreign = self.theme.weights["foreign"]
        return any((foreign and r.flip) or (r.returning and r.state is ReleaseState.PROMOTING) for r in releases)

    def _may_open(self) -> bool:
        """Whether a gate may be about to open."""
        return any(r.state is ReleaseState.OPENING or r.asks for r in self.watch.releases.values())

    def _outage(self) -> None:
        service = self.random.choice(_OUTAGES)
        self.out[service] = self.place.clock.now + self.random.choice((2_000, 20_000, 120_000))
        self.told.append((self.place.clock.now, "", "", f"an outage of {service} begins"))

    def _fault(self, actor: Actor) -> Fault | None:
        """What becomes of the call that an actor is about to make."""
        age = self.place.clock.now - actor.born
        if actor.kind == "router" and age > _ROUTER_MS:
            return Fault.CRASH_BEFORE
        if actor.kind == "flipper" and age > _FLIPPER_MS:
            if actor.waiting.startswith("ssm.write") or self.random.random() < 0.3:
                return Fault.CRASH_BEFORE
            self.place.board.faults["goes on after its timeout"] += 1
        if actor.waiting.split(".", 1)[0] in self.out and actor.waiting:
            return Fault.REFUSED
        if not self._any or not actor.waiting:
            return None
        hot = self.theme.hot is not None and actor.waiting.startswith(self.theme.hot)
        if self.random.random() >= (_HOT if hot else self._any):
            return None
        kinds, chances = zip(*self._faults, strict=True)
        fault = self.random.choices(kinds, None if hot else chances)[0]
        return fault if possible(actor, fault) else None
