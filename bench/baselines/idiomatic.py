"""What somebody who knows the usual libraries would write: cached parameters, PynamoDB for claim and row, boto3 for the call."""

from __future__ import annotations

import json
import os
import uuid
from datetime import UTC, datetime
from typing import Any

import boto3
from aws_lambda_powertools.utilities import parameters
from pynamodb.attributes import MapAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.models import Model

functions = boto3.client("lambda")
ssm = parameters.SSMProvider()

_FRESH_S = 5


class Release(Model):
    """A release, as far as a claim needs it."""

    class Meta:
        table_name = os.environ["CANARY_RELEASES_TABLE"]
        region = os.environ["AWS_REGION"]

    app = UnicodeAttribute(hash_key=True)
    release = UnicodeAttribute(range_key=True)
    claimed = NumberAttribute()
    granted = NumberAttribute()
    gate = UnicodeAttribute()
    open: MapAttribute[str, Any] = MapAttribute()  # type: ignore[no-untyped-call]


class Audit(Model):
    """One request."""

    class Meta:
        table_name = os.environ["CANARY_AUDIT_TABLE"]
        region = os.environ["AWS_REGION"]

    release_id = UnicodeAttribute(hash_key=True)
    request_id = UnicodeAttribute(range_key=True)
    app = UnicodeAttribute()
    arm = UnicodeAttribute()
    target = UnicodeAttribute()
    status = UnicodeAttribute()
    claimed_at = UnicodeAttribute()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one request of API Gateway's."""
    answer = route(event["pathParameters"]["app"], event["body"])
    print(json.dumps({"message": "routed", **{name: answer[name] for name in ("request_id", "routed_to")}}))
    return {"statusCode": 202, "headers": {"Content-Type": "application/json"}, "body": json.dumps(answer)}


def route(app: str, body: str) -> dict[str, Any]:
    """Claim a slot where there is a release, keep a record, and send the request."""
    json.loads(body)
    prefix = os.environ["CANARY_PREFIX"]
    current = str(ssm.get(f"{prefix}/{app}/current", max_age=_FRESH_S))
    latest = str(ssm.get(f"{prefix}/{app}/latest", max_age=_FRESH_S))
    request_id, now = str(uuid.uuid4()), datetime.now(UTC).isoformat()
    arm = "current"
    if latest != "NONE":
        claim(app, latest, request_id, now)
        arm = "latest"
    target = latest if arm == "latest" else current
    row = Audit(app, request_id, app=app, arm=arm, target=target, status="RUNNING", claimed_at=now)
    row.save(condition=Audit.request_id.does_not_exist())
    answer = json.load(functions.invoke(FunctionName=target, Payload=body)["Payload"])
    return {"request_id": request_id, "app": app, "routed_to": arm, "transform_id": answer["executionArn"], "response": answer}


def claim(app: str, latest: str, request_id: str, now: str) -> None:
    """Take a slot."""
    mine: Any = Release.open[request_id]
    Release(app, latest).update(
        actions=[Release.claimed.set(Release.claimed + 1), mine.set(now)],
        condition=(Release.claimed < Release.granted) & (Release.gate == "OPEN") & mine.does_not_exist(),
    )
