"""All cases at once, on one environment whose functions reach AWS through a proxy; each test is told how its case went."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, Self

import pytest
from botocore.exceptions import ClientError

from canary.domain.audit import Status
from canary.domain.release import Release, timestamp
from tests.e2e.releases.faults.proxy import Proxy, Service
from tests.e2e.releases.faults.scenario import LONG_AGO_MS, Case, Life, Phase

FUNCTIONS = ("RouterFunction", "FlipperFunction")
#: Between two requests to an app.
PAUSE_S = 0.1
QUICK = {"StartAt": "Done", "States": {"Done": {"Type": "Pass", "End": True}}}
#: So that an outage can begin after the last request, and before its workflow ends; or before an abort decides.
WAITS = {
    phase: {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": seconds, "End": True}}}
    for phase, seconds in {Phase.PROMOTION: 6, Phase.ABORT: 15}.items()
}
ECHO = "def handler(event, context): return {'n': event['n']}"
#: At once, and all the time: the schedule, sped up.
WAKERS = 2


@pytest.fixture(scope="module")
def proxy(stack, awslambda) -> Iterator[Proxy]:
    """The way of both functions to AWS."""
    made = Proxy(stack.endpoint_url)
    with contextlib.ExitStack() as afterwards:
        afterwards.callback(made.close)
        for output in FUNCTIONS:
            name = stack.outputs[output]
            before = awslambda.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
            _set_environment(awslambda, name, {**before, **made.environment})
            afterwards.callback(_set_environment, awslambda, name, before)
        yield made


@pytest.fixture(scope="module")
def machine_named(sfn) -> Iterator[Callable[..., str]]:
    """Make a state machine of a name: `machine_named("app-v1", definition)`."""
    made: list[str] = []

    def make(name: str, definition: Any) -> str:
        arn = sfn.create_state_machine(
            name=name, definition=json.dumps(definition), roleArn="arn:aws:iam::000000000000:role/any"
        )["stateMachineArn"]
        made.append(arn)
        return arn

    yield make
    for arn in made:
        sfn.delete_state_machine(stateMachineArn=arn)


@pytest.fixture(scope="module")
def function_named(awslambda) -> Iterator[Callable[[str], str]]:
    """Make a function of a name that answers with its request's number."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("app.py", ECHO)
    made: list[str] = []

    def make(name: str) -> str:
        awslambda.create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role="arn:aws:iam::000000000000:role/any",
            Handler="app.handler",
            Code={"ZipFile": archive.getvalue()},
            Timeout=30,
        )
        made.append(name)
        return awslambda.publish_version(FunctionName=name)["FunctionArn"]

    yield make
    for name in made:
        awslambda.delete_function(FunctionName=name)


@pytest.fixture(scope="module")
def age(dynamodb, stack, now) -> Callable[[Any, Release], None]:
    """Let a minute have passed since what is left of a release's requests: claims without a row, rows without an execution."""

    def back(subject: Any, release: Release) -> None:
        then = timestamp(now() - LONG_AGO_MS)
        for request_id in release.open:
            with contextlib.suppress(dynamodb.exceptions.ConditionalCheckFailedException):
                dynamodb.update_item(
                    TableName=stack.outputs["ReleasesTable"],
                    Key={"app": {"S": subject.name}, "release": {"S": release.release}},
                    UpdateExpression="SET #open.#id = :then",
                    ConditionExpression="attribute_exists(#open.#id)",
                    ExpressionAttributeNames={"#open": "open", "#id": request_id},
                    ExpressionAttributeValues={":then": {"S": then}},
                )
        for row in subject.rows(release):
            if row.status is not Status.CLAIMED:
                continue
            with contextlib.suppress(dynamodb.exceptions.ConditionalCheckFailedException):
                dynamodb.update_item(
                    TableName=stack.outputs["AuditTable"],
                    Key={"release_id": {"S": f"{subject.name}#{release.release}"}, "request_id": {"S": row.request_id}},
                    UpdateExpression="SET claimed_at = :then",
                    ConditionExpression="#status = :claimed",
                    ExpressionAttributeNames={"#status": "status"},
                    ExpressionAttributeValues={":then": {"S": then}, ":claimed": {"S": "CLAIMED"}},
                )

    return back


class Flippers:
    """Wakes the flipper all the time, as the schedule does more seldom: for one app of those that go on, then for the next."""

    def __init__(self, wake: Callable[..., Any]) -> None:
        self.apps: tuple[str, ...] = ()
        self._wake = wake
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._turns = itertools.count()
        self._threads = [threading.Thread(target=self._go_on, daemon=True) for _ in range(WAKERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(90)

    @contextlib.contextmanager
    def visiting(self, app: str) -> Iterator[None]:
        with self._lock:
            self.apps = (*self.apps, app)
        yield
        with self._lock:
            self.apps = tuple(other for other in self.apps if other != app)

    def _go_on(self) -> None:
        while not self._over.wait(0.05):
            apps = self.apps
            if apps:
                # A pass that ran out of its minute, or two others that took all of it: the next one goes on.
                with contextlib.suppress(AssertionError, ClientError):
                    self._wake({"app": apps[next(self._turns) % len(apps)]})


@pytest.fixture(scope="module")
def flippers(wake) -> Iterator[Flippers]:
    with Flippers(wake) as made:
        yield made


@pytest.fixture(scope="module")
def stacks_of(machine_named, function_named) -> Callable[[Case, str], tuple[str, str]]:
    """Make an app's two stacks, whose names begin with the app's, so that the proxy knows whose calls it sees."""

    def make(case: Case, app: str) -> tuple[str, str]:
        current = machine_named(f"{app}-v1", QUICK)
        if case.service is Service.LAMBDA:
            return current, function_named(f"{app}-v2")
        return current, machine_named(f"{app}-v2", WAITS.get(case.phase, QUICK))

    return make


@pytest.fixture(scope="module")
def live(proxy, fresh_app, subject_named, call, sfn, stacks_of, age, flippers) -> Callable[[Case], Life]:
    """Live through a case."""

    def through(case: Case) -> Life:
        with fresh_app() as name, flippers.visiting(name):
            life = Life(case, subject_named(name), *stacks_of(case, name), proxy, call, sfn, age)
            while life.step():
                time.sleep(PAUSE_S)
            life.look_back()
            return life

    return through


def _set_environment(awslambda: Any, function: str, variables: dict[str, str]) -> None:
    awslambda.update_function_configuration(FunctionName=function, Environment={"Variables": variables})
    # The API calls the router by its alias, and a version keeps the variables that it was published with.
    version = awslambda.publish_version(FunctionName=function)["Version"]
    for alias in awslambda.list_aliases(FunctionName=function)["Aliases"]:
        awslambda.update_alias(FunctionName=function, Name=alias["Name"], FunctionVersion=version)
