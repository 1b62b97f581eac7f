"""The template's policies as IAM would read them: intrinsics resolved, statements taken apart, requests decided."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from tests.conftest import ACCOUNT, REGION, template

STACK, PREFIX, PATTERN = "canary", "/canary", "transformer-*"
API, KEY = "a1b2c3d4e5", "k1k2k3k4k5"
RELEASES, AUDIT = "releases", "audit"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:canary"
ROUTER, FLIPPER = f"{STACK}-router", f"{STACK}-flipper"


def arn(service: str, resource: str) -> str:
    """The ARN of something of this account and region."""
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


#: What a deployment would give for names and attributes.
_REFS = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": STACK,
    "ParameterPrefix": PREFIX,
    "RouterApi": API,
    "TargetPattern": PATTERN,
    "Topic": TOPIC,
    "UpstreamKey": KEY,
}
_ATTRIBUTES = {
    "AuditTable.Arn": arn("dynamodb", f"table/{AUDIT}"),
    "FailedPasses.Arn": arn("sqs", "failed-passes"),
    "FlipperFunction.Arn": arn("lambda", f"function:{FLIPPER}"),
    "FlipperLogs.Arn": arn("logs", f"log-group:/aws/lambda/{FLIPPER}:*"),
    "ReleasesTable.Arn": arn("dynamodb", f"table/{RELEASES}"),
    "RouterFunction.Arn": arn("lambda", f"function:{ROUTER}"),
    "RouterLogs.Arn": arn("logs", f"log-group:/aws/lambda/{ROUTER}:*"),
    "TopicKey.Arn": arn("kms", "key/topic"),
}


@dataclass(frozen=True, slots=True)
class Need:
    """One permission that one call needs. ``context``: what the request says to condition keys."""

    action: str
    resource: str
    context: Mapping[str, frozenset[str]] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Grant:
    """One action on one resource that a policy allows."""

    action: str
    resource: str
    conditions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, compare=False)

    def allows(self, need: Need) -> bool:
        named = fnmatchcase(need.resource, self.resource.replace("[", "[[]"))  # IAM knows no character classes
        return self.action == need.action and named and all(self._met(one, need) for one in self._operators())

    def values(self) -> Iterator[tuple[str, str]]:
        """What the conditions list, key by key: all of it has to be needed."""
        for _, key, wanted in self._operators():
            yield from ((key, value) for value in wanted)

    def _operators(self) -> list[tuple[str, str, list[str]]]:
        return [(operator, key, as_list(wanted)) for operator, keys in self.conditions.items() for key, wanted in keys.items()]

    def _met(self, condition: tuple[str, str, list[str]], need: Need) -> bool:
        operator, key, wanted = condition
        said = need.context.get(key, frozenset())
        match operator:
            case "StringEquals":
                return len(said) == 1 and said <= set(wanted)
            case "StringEqualsIfExists" | "ForAllValues:StringEquals":
                return said <= set(wanted)
        raise AssertionError(f"nobody has said here what {operator} means")


def grants_of(name: str) -> list[Grant]:
    """All that a role or a managed policy of the template allows."""
    properties = template()["Resources"][name]["Properties"]
    documents = [one["PolicyDocument"] for one in properties.get("Policies", [])] or [properties["PolicyDocument"]]
    return [grant for document in documents for statement in document["Statement"] for grant in _grants(resolved(statement))]


def allowed(grants: Iterable[Grant], need: Need) -> bool:
    """Whether IAM would let the call through."""
    return any(grant.allows(need) for grant in grants)


def resolved(node: Any) -> Any:
    """A part of the template with its intrinsic functions carried out."""
    match node:
        case {"Ref": name}:
            return _REFS[name]
        case {"Fn::If": [_, then, _]}:  # all that may be asked for: the widest that a deployment gives
            return resolved(then)
        case {"Fn::GetAtt": [*path]}:
            return _ATTRIBUTES[".".join(path)]
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{([^}!]+)\}", lambda found: {**_REFS, **_ATTRIBUTES}[found[1]], text)
        case dict():
            return {key: resolved(value) for key, value in node.items()}
        case list():
            return [resolved(each) for each in node]
    return node


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _grants(statement: Mapping[str, Any]) -> Iterator[Grant]:
    assert statement["Effect"] == "Allow", "a Deny needs a reader that knows it"
    assert statement.keys() <= {"Sid", "Effect", "Action", "Resource", "Condition"}
    for action in as_list(statement["Action"]):
        for resource in as_list(statement["Resource"]):
            yield Grant(action, resource, statement.get("Condition", {}))
