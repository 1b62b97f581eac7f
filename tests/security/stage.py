"""A whole installation on moto in which everybody acts under their own name: router, flipper, and people at the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import boto3
import botocore.handlers
import botocore.loaders
import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from click.testing import CliRunner, Result

from canary import bootstrap, startup
from canary.aws import clients
from canary.cli import asking
from canary.cli.main import main
from canary.cli.verb import Session
from canary.config import flipper_settings
from canary.flipping.flipper import Flipper
from canary.flipping.world import World
from canary.meter import Meter
from canary.routing.keyed import Desk
from canary.routing.problem import Problem
from canary.routing.router import Reply, Request
from tests.conftest import ACCOUNT, REGION, template
from tests.fakes.endpoint import moto_answers, serving
from tests.integration.conftest import Raw
from tests.security.policies import AUDIT, FLIPPER, PATTERN, PREFIX, RELEASES, ROUTER, STACK, TOPIC
from tests.security.recording import NOBODY, Recorder

ROUTER_ROLE, FLIPPER_ROLE = "RouterRole", "FlipperRole"
PORTS = (
    "parameters", "releases", "apps", "audit", "records", "executions", "stacks", "targets", "alarms", "notices",
)  # fmt: skip
_STATE_MACHINE = '{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}'
_OUTPUTS = {
    "AuditTable": AUDIT, "ReleasesTable": RELEASES, "ParameterPrefix": PREFIX,
    "RouterFunction": ROUTER, "FlipperFunction": FLIPPER,
}  # fmt: skip


@dataclass
class Watched:
    """A port that notes which of its methods are used."""

    name: str
    port: Any
    used: set[tuple[str, str]]

    def __getattr__(self, method: str) -> Any:
        found = getattr(self.port, method)
        self.used.add((self.name, method))
        return found


@dataclass
class Stage:
    """The installation, and the hands that work at it."""

    recorder: Recorder
    environ: dict[str, str]
    used: set[tuple[str, str]] = field(default_factory=set)
    meddle: Callable[[], None] | None = None

    def client(self, service: str) -> Any:
        return boto3.client(service, region_name=REGION)

    def world(self) -> World:
        made = bootstrap.world(flipper_settings(self.environ), Meter("flipper"))
        for name in PORTS:
            object.__setattr__(made, name, Watched(name, getattr(made, name), self.used))
        return made

    def flip(self) -> dict[str, str]:
        with self.recorder.acting_as(FLIPPER_ROLE):
            passes = Flipper(self.world(), lambda *_, **__: None).run()
        return {done.app: done.result for done in passes}

    def ask(self, desk: Desk, app: str, body: bytes = b"{}", key: str | None = None) -> Reply | Problem:
        request = Request(app=app, body=body, deadline=startup.now() + 28_000)
        with self.recorder.acting_as(ROUTER_ROLE):
            try:
                return desk.take(request, "key-id", key)
            except Problem as problem:
                return problem

    def canary(self, who: str, *arguments: str, exit_code: int | None = 0) -> Result:
        """Type a command, with ``--json``."""
        with self.recorder.acting_as(who):
            result = CliRunner().invoke(main, [*arguments, "--json"], catch_exceptions=False)
        assert exit_code in (None, result.exit_code), f"canary {' '.join(arguments)}: {result.exit_code}\n{result.output}"
        return result

    def release(self, who: str, app: str, version: str, *options: str, exit_code: int | None = 0) -> str:
        result = self.canary(who, "release", app, "--arn", machine(version), "--tag", version, *options, exit_code=exit_code)
        name: str = json.loads(result.stdout.splitlines()[0])["release"]
        return name

    def write(self, app: str, name: str, value: str) -> None:
        self.client("ssm").put_parameter(Name=f"{PREFIX}/{app}/{name}", Value=value, Type="String", Overwrite=True)

    def parameter(self, app: str, name: str) -> str:
        return self.client("ssm").get_parameter(Name=f"{PREFIX}/{app}/{name}")["Parameter"]["Value"]

    def end_workflows(self, status: str = "SUCCEEDED") -> None:
        """Have all that runs end."""
        from moto.stepfunctions.models import stepfunctions_backends  # noqa: PLC0415 - slow to import

        for each in stepfunctions_backends[ACCOUNT][REGION].state_machines:
            for execution in each.executions:
                if execution.status == "RUNNING":
                    execution.status, execution.stop_date = status, datetime.now(UTC)

    def item(self, app: str, release: str) -> dict[str, Any]:
        key = {"app": {"S": app}, "release": {"S": release}}
        return self.client("dynamodb").get_item(TableName=RELEASES, Key=key, ConsistentRead=True)["Item"]


def machine(version: str) -> str:
    return f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:transformer-{version}"


def function(version: str) -> str:
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:transformer-{version}"


@contextmanager
def staged() -> Iterator[Stage]:
    """An installation with the state machines v1 to v5, and nothing else in it."""
    from moto import mock_aws  # noqa: PLC0415 - slow to import

    recorder = Recorder()
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        environ = _environment(patch)
        stage = Stage(recorder, environ)
        recorder.by_botocore(patch)
        _answer_for_the_flipper(patch, stage)
        _let_somebody_meddle(patch, stage)
        patch.setattr(boto3, "DEFAULT_SESSION", None)
        models = botocore.loaders.create_loader()  # each verb makes its clients anew: they share what is read from files
        patch.setattr(botocore.session, "create_loader", lambda *_: models)
        patch.setattr(Session, "pause", lambda *_: None)
        patch.setattr(asking, "_WAIT_MS", 100)
        clients._with_timeout.cache_clear()
        _deploy(stage)
        yield stage
    clients._with_timeout.cache_clear()


@contextmanager
def desk_of(stage: Stage, transport: str) -> Iterator[Desk]:
    """A router that has just begun, on one of its transports."""
    environ = {**stage.environ, startup.TRANSPORT: transport}
    with ExitStack() as exits, stage.recorder.acting_as(ROUTER_ROLE):
        if transport == "lean":
            environ["AWS_ENDPOINT_URL"] = exits.enter_context(serving(stage.recorder.over_http(moto_answers))).url
        yield startup.desk(environ, Meter("router"))


def _environment(patch: pytest.MonkeyPatch) -> dict[str, str]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN", "CANARY_STACK"):
        patch.delenv(name, raising=False)
    environ = {
        "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DEFAULT_REGION": REGION, "AWS_REGION": REGION, "NO_COLOR": "1",
    }  # fmt: skip
    for name, value in environ.items():
        patch.setenv(name, value)
    return environ | {
        "CANARY_PREFIX": PREFIX, "CANARY_RELEASES_TABLE": RELEASES, "CANARY_AUDIT_TABLE": AUDIT,
        "CANARY_TARGET_PATTERN": PATTERN, "CANARY_ACCOUNT": ACCOUNT, "CANARY_ENVIRONMENT": "staging",
        "CANARY_TOPIC_ARN": TOPIC, "CANARY_EVENT_BUS": "default",
    }  # fmt: skip


def _let_somebody_meddle(patch: pytest.MonkeyPatch, stage: Stage) -> None:
    """Right after a parameter is written, once, somebody else may act."""

    def act(**_: Any) -> None:
        meddle, stage.meddle = stage.meddle, None
        if meddle is not None:
            with stage.recorder.acting_as(NOBODY):
                meddle()

    handlers = [*botocore.handlers.BUILTIN_HANDLERS, ("after-call.ssm.PutParameter", act)]
    patch.setattr(botocore.handlers, "BUILTIN_HANDLERS", handlers)


def _answer_for_the_flipper(patch: pytest.MonkeyPatch, stage: Stage) -> None:
    """Whoever invokes the flipper's function has a pass made, which is the flipper's doing and not theirs."""

    def answer(request: Any, **_: Any) -> AWSResponse | None:
        if f"{FLIPPER}/invocations" not in request.url:
            return None
        passes = [{"app": app, "result": result, "steps": 0} for app, result in stage.flip().items()]
        body = json.dumps({"passes": passes}).encode()
        return AWSResponse(request.url, 200, {"content-length": str(len(body))}, Raw(body))

    first = ("before-send.lambda.Invoke", answer)
    patch.setattr(botocore.handlers, "BUILTIN_HANDLERS", [first, *botocore.handlers.BUILTIN_HANDLERS])


def _deploy(stage: Stage) -> None:
    stage.client("sns").create_topic(Name=TOPIC.rsplit(":", 1)[1])
    for name, logical in ((RELEASES, "ReleasesTable"), (AUDIT, "AuditTable")):
        declared = template()["Resources"][logical]["Properties"]
        wanted = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
        stage.client("dynamodb").create_table(TableName=name, **{key: declared[key] for key in wanted})
    for version in ("v1", "v2", "v3", "v4", "v5"):
        role = f"arn:aws:iam::{ACCOUNT}:role/any"
        stage.client("stepfunctions").create_state_machine(name=f"transformer-{version}", definition=_STATE_MACHINE, roleArn=role)
    described = {
        "Parameters": {"TargetPattern": {"Type": "String"}, "Environment": {"Type": "String"}},
        "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
        "Outputs": {name: {"Value": value} for name, value in _OUTPUTS.items()},
    }
    given = {"TargetPattern": PATTERN, "Environment": "staging"}
    stage.client("cloudformation").create_stack(
        StackName=STACK,
        TemplateBody=json.dumps(described),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
    )
