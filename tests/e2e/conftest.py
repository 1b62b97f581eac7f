"""The deployed router for end-to-end tests: one embedded AWS for each test process, one app for each test.

A server of its own for each process keeps what one test does to the functions (their environment, a table that is gone)
from the others, and a pass of the flipper short. The build is shared.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import logging
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import pytest
from botocore.config import Config

from canary.local import Embedded, LocalStack, Version, embedded

T = TypeVar("T")

HERE = Path(__file__).parent
SCHEDULED = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
# Hundreds of threads may share a client; a throttled flipper is asked again.
CONFIG = Config(max_pool_connections=64, read_timeout=300, retries={"mode": "standard", "total_max_attempts": 8})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the router answered."""

    status: int
    headers: dict[str, str]
    body: Any


class Call(Protocol):
    def __call__(self, app: str, body: Any = ..., *, api_key: str | None = ..., **headers: str) -> Answer: ...


@pytest.fixture(scope="session")
def aws() -> Iterator[Embedded]:
    with embedded(logging.getLogger("canary.local").info) as running:
        yield running


@pytest.fixture(scope="session")
def stack(aws: Embedded) -> LocalStack:
    return aws.stack


@pytest.fixture(scope="session")
def ssm(stack: LocalStack) -> Any:
    return stack.client("ssm", config=CONFIG)


@pytest.fixture(scope="session")
def dynamodb(stack: LocalStack) -> Any:
    return stack.client("dynamodb", config=CONFIG)


@pytest.fixture(scope="session")
def sfn(stack: LocalStack) -> Any:
    return stack.client("stepfunctions", config=CONFIG)


@pytest.fixture(scope="session")
def awslambda(stack: LocalStack) -> Any:
    return stack.client("lambda", config=CONFIG)


@pytest.fixture(scope="session")
def events(stack: LocalStack) -> Any:
    return stack.client("events", config=CONFIG)


@pytest.fixture(scope="session")
def fresh_app(stack: LocalStack, ssm: Any, dynamodb: Any) -> Callable[[], contextlib.AbstractContextManager[str]]:
    """An app for a block; it is removed afterwards, or every later pass would visit it: `with fresh_app() as name: ...`."""

    @contextlib.contextmanager
    def fresh() -> Iterator[str]:
        name = f"e2e-{uuid.uuid4().hex}"
        try:
            yield name
        finally:
            _remove(stack, ssm, dynamodb, name)

    return fresh


@pytest.fixture
def app(fresh_app: Callable[[], contextlib.AbstractContextManager[str]]) -> Iterator[str]:
    """The name of an app that no other test uses."""
    with fresh_app() as name:
        yield name


@pytest.fixture(scope="session")
def call(stack: LocalStack) -> Call:
    """Post to an app: `call(app, {"orders": 3}, idempotency_key="k")`. Safe to use from many threads."""

    def post(app: str, body: Any = None, *, api_key: str | None = None, **headers: str) -> Answer:
        sent = {name.replace("_", "-").title(): value for name, value in headers.items()}
        content = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        return request(stack, "POST", f"/{app}", content, {"Content-Type": "application/json", **sent}, api_key=api_key)

    return post


@pytest.fixture(scope="session")
def get(stack: LocalStack) -> Callable[[str], Answer]:
    """Get a path of the router: `get(f"/{app}/requests/{request_id}")`."""
    return functools.partial(request, stack, "GET")


def request(
    stack: LocalStack,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    *,
    api_key: str | None = None,
) -> Answer:
    url = urlsplit(stack.router_url)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=40)
    try:
        key = stack.api_key if api_key is None else api_key
        connection.request(method, url.path + path, body, {"X-Api-Key": key, **(headers or {})})
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    received = {name.lower(): value for name, value in response.getheaders()}
    try:
        parsed = json.loads(content) if content else None
    except ValueError:
        parsed = content.decode(errors="replace")
    return Answer(response.status, received, parsed)


@pytest.fixture(scope="session")
def deploy_version(aws: Embedded) -> Callable[..., Version]:
    """Deploy a version of the example, once a session: `deploy_version("v1.1.0", behaviour="fail")`."""

    deployed: dict[str, Version] = {}

    def deploy(tag: str, behaviour: str = "succeed", delay_seconds: int = 30) -> Version:
        kind = {"succeed": "", "slow": f"-slow-{delay_seconds}"}.get(behaviour, f"-{behaviour}")
        stack = f"transformer-{tag.replace('.', '-')}{kind}"
        if stack not in deployed:
            deployed[stack] = aws.example.deploy(tag, behaviour=behaviour, delay_seconds=delay_seconds, stack=stack)
        return deployed[stack]

    return deploy


@pytest.fixture(scope="session")
def wake(stack: LocalStack, awslambda: Any) -> Callable[..., Any]:
    """Let the flipper do a pass, now, for an event (by default the schedule's) and return its answer."""

    def invoke(event: Any = None) -> Any:
        answer = awslambda.invoke(
            FunctionName=stack.outputs["FlipperFunction"], Payload=json.dumps(SCHEDULED if event is None else event)
        )
        payload = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, payload
        return payload

    return invoke


@pytest.fixture(scope="session")
def set_environment(stack: LocalStack, awslambda: Any) -> Callable[..., dict[str, str]]:
    """Give a function other variables, which starts it anew, and return those that it had."""

    def change(output: str, **variables: str) -> dict[str, str]:
        function = stack.outputs[output]
        before: dict[str, str] = awslambda.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
        _set_environment(awslambda, function, {**before, **variables})
        return before

    return change


@pytest.fixture
def given_environment(
    stack: LocalStack, awslambda: Any, set_environment: Callable[..., dict[str, str]]
) -> Callable[..., contextlib.AbstractContextManager[None]]:
    """Run a block with other variables for a function, for instance with nobody where it looks for an AWS service:

    `with given_environment("RouterFunction", AWS_ENDPOINT_URL_SSM="http://127.0.0.1:9"): ...`
    """

    @contextlib.contextmanager
    def given(output: str, **variables: str) -> Iterator[None]:
        before = set_environment(output, **variables)
        try:
            yield
        finally:
            _set_environment(awslambda, stack.outputs[output], before)

    return given


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Any]:
    """Ask until the answer is a true one, and return it: `eventually(lambda: ..., within=10)`.

    What takes seconds need not be asked for ``every`` moment: a pass takes time that other tests could use.
    """

    def ask(predicate: Callable[[], T], within: float = 60.0, every: float = 0.05) -> T:
        deadline = time.monotonic() + within
        while True:
            answer = predicate()
            if answer:
                return answer
            if time.monotonic() >= deadline:
                pytest.fail(f"not so within {within:g} s; the last answer was {answer!r}")
            time.sleep(every)

    return ask


def _set_environment(awslambda: Any, function: str, variables: dict[str, str]) -> None:
    awslambda.update_function_configuration(FunctionName=function, Environment={"Variables": variables})
    # The API calls the router by its alias, and a version keeps the variables that it was published with.
    version = awslambda.publish_version(FunctionName=function)["Version"]
    for alias in awslambda.list_aliases(FunctionName=function)["Aliases"]:
        awslambda.update_alias(FunctionName=function, Name=alias["Name"], FunctionVersion=version)


def _remove(stack: LocalStack, ssm: Any, dynamodb: Any, app: str) -> None:
    found = ssm.get_parameters_by_path(Path=f"{stack.outputs['ParameterPrefix']}/{app}", Recursive=True)["Parameters"]
    if found:
        ssm.delete_parameters(Names=[parameter["Name"] for parameter in found])
    releases = _rows(dynamodb, stack.outputs["ReleasesTable"], "app", app)
    for release in releases:
        audit = _rows(dynamodb, stack.outputs["AuditTable"], "release_id", f"{app}#{release['release']['S']}")
        _delete(dynamodb, stack.outputs["AuditTable"], audit, ("release_id", "request_id"))
    _delete(dynamodb, stack.outputs["ReleasesTable"], releases, ("app", "release"))


def _rows(dynamodb: Any, table: str, key: str, value: str) -> list[dict[str, Any]]:
    pages = dynamodb.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="#key = :value",
        ExpressionAttributeNames={"#key": key},
        ExpressionAttributeValues={":value": {"S": value}},
        ConsistentRead=True,
    )
    return [row for page in pages for row in page["Items"]]


def _delete(dynamodb: Any, table: str, rows: list[dict[str, Any]], key: tuple[str, str]) -> None:
    for row in rows:
        dynamodb.delete_item(TableName=table, Key={name: row[name] for name in key})
