"""The router that a published article describes: it asks AWS everything, every time."""

from __future__ import annotations

import json
import os
import uuid
from datetime import UTC, datetime
from typing import Any

import boto3
from boto3.dynamodb.types import TypeSerializer

_QUOTA = 1_000_000

ssm = boto3.client("ssm")
dynamodb = boto3.client("dynamodb")
functions = boto3.client("lambda")
workflows = boto3.client("stepfunctions")
serialize = TypeSerializer().serialize


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one request of API Gateway's."""
    body = json.loads(event["body"])
    answer = route(event["pathParameters"]["app"], body)
    print(json.dumps({"message": "routed", **{name: answer[name] for name in ("request_id", "routed_to")}}))
    return {"statusCode": 202, "headers": {"Content-Type": "application/json"}, "body": json.dumps(answer)}


def route(app: str, body: Any) -> dict[str, Any]:
    """Send a request to one stack, and keep a record of it."""
    prefix = os.environ["CANARY_PREFIX"]
    current = ssm.get_parameter(Name=f"{prefix}/{app}/current")["Parameter"]["Value"]
    latest = ssm.get_parameter(Name=f"{prefix}/{app}/latest")["Parameter"]["Value"]
    arm = "latest" if latest != "NONE" and open_requests(app) < _QUOTA else "current"
    target = latest if arm == "latest" else current
    answer = json.load(functions.invoke(FunctionName=target, Payload=json.dumps(body).encode())["Payload"])
    request_id = str(uuid.uuid4())
    row = {
        "release_id": app,
        "request_id": request_id,
        "app": app,
        "arm": arm,
        "target": target,
        "transform_id": answer["executionArn"],
        "status": "RUNNING",
        "started_at": datetime.now(UTC).isoformat(),
    }
    dynamodb.put_item(TableName=os.environ["CANARY_AUDIT_TABLE"], Item={name: serialize(value) for name, value in row.items()})
    return {"request_id": request_id, "app": app, "routed_to": arm, "transform_id": answer["executionArn"], "response": answer}


def open_requests(app: str) -> int:
    """Ask how each request that was sent to latest is getting on; count those that still run."""
    rows = dynamodb.query(
        TableName=os.environ["CANARY_AUDIT_TABLE"],
        KeyConditionExpression="release_id = :app",
        ExpressionAttributeValues={":app": {"S": app}},
    )["Items"]
    statuses = [workflows.describe_execution(executionArn=row["transform_id"]["S"])["status"] for row in rows]
    return statuses.count("RUNNING")
