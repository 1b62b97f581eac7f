"""What begins in a history: requests, passes, tags, asks, and what nobody has asked for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from canary.domain.alarm import AlarmState
from canary.domain.asks import NotPossible
from canary.domain.audit import ExecutionStatus
from canary.domain.release import Verb
from canary.domain.states import ReleaseState
from canary.domain.target import BLANK
from canary.errors import Unavailable
from canary.operating.operator import Contended, Operator
from canary.routing.keyed import Desk
from canary.routing.problem import Problem
from canary.routing.router import Request
from tests.fakes.scene import APP
from tests.histories.answers import Answers, Asked
from tests.histories.installation import Installation
from tests.histories.scheduling import Actor
from tests.histories.theme import PLANS, plan_text

_STACKS = ("v2", "v3", "v4", "v5")
_NONSENSE = (
    "nonsense",
    "{",
    "arn:aws:lambda:eu-west-1:999999999999:function:transformer-v2:live",
    "arn:aws:lambda:eu-west-1:123456789012:function:others-v2:live",
    "-",
)
_VERBS = {
    "pause": Verb.PAUSE,
    "resume": Verb.RESUME,
    "abort": Verb.ABORT,
    "promote": Verb.PROMOTE,
    "force": Verb.PROMOTE,
    "rollback": Verb.ROLLBACK,
}
#: What an operator may well ask for, by the state of a release.
_FITTING = {
    ReleaseState.OPENING: ("abort",),
    ReleaseState.RUNNING: ("pause", "pause", "abort", "promote", "force"),
    ReleaseState.PAUSED: ("resume", "promote", "promote", "abort", "force"),
    ReleaseState.HELD: ("resume", "resume", "promote", "pause", "pause", "force", "abort"),
    ReleaseState.WATCHING: ("rollback",),
    ReleaseState.PROMOTED: ("rollback",) * 5,
    ReleaseState.ROLLED_BACK: ("rollback",) * 5,
}
_MOST_OPERATORS = 2


class Begin(Protocol):
    """Put an actor on the stage."""

    def __call__(self, name: str, kind: str, work: Callable[[], None], skew: int = 0) -> Actor: ...


@dataclass
class Process:
    """A router or a flipper, from its cold start to its death; it does one thing at a time."""

    name: str
    skew: int
    desk: Desk | None = None
    owner: str = ""
    busy: bool = False


@dataclass
class Deeds:
    """Begins things. ``refused`` counts what operators could not ask for."""

    place: Installation
    begin: Begin
    refused: Counter[str] = field(default_factory=Counter)
    last_tag: str = ""

    def __post_init__(self) -> None:
        theme = self.place.theme
        self.answers = Answers(self.place)
        self.routers = [self._process(f"router-{n}") for n in range(1, theme.routers + 1)]
        self.flippers = [self._process(f"flipper-{n}") for n in range(1, theme.flippers + 1)]
        self._of: dict[Actor, tuple[Process | None, Asked | None]] = {}

    def do(self, deed: str) -> None:
        """Do one of the theme's deeds, if it can be done now."""
        if deed in _VERBS:
            self._operate(deed, lambda operator: self._ask(operator, deed))
            return
        getattr(self, f"_{deed.replace('-', '_')}")()

    def died(self, actor: Actor) -> None:
        """A process is gone: what it knew is gone too."""
        process, asked = self._of.pop(actor, (None, None))
        if process is not None:
            process.busy, process.desk, process.owner = False, None, ""
        if asked is not None:
            self.answers.never(asked)

    def _process(self, name: str) -> Process:
        skew, rng = self.place.theme.skewed, self.place.random
        return Process(name, rng.randint(-skew, skew) if skew else 0)

    def _clock(self, skew: int) -> Callable[[], int]:
        clock = self.place.clock
        return clock if not skew else lambda: clock() + skew

    def _request(self) -> None:
        place, rng = self.place, self.place.random
        idle = [process for process in self.routers if not process.busy]
        if not idle:
            return
        process = rng.choice(idle)
        clock = self._clock(process.skew)
        if process.desk is None:
            process.desk = place.desk(clock)
        desk = process.desk
        key = f"key-{rng.randrange(place.theme.keys)}" if rng.random() < place.theme.keyed else None
        body = b'{"order": 1}' if key is None or rng.random() < 0.9 else b'{"order": 2}'
        process.busy = True
        asked = self.answers.asked(process.name, key, body)

        def work() -> None:
            request = Request(app=APP, body=body, deadline=clock() + 28_000)
            try:
                reply = desk.take(request, "key-id", key)
            except Problem as problem:
                self.answers.problem(asked, problem)
            else:
                self.answers.reply(asked, reply)
            process.busy = False
            self._of.pop(actor, None)

        actor = self.begin(process.name, "router", work, process.skew)
        asked.actor = actor
        self._of[actor] = (process, asked)

    def _find(self) -> None:
        place, rng = self.place, self.place.random
        idle = [process for process in self.routers if not process.busy and process.desk is not None]
        known = self.answers.on_record
        if not idle or not known:
            return
        process, wanted = rng.choice(idle), rng.choice(known)
        desk = process.desk
        assert desk is not None
        process.busy = True

        def work() -> None:
            try:
                self.answers.found(wanted, desk.find(APP, wanted).body)
            except Problem as problem:
                place.watch.demand(problem.status == 503, f"{wanted} was answered, and is not on record: {problem.detail}")
            process.busy = False
            self._of.pop(actor, None)

        actor = self.begin(process.name, "router", work, process.skew)
        self._of[actor] = (process, None)

    def _pass(self) -> None:
        place, rng = self.place, self.place.random
        idle = [process for process in self.flippers if not process.busy]
        if not idle:
            return
        process = rng.choice(idle)
        clock = self._clock(process.skew)
        process.owner = process.owner or f"{process.name}-{next(place.numbers)}"
        process.busy = True

        def work() -> None:
            try:
                made = place.flipper(process.owner, clock).run(until=clock() + 45_000)
                place.tell("", f"the pass is over: {', '.join(f'{done.result}, {done.steps} steps' for done in made)}")
            except Unavailable as error:
                place.tell("", f"the pass failed: {error}")
            process.busy = False
            self._of.pop(actor, None)

        actor = self.begin(process.name, "flipper", work, process.skew)
        self._of[actor] = (process, None)

    def _end(self) -> None:
        place, rng = self.place, self.place.random
        running = place.stacks.running()
        for arn in rng.sample(running, min(len(running), rng.randint(1, 3))):
            status = place.stacks.finish(arn)
            place.tell("", f"{arn.split(':execution:')[1]} ends: {status}")

    def _redrive(self) -> None:
        place = self.place
        failed = [
            arn
            for arn, each in place.stacks.executions.items()
            if each.status in {ExecutionStatus.FAILED, ExecutionStatus.TIMED_OUT, ExecutionStatus.ABORTED}
        ]
        if failed:
            arn = place.random.choice(failed)
            place.watch.redriven.add(arn)
            place.stacks.executions[arn] = replace(place.stacks.executions[arn], status=ExecutionStatus.RUNNING, stopped_at=None)
            place.tell("", f"{arn.split(':execution:')[1]} is redriven")

    def _value(self) -> str:
        place, rng = self.place, self.place.random
        name = rng.choice(_STACKS)
        value = place.target(name)
        chance = rng.random()
        if chance < 0.1 and self.last_tag:
            return self.last_tag
        if chance < 0.15:
            return place.parameters.value(APP, "current") or value
        if chance < 0.4:
            return json.dumps({"arn": value, "tag": f"tag-{name}", "by": "ci"})
        return value

    def _tag(self) -> None:
        self.last_tag = self._value()
        self.place.parameters.put(APP, "latest", self.last_tag)

    def _withdraw(self) -> None:
        self.place.parameters.put(APP, "latest", BLANK)

    def _nonsense(self) -> None:
        self.place.parameters.put(APP, "latest", self.place.random.choice(_NONSENSE))

    def _foreign(self) -> None:
        self.place.parameters.put(APP, "current", self.place.target(self.place.random.choice(("v1", "v8", "v9"))))

    def _plan(self) -> None:
        text = plan_text(self.place.random.choice(list(PLANS)))
        if text is not None:
            self.place.parameters.put(APP, "plan", text)

    def _alarm(self) -> None:
        alarms, rng = self.place.alarms.alarms, self.place.random
        state = rng.choice((AlarmState.OK, AlarmState.OK, AlarmState.OK, AlarmState.INSUFFICIENT_DATA, AlarmState.ALARM, None))
        alarms.pop("errors", None)
        if state is not None:
            alarms["errors"] = state

    def _blind(self) -> None:
        self.place.stacks.blind = not self.place.stacks.blind
        self.place.tell("", f"executions can{'not' if self.place.stacks.blind else ''} be read")

    def _fitting(self) -> None:
        """An operator who knows what is going on."""
        watch = self.place.watch
        going = [release.state for release in watch.releases.values() if not release.ended]
        promoted = watch.releases.get(watch.item.promoted or "")
        back = promoted is not None and (not going or self.place.random.random() < 0.4)
        states = [promoted.state] if promoted is not None and back else going
        verbs = [verb for state in states for verb in _FITTING.get(state, ())]
        if verbs:
            self.do(self.place.random.choice(verbs))

    def _release(self) -> None:
        value = self._value()
        self._operate("release", lambda operator: operator.release(APP, value))

    def _retry(self) -> None:
        quarantined = sorted(self.place.watch.item.quarantine)
        if quarantined:
            target = self.place.random.choice(quarantined)
            self.place.watch.retried.add(target)
            self._operate("retry", lambda operator: operator.retry(APP, target))

    def _stop_all(self) -> None:
        watch = self.place.watch
        if self.place.random.random() < (0.2 if watch.item.stopped else 0.8):

            def stop(operator: Operator) -> None:
                operator.stop(APP, "an emergency")
                watch.stopped = watch.item.stopped is not None  # else somebody has ended it meanwhile

            self._operate("stop-all", stop)
        else:

            def start(operator: Operator) -> None:
                operator.start(APP)

            self._operate("start-all", start)

    def _ask(self, operator: Operator, deed: str) -> None:
        why = f"reason {next(self.place.numbers)}"
        operator.ask(APP, _VERBS[deed], why, force=deed == "force")

    def _operate(self, deed: str, what: Callable[[Operator], object]) -> None:
        if sum(actor.kind == "operator" for actor in self._of) >= _MOST_OPERATORS:
            return
        place = self.place

        def work() -> None:
            operator = place.operator(place.clock)
            try:
                what(operator)
                place.tell("", f"{deed}: done")
            except (NotPossible, Contended, Unavailable) as error:
                self.refused[deed] += 1
                place.tell("", f"{deed}: {type(error).__name__}: {error}")
            self._of.pop(actor, None)

        actor = self.begin(f"ops-{next(place.numbers)} {deed}", "operator", work)
        self._of[actor] = (None, None)
