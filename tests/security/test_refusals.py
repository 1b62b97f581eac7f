"""Whoever can write `latest` can route production traffic: what is not allowed is refused by router, flipper and IAM."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from canary.domain.target import parse_target
from canary.routing.problem import Problem
from canary.routing.router import Reply
from tests.conftest import ACCOUNT, REGION, template
from tests.security.policies import Need, allowed, grants_of
from tests.security.stage import FLIPPER_ROLE, ROUTER_ROLE, Stage, desk_of, machine, staged

pytestmark = pytest.mark.xdist_group("refusals")

APP = "transformer"
FOREIGN = {
    "another account": f"arn:aws:lambda:{REGION}:999999999999:function:transformer-v1:live",
    "another region": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:transformer-v1:live",
    "a name outside the pattern": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:payroll:live",
    "a name that only begins alike": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:transformers",
    "another account's state machine": f"arn:aws:states:{REGION}:999999999999:stateMachine:transformer-v1",
    "a state machine of another region": f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:transformer-v1",
    "a state machine outside the pattern": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:payroll",
}
CALLS = {"lambda": "lambda:InvokeFunction", "states": "states:StartExecution"}


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with staged() as made:
        made.write(APP, "current", machine("v1"))
        yield made


@pytest.fixture
def counted(monkeypatch) -> Counter[tuple[str, str]]:
    """The metrics that a function counts."""
    counts: Counter[tuple[str, str]] = Counter()

    class Counting:
        def __init__(self, service: str, namespace: str | None = None) -> None:
            self.service = service

        def count(self, name: str, app: str, number: int = 1) -> None:
            counts[self.service, name] += number

    monkeypatch.setattr("tests.security.stage.Meter", Counting)
    return counts


def called(stage: Stage) -> list[str]:
    """The targets that anybody called."""
    calls = [call.parameters for calls in stage.recorder.calls.values() for call in calls]
    return [str(asked.get("FunctionName") or asked.get("stateMachineArn")) for asked in calls]


@pytest.mark.parametrize("target", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("transport", ["lean", "botocore"])
class TestTheRouter:
    def test_it_does_not_call_a_foreign_latest_and_the_refusal_is_counted(self, stage, counted, transport, target):
        stage.write(APP, "latest", target)
        with desk_of(stage, transport) as desk:
            reply = stage.ask(desk, APP)
        assert isinstance(reply, Reply)
        assert reply.body["routed_to"] == "current"
        assert counted["router", "TargetRefused"] == 1
        assert target not in called(stage)

    def test_it_does_not_call_a_foreign_current_either(self, stage, counted, transport, target):
        stage.write("lost", "current", target)
        with desk_of(stage, transport) as desk:
            reply = stage.ask(desk, "lost")
        assert isinstance(reply, Problem)
        assert reply.status == 503
        assert counted["router", "TargetRefused"] == 1
        assert target not in called(stage)


@pytest.mark.parametrize("target", FOREIGN.values(), ids=FOREIGN)
class TestTheFlipper:
    def test_it_rejects_and_blanks_a_foreign_latest_and_the_refusal_is_counted(self, stage, counted, target):
        stage.write(APP, "latest", target)
        stage.flip()
        assert stage.parameter(APP, "latest") == "NONE"
        assert counted["flipper", "TargetRefused"] == 1
        assert target not in called(stage)
        states = [item["state"]["S"] for item in releases(stage) if item["target"]["S"] == target]
        assert set(states) == {"REJECTED"}


@pytest.mark.parametrize("target", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("role", [ROUTER_ROLE, FLIPPER_ROLE])
class TestIam:
    def test_it_refuses_even_where_the_code_would_not(self, role, target):
        action = CALLS[target.split(":")[2]]
        assert allowed(grants_of(role), Need(action, machine("v1") if action.startswith("states") else _function()))
        assert not allowed(grants_of(role), Need(action, target))
        assert not allowed(grants_of(role), Need(action, parse_target(target).unqualified_arn))


@pytest.mark.parametrize("service", ["router", "flipper"])
def test_a_refusal_is_an_alarm(service):
    alarm = template()["Resources"][f"{service.title()}RefusedTargetAlarm"]["Properties"]
    assert (alarm["MetricName"], alarm["Threshold"]) == ("TargetRefused", 1)
    assert alarm["Dimensions"] == [{"Name": "service", "Value": service}]
    assert alarm["Namespace"] == {"Fn::Sub": "Canary/${Environment}"}
    assert alarm["AlarmActions"] == [{"Ref": "Topic"}]


def releases(stage: Stage) -> list[dict]:
    items = stage.client("dynamodb").scan(TableName="releases")["Items"]
    return [item for item in items if item["release"]["S"] != "#app"]


def _function() -> str:
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:transformer-v1:live"
