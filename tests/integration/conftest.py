"""Clients whose answers a test writes itself, as AWS would send them over the wire."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from canary.aws.audit import AuditTable
from canary.aws.keys import KeyTable
from canary.aws.records import RecordTable
from canary.aws.releases import ReleaseTable

REGION, ACCOUNT = "eu-west-1", "123456789012"


class Raw(io.BytesIO):
    """The body of an answer, as botocore wants it."""

    def stream(self, **_: Any) -> Any:
        while chunk := self.read(65_536):
            yield chunk


@dataclass(frozen=True, slots=True)
class Wire:
    """One answer on the wire."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def error(code: str, status: int = 400, message: str = "the service says so") -> Wire:
    """An error as services that speak JSON send it."""
    body = {"__type": code, "message": message, "Message": message}
    return Wire(json.dumps(body).encode(), status, {"x-amzn-errortype": code})


def error_in_xml(code: str, status: int = 400) -> Wire:
    """An error as services that speak XML send it."""
    return Wire(f"<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>".encode(), status)


#: Making a client is slow: those that a test gives back serve the next ones.
_idle: dict[str, list[Any]] = defaultdict(list)


def _client(service: str) -> Any:
    if _idle[service]:
        return _idle[service].pop()
    config = Config(retries={"total_max_attempts": 1}, ignore_configured_endpoint_urls=True)
    return boto3.client(service, region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test", config=config)


class Scripted:
    """A client of a service that answers what it was told to, the last answer for ever; it notes what it was asked."""

    def __init__(self, service: str, *answers: Wire) -> None:
        self.service = service
        self.client = _client(service)
        self.answers = list(answers)
        self.requests: list[Any] = []
        self.client.meta.events.register_first("before-send", self._answer)

    def give_back(self) -> None:
        self.client.meta.events.unregister("before-send", self._answer)
        _idle[self.service].append(self.client)

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        return AWSResponse(request.url, answer.status, {**answer.headers, "content-length": str(len(body))}, Raw(body))

    def asked(self, number: int = 0) -> Any:
        """The body of a request."""
        return json.loads(self.requests[number].body)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Scripted]]:
    """Make a client that answers what it is told to: ``scripted("lambda", Wire({}))``."""
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    made: list[Scripted] = []

    def make(service: str, *answers: Wire) -> Scripted:
        made.append(Scripted(service, *answers))
        return made[-1]

    yield make
    for each in made:
        each.give_back()


@dataclass
class Standing:
    """A clock that stands still, but for what a test does to it."""

    now: float = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def standing(monkeypatch: pytest.MonkeyPatch) -> Standing:
    """The lean transport's time: it waits as long as it says, and a machine that stalls between two waits takes none of it."""
    clock = Standing()
    for module in ("call", "connection"):
        monkeypatch.setattr(f"canary.wire.{module}.time", clock)
    return clock


@pytest.fixture
def dynamodb(moto: Callable[[str], Any]) -> Any:
    return moto("dynamodb")


@pytest.fixture
def releases(dynamodb: Any, tables: Any) -> ReleaseTable:
    return ReleaseTable(dynamodb, tables.releases, REGION)


@pytest.fixture
def audit(dynamodb: Any, tables: Any) -> AuditTable:
    return AuditTable(dynamodb, tables.audit, REGION)


@pytest.fixture
def records(dynamodb: Any, tables: Any) -> RecordTable:
    return RecordTable(dynamodb, tables.audit, REGION)


@pytest.fixture
def keys(dynamodb: Any, tables: Any) -> KeyTable:
    return KeyTable(dynamodb, tables.audit, REGION)
