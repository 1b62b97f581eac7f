"""A release's whole life with IAM in force: nobody, the functions included, has more than template.yaml gives."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from canary.local.stack import ACCOUNT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("guarded")]

SEND = """
import json, sys
from canary.client import discover
router = discover("local")
print(json.dumps([router.send(sys.argv[1], {}).routed_to for _ in range(3)]))
"""
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


def test_a_tagger_begins_a_release_upstream_apps_send_requests_and_the_flipper_promotes_it(guarded, app, begun, upstream, viewer):
    target = guarded.machine()
    release = begun(target)
    assert guarded.run(upstream, SEND, app).json == ["latest", "latest", "current"]
    guarded.comes_to(app, release, "PROMOTED")
    shown = guarded.canary(viewer, "status", app)
    assert shown.code == 0, shown.err
    assert target in json.dumps(json.loads(shown.out)["current"])


def test_an_operator_pauses_resumes_and_aborts(guarded, app, begun, operator, upstream):
    release = begun()
    assert guarded.canary(operator, "pause", app, "--reason", "lunch").code == 0
    assert guarded.item(app, release)["gate"]["S"] == "CLOSED"
    assert guarded.run(upstream, SEND, app).json == ["current"] * 3
    assert guarded.canary(operator, "resume", app).code == 0
    assert guarded.item(app, release)["gate"]["S"] == "OPEN"
    assert guarded.canary(operator, "abort", app, "--reason", "wrong totals", "--yes").code == 0
    guarded.comes_to(app, release, "ABORTED")


def test_a_tagger_that_tries_to_pause_is_told_so_and_the_gate_stays_open(guarded, app, begun, tagger):
    release = begun()
    said = guarded.canary(tagger, "pause", app, "--reason", "mischief")
    assert said.code == 1
    assert "not permitted" in said.err
    assert "dynamodb:UpdateItem" in said.err
    assert guarded.item(app, release)["gate"]["S"] == "OPEN"


EVERYBODY = frozenset({"tagger", "operator", "viewer", "upstream"})
#: A deed; who may not do it; and the call that it is, with the credentials of people and jobs, past our own programs.
FORBIDDEN = {
    "stop a release": (EVERYBODY - {"operator"}, "dynamodb", "update_item"),
    "begin a release": (EVERYBODY - {"tagger"}, "ssm", "put_parameter", "latest"),
    "make something current": (EVERYBODY, "ssm", "put_parameter", "current"),
    "say what a rollback goes back to": (EVERYBODY, "ssm", "put_parameter", "previous"),
    "ask for less proof": (EVERYBODY, "ssm", "put_parameter", "plan"),
    "remove an app": (EVERYBODY, "ssm", "delete_parameter", "current"),
    "rewrite the record of a request": (EVERYBODY, "dynamodb", "put_item"),
    "remove a release": (EVERYBODY, "dynamodb", "delete_item"),
    "wake the flipper": (EVERYBODY - {"tagger", "operator"}, "lambda", "invoke", "FlipperFunction"),
    "ask the router past its endpoint": (EVERYBODY, "lambda", "invoke", "RouterFunction"),
    "call a stack past the router": (EVERYBODY, "stepfunctions", "start_execution"),
    "read the key": (EVERYBODY - {"upstream"}, "apigateway", "get_api_key"),
}


@pytest.mark.parametrize(("deed", "who"), [(deed, who) for deed, tried in FORBIDDEN.items() for who in sorted(tried[0])])
def test_nobody_else_may(guarded, standing, request, deed, who):
    _, service, operation, *what = FORBIDDEN[deed]
    client = guarded.client(request.getfixturevalue(who), service)
    with pytest.raises(ClientError, match="AccessDenied"):
        getattr(client, operation)(**asked(guarded, standing, operation, *what))


@pytest.mark.parametrize("deed", FORBIDDEN)
def test_what_is_refused_would_have_been_done_for_somebody_who_may(guarded, deed):
    """Else it might be refused for another reason."""
    guarded.write("spare", "current", "NONE")
    _, service, operation, *what = FORBIDDEN[deed]
    administrator = guarded.client(guarded.identity(ADMINISTRATOR), service)
    answer = getattr(administrator, operation)(**asked(guarded, "spare", operation, *what))
    assert answer["ResponseMetadata"]["HTTPStatusCode"] // 100 == 2


def asked(guarded, app: str, operation: str, what: str = "") -> dict[str, Any]:
    """What an operation is asked for."""
    outputs, item = guarded.stack.outputs, {"app": {"S": app}, "release": {"S": "#app"}}
    name = f"{outputs['ParameterPrefix']}/{app}/{what}"
    row = {"release_id": {"S": f"{app}#1"}, "request_id": {"S": "r"}, "status": {"S": "SUCCEEDED"}}
    closes = {"UpdateExpression": "SET gate = :c", "ExpressionAttributeValues": {":c": {"S": "CLOSED"}}}
    match operation:
        case "update_item":
            return {"TableName": outputs["ReleasesTable"], "Key": item, **closes}
        case "delete_item":
            return {"TableName": outputs["ReleasesTable"], "Key": item}
        case "put_item":
            return {"TableName": outputs["AuditTable"], "Item": row}
        case "put_parameter":
            return {"Name": name, "Value": "NONE", "Type": "String", "Overwrite": True}
        case "delete_parameter":
            return {"Name": name}
        case "invoke":
            return {"FunctionName": outputs[what]}
        case "start_execution":
            return {"stateMachineArn": guarded.machine()}
        case "get_api_key":
            return {"apiKey": outputs["ApiKeyId"], "includeValue": True}
    raise AssertionError(operation)


@pytest.mark.parametrize("role", ["RouterRole", "FlipperRole"])
def test_nobody_but_lambda_takes_on_a_functions_role(guarded, role):
    administrator = guarded.identity(ADMINISTRATOR)
    arn = f"arn:aws:iam::{ACCOUNT}:role/{guarded.resource(role)}"
    with pytest.raises(ClientError, match="AccessDenied"):
        guarded.client(administrator, "sts").assume_role(RoleArn=arn, RoleSessionName="mischief")


class TestIamWhereTheCodeWouldNotRefuse:
    """Both functions are told that everything is allowed; their roles know better."""

    @pytest.fixture
    def gullible(self, guarded) -> Iterator[Callable[[str], None]]:
        undo = []

        def make(output: str) -> None:
            function = guarded.stack.outputs[output]
            awslambda = guarded.stack.client("lambda")
            before = awslambda.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
            undo.append((function, before))
            configure(guarded, function, {**before, "CANARY_TARGET_PATTERN": "*"})

        yield make
        for function, before in undo:
            configure(guarded, function, before)

    @pytest.mark.parametrize("kind", ["machine", "function"])
    def test_a_router_that_would_call_a_foreign_target_may_not(self, guarded, gullible, upstream, kind):
        gullible("RouterFunction")
        deploy_one = getattr(guarded, kind)
        guarded.write(f"own-{kind}", "current", deploy_one())
        guarded.write(f"foreign-{kind}", "current", deploy_one("payroll"))
        assert guarded.run(upstream, SEND, f"own-{kind}").json == ["current"] * 3
        said = guarded.run(upstream, SEND, f"foreign-{kind}")
        assert said.code == 1
        assert "AccessDenied" in said.err

    def test_a_flipper_that_would_try_a_foreign_target_may_not(self, guarded, app, gullible, begun):
        gullible("FlipperFunction")
        foreign = guarded.machine("payroll")
        release = begun(foreign, "REJECTED")
        assert "AccessDenied" in guarded.item(app, release)["reason"]["S"]
        assert not guarded.stack.client("stepfunctions").list_executions(stateMachineArn=foreign)["executions"]


def configure(guarded, function: str, variables: dict[str, str]) -> None:
    awslambda = guarded.stack.client("lambda")
    awslambda.update_function_configuration(FunctionName=function, Environment={"Variables": variables})
    version = awslambda.publish_version(FunctionName=function)["Version"]
    for alias in awslambda.list_aliases(FunctionName=function)["Aliases"]:
        awslambda.update_alias(FunctionName=function, Name=alias["Name"], FunctionVersion=version)
