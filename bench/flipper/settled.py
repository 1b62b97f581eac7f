"""An app with a release on trial, of whose requests many have ended long ago and some are under way, on an AWS in memory."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final
from unittest.mock import patch

import boto3
from moto import mock_aws
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType, Item

from bench.aws.answers import ACCOUNT, AUDIT, REGION, RELEASES
from bench.template import template
from canary import bootstrap
from canary.aws.audit import AuditTable
from canary.aws.releases import ReleaseTable
from canary.config import flipper_settings
from canary.domain.audit import Row, RowUpdate, Status
from canary.domain.request_id import new_request_id
from canary.domain.tally import Tally
from canary.flipping.flipper import Flipper
from canary.meter import Meter

APP: Final = "transformer"
_MACHINE: Final = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:transformer"
_DEFINITION: Final = '{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}'
_SLOTS: Final = 100_000
#: When the settled requests were claimed.
_AGO_MS: Final = 3_600_000
PLANS: Final = {
    "counted": json.dumps({"stages": [{"quota": _SLOTS, "weight": 50}, {"quota": _SLOTS, "weight": 50}]}),
    "judged": json.dumps("careful"),
}


def quiet(message: str, **facts: object) -> None:
    """What a pass tells is of no interest here."""


@contextmanager
def installation(plan: str, settled: int, running: int, answered: Callable[..., None]) -> Iterator[Flipper]:
    """An installation whose next pass finds so many settled requests, and so many whose workflows run.

    ``answered`` is told what comes back from AWS, ``parsed``.
    """
    environ = {
        "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION, "AWS_ACCESS_KEY_ID": "made-up", "AWS_SECRET_ACCESS_KEY": "made-up",
        "CANARY_PREFIX": "/canary", "CANARY_RELEASES_TABLE": RELEASES, "CANARY_AUDIT_TABLE": AUDIT,
        "CANARY_TARGET_PATTERN": "transformer*", "CANARY_ACCOUNT": ACCOUNT, "CANARY_ENVIRONMENT": "local",
        "CANARY_EVENT_BUS": "default",
    }  # fmt: skip
    with patch.dict(os.environ, environ), mock_aws():
        os.environ.pop("AWS_ENDPOINT_URL", None)
        boto3.setup_default_session()
        session: Any = boto3.DEFAULT_SESSION
        session.events.register("after-call", answered)  # before the clients are made: they copy it
        topic = boto3.client("sns").create_topic(Name="canary")["TopicArn"]
        _make(PLANS[plan])
        settings = flipper_settings({**os.environ, "CANARY_TOPIC_ARN": topic})
        flipper = Flipper(bootstrap.world(settings, Meter("flipper")), quiet)
        flipper.run()  # opens the release
        _age(settled, running)
        flipper.run()  # gathers what has become of it
        yield flipper


def _make(plan: str) -> None:
    resources = template()["Resources"]
    for logical, name in (("ReleasesTable", RELEASES), ("AuditTable", AUDIT)):
        declared = resources[logical]["Properties"]
        wanted = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
        boto3.client("dynamodb").create_table(TableName=name, **{key: declared[key] for key in wanted})
    values = {"plan": plan}
    for parameter, version in (("current", "v1"), ("latest", "v2")):
        made = boto3.client("stepfunctions").create_state_machine(
            name=f"transformer-{version}", definition=_DEFINITION, roleArn=f"arn:aws:iam::{ACCOUNT}:role/r"
        )
        values[parameter] = made["stateMachineArn"]
    for parameter, value in values.items():
        boto3.client("ssm").put_parameter(Name=f"/canary/{APP}/{parameter}", Value=value, Type="String")


def _age(settled: int, running: int) -> None:
    """Let the release have had its requests: rows, counters, and executions of those that run."""
    table = ReleaseTable(boto3.client("dynamodb"), RELEASES, REGION)
    [name] = (table.app(APP) or _missing()).followed
    release = table.release(APP, name) or _missing()
    aged = replace(
        release,
        granted=_SLOTS if release.plan.max_failures is not None else settled + running,
        claimed=settled + running,
        tally=Tally(succeeded=settled),
    )
    if not table.save(release, aged):
        _missing()
    audit = AuditTable(boto3.client("dynamodb"), AUDIT, REGION)
    now = bootstrap.now()
    row = Row(
        app=APP,
        release=name,
        request_id=new_request_id(now - _AGO_MS, 0, name),
        status=Status.CLAIMED,
        claimed_at=now - _AGO_MS,
        target=f"{_MACHINE}-v2",
        tag="v2",
        share=release.share,
        payload_sha256="0" * 64,
        payload_bytes=100,
    )
    for number in range(running):
        mine = replace(row, request_id=new_request_id(now, number, name), claimed_at=now)
        arn = boto3.client("stepfunctions").start_execution(stateMachineArn=f"{_MACHINE}-v2", name=mine.request_id, input="{}")
        audit.put(mine)
        update = RowUpdate(
            status=Status.RUNNING, transform_id=arn["executionArn"], state_machine=f"{_MACHINE}-v2", started_at=now
        )
        audit.update(mine, update)
    if settled:
        audit.put(row)
        audit.update(row, RowUpdate(status=Status.SUCCEEDED, started_at=row.claimed_at, stopped_at=row.claimed_at + 60_000))
        audit.mark_counted(row)
        _copy(row, name, settled)


def _copy(row: Row, release: str, times: int) -> None:
    """Put the same row under other ids; as calls, they would take minutes."""
    items: Any = dynamodb_backends[ACCOUNT][REGION].get_table(AUDIT).items
    key = DynamoType({"S": f"{APP}#{release}"})
    partition = items[key]
    attributes = partition[DynamoType({"S": row.request_id})].to_json()["Attributes"]
    for number in range(1, times):
        name = {"S": new_request_id(row.claimed_at, number, release)}
        partition[DynamoType(name)] = Item(key, DynamoType(name), {**attributes, "request_id": name})


def _missing() -> Any:
    raise RuntimeError("the release is not there: has its first pass failed?")
