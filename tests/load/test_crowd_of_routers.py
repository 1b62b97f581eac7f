"""2,000 requests in flight at once: as many of them are on latest as slots were granted, and not one more.

Each request has a router of its own, as Lambda has a process for each request in flight; all of them remember the release as
it was when nothing was claimed, so all try. What counts is that a conditional write is one: DynamoDB's are, and here a lock makes
them so, in moto's table and in the fakes', which is held to moto's behaviour by the contract suite. The router's own adapters run
on moto; it takes minutes for an item with a thousand claims, so the large ones run on the fakes. An embedded AWS behind
sockets would let 2,000 callers in by and by, and show less.
"""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from canary.aws.audit import AuditTable
from canary.aws.parameters import ParameterStore
from canary.aws.records import RecordTable
from canary.aws.releases import ReleaseTable
from canary.aws.transform_id import expression_problem
from canary.domain.audit import Arm, Status
from canary.domain.call import Call, CallResult
from canary.domain.claim import Claimed
from canary.domain.offer import Offer
from canary.domain.parameter import Parameter
from canary.domain.release import Release, release_key
from canary.domain.states import ReleaseState
from canary.domain.target import Allowed, Target, execution_arn
from canary.flipping.flipper import Flipper
from canary.flipping.world import World
from canary.lean.audit import LeanAudit
from canary.lean.slots import LeanSlots
from canary.routing.router import Request, Router
from canary.routing.view import View
from tests.fakes.alarms import FakeAlarms
from tests.fakes.audit import FakeAudit
from tests.fakes.calls import Calls
from tests.fakes.clock import Clock
from tests.fakes.notices import FakeNotices
from tests.fakes.parameters import FakeParameters
from tests.fakes.records import FakeRecords
from tests.fakes.releases import FakeReleases
from tests.fakes.scene import ACCOUNT, APP, REGION, machine
from tests.fakes.stacks import FakeStacks
from tests.load.moto_wire import MotoWire

AT_ONCE = 2_000
#: Threads that do little need little; with the usual stacks they would ask for 16 GB of addresses.
STACK_BYTES = 512 * 1024
WITHIN_S = 120


class Coin:
    """Shows what it is told to, to whichever thread asks."""

    def __init__(self, tosses: list[float]) -> None:
        self._left, self._lock = list(tosses), threading.Lock()

    def __call__(self) -> float:
        with self._lock:
            return self._left.pop()


@dataclass
class Gathering:
    """Stacks whose calls end only when all that are expected have come: so all of them are in flight at once."""

    expected: int
    sent: Counter[str] = field(default_factory=Counter)
    most: int = 0
    _here: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def call(self, target: Target, body: bytes, request_id: str, *_: Any, **__: Any) -> Call:
        with self._changed:
            self.sent[target.name] += 1
            self._here += 1
            self.most = max(self.most, self._here)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self.most >= self.expected, WITHIN_S), f"only {self.most} were in flight"
            self._here -= 1
        return Call(result=CallResult.ANSWERED, transform_id=execution_arn(target.arn, request_id))


@dataclass(frozen=True)
class Remembered:
    """What a router has read some seconds ago; claims go to the table."""

    table: Any
    parameters: dict[str, Parameter]
    offer: Offer | None

    def read(self, app: str, *names: str) -> dict[str, Parameter]:
        return self.parameters

    def release(self, app: str, release: str) -> Offer | None:
        return self.offer

    def claim(self, app: str, release: str, request_id: str, now: int) -> Claimed:
        return self.table.claim(app, release, request_id, now)

    def claim_batch(self, *arguments: Any, **named: Any) -> Any:
        return self.table.claim_batch(*arguments, **named)


class OneAtATime(Calls):
    """The fakes' tables write an item as one, as DynamoDB does, whichever thread asks."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.RLock()

    def made(self, name: str, effect: Callable[[], Any]) -> Any:
        with self._lock:
            return super().made(name, effect)


@dataclass
class Tables:
    """What the flipper works with, and what the routers do."""

    parameters: Any
    releases: Any
    audit: Any
    records: Any
    slots: Any
    rows: Any


def in_memory(clock: Clock) -> Tables:
    calls = OneAtATime()
    releases, audit = FakeReleases(calls), FakeAudit(calls)
    return Tables(FakeParameters(calls, clock), releases, audit, FakeRecords(calls), releases, audit)


def on_moto(client: Callable[[str], Any], names: Any, transport: str) -> Tables:
    dynamodb, wire = client("dynamodb"), cast("Any", MotoWire())
    parameters, records = ParameterStore(client("ssm"), "/canary"), RecordTable(dynamodb, names.audit, REGION)
    releases, audit = ReleaseTable(dynamodb, names.releases, REGION), AuditTable(dynamodb, names.audit, REGION)
    if transport == "botocore":
        return Tables(parameters, releases, audit, records, releases, audit)
    return Tables(parameters, releases, audit, records, LeanSlots(wire, names.releases), LeanAudit(wire, names.audit))


class Installation:
    """A flipper, and as many routers as one likes, on the same tables."""

    def __init__(self, clock: Clock, tables: Tables) -> None:
        self.clock, self.tables = clock, tables
        stacks = FakeStacks(Calls(), self.clock)
        self.allowed = Allowed("*", ACCOUNT, REGION)
        self.key = ""
        self.world = World(
            parameters=tables.parameters,
            releases=tables.releases,
            apps=tables.releases,
            audit=tables.audit,
            records=tables.records,
            executions=stacks,
            stacks=stacks,
            targets=stacks,
            alarms=FakeAlarms(Calls()),
            notices=FakeNotices(Calls()),
            allowed=self.allowed,
            inspect_expression=expression_problem,
            clock=self.clock,
            count=lambda *_: None,
        )

    @property
    def release(self) -> Release:
        found: Release = self.tables.releases.release(APP, self.key)
        return found

    def flip(self) -> str:
        [done] = Flipper(self.world, lambda *_, **__: None).run()
        return done.result

    def open(self, plan: dict[str, Any]) -> Release:
        for name, value in {"plan": json.dumps(plan), "current": machine("v1"), "latest": machine("v2")}.items():
            self.tables.parameters.write(APP, name, value)
        latest = self.tables.parameters.read(APP, "latest")["latest"]
        self.key = release_key(latest.version, latest.value, latest.modified_at)
        assert self.flip() == "done"
        assert self.release.state is ReleaseState.RUNNING, self.release.reason
        return self.release

    def crowd(self, draw: Callable[[], float] = lambda: 0.0) -> Crowd:
        """Routers that all know what there is to know now."""
        parameters = dict(self.tables.parameters.read(APP, "current", "latest", "plan"))
        known = Remembered(self.tables.slots, parameters, self.tables.slots.release(APP, self.key))
        stacks = Gathering(AT_ONCE)
        return Crowd([self._router(known, stacks, draw) for _ in range(AT_ONCE)], stacks, self.clock.now + 28_000)

    def _router(self, known: Remembered, stacks: Gathering, draw: Callable[[], float]) -> Router:
        def ignored(*_: Any) -> None: ...

        view = View(known, known, self.allowed, clock=self.clock, draw=lambda: 0.5, count=ignored)  # type: ignore[arg-type]
        bits = random.SystemRandom().getrandbits
        return Router(view, known, self.tables.rows, stacks, clock=self.clock, draw=draw, random_bits=bits, count=ignored)  # type: ignore[arg-type]


@dataclass
class Crowd:
    """Routers with one request each."""

    routers: list[Router]
    stacks: Gathering
    deadline: int
    answers: list[Any] = field(default_factory=list)

    def all_at_once(self) -> Counter[str]:
        """Let all routers begin in one moment, and wait for their answers: how many went where."""
        begin = threading.Barrier(len(self.routers))

        def request(router: Router) -> None:
            begin.wait(WITHIN_S)
            self.answers.append(self._answered(router))

        before = threading.stack_size(STACK_BYTES)
        try:
            threads = [threading.Thread(target=request, args=(router,), daemon=True) for router in self.routers]
            for thread in threads:
                thread.start()
        finally:
            threading.stack_size(before)
        for thread in threads:
            thread.join(WITHIN_S)
        assert len(self.answers) == len(self.routers)
        return Counter(answer.body["routed_to"] for answer in self.answers)

    def _answered(self, router: Router) -> Any:
        known = router.known(APP)
        toss = router.toss(known)
        request = Request(app=APP, body=b"{}", deadline=self.deadline)
        return router.send(request, known, router.new_id(toss), toss)


@pytest.fixture(params=["memory"])
def installation(request: pytest.FixtureRequest) -> Installation:
    clock = Clock()
    if request.param == "memory":
        return Installation(clock, in_memory(clock))
    client, names = request.getfixturevalue("moto"), request.getfixturevalue("tables")
    return Installation(clock, on_moto(client, names, request.param))


def check(installation: Installation, crowd: Crowd, expected: int) -> None:
    went = crowd.all_at_once()
    release = installation.release
    rows = [row for row in installation.tables.audit.of_release(APP, release.release) if row.arm is Arm.LATEST]
    assert crowd.stacks.most == AT_ONCE, "all of them were in flight at once"
    assert went == Counter({"latest": expected, "current": AT_ONCE - expected})
    assert crowd.stacks.sent == Counter({"transformer-v2": expected, "transformer-v1": AT_ONCE - expected})
    slots = len(release.open) + sum(batch.slots for batch in release.batches.values())
    assert (release.claimed, slots) == (expected, expected)
    on_latest = {answer.body["request_id"] for answer in crowd.answers if answer.body["routed_to"] == "latest"}
    assert {(row.request_id, row.status) for row in rows} == {(name, Status.RUNNING) for name in on_latest}, "all are on record"
    assert not any(answer.body.get("fell_back") for answer in crowd.answers)


@pytest.mark.parametrize(
    ("quota", "installation"),
    [(2, "lean"), (50, "botocore"), (2, "memory"), (50, "memory"), (1_000, "memory")],
    indirect=["installation"],
)
def test_of_2000_requests_at_once_as_many_as_the_quota_go_to_latest(installation, quota):
    assert installation.open({"stages": [{"quota": quota, "weight": 100}]}).granted == quota
    check(installation, installation.crowd(), expected=quota)


def test_a_stage_of_weight_alone_gives_2000_requests_at_once_as_many_slots_as_are_granted(installation):
    granted = installation.open({"stages": [{"weight": 100, "bake": "1h"}]}).granted
    assert 0 < granted < AT_ONCE
    check(installation, installation.crowd(), expected=granted)


def test_a_stage_of_weight_alone_gives_2000_requests_at_once_no_more_than_the_coin_shows(installation):
    granted = installation.open({"stages": [{"weight": 20, "bake": "1h"}]}).granted
    tosses = random.Random(7).choices([0.0, 0.99], weights=[20, 80], k=AT_ONCE)
    assert 300 < tosses.count(0.0) < granted
    check(installation, installation.crowd(Coin(tosses)), expected=tosses.count(0.0))


def test_while_the_flipper_passes_no_more_go_to_latest_than_it_has_granted(installation):
    installation.open({"stages": [{"quota": 50, "weight": 100}]})
    crowd, over, results = installation.crowd(), threading.Event(), set()

    def pass_all_the_time() -> None:
        while True:  # once at least, however late it gets its turn
            results.add(installation.flip())
            if over.wait(0.05):
                return

    flipper = threading.Thread(target=pass_all_the_time, daemon=True)
    flipper.start()
    try:
        went = crowd.all_at_once()
    finally:
        over.set()
        flipper.join(WITHIN_S)
    installation.flip()
    release = installation.release
    assert results == {"done"}
    assert went["latest"] == crowd.stacks.sent["transformer-v2"] == 50
    assert (release.claimed, release.granted, release.open) == (50, 50, {}), "each has its row"
    assert len(list(installation.tables.audit.of_release(APP, release.release))) == 50
