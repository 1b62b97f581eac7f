"""What code asks of AWS, written down while it asks; and what IAM has to allow for it.

A source tells the recorder of each call: botocore by its events, the lean transport by the requests that reach a server.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import botocore.handlers
import pytest

from tests.fakes.endpoint import Asked
from tests.security.policies import Need, arn

#: Who asks while nobody in particular does: the test's own hands.
NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class AwsCall:
    """One call: the service by botocore's name, the operation, and its parameters."""

    service: str
    operation: str
    parameters: Mapping[str, Any]

    @property
    def needs(self) -> list[Need]:
        """The permissions that it needs."""
        if (rule := _RULES.get((self.service, self.operation))) is None:
            raise AssertionError(f"{self.service}:{self.operation} is new: say in this file what IAM has to allow for it")
        return rule(self.parameters)


@dataclass
class Recorder:
    """Calls, by who made them."""

    calls: dict[str, list[AwsCall]] = field(default_factory=lambda: defaultdict(list))
    acting: str = NOBODY
    transport: str = ""

    def note(self, call: AwsCall) -> None:
        self.calls[self.acting].append(call)
        if self.transport:
            self.calls[f"{self.acting} on {self.transport}"].append(call)

    @contextmanager
    def acting_as(self, who: str) -> Iterator[None]:
        before, self.acting = self.acting, who
        try:
            yield
        finally:
            self.acting = before

    def needs(self, who: str) -> set[Need]:
        return {need for call in self.calls[who] for need in call.needs}

    def contexts(self, who: str, action: str) -> dict[str, set[str]]:
        """All that the calls said to condition keys."""
        said: dict[str, set[str]] = defaultdict(set)
        for need in (need for call in self.calls[who] for need in call.needs if need.action == action):
            for key, values in need.context.items():
                said[key] |= values
        return said

    def operations(self) -> set[tuple[str, str]]:
        return {(call.service, call.operation) for calls in self.calls.values() for call in calls}

    def by_botocore(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Hear of every call of every client that is made from now on."""

        def note(params: Mapping[str, Any], model: Any, **_: Any) -> None:
            self.note(AwsCall(model.service_model.service_name, model.name, dict(params)))

        listening = [*botocore.handlers.BUILTIN_HANDLERS, ("provide-client-params", note)]
        monkeypatch.setattr(botocore.handlers, "BUILTIN_HANDLERS", listening)

    def over_http(self, answer: Callable[[Asked], Any]) -> Callable[[Asked], Any]:
        """Hear of every request that a server of the lean transport answers."""

        def note(asked: Asked) -> Any:
            self.note(_from_http(asked))
            return answer(asked)

        return note


def _from_http(asked: Asked) -> AwsCall:
    if "x-amz-target" not in asked.headers:
        function = re.fullmatch(r"/2015-03-31/functions/([^/]+)/invocations", asked.path)
        assert function is not None, asked.path
        return AwsCall("lambda", "Invoke", {"FunctionName": unquote(function[1])})
    service = {"AmazonSSM": "ssm", "DynamoDB_20120810": "dynamodb", "AWSStepFunctions": "stepfunctions"}
    return AwsCall(service[asked.headers["x-amz-target"].split(".")[0]], asked.operation, asked.document)


Parameters = Mapping[str, Any]
Rule = Callable[[Parameters], list[Need]]


def _named(action: str, parameter: str) -> Rule:
    """The resource is the ARN that the request names."""
    return lambda asked: [Need(action, asked[parameter])]


def _anywhere(action: str) -> Rule:
    """IAM knows no resources for this action."""
    return lambda _: [Need(action, "*")]


def _parameter(action: str, key: str) -> Rule:
    def rule(asked: Parameters) -> list[Need]:
        names = asked[key] if isinstance(asked[key], list) else [asked[key]]
        return [Need(action, arn("ssm", f"parameter{name}")) for name in names]

    return rule


def _table(action: str) -> Rule:
    def rule(asked: Parameters) -> list[Need]:
        index = f"/index/{asked['IndexName']}" if "IndexName" in asked else ""
        return [Need(action, arn("dynamodb", f"table/{asked['TableName']}{index}"), _said(asked))]

    return rule


def _said(asked: Parameters) -> dict[str, frozenset[str]]:
    """The condition keys of a write: the attributes that it names, at the top level, those of its key too."""
    if "UpdateExpression" not in asked:
        return {}
    words = f"{asked['UpdateExpression']} {asked.get('ConditionExpression', '')}"
    bare = re.sub(r"[#:]\w+|\b(SET|REMOVE|AND|OR|NOT|IN|list_append|attribute_(not_)?exists)\b", "", words)
    assert not re.search(r"[A-Za-z]", bare), f"a name without a placeholder in {words!r}"
    names = {asked["ExpressionAttributeNames"][found] for found in re.findall(r"(?<![.\w])#\w+", words)}
    returned = asked.get("ReturnValues", "NONE")
    return {"dynamodb:Attributes": frozenset(names | asked["Key"].keys()), "dynamodb:ReturnValues": frozenset({returned})}


def _function(action: str) -> Rule:
    def rule(asked: Parameters) -> list[Need]:
        name = asked["FunctionName"]
        return [Need(action, name if name.startswith("arn:") else arn("lambda", f"function:{name}"))]

    return rule


def _machine(action: str, parameter: str) -> Rule:
    """For an alias or a version IAM is asked for the state machine itself, as Step Functions' own guide says.

    The Service Authorization Reference speaks of the ARN with its qualifier: what is right either way is wanted here.
    """

    def rule(asked: Parameters) -> list[Need]:
        named = asked[parameter]
        return [Need(action, each) for each in dict.fromkeys((":".join(named.split(":")[:7]), named))]

    return rule


_RULES: dict[tuple[str, str], Rule] = {
    ("apigateway", "GetApiKey"): lambda asked: [
        Need("apigateway:GET", f"arn:aws:apigateway:eu-west-1::/apikeys/{asked['apiKey']}")
    ],
    ("cloudformation", "DescribeStacks"): lambda asked: [
        Need("cloudformation:DescribeStacks", arn("cloudformation", f"stack/{asked['StackName']}/1a2b3c"))
    ],
    ("cloudwatch", "DescribeAlarms"): _anywhere("cloudwatch:DescribeAlarms"),
    ("dynamodb", "BatchGetItem"): lambda asked: [
        Need("dynamodb:BatchGetItem", arn("dynamodb", f"table/{table}")) for table in asked["RequestItems"]
    ],
    ("dynamodb", "DescribeContinuousBackups"): _table("dynamodb:DescribeContinuousBackups"),
    ("dynamodb", "DescribeTimeToLive"): _table("dynamodb:DescribeTimeToLive"),
    ("dynamodb", "GetItem"): _table("dynamodb:GetItem"),
    ("dynamodb", "PutItem"): _table("dynamodb:PutItem"),
    ("dynamodb", "Query"): _table("dynamodb:Query"),
    ("dynamodb", "UpdateItem"): _table("dynamodb:UpdateItem"),
    ("events", "PutEvents"): lambda asked: [
        Need("events:PutEvents", arn("events", f"event-bus/{entry['EventBusName']}")) for entry in asked["Entries"]
    ],
    ("lambda", "GetFunctionConfiguration"): _function("lambda:GetFunctionConfiguration"),
    ("lambda", "Invoke"): _function("lambda:InvokeFunction"),
    ("servicediscovery", "DiscoverInstances"): lambda asked: [
        Need(
            "servicediscovery:DiscoverInstances",
            "*",
            {
                "servicediscovery:NamespaceName": frozenset({asked["NamespaceName"]}),
                "servicediscovery:ServiceName": frozenset({asked["ServiceName"]}),
            },
        )
    ],
    ("sns", "Publish"): _named("sns:Publish", "TopicArn"),
    ("ssm", "GetParameterHistory"): _parameter("ssm:GetParameterHistory", "Name"),
    ("ssm", "GetParameters"): _parameter("ssm:GetParameters", "Names"),
    ("ssm", "GetParametersByPath"): _parameter("ssm:GetParametersByPath", "Path"),
    ("ssm", "PutParameter"): _parameter("ssm:PutParameter", "Name"),
    ("stepfunctions", "DescribeExecution"): _named("states:DescribeExecution", "executionArn"),
    ("stepfunctions", "DescribeStateMachine"): _machine("states:DescribeStateMachine", "stateMachineArn"),
    ("stepfunctions", "DescribeStateMachineAlias"): _machine("states:DescribeStateMachineAlias", "stateMachineAliasArn"),
    ("stepfunctions", "ListExecutions"): _machine("states:ListExecutions", "stateMachineArn"),
    ("stepfunctions", "StartExecution"): _machine("states:StartExecution", "stateMachineArn"),
    ("stepfunctions", "StopExecution"): _named("states:StopExecution", "executionArn"),
    # Anybody may ask who they are.
    ("sts", "GetCallerIdentity"): lambda _: [],
}
