"""The command line on moto: real adapters, and a real flipper that is woken in this very process."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from click.testing import CliRunner, Result
from moto import mock_aws
from moto.stepfunctions.models import stepfunctions_backends

from canary import bootstrap
from canary.aws.audit import AuditTable
from canary.aws.clients import patient
from canary.aws.releases import ReleaseTable
from canary.cli import asking
from canary.cli.main import main
from canary.cli.verb import Session
from canary.config import FlipperSettings, router_settings
from canary.domain.audit import Row, RowUpdate, Status
from canary.domain.claim import Claimed
from canary.domain.release import Release
from canary.domain.request_id import new_request_id
from canary.errors import Unavailable
from canary.flipping.flipper import Flipper
from canary.meter import Meter
from canary.operating.operator import Operator

ROOT = Path(__file__).parents[3]
ACCOUNT, REGION, APP = "123456789012", "eu-west-1", "transformer"
SETTINGS = {
    "CANARY_PREFIX": "/canary",
    "CANARY_RELEASES_TABLE": "releases",
    "CANARY_AUDIT_TABLE": "audit",
    "CANARY_TARGET_PATTERN": "transformer-*",
    "CANARY_ACCOUNT": ACCOUNT,
    "CANARY_ENVIRONMENT": "test",
    "CANARY_ROUTER_FUNCTION": "router",
    "CANARY_FLIPPER_FUNCTION": "flipper",
    "AWS_REGION": REGION,
}


class _Template(yaml.SafeLoader):
    """Reads template.yaml; what its functions would give does not matter here."""


_Template.add_multi_constructor("!", lambda *_: None)


@dataclass
class Installation:
    """A router's installation on moto, and the hands that work at it."""

    topic: str
    flipper_answers: bool = True
    ids: Iterator[int] = field(default_factory=itertools.count)

    def canary(self, *arguments: str, input: str | None = None) -> Result:  # noqa: A002 - click's name for it
        result = CliRunner().invoke(main, list(arguments), input=input)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def json(self, *arguments: str, exit_code: int = 0) -> Any:
        result = self.canary(*arguments, "--json")
        assert result.exit_code == exit_code, result.output
        return json.loads(result.stdout)

    def flip(self, app: str = APP) -> str:
        settings = FlipperSettings(router_settings(SETTINGS), self.topic, "default")
        passes = Flipper(bootstrap.world(settings, Meter("flipper")), lambda *_, **__: None).run([app])
        return next(done.result for done in passes if done.app == app)

    def operator(self) -> Operator:
        """Somebody else at the same installation."""
        return bootstrap.operator(bootstrap.installation(SETTINGS, "canary"))

    def stack(self, version: str) -> str:
        """Deploy a stack; return its ARN."""
        made = shared("stepfunctions").create_state_machine(
            name=f"transformer-{version}", definition='{"StartAt":"A","States":{"A":{"Type":"Succeed"}}}', roleArn=ROLE
        )
        return made["stateMachineArn"]

    def app(self, name: str = APP, version: str = "v1", *, plan: dict[str, Any] | None = None) -> str:
        """Set an app up; return what is current."""
        arn = self.stack(version)
        if plan is not None:
            self.write("plan", json.dumps(plan), name)
        self.write("current", arn, name)
        self.flip(name)
        return arn

    def release(self, version: str = "v2", app: str = APP) -> str:
        """Deploy a new stack and release it; return the release's id."""
        return self.json("release", app, "--arn", self.stack(version), "--tag", version)["release"]

    def past(self, arn: str, count: int, failed: int = 0) -> None:
        """Have had executions of a stack, one a minute, that took one to seven seconds; the oldest ones failed."""
        machine = next(each for each in stepfunctions_backends[ACCOUNT][REGION].state_machines if each.arn == arn)
        for number in range(count):
            shared("stepfunctions").start_execution(stateMachineArn=arn, name=f"past-{number}", input="{}")
            execution = machine.executions[-1]
            execution.status = "FAILED" if number < failed else "SUCCEEDED"
            execution.start_date = datetime.now(UTC) - timedelta(minutes=count - number)
            execution.stop_date = execution.start_date + timedelta(seconds=1 + number % 7)

    def write(self, name: str, value: str, app: str = APP) -> None:
        shared("ssm").put_parameter(Name=f"/canary/{app}/{name}", Value=value, Type="String", Overwrite=True)

    def parameter(self, name: str, app: str = APP) -> str:
        return shared("ssm").get_parameter(Name=f"/canary/{app}/{name}")["Parameter"]["Value"]

    def forget(self, name: str, app: str = APP) -> None:
        shared("ssm").delete_parameter(Name=f"/canary/{app}/{name}")

    def releases(self) -> ReleaseTable:
        return ReleaseTable(shared("dynamodb"), "releases", REGION)

    def item(self, release: str, app: str = APP) -> Release:
        found = self.releases().release(app, release)
        assert found is not None
        return found

    def serve(self, release: str, *outcomes: Status, app: str = APP, **words: Any) -> list[str]:
        """Send requests to latest, as routers do, all at the same moment (however long it takes here), and let them end."""
        audit = AuditTable(shared("dynamodb"), "audit", REGION)
        served = []
        now = bootstrap.now()
        for outcome in outcomes:
            request_id = new_request_id(now, next(self.ids), release)
            assert self.releases().claim(app, release, request_id, now) is Claimed.WON
            target = self.item(release, app).target
            row = Row(
                app=app,
                release=release,
                request_id=request_id,
                status=Status.CLAIMED,
                claimed_at=now,
                target=target,
                tag="v2",
                tenant=words.get("tenant"),
            )
            audit.put(row)
            if outcome is not Status.CLAIMED:
                ended = RowUpdate(status=outcome, started_at=now, stopped_at=now + 1234, error=words.get("error"))
                audit.update(row, ended)
            served.append(request_id)
        return served


#: Making clients takes longer than all that moto does with them.
shared = functools.cache(patient)

ROLE = f"arn:aws:iam::{ACCOUNT}:role/any"


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "CANARY_STACK"):
        monkeypatch.delenv(name, raising=False)
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_EC2_METADATA_DISABLED": "true"}
    for name, value in (SETTINGS | keys | {"NO_COLOR": "1", "AWS_DEFAULT_REGION": REGION}).items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        tables = yaml.load((ROOT / "template.yaml").read_text(), _Template)["Resources"]
        for logical, name in (("AuditTable", "audit"), ("ReleasesTable", "releases")):
            _make_table(name, tables[logical]["Properties"])
        topic = shared("sns").create_topic(Name="canary")["TopicArn"]
        installation = Installation(topic)
        monkeypatch.setattr(bootstrap, "patient", shared)
        monkeypatch.setattr(bootstrap, "FlipperFunction", lambda *_: _InProcess(installation))
        monkeypatch.setattr(Session, "pause", lambda _, seconds: None)
        monkeypatch.setattr(asking, "_WAIT_MS", 100)
        yield installation


@pytest.fixture
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "asks", True)


@pytest.fixture
def while_waiting(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Let something happen whenever a verb waits."""
    return lambda happens: monkeypatch.setattr(Session, "pause", lambda _, seconds: happens())


@dataclass
class _InProcess:
    """Wakes a flipper without a Lambda."""

    installation: Installation

    def wake(self, app: str) -> str:
        if not self.installation.flipper_answers:
            raise Unavailable("Lambda", "ServiceException", "it does not answer")
        return self.installation.flip(app)


def _make_table(name: str, properties: dict[str, Any]) -> None:
    made = ("KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "BillingMode")
    dynamodb = shared("dynamodb")
    dynamodb.create_table(TableName=name, **{key: properties[key] for key in made})
    dynamodb.update_continuous_backups(
        TableName=name, PointInTimeRecoverySpecification=properties["PointInTimeRecoverySpecification"]
    )
    if expiry := properties.get("TimeToLiveSpecification"):
        dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=expiry)
