"""The flipper in this process, against the embedded AWS: its calls can be counted, cut off, and met by somebody else's.

The deployed one is disabled meanwhile. Time can be moved on: a killed flipper leaves its lease behind.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import boto3
import pytest

from canary import bootstrap
from canary.aws.targets import StackTargets
from canary.config import flipper_settings
from canary.domain.audit import Row, Status
from canary.flipping.flipper import LEASE_MS, Flipper, Pass
from canary.flipping.world import World
from canary.local import LocalStack
from canary.local.stack import ACCOUNT, aws_environment
from canary.meter import Meter

LISTS = frozenset({"parameters.apps", "apps.apps"})
PORTS = ("parameters", "releases", "apps", "audit", "records", "executions", "stacks", "targets", "alarms", "notices")
WRITES = frozenset(
    {
        *("parameters.write", "releases.create", "releases.save", "apps.save_app", "apps.lease", "apps.give_back"),
        *("audit.put", "audit.update", "audit.mark_counted", "notices.send"),
        *("records.put", "targets.call", "executions.stop"),
    }
)


class Killed(BaseException):
    """The end of a process: nothing after it is done, no cleaning up either."""


@dataclass(frozen=True, slots=True)
class PortCall:
    """One call that the flipper is about to make."""

    name: str
    arguments: tuple[Any, ...]
    make: Callable[[], Any]


Tap = Callable[[PortCall], Any]


@dataclass(frozen=True, slots=True)
class Tapped:
    """A port whose calls go through a tap."""

    name: str
    port: Any
    tap: Tap

    def __getattr__(self, method: str) -> Callable[..., Any]:
        real = getattr(self.port, method)
        return lambda *args, **kwargs: self.tap(PortCall(f"{self.name}.{method}", args, lambda: real(*args, **kwargs)))


@dataclass(slots=True)
class Killer:
    """Kills the flipper after so many writes; a dead one does nothing more."""

    after: int
    made: int = 0
    last: str = ""

    def __call__(self, call: PortCall) -> Any:
        if self.made == self.after:
            raise Killed(self.last)
        answer = call.make()
        if call.name in WRITES:
            self.made, self.last = self.made + 1, call.name
            if self.made == self.after:
                raise Killed(self.last)
        return answer


@dataclass(slots=True)
class KillerAt:
    """Kills the flipper right after its nth write of a kind."""

    write: str
    nth: int
    met: int = 0

    def __call__(self, call: PortCall) -> Any:
        answer = call.make()
        if call.name == self.write:
            self.met += 1
            if self.met == self.nth:
                raise Killed(call.name)
        return answer


@dataclass(slots=True)
class Meddler:
    """Does something of somebody else's right before the nth call of a kind, and looks after each later call what came of it."""

    deed: Callable[[], Any]
    before: int
    wanted: Callable[[PortCall], bool]
    look: Callable[[], Any] | None
    met: int = 0

    def __call__(self, call: PortCall) -> Any:
        if self.wanted(call):
            self.met += 1
            if self.met == self.before:
                self.deed()
        answer = call.make()
        if self.look is not None and self.met >= self.before and call.name in WRITES:
            self.look()
        return answer


@dataclass(slots=True)
class InProcess:
    """Flippers of this process, one after the other, with a clock that can be moved on."""

    world: World
    ahead: int = 0
    log: list[str] = field(default_factory=list)

    def now(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead

    def past_the_lease(self) -> None:
        self.ahead += LEASE_MS + 1_000

    def passes(self, app: str, tap: Tap | None = None) -> Pass:
        """Let a fresh flipper make one pass. Raises `Killed`."""

        def alone(call: PortCall) -> Any:
            if call.name in LISTS:  # what another test may have left behind would be counted as well
                return (app,)
            return tap(call) if tap is not None else call.make()

        world = replace(self.world, clock=self.now)
        world = replace(world, **{name: Tapped(name, getattr(world, name), alone) for name in PORTS})
        done = {made.app: made for made in Flipper(world, self._tell).run(first=[app])}
        assert done[app].result != "failed", done[app].error
        return done[app]

    def killed_after(self, app: str, writes: int) -> str | None:
        """Let a flipper live for so many writes and name the last one; None when it came to its end before."""
        try:
            self.passes(app, Killer(writes))
        except Killed as killed:
            return str(killed)
        return None

    def killed_at(self, app: str, write: str, nth: int = 1) -> bool:
        """Kill a flipper right after its nth write of a kind; False when there is none."""
        try:
            self.passes(app, KillerAt(write, nth))
        except Killed:
            return True
        return False

    def met_by(
        self,
        app: str,
        deed: Callable[[], Any],
        *,
        before: int = 1,
        wanted: Callable[[PortCall], bool] = lambda call: True,
        look: Callable[[], Any] | None = None,
        killed_after: int | None = None,
    ) -> bool:
        """Make a pass in which somebody does something right before the nth call of a kind; False when there is none."""
        meddler = Meddler(deed, before, wanted, look)
        killer = Killer(killed_after) if killed_after is not None else None
        try:
            self.passes(app, lambda call: meddler(replace(call, make=lambda: killer(call)) if killer else call))
        except Killed:
            return True
        return meddler.met >= before and killer is None

    def _tell(self, message: str, **facts: object) -> None:
        self.log.append(f"{message} {facts}")


@pytest.fixture(scope="session")
def _world(stack: LocalStack) -> World:
    variables = {
        **aws_environment(stack.endpoint_url),
        "CANARY_PREFIX": stack.outputs["ParameterPrefix"],
        "CANARY_RELEASES_TABLE": stack.outputs["ReleasesTable"],
        "CANARY_AUDIT_TABLE": stack.outputs["AuditTable"],
        "CANARY_TARGET_PATTERN": "*",
        "CANARY_ACCOUNT": ACCOUNT,
        "CANARY_ENVIRONMENT": "local",
        "CANARY_TOPIC_ARN": stack.outputs["TopicArn"],
        "CANARY_EVENT_BUS": "default",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        patch.setattr(boto3, "DEFAULT_SESSION", None)
        world = bootstrap.world(flipper_settings(variables), Meter("flipper"))
    # Its own clients for stacks are made when they are called, and kept for the life of the process.
    awslambda, states = stack.client("lambda"), stack.client("stepfunctions")
    return replace(world, targets=StackTargets(lambda _: awslambda, lambda _: states))


@pytest.fixture
def flippers(_world: World, _the_deployed_one_sleeps: None) -> InProcess:
    return InProcess(_world)


@pytest.fixture(scope="module")
def _the_deployed_one_sleeps(stack: LocalStack, awslambda: Any, set_environment: Callable[..., Any]) -> Iterator[None]:
    function = stack.outputs["FlipperFunction"]
    reserved = awslambda.get_function_concurrency(FunctionName=function).get("ReservedConcurrentExecutions")
    awslambda.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
    set_environment("FlipperFunction", ASLEEP="1")  # ends a pass that an event has begun just before
    yield
    if reserved is None:
        awslambda.delete_function_concurrency(FunctionName=function)
    else:
        awslambda.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=reserved)


@pytest.fixture
def quiet(subject_named: Callable[[str], Any], flippers: InProcess) -> Callable[[str], Any]:
    """The app under test, woken by the flipper of this process."""
    return lambda name: replace(subject_named(name), wake=lambda event: flippers.passes(event["app"]))


@pytest.fixture
def claimed(flippers: InProcess) -> Callable[..., list[Row]]:
    """What routers leave behind that sent so many requests to latest: claims, and rows with their outcome."""

    def claim(subject: Any, release: Any, status: Status, count: int = 2, **also: Any) -> list[Row]:
        rows = []
        for number in range(count):
            at = flippers.now()
            request_id = f"{at:026d}"[:26].translate(str.maketrans("ILOU", "1100")) + f"-r{release.release}"
            request_id = f"{number}{request_id[1:]}"
            assert subject.releases.claim(subject.name, release.release, request_id, at) == "WON"
            row = Row(
                app=subject.name,
                release=release.release,
                request_id=request_id,
                status=status,
                claimed_at=at,
                target=release.target,
                tag=release.tag,
                **({"started_at": at, "stopped_at": at} if status not in {Status.CLAIMED, Status.RUNNING} else {}),
                **also,
            )
            assert subject.audit.put(row) is None
            rows.append(row)
        return rows

    return claim


@pytest.fixture
def history(ssm: Any, stack: LocalStack) -> Callable[[str, str], list[str]]:
    """All values that a parameter has had, oldest first."""

    def values(app: str, name: str) -> list[str]:
        found: Mapping[str, Any] = ssm.get_parameter_history(Name=f"{stack.outputs['ParameterPrefix']}/{app}/{name}")
        return [version["Value"] for version in found["Parameters"]]

    return values
