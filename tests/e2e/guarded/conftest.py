"""An installation on an embedded AWS of its own, with IAM in force: everybody, the functions included, may do what policies say.

Three things the embedded AWS does not evaluate as AWS does. For these, and for nothing else, the tests give more than
template.yaml: it checks GetParameters and GetParametersByPath against all parameters, it knows no conditions of
DiscoverInstances, and it takes the authorization of an API's methods from security schemes alone. See docs/limits.md.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from canary.local import Checkout, LocalStack, deploy, server
from canary.local.build import build
from canary.local.stack import ACCOUNT, aws_environment

#: Which targets may be called: less than everything, so that IAM has something to refuse.
ALLOWED = "allowed-*"
_SETTINGS = f"""
version = 0.1
[local.deploy.parameters]
capabilities = "CAPABILITY_IAM CAPABILITY_AUTO_EXPAND"
parameter_overrides = ["Environment=local", "TargetPattern={ALLOWED}", "LogRetentionDays=1", "Authorization=AWS_IAM"]
"""
_UNSCOPED = ("ssm:GetParameters", "ssm:GetParametersByPath")
_UNCONDITIONED = ("servicediscovery:DiscoverInstances",)
_ROLES = ("RouterRole", "FlipperRole")
_PASSES = {"StartAt": "Done", "States": {"Done": {"Type": "Pass", "End": True}}}
#: The flipper runs twice at most at the same time, and its schedule runs it too: who is throttled asks again.
_PATIENT = Config(read_timeout=300, retries={"mode": "standard", "total_max_attempts": 8})
#: Longer than the lease (75 s) of a pass that ended with its process, as those do whose function gets other variables.
_FLIPS_S = 150
_MAIN = "from canary.cli.main import main; main()"


@dataclass(frozen=True, slots=True)
class Signed(Checkout):
    """The working copy, deployed with settings of its own."""

    samconfig: Path = Path()  # type: ignore[misc]


@dataclass(frozen=True, slots=True)
class Said:
    """What a command ended with, and what it printed: the answer, and what it had to say beside it."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out.splitlines()[0])


@dataclass(frozen=True, slots=True)
class Guarded:
    """The installation, and the hands that work at it."""

    stack: LocalStack
    workflows_role: str  # and of functions that are targets

    def identity(self, *policies: str) -> Mapping[str, str]:
        """A new IAM user with managed policies, by ARN or by their output's name: the variables with which one acts as it."""
        iam, name = self.stack.client("iam"), f"who-{uuid.uuid4().hex[:8]}"
        iam.create_user(UserName=name)
        for policy in policies:
            iam.attach_user_policy(UserName=name, PolicyArn=self.stack.outputs.get(policy, policy))
        more = _UNCONDITIONED if policies == ("UpstreamPolicyArn",) else _UNSCOPED
        iam.put_user_policy(UserName=name, PolicyName="unfaithful", PolicyDocument=_policy(*more))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        own = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        return {**aws_environment(self.stack.endpoint_url), **own}

    def run(self, who: Mapping[str, str], program: str, *arguments: str) -> Said:
        """Run some Python as somebody, who has nothing else in the environment."""
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            env={**who, "PATH": os.defpath, "CANARY_STACK": deploy.ROUTER_STACK, "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def client(self, who: Mapping[str, str], service: str) -> Any:
        """A boto3 client of somebody's."""
        session = boto3.Session(who["AWS_ACCESS_KEY_ID"], who["AWS_SECRET_ACCESS_KEY"], region_name=self.stack.region)
        return session.client(service, endpoint_url=self.stack.endpoint_url, config=_PATIENT)

    def resource(self, logical: str) -> str:
        """The name that a resource of the template has here."""
        cloudformation = self.stack.client("cloudformation")
        described = cloudformation.describe_stack_resource(StackName=deploy.ROUTER_STACK, LogicalResourceId=logical)
        name: str = described["StackResourceDetail"]["PhysicalResourceId"]
        return name

    def canary(self, who: Mapping[str, str], *arguments: str) -> Said:
        """Type a command as somebody."""
        return self.run(who, _MAIN, *arguments, "--json")

    def machine(self, name: str = "allowed") -> str:
        """A state machine that is done at once."""
        machine: str = self.stack.client("stepfunctions").create_state_machine(
            name=f"{name}-{uuid.uuid4().hex[:8]}", definition=json.dumps(_PASSES), roleArn=self.workflows_role
        )["stateMachineArn"]
        return machine

    def function(self, name: str = "allowed") -> str:
        """A version of a function that answers with 1."""
        archive, name = io.BytesIO(), f"{name}-{uuid.uuid4().hex[:8]}"
        with zipfile.ZipFile(archive, "w") as files:
            files.writestr("app.py", "def handler(event, context): return 1")
        function: str = self.stack.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role=self.workflows_role,
            Handler="app.handler",
            Code={"ZipFile": archive.getvalue()},
            Publish=True,
        )["FunctionArn"]
        return function

    def write(self, app: str, name: str, value: str) -> None:
        """Write a parameter as the account's root, who may do everything."""
        parameter = f"{self.stack.outputs['ParameterPrefix']}/{app}/{name}"
        self.stack.client("ssm").put_parameter(Name=parameter, Value=value, Type="String", Overwrite=True)

    def flip(self) -> dict[str, str]:
        """Have the flipper make a pass, and tell what came of it for each app."""
        answer = self.stack.client("lambda", _PATIENT).invoke(FunctionName=self.stack.outputs["FlipperFunction"], Payload="{}")
        passes = json.loads(answer["Payload"].read())["passes"]
        return {done["app"]: done["result"] for done in passes}

    def item(self, app: str, release: str) -> dict[str, Any]:
        """What the table has on record of a release; nothing, until a pass has seen it."""
        key = {"app": {"S": app}, "release": {"S": release}}
        table = self.stack.outputs["ReleasesTable"]
        found = self.stack.client("dynamodb").get_item(TableName=table, Key=key, ConsistentRead=True)
        item: dict[str, Any] = found.get("Item", {})
        return item

    def comes_to(self, app: str, release: str, wanted: str) -> None:
        """The flipper, which nobody but its own role helps, brings the release there; a pass may be busy with it already."""
        until = time.monotonic() + _FLIPS_S
        while (item := self.item(app, release)).get("state", {}).get("S") != wanted and time.monotonic() < until:
            self.flip()
        assert item.get("state", {}).get("S") == wanted, item


@pytest.fixture(scope="session")
def guarded() -> Iterator[Guarded]:
    checkout = Checkout.find()
    built = build(checkout, checkout.state / "build", lambda _: None)
    with tempfile.TemporaryDirectory(prefix="canary-", ignore_cleanup_errors=True) as folder:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AUTH", "true")
            running = server.start(Path(folder), layers=checkout.layers)
        settings = Path(folder) / "samconfig.toml"
        settings.write_text(_SETTINGS)
        try:
            stack = deploy.deploy_router(Signed(checkout.root, settings), running.endpoint_url, built, lambda _: None)
            made = Guarded(stack, _role_for_workflows(stack))
            _give_what_is_not_evaluated(made)
            yield made
        finally:
            running.kill()


@pytest.fixture
def app(guarded: Guarded) -> str:
    """An app that stands at its first version, with two requests for the next one. Its name is nobody else's."""
    return _set_up(guarded)


@pytest.fixture(scope="session")
def standing(guarded: Guarded) -> str:
    """An app that nobody releases: tests may share it, since each further app makes every pass longer."""
    return _set_up(guarded)


@pytest.fixture(scope="session")
def tagger(guarded: Guarded) -> Mapping[str, str]:
    return guarded.identity("TaggerPolicyArn")


@pytest.fixture(scope="session")
def operator(guarded: Guarded) -> Mapping[str, str]:
    return guarded.identity("OperatorPolicyArn", "ViewerPolicyArn")


@pytest.fixture(scope="session")
def viewer(guarded: Guarded) -> Mapping[str, str]:
    return guarded.identity("ViewerPolicyArn")


@pytest.fixture(scope="session")
def upstream(guarded: Guarded) -> Mapping[str, str]:
    return guarded.identity("UpstreamPolicyArn")


@pytest.fixture
def begun(guarded: Guarded, app: str, tagger: Mapping[str, str]) -> Callable[..., str]:
    """Begin a release as the tagger, wait until it is ``opened``, and return its id."""

    def begin(target: str | None = None, opened: str = "RUNNING") -> str:
        said = guarded.canary(tagger, "release", app, "--arn", target or guarded.machine(), "--tag", "v2")
        assert said.code == 0, said.err
        release: str = said.json["release"]
        guarded.comes_to(app, release, opened)
        return release

    return begin


def _set_up(guarded: Guarded) -> str:
    name = f"app-{uuid.uuid4().hex[:8]}"
    guarded.write(name, "plan", json.dumps({"stages": [{"quota": 2, "weight": 100}]}))
    guarded.write(name, "current", guarded.machine())
    guarded.flip()
    return name


def _give_what_is_not_evaluated(guarded: Guarded) -> None:
    iam, gateway = guarded.stack.client("iam"), guarded.stack.client("apigateway")
    for role in _ROLES:
        iam.put_role_policy(RoleName=guarded.resource(role), PolicyName="unfaithful", PolicyDocument=_policy(*_UNSCOPED))
    (api,) = gateway.get_rest_apis()["items"]
    wanted = [{"op": "replace", "path": "/authorizationType", "value": "AWS_IAM"}]
    for resource in gateway.get_resources(restApiId=api["id"], limit=500)["items"]:
        for method in resource.get("resourceMethods", {}):
            gateway.update_method(restApiId=api["id"], resourceId=resource["id"], httpMethod=method, patchOperations=wanted)


def _role_for_workflows(stack: LocalStack) -> str:
    trust = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": ["states.amazonaws.com", "lambda.amazonaws.com"]},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    stack.client("iam").create_role(RoleName="workflows", AssumeRolePolicyDocument=document)
    return f"arn:aws:iam::{ACCOUNT}:role/workflows"


def _policy(*actions: str) -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
