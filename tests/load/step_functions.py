"""Step Functions as a real client meets it: executions in memory, pages of a thousand, buckets for its rates, simulated time."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from canary.domain.audit import Execution
from canary.domain.target import state_machine_of
from tests.fakes.clock import Clock

REGION: Final = "eu-west-1"
#: Tokens, and how many come back each second: the rates of large regions, as AWS publishes them.
RATES: Final = {"ListExecutions": (200, 5), "DescribeExecution": (300, 15)}
#: How long a call takes: a guess on the long side.
TAKES_MS: Final = {"ListExecutions": 300, "DescribeExecution": 30}


class Raw(io.BytesIO):
    """The body of an answer, as botocore wants it."""

    def stream(self, **_: Any) -> Any:
        while chunk := self.read(65_536):
            yield chunk


@dataclass(slots=True)
class Bucket:
    """Tokens that come back with time."""

    size: float
    each_second: float
    at: int
    tokens: float = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = self.size

    def take(self, now: int) -> bool:
        self.tokens = min(self.size, self.tokens + (now - self.at) * self.each_second / 1000)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class StepFunctionsService:
    """Answers what a real client asks, and counts. A call that finds its bucket empty is throttled.

    ``client`` is the one to give to adapters. Executions are listed by their start, the newest first.
    """

    def __init__(self, clock: Clock, executions: Iterable[Execution]) -> None:
        self.clock = clock
        self.calls: Counter[str] = Counter()
        self.throttled: Counter[str] = Counter()
        self._by_arn = {each.arn: each for each in executions}
        self._newest = sorted(self._by_arn.values(), key=lambda each: -(each.started_at or 0))
        self._lists: dict[tuple[str, str | None], list[Execution]] = {}
        self._buckets = {name: Bucket(*rate, at=clock.now) for name, rate in RATES.items()}
        config = Config(retries={"total_max_attempts": 1}, ignore_configured_endpoint_urls=True)
        self.client: Any = boto3.client(
            "stepfunctions", region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test", config=config
        )
        self.client.meta.events.register_first("before-send", self._answer)

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        operation = request.headers["X-Amz-Target"].decode().rsplit(".", 1)[-1]
        asked = json.loads(request.body)
        self.calls[operation] += 1
        self.clock.pass_by(TAKES_MS[operation])
        if not self._buckets[operation].take(self.clock.now):
            self.throttled[operation] += 1
            return _response(request, 400, {"__type": "ThrottlingException", "message": "Rate exceeded"})
        return self._list(request, asked) if operation == "ListExecutions" else self._describe(request, asked["executionArn"])

    def _describe(self, request: Any, arn: str) -> AWSResponse:
        found = self._by_arn.get(arn)
        if found is None:
            return _response(request, 400, {"__type": "ExecutionDoesNotExist", "message": "no such execution"})
        return _response(request, 200, _listed(found))

    def _list(self, request: Any, asked: dict[str, Any]) -> AWSResponse:
        wanted = (asked["stateMachineArn"], asked.get("statusFilter"))
        if wanted not in self._lists:
            self._lists[wanted] = [
                each
                for each in self._newest
                if state_machine_of(each.arn) == wanted[0] and wanted[1] in {None, each.status.value}
            ]
        listed, first = self._lists[wanted], int(asked.get("nextToken", 0))
        after = first + asked.get("maxResults", 100)
        answer: dict[str, Any] = {"executions": [_listed(each) for each in listed[first:after]]}
        return _response(request, 200, answer | ({"nextToken": str(after)} if after < len(listed) else {}))


def _listed(execution: Execution) -> dict[str, Any]:
    started, stopped = execution.started_at or 0, execution.stopped_at
    words = {
        "executionArn": execution.arn,
        "stateMachineArn": state_machine_of(execution.arn),
        "name": execution.name,
        "status": execution.status.value,
        "startDate": started / 1000,
    }
    return words | ({"stopDate": stopped / 1000} if stopped else {})


def _response(request: Any, status: int, body: dict[str, Any]) -> AWSResponse:
    raw = json.dumps(body).encode()
    return AWSResponse(request.url, status, {"content-length": str(len(raw))}, Raw(raw))
