"""The words of the tests of releases: what is written to the parameters, what stands in the tables afterwards."""

from __future__ import annotations

import contextlib
import http.client
import io
import itertools
import json
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from canary.aws.audit import AuditTable
from canary.aws.parameters import ParameterStore
from canary.aws.releases import ReleaseTable
from canary.domain.app import App
from canary.domain.audit import Row
from canary.domain.release import Release, release_key
from canary.domain.states import ReleaseState
from canary.local import LocalStack, Version
from canary.operating.operator import Operator

_WRITES = frozenset({"PutItem", "UpdateItem", "PutParameter"})
AT_ONCE = {"stages": [{"quota": 2, "weight": 100}]}
PASSES = {"StartAt": "Done", "States": {"Done": {"Type": "Pass", "End": True}}}


@dataclass(frozen=True, slots=True)
class Subject:
    """The app under test, as those who release and operate it see it."""

    name: str
    parameters: ParameterStore
    releases: ReleaseTable
    audit: AuditTable
    operator: Operator
    wake: Callable[..., Any]

    def given(self, *, current: str, latest: str | None = None, plan: Mapping[str, Any] = AT_ONCE) -> Release | None:
        """Set the app up and, with a `latest`, open its release. The routers have not heard of the app: nothing is cached."""
        self.parameters.write(self.name, "plan", json.dumps(plan))
        self.parameters.write(self.name, "current", current)
        self.wake({"app": self.name})
        return self.tag(latest) if latest is not None else None

    def tag(self, latest: str) -> Release:
        """Write to `latest`, whatever it is, and let the flipper look at it."""
        version = self.parameters.write(self.name, "latest", latest)
        # Out of the history: a pass may have blanked the parameter again already.
        mine = next(each for each in self.parameters.history(self.name) if each.version == version)
        key = release_key(version, mine.value, mine.modified_at)
        self.wake({"app": self.name})
        return self.await_release(key, lambda release: release.state is not ReleaseState.OPENING)

    def value(self, name: str) -> str | None:
        found = self.parameters.read(self.name, name).get(name)
        return found.value if found else None

    def values(self) -> tuple[str | None, str | None, str | None]:
        """current, latest and previous."""
        found = self.parameters.read(self.name, "current", "latest", "previous")
        return tuple(found[name].value if name in found else None for name in ("current", "latest", "previous"))

    def newest(self) -> Release:
        return self.releases.recent(self.name, 1)[0]

    def becomes(self, release: Release | str, state: ReleaseState) -> Release:
        """Wait until the flipper, whoever has woken it, has brought the release there."""
        name = release if isinstance(release, str) else release.release
        return self.await_release(name, lambda found: found.state is state, f"{state}")

    def await_release(self, key: str, wanted: Callable[[Release], bool], words: str = "opened") -> Release:
        # Whatever got lost, the schedule brings: every minute, here up to ten seconds later. A pass that was cut off keeps 75 s.
        deadline = time.monotonic() + 100
        while (found := self.releases.release(self.name, key)) is None or not wanted(found):
            if time.monotonic() > deadline:
                pytest.fail(f"not {words} in time: {found and (found.state, found.reason, found.history)}")
            time.sleep(0.03)
        return found

    def key(self) -> str:
        """The id of the release that `latest` names."""
        latest = self.parameters.read(self.name, "latest")["latest"]
        return release_key(latest.version, latest.value, latest.modified_at)

    def release(self, release: Release | str) -> Release:
        """A release, as it is now."""
        found = self.releases.release(self.name, release if isinstance(release, str) else release.release)
        assert found is not None
        return found

    def rows(self, release: Release) -> list[Row]:
        return list(self.audit.of_release(self.name, release.release))

    def item(self) -> App:
        found = self.releases.app(self.name)
        assert found is not None
        return found


@dataclass(frozen=True, slots=True)
class Wakes:
    """The operator's way to the flipper: with the app's name for a hint."""

    invoke: Callable[..., Any]

    def wake(self, app: str) -> str:
        passes = self.invoke({"app": app})["passes"]
        return next(done["result"] for done in passes if done["app"] == app)


@pytest.fixture(scope="session")
def subject_named(stack, ssm, dynamodb, wake) -> Callable[[str], Subject]:
    parameters = ParameterStore(ssm, stack.outputs["ParameterPrefix"])
    releases = ReleaseTable(dynamodb, stack.outputs["ReleasesTable"], stack.region)
    audit = AuditTable(dynamodb, stack.outputs["AuditTable"], stack.region)
    operator = Operator(parameters, releases, releases, Wakes(wake), who="olga", clock=_now)
    return lambda name: Subject(name, parameters, releases, audit, operator, wake)


@pytest.fixture(scope="session")
def now() -> Callable[[], int]:
    """The time in milliseconds since the epoch."""
    return _now


@pytest.fixture(scope="session")
def event_files() -> list[Any]:
    """The events that are kept as examples, but for API Gateway's."""
    folder = Path(__file__).parents[3] / "events"
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json")) if not path.name.startswith("api-")]


@pytest.fixture
def subject(app, subject_named) -> Subject:
    return subject_named(app)


@pytest.fixture(scope="session")
def v1(deploy_version) -> Version:
    return deploy_version("v1.0.0")


@pytest.fixture(scope="session")
def v2(deploy_version) -> Version:
    return deploy_version("v1.1.0")


@pytest.fixture
def machine(sfn) -> Iterator[Callable[..., str]]:
    """Make a state machine, by default one that is done at once: `machine()`, `machine(definition)`."""
    made: list[str] = []

    def make(definition: Mapping[str, Any] = PASSES, name: str | None = None, **options: Any) -> str:
        arn = sfn.create_state_machine(
            name=name or f"m-{uuid.uuid4().hex}",
            definition=json.dumps(definition),
            roleArn="arn:aws:iam::000000000000:role/any",
            **options,
        )["stateMachineArn"]
        made.append(arn)
        return arn

    yield make
    for arn in made:
        sfn.delete_state_machine(stateMachineArn=arn)


@pytest.fixture
def function(awslambda) -> Iterator[Callable[[str], str]]:
    """Make a Lambda function of a few lines: `function("def handler(event, context): return 1")`."""
    made: list[str] = []

    def make(source: str) -> str:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as files:
            files.writestr("app.py", source)
        name = f"f-{uuid.uuid4().hex}"
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
        with contextlib.suppress(awslambda.exceptions.ResourceNotFoundException):
            awslambda.delete_function(FunctionName=name)


@pytest.fixture
def told(stack: LocalStack, events) -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """What went out: subscribe before the release; `told(app)` are all events and all words on it so far, oldest first."""
    sqs, sns = stack.client("sqs"), stack.client("sns")
    name = f"told-{uuid.uuid4().hex[:8]}"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=name, EventPattern=json.dumps({"source": ["canary.router"]}))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    subscription = sns.subscribe(TopicArn=stack.outputs["TopicArn"], Protocol="sqs", Endpoint=arn)["SubscriptionArn"]
    received: list[dict[str, Any]] = []

    def so_far(app: str) -> list[dict[str, Any]]:
        for _ in itertools.count():
            messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
            received.extend(json.loads(message["Body"]) for message in messages)
            for message in messages:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            if not messages:
                break
        return [message for message in received if app in json.dumps(message)]

    yield so_far
    sns.unsubscribe(SubscriptionArn=subscription)
    events.remove_targets(Rule=name, Ids=["queue"])
    events.delete_rule(Name=name)
    sqs.delete_queue(QueueUrl=url)


class Line:
    """The way to an AWS service. What is `cut` is answered as by a service that is overloaded.

    Told to lose first answers, it passes each write on and answers with an error all the same, until it is repeated.
    """

    def __init__(self, endpoint_url: str) -> None:
        line, there = self, urlsplit(endpoint_url)
        self.cut: Callable[[str, dict[str, Any]], bool] = lambda operation, body: False
        self.lose_first_answers = False
        self.refused = self.lost = 0
        self._seen: set[bytes] = set()

        class Forward(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                operation = self.headers["X-Amz-Target"].split(".")[1]
                if line.cut(operation, json.loads(body)):
                    line.refused += 1
                    return self.answer(500, b'{"__type": "InternalServerError"}')
                connection = http.client.HTTPConnection(there.hostname or "", there.port, timeout=20)
                with contextlib.closing(connection):
                    connection.request("POST", self.path, body, dict(self.headers))
                    response = connection.getresponse()
                    content = response.read()
                if line.lose_first_answers and operation in _WRITES and body not in line._seen:
                    line._seen.add(body)
                    line.lost += 1
                    return self.answer(500, b'{"__type": "InternalServerError"}')
                return self.answer(response.status, content)

            def answer(self, status: int, content: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Forward)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def line(stack: LocalStack) -> Iterator[Callable[[], Line]]:
    """A line to the embedded AWS that can be cut, and lose answers."""
    with contextlib.ExitStack() as afterwards:

        def laid() -> Line:
            made = Line(stack.endpoint_url)
            afterwards.callback(made.close)
            return made

        yield laid


def _now() -> int:
    return time.time_ns() // 1_000_000
