"""What the stand-in answers: an installation with apps that each stand for one situation of a request."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any, Final

from canary.aws.release_items import release_item
from canary.aws.tables import ReleaseItem, bound
from canary.domain.plan import Plan, Span, Stage
from canary.domain.release import Release, release_key, timestamp
from canary.domain.states import Gate, ReleaseState
from canary.domain.target import BLANK

REGION: Final = "eu-west-1"
ACCOUNT: Final = "123456789012"
RELEASES: Final = "canary-releases"
AUDIT: Final = "canary-audit"
CURRENT: Final = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:transformer-v1-0-0:live"
LATEST: Final = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:transformer-v1-1-0:live"
#: How many requests the article's router finds open, and asks about one by one: both of the default plan's.
OPEN: Final = 2
#: When everything happened.
_AT: Final = 1_795_253_400_000
_SLOTS: Final = 1_000_000
_COUNTED: Final = Plan(stages=(Stage(quota=2, weight=100),))
_SHARE: Final = Plan(stages=(Stage(weight=100, bake=Span(ms=3_600_000)),), max_failures=None)

#: By operation: a word to look for in a request, the status, and the body to answer with. The first that fits is sent.
Answers = dict[str, list[tuple[str, int, str]]]


class App(StrEnum):
    """Apps, named for what a request to them meets."""

    IDLE = "app-idle"  # no release: latest is blank
    CANARY = "app-canary"  # a release with slots left, and a coin that always shows latest
    BATCHED = "app-batched"  # the same in a stage that is a share of the traffic, where slots are taken in batches
    LOST = "app-lost"  # a release with slots left, and a coin that never shows latest
    SPENT = "app-spent"  # a release whose slots are gone
    RACED = "app-raced"  # a release whose slots go between the reading of its item and the claim


def answers() -> Answers:
    """Everything that the router, and what it is compared with, may ask."""
    execution = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:transformer-v1-1-0:one"
    started = json.dumps({"executionArn": execution, "startDate": _AT / 1000})
    return {
        "SSM.GetParameters": [(app, 200, json.dumps({"Parameters": _parameters(app), "InvalidParameters": []})) for app in App],
        "SSM.GetParameter": [
            (parameter["Name"], 200, json.dumps({"Parameter": parameter})) for app in App for parameter in _parameters(app)
        ],
        "DynamoDB.GetItem": [(app, 200, json.dumps({"Item": item(release(app))})) for app in App if app is not App.IDLE],
        "DynamoDB.Query": [("", 200, json.dumps({"Items": _open(), "Count": OPEN, "ScannedCount": OPEN}))],
        "DynamoDB.PutItem": [("", 200, "{}")],
        "DynamoDB.UpdateItem": [(App.RACED, 400, _refused()), ("", 200, '{"Attributes": {}}')],
        "Lambda.Invoke": [("", 200, json.dumps({"executionArn": execution, "lines": 3}))],
        "StepFunctions.StartExecution": [("", 200, started)],
        "StepFunctions.DescribeExecution": [("", 200, json.dumps({**json.loads(started), "status": "RUNNING"}))],
    }


def release(app: App) -> Release:
    """The release that the app's `latest` names."""
    name = release_key(7, LATEST, _AT)
    slots = 2 if app is App.SPENT else _SLOTS
    opened = Release(
        app=app,
        release=name,
        rev=3,
        state=ReleaseState.OPENING,
        since=_AT,
        opened_at=_AT,
        written_at=_AT,
        value=LATEST,
        target=LATEST,
        tag="live",
        plan=_SHARE if app is App.BATCHED else _COUNTED,
        share=0 if app is App.LOST else 10_000,
        granted=slots,
        claimed=2 if app is App.SPENT else 0,
        gate=Gate.OPEN,
    )
    return opened.moved(ReleaseState.RUNNING, now=_AT, why="the target exists and may be called: stage 1 of 1 begins, 2 slots")


def item(found: Release) -> dict[str, Any]:
    """A release as DynamoDB keeps it."""
    kept: dict[str, Any] = release_item(bound(ReleaseItem, RELEASES, REGION), found).serialize()
    return kept


def _parameters(app: App) -> list[dict[str, Any]]:
    values = {"current": CURRENT, "latest": BLANK if app is App.IDLE else LATEST}
    return [
        {
            "Name": f"/canary/{app}/{name}",
            "Type": "String",
            "Value": value,
            "Version": 7,
            "LastModifiedDate": _AT / 1000,
            "ARN": f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/canary/{app}/{name}",
            "DataType": "text",
        }
        for name, value in values.items()
    ]


def _open() -> list[dict[str, Any]]:
    """Requests that the article's router has sent to latest and does not know the end of."""
    return [
        {
            "release_id": {"S": f"{App.CANARY}#{release(App.CANARY).release}"},
            "request_id": {"S": f"request-{number}"},
            "transform_id": {"S": f"arn:aws:states:{REGION}:{ACCOUNT}:execution:transformer-v1-1-0:request-{number}"},
            "status": {"S": "RUNNING"},
            "claimed_at": {"S": timestamp(_AT)},
        }
        for number in range(OPEN)
    ]


def _refused() -> str:
    """A claim that came too late: the item as it is by now."""
    spent = release(App.SPENT)
    words = {
        "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
        "message": "The conditional request failed",
    }
    return json.dumps({**words, "Item": item(spent)})
