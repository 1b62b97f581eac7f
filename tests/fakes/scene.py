"""A whole installation in memory: one app, its stacks, a router, a flipper, an operator."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import exp
from statistics import NormalDist
from typing import Any

from canary.aws.transform_id import expression_problem
from canary.domain.asks import asked
from canary.domain.audit import Arm, ExecutionStatus, Row
from canary.domain.record import Record
from canary.domain.release import Ask, Release, Verb
from canary.domain.states import ReleaseState
from canary.domain.target import Allowed, state_machine_of
from canary.flipping.flipper import Flipper, Pass
from canary.flipping.world import World
from canary.operating.operator import Operator
from canary.routing.beside import Beside
from canary.routing.keyed import Desk
from canary.routing.router import Reply, Request, Router
from canary.routing.view import View
from tests.fakes.alarms import FakeAlarms
from tests.fakes.audit import FakeAudit
from tests.fakes.calls import Calls
from tests.fakes.clock import Clock
from tests.fakes.keys import FakeKeys
from tests.fakes.notices import FakeNotices
from tests.fakes.parameters import FakeParameters
from tests.fakes.records import FakeRecords
from tests.fakes.releases import FakeReleases
from tests.fakes.stacks import FakeStacks

APP = "transformer"
ACCOUNT, REGION = "123456789012", "eu-west-1"
LONG_MS = 100_000
#: How long a workflow of the scene takes as a rule, and by how much the logarithm of that varies.
USUAL_MS, SPREAD = 100_000, 0.5


def arn(name: str) -> str:
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:transformer-{name}:live"


def machine(name: str) -> str:
    return f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:transformer-{name}"


def usual_ms(quantile: float) -> int:
    """How long one workflow of 100 takes, from the shortest (0) to the longest (1)."""
    return round(USUAL_MS * exp(SPREAD * NormalDist().inv_cdf(min(max(quantile, 0.0005), 0.9995))))


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a stack's workflows: which of them fail, counted from 0, and how long each takes (None: it hangs)."""

    fails: Callable[[int], bool]
    takes: Callable[[int], int | None]


class Scene:
    """Everything that a test of the whole protocol needs, in words of the domain."""

    def __init__(self, *, plan: dict[str, Any] | str | None = None, seed: int = 1, current: str | None = None) -> None:
        self.calls = Calls()
        self.clock = Clock()
        self.random = random.Random(seed)
        self.parameters = FakeParameters(self.calls, self.clock)
        self.releases = FakeReleases(self.calls)
        self.audit = FakeAudit(self.calls)
        self.keys = FakeKeys(self.calls)
        self.stacks = FakeStacks(self.calls, self.clock)
        self.notices = FakeNotices(self.calls)
        self.records = FakeRecords(self.calls)
        self.alarms = FakeAlarms(self.calls)
        self.counts: list[tuple[str, str]] = []
        self.allowed = Allowed("transformer-*", ACCOUNT, REGION)
        self._fates: dict[str, Fate] = {}
        self._doomed: dict[str, tuple[int | None, ExecutionStatus]] = {}
        self.parameters.put(APP, "current", current or arn("v1"))
        if plan is not None:
            self.parameters.put(APP, "plan", plan if isinstance(plan, str) else json.dumps(plan))

    def world(self) -> World:
        return World(
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
            clock=self.clock,
            count=self._count,
        )

    def flip(self) -> list[Pass]:
        """One pass of a new flipper process; an earlier one that was killed has lost its lease by now."""
        self.live(LONG_MS)
        return Flipper(self.world(), _told, owner=f"flipper-{self.clock()}").run()

    def desk(self, draw: float = 0.0, *, beside: Beside | None = None) -> Desk:
        """A new router process. ``draw`` is what its coin shows: 0 wins a slot wherever there is one.

        Where nothing is said of how it reads ``beside`` a call, what is due is read first.
        """
        view = View(
            self.parameters, self.releases, self.allowed, clock=self.clock, draw=lambda: 0.5, count=self._count, beside=beside
        )
        router = Router(
            view,
            self.releases,
            self.audit,
            self.stacks,
            clock=self.clock,
            draw=lambda: draw,
            random_bits=self.random.getrandbits,
            count=self._count,
        )
        return Desk(router, self.keys, self.audit, self.stacks, clock=self.clock)

    def send(self, desk: Desk | None = None, *, key: str | None = None, body: bytes = b"{}", tenant: str | None = None) -> Reply:
        request = Request(app=APP, body=body, deadline=self.clock.now + 28_000, tenant=tenant)
        return (desk or self.desk()).take(request, "key-id", key)

    def operator(self) -> Operator:
        return Operator(self.parameters, self.releases, self.releases, self, who="ops", clock=self.clock)

    def wake(self, app: str) -> str:
        return next((done.result for done in self.flip() if done.app == app), "missing")

    def write_latest(self, value: str) -> None:
        self.parameters.put(APP, "latest", value)

    def ask(self, verb: Verb, why: str = "because", *, release: str | None = None, force: bool = False) -> Release:
        if not force:
            return self.operator().ask(APP, verb, why, release)
        before = self.operator().addressed(APP, verb, release)
        after = asked(before, Ask(verb, "ops", why, self.clock(), force=True))
        assert self.releases.save(before, after)
        return after

    def ask_abort(self) -> None:
        """Abort the release on trial, for the record that this leaves of what was seen."""
        self.ask(Verb.ABORT, "enough was seen")
        self.flip()

    def ran_before(self, executions: int = 500, failed: int = 2, *, name: str = "v1", every_ms: int = 600_000) -> None:
        """Give a stack a past of finished workflows: the ``failed`` ones spread over it, durations as usual."""
        first = self.clock.now - (executions + 1) * every_ms
        for number in range(executions):
            bad = number * failed // executions != (number + 1) * failed // executions
            self.stacks.ran(
                machine(name),
                f"past-{number:05d}",
                started_at=first + number * every_ms,
                duration_ms=usual_ms((number * 0.618) % 1),
                status=ExecutionStatus.FAILED if bad else ExecutionStatus.SUCCEEDED,
            )

    def behaves(self, name: str, *, fails: Callable[[int], bool] = lambda _: False, slow: float | None = 1.0) -> None:
        """Let a stack's workflows end by themselves, as time passes: some failed, ``slow`` times as late as usual or never."""

        def takes(number: int) -> int | None:
            return None if slow is None else round(slow * usual_ms((0.5 + number * 0.618) % 1))

        self._fates[machine(name)] = Fate(fails, takes)

    def live(self, milliseconds: int) -> None:
        """Let time pass, and what is due end in it."""
        self.clock.pass_by(milliseconds)
        for arn_, execution in self.stacks.executions.items():
            fate = self._fates.get(state_machine_of(arn_))
            if fate is None or execution.status is not ExecutionStatus.RUNNING or execution.started_at is None:
                continue
            if arn_ not in self._doomed:
                number = sum(state_machine_of(other) == state_machine_of(arn_) for other in self._doomed)
                takes, bad = fate.takes(number), fate.fails(number)
                ends = None if takes is None else execution.started_at + takes
                self._doomed[arn_] = (ends, ExecutionStatus.FAILED if bad else ExecutionStatus.SUCCEEDED)
            ends, status = self._doomed[arn_]
            if ends is not None and ends <= self.clock.now:
                self.stacks.executions[arn_] = replace(execution, status=status, stopped_at=ends)

    def spend(self, most: int = 10_000, *, draw: float = 0.0) -> int:
        """Send requests until none goes to latest any more, ``most`` of them; return how many have gone there."""
        desk = self.desk(draw)
        sent = 0
        while sent < most and self.send(desk).body["routed_to"] == "latest":
            sent += 1
        return sent

    def end_workflows(self, status: ExecutionStatus = ExecutionStatus.SUCCEEDED, *, of: str = "") -> None:
        self.stacks.end_all(status, of=of)

    def all_releases(self) -> list[Release]:
        return sorted(self.releases.releases.values(), key=lambda release: release.release)

    def only_release(self) -> Release:
        (release,) = self.all_releases()
        return release

    def in_state(self, state: ReleaseState) -> list[Release]:
        return [release for release in self.all_releases() if release.state is state]

    def rows(self) -> list[Row]:
        return list(self.audit.table.values())

    def samples(self) -> list[Row]:
        """The control samples: rows of current."""
        return [row for row in self.rows() if row.arm is Arm.CURRENT]

    def kept(self) -> list[Record]:
        """The evidence records, oldest first."""
        return sorted(self.records.table.values(), key=lambda record: record.name)

    def parameter(self, name: str) -> str | None:
        return self.parameters.value(APP, name)

    def sent_to(self, name: str) -> list[str]:
        return [request_id for stack, request_id in self.stacks.sent if stack == f"transformer-{name}"]

    def _count(self, name: str, app: str, number: int = 1) -> None:
        self.counts += [(name, app)] * number


def _told(message: str, **facts: object) -> None:
    """Let no defect hide behind a pass that has failed: only what AWS does is something that a pass may fail of."""
    error = str(facts.get("error", ""))
    assert not message.startswith("the pass failed") or error.startswith(("Unavailable(", "Denied(")), error
