"""An installation in memory, seen by many processes: each has its own clock and its own caches."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from canary.aws.transform_id import expression_problem
from canary.domain.alarm import AlarmState
from canary.domain.audit import ExecutionStatus
from canary.domain.target import BLANK, Allowed
from canary.flipping.flipper import Flipper
from canary.flipping.world import World
from canary.operating.operator import Operator
from canary.routing.keyed import Desk
from canary.routing.router import Router
from canary.routing.view import View
from tests.fakes.alarms import FakeAlarms
from tests.fakes.audit import FakeAudit
from tests.fakes.clock import Clock
from tests.fakes.keys import FakeKeys
from tests.fakes.notices import FakeNotices
from tests.fakes.parameters import FakeParameters
from tests.fakes.records import FakeRecords
from tests.fakes.releases import EventualSlots, FakeReleases
from tests.fakes.scene import ACCOUNT, APP, REGION, arn, machine
from tests.histories.invariants import Watch
from tests.histories.scheduling import Switchboard
from tests.histories.stacks import HistoryStacks
from tests.histories.theme import OPERATOR, Kind, Theme, plan_text

#: A past of current, so that judged releases have something to be compared with.
_PAST, _EVERY_MS, _TAKES_MS = 30, 600_000, 60_000


class Defect(BaseException):
    """A process failed of something that AWS does not do. Not an Exception: nothing may catch it."""


@dataclass
class Installation:
    """Everything that the processes of a history share."""

    theme: Theme
    random: random.Random
    told: list[tuple[int, str, str, str]]
    clock: Clock = field(default_factory=Clock)
    numbers: count[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.board = Switchboard(self.clock, self.random)
        self.parameters = FakeParameters(self.board, self.clock)
        self.releases = FakeReleases(self.board)
        self.audit = FakeAudit(self.board)
        self.keys = FakeKeys(self.board)
        self.records = FakeRecords(self.board)
        self.alarms = FakeAlarms(self.board)
        self.notices = FakeNotices(self.board)
        self.stacks = HistoryStacks(self.board, self.clock, theme=self.theme, random=self.random, board=self.board)
        self.allowed = Allowed("transformer-*", ACCOUNT, REGION)
        self.alarms.alarms["errors"] = AlarmState.OK
        self.watch = Watch(self.stacks, self.allowed, lambda words: self.tell("", words))
        self.watch.acting = lambda: self.board.acting.name if self.board.acting else "a hand"
        self.board.on_change = self.watch.changed
        self.parameters.put(APP, "current", self.target("v1"))
        if self.theme.initialised:
            self.parameters.put(APP, "latest", BLANK)
        if (text := plan_text(self.theme.plan)) is not None:
            self.parameters.put(APP, "plan", text)
        self._had_a_past()
        self.clock.pass_by(60_000)  # all that is older than what any read may show

    def target(self, name: str) -> str:
        """The ARN of a stack."""
        return machine(name) if self.theme.kind is Kind.MACHINE else arn(name)

    def tell(self, call: str, note: str) -> None:
        """Add a line to the history."""
        self.told.append((self.clock.now, self.board.acting.name if self.board.acting else "", call, note))

    def flipper(self, owner: str, clock: Callable[[], int]) -> Flipper:
        """A new flipper process."""
        world = World(
            parameters=self.parameters,
            releases=self.releases,
            apps=self.releases,
            audit=self.audit,
            records=self.records,
            executions=self.stacks,
            stacks=self.stacks,
            targets=self.stacks,
            alarms=self.alarms,
            notices=self.notices,
            allowed=self.allowed,
            inspect_expression=expression_problem,
            clock=clock,
            count=lambda *_: None,
        )
        return Flipper(world, self._log, owner=owner)

    def desk(self, clock: Callable[[], int]) -> Desk:
        """A new router process, which knows nothing."""
        slots = EventualSlots(self.releases)
        view = View(
            self.parameters,
            slots,
            self.allowed,
            clock=clock,
            draw=self.random.random,
            count=lambda *_: None,
            beside=_at_its_end if self.theme.beside else None,
        )
        router = Router(
            view,
            slots,
            self.audit,
            self.stacks,
            clock=clock,
            draw=self.random.random,
            random_bits=self.random.getrandbits,
            count=lambda *_: None,
        )
        return Desk(router, self.keys, self.audit, self.stacks, clock=clock)

    def operator(self, clock: Callable[[], int]) -> Operator:
        """An operator at a terminal."""
        return Operator(self.parameters, self.releases, self.releases, _Asleep(), who=OPERATOR, clock=clock)

    def _log(self, message: str, **facts: object) -> None:
        error = str(facts.get("error", ""))
        if message.startswith("the pass failed") and not error.startswith(("Unavailable(", "Denied(")):
            raise Defect(error)
        self.tell("", f"{message} {facts.get('why') or error}".strip())

    def _had_a_past(self) -> None:
        first = self.clock.now - (_PAST + 1) * _EVERY_MS
        for number in range(_PAST):
            self.stacks.ran(
                machine("v1"),
                f"past-{number:05d}",
                started_at=first + number * _EVERY_MS,
                duration_ms=_TAKES_MS,
                status=ExecutionStatus.SUCCEEDED,
            )


def _at_its_end(work: Callable[[], None]) -> Callable[[], None]:
    """Do what is to be done beside a call when that has ended: the caller has to wait for it then."""
    return work


class _Asleep:
    """A flipper that nobody can wake: its schedule does."""

    def wake(self, app: str) -> str:
        return "busy"
