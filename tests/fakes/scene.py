"""A whole installation in memory: one app, its stacks, a router, a flipper, an operator."""

from __future__ import annotations

import json
import random
from typing import Any

from canary.aws.transform_id import expression_problem
from canary.domain.audit import ExecutionStatus, Row
from canary.domain.release import Release, ReleaseState, Verb
from canary.domain.target import Allowed
from canary.flipping.flipper import Flipper, Pass
from canary.flipping.world import World
from canary.operating.operator import Operator
from canary.routing.keyed import Desk
from canary.routing.router import Reply, Request, Router
from canary.routing.view import View
from tests.fakes.aws import Clock, FakeAudit, FakeKeys, FakeNotices, FakeParameters, FakeReleases, FakeStacks
from tests.fakes.calls import Calls

APP = "transformer"
ACCOUNT, REGION = "123456789012", "eu-west-1"
LONG_MS = 100_000


def arn(name: str) -> str:
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:transformer-{name}:live"


def machine(name: str) -> str:
    return f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:transformer-{name}"


class Scene:
    """Everything that a test of the whole protocol needs, in words of the domain."""

    def __init__(self, *, plan: dict[str, Any] | None = None, seed: int = 1) -> None:
        self.calls = Calls()
        self.clock = Clock()
        self.random = random.Random(seed)
        self.parameters = FakeParameters(self.calls, self.clock)
        self.releases = FakeReleases(self.calls)
        self.audit = FakeAudit(self.calls)
        self.keys = FakeKeys(self.calls)
        self.stacks = FakeStacks(self.calls, self.clock)
        self.notices = FakeNotices(self.calls)
        self.counts: list[tuple[str, str]] = []
        self.allowed = Allowed("transformer-*", ACCOUNT, REGION)
        self.parameters.put(APP, "current", arn("v1"))
        if plan is not None:
            self.parameters.put(APP, "plan", json.dumps(plan))

    def world(self) -> World:
        return World(
            parameters=self.parameters,
            releases=self.releases,
            apps=self.releases,
            audit=self.audit,
            executions=self.stacks,
            stacks=self.stacks,
            notices=self.notices,
            allowed=self.allowed,
            inspect_expression=expression_problem,
            clock=self.clock,
            count=self._count,
        )

    def flip(self) -> list[Pass]:
        """One pass of a new flipper process; an earlier one that was killed has lost its lease by now."""
        self.clock.pass_by(LONG_MS)
        return Flipper(self.world(), lambda *_, **__: None, owner=f"flipper-{self.clock()}").run()

    def desk(self, draw: float = 0.0) -> Desk:
        """A new router process. ``draw`` is what its coin shows: 0 wins a slot wherever there is one."""
        view = View(self.parameters, self.releases, self.allowed, clock=self.clock, draw=lambda: 0.5, count=self._count)
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

    def ask(self, verb: Verb, why: str = "because") -> Release:
        return self.operator().ask(APP, verb, why)

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

    def parameter(self, name: str) -> str | None:
        return self.parameters.value(APP, name)

    def sent_to(self, name: str) -> list[str]:
        return [request_id for stack, request_id in self.stacks.sent if stack == f"transformer-{name}"]

    def _count(self, name: str, app: str, number: int = 1) -> None:
        self.counts += [(name, app)] * number
