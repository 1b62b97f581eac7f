"""Everybody at work, long enough that every call that they can make is made at least once."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from canary.client import discover
from canary.domain.audit import Row, Status
from canary.domain.request_id import new_request_id
from canary.domain.target import parse_target
from canary.errors import Unavailable
from canary.routing.router import Reply
from tests.conftest import ACCOUNT, REGION
from tests.security.policies import API, STACK
from tests.security.recording import NOBODY
from tests.security.stage import FLIPPER_ROLE, ROUTER_ROLE, Stage, desk_of, function, machine

#: People and jobs, by the managed policy that is made for them. Who sets apps up has no ready-made one.
TAGGER, OPERATOR, VIEWER, UPSTREAM = "TaggerPolicy", "OperatorPolicy", "ViewerPolicy", "UpstreamPolicy"
ADMINISTRATOR = NOBODY
APP = "transformer"
PLAN = {
    "stages": [{"quota": 1, "weight": 100, "alarms": ["errors"]}],
    "preflight": [{"dry_run": True}],
    "watch": {"completed": 3},
    "on_abort": "stop",
}
JUDGED = {"preset": "careful", "stages": [{"quota": "earned", "alarms": ["errors"]}]}
TARGETS = {
    "function": function("f1"),
    "alias": f"{function('f1')}:live",
    "machine": machine("v1"),
    "version": f"{machine('v1')}:1",
    "machine-alias": f"{machine('v1')}:prod",
}


def everybody_works(stage: Stage) -> None:
    """One life of an app after the other."""
    _a_release_is_promoted_and_taken_back(stage)
    _a_release_is_stopped(stage)
    _a_release_is_judged(stage)
    for transport in ("lean", "botocore"):
        _the_router_meets_everything(stage, transport)
    _the_flipper_meets_everything(stage)
    _people_look(stage)
    _an_upstream_app_finds_the_router(stage)


def _a_release_is_promoted_and_taken_back(stage: Stage) -> None:
    stage.canary(ADMINISTRATOR, "init", APP, "--arn", machine("v1"), "--tag", "v1")
    stage.client("cloudwatch").put_metric_alarm(
        AlarmName="errors", Namespace="n", MetricName="m", Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    stage.client("cloudwatch").set_alarm_state(AlarmName="errors", StateValue="OK", StateReason="quiet")
    stage.canary(ADMINISTRATOR, "plan", "set", APP, json.dumps(PLAN))
    release = stage.release(TAGGER, APP, "v2")
    stage.end_workflows()  # the preflight's
    stage.flip()
    assert stage.item(APP, release)["state"]["S"] == "RUNNING"
    with desk_of(stage, "lean") as desk:
        reply = stage.ask(desk, APP, key="order-1")
        assert isinstance(reply, Reply)
        assert reply.body["routed_to"] == "latest"
        with stage.recorder.acting_as(ROUTER_ROLE):
            desk.find(APP, reply.body["request_id"])
    stage.canary(VIEWER, "status", APP)
    stage.end_workflows()
    stage.flip()
    assert stage.parameter(APP, "previous").find("transformer-v1") > 0
    with desk_of(stage, "lean") as desk:
        stage.ask(desk, APP)
    stage.end_workflows()
    stage.flip()  # sees the watch's first execution
    stage.canary(OPERATOR, "rollback", APP, "--reason", "wrong totals", "--yes")
    assert stage.parameter(APP, "current").find("transformer-v1") > 0


def _a_release_is_stopped(stage: Stage) -> None:
    """And all else that operators ask for."""
    stage.canary(
        ADMINISTRATOR, "plan", "set", APP, json.dumps({**PLAN, "preflight": [], "stages": [{"quota": 2, "weight": 100}]})
    )
    stage.canary(OPERATOR, "retry", APP, machine("v2"))
    stage.release(TAGGER, APP, "v2")
    for verb in ("pause", "resume"):
        stage.canary(OPERATOR, verb, APP, "--reason", "to see")
    stage.canary(OPERATOR, "promote", APP, "--reason", "now", "--yes", exit_code=None)
    stage.canary(OPERATOR, "promote", APP, "--force", "--reason", "now", "--yes", exit_code=None)
    with desk_of(stage, "botocore") as desk:
        stage.ask(desk, APP)
    for verb in ("stop-all", "start-all"):
        stage.canary(OPERATOR, verb)
    stage.canary(OPERATOR, "abort", APP, "--reason", "enough", "--yes")
    stage.flip()  # stops what is in flight
    stage.canary(OPERATOR, "retry", APP, machine("v2"))
    # A release that has ended by the time somebody waits for it, and one that a newer write overtakes.
    stage.canary(TAGGER, "release", APP, "--arn", function("missing") + ":1", "--wait", exit_code=1)
    stage.release(TAGGER, APP, "v3", "--wait", "--timeout", "1s", exit_code=3)
    stage.canary(OPERATOR, "abort", APP, "--reason", "enough", "--yes")
    _a_tagger_reads_a_stale_latest(stage)


def _a_tagger_reads_a_stale_latest(stage: Stage) -> None:
    """Somebody writes between a tagger's write and its read: then its own is found in the history."""
    stage.meddle = lambda: stage.write(APP, "latest", machine("v4"))
    stage.release(TAGGER, APP, "v3")
    stage.canary(OPERATOR, "abort", APP, "--reason", "enough", "--yes")


def _a_release_is_judged(stage: Stage) -> None:
    """What runs, what was decided and what alarms say is read by whoever waits or looks."""
    stage.canary(ADMINISTRATOR, "plan", "set", APP, json.dumps(JUDGED))
    stage.client("stepfunctions").start_execution(stateMachineArn=machine("v1"), name="of-old", input="{}")
    stage.end_workflows()
    release = stage.release(TAGGER, APP, "v5")
    assert stage.item(APP, release)["state"]["S"] == "RUNNING"
    with desk_of(stage, "lean") as desk:
        stage.ask(desk, APP)
        stage.end_workflows("FAILED")
        stage.flip()
        stage.ask(desk, APP)
    stage.canary(VIEWER, "status", APP)
    stage.canary(VIEWER, "audit", APP, "--release", release)
    _somebody_waits_for_it(stage, release)
    stage.end_workflows()
    stage.flip()


def _somebody_waits_for_it(stage: Stage, release: str) -> None:
    from canary.cli.tagging import wait_for  # noqa: PLC0415
    from canary.cli.verb import Session  # noqa: PLC0415

    with stage.recorder.acting_as(TAGGER):
        for name in (release, "00000999-0123abcd"):  # the second is one that a newer write came before
            wait_for(Session(as_json=True, stack_name=STACK, region=REGION), APP, name, 0)


def _the_router_meets_everything(stage: Stage, transport: str) -> None:
    for name, target in TARGETS.items():
        stage.write(f"app-{name}", "current", target)
    stage.recorder.transport = transport
    with desk_of(stage, transport) as desk:
        for name in TARGETS:
            stage.ask(desk, f"app-{name}", key=f"again on {transport}")
            stage.ask(desk, f"app-{name}", key=f"again on {transport}")
        reply = stage.ask(desk, "app-machine", key=f"found on {transport}")
        assert isinstance(reply, Reply)
        with stage.recorder.acting_as(ROUTER_ROLE):
            desk.find("app-machine", reply.body["request_id"])
            desk._audit.rows(APP, "00000001-0123abcd", [new_request_id(0, 0, "00000001-0123abcd")])
    stage.recorder.transport = ""


def _the_flipper_meets_everything(stage: Stage) -> None:
    """What the flows above do not show: targets of every kind, many executions, what others left behind."""
    world = stage.world()
    release = "00000001-0123abcd"
    many = [f"arn:aws:states:{REGION}:{ACCOUNT}:execution:transformer-v1:{number}" for number in range(30)]
    with stage.recorder.acting_as(FLIPPER_ROLE):
        for target in map(parse_target, TARGETS.values()):
            world.targets.call(target, b"{}", "preflight-0", release, 1_000, None, synthetic=True)
            _tried(lambda target=target: world.stacks.problem(target))
        world.executions.observe(many)
        world.executions.past(machine("v1"))
        world.audit.of_batches(APP, release, {"b"}, 0)
        tuple(world.audit.of_release(APP, release))
        world.executions.started(machine("v1"), 0, 1)
        world.audit.put(
            Row(app=APP, release=release, request_id="r", status=Status.LOST, claimed_at=0, target=machine("v1"), tag="v1")
        )
        _tried(lambda: world.executions.stop(many[0], "enough"))


def _people_look(stage: Stage) -> None:
    release = json.loads(stage.canary(VIEWER, "releases", APP).stdout)["releases"][-1]["release"]
    for words in (
        ["status", APP], ["status"], ["audit", APP], ["audit", APP, "--release", release], ["explain", APP],
        ["explain", APP, "--release", release], ["plan", "show", APP], ["backtest", "careful", "--app", APP],
        ["simulate", "careful", "--like", APP],
    ):  # fmt: skip
        stage.canary(VIEWER, *words, exit_code=None)
    for name in TARGETS:
        stage.canary(VIEWER, "doctor", f"app-{name}", exit_code=None)
    stage.canary(VIEWER, "doctor", exit_code=None)


def _an_upstream_app_finds_the_router(stage: Stage) -> None:
    gateway, cloud_map = stage.client("apigateway"), stage.client("servicediscovery")
    key = gateway.create_api_key(name="upstream", enabled=True)["id"]
    namespace = cloud_map.create_http_namespace(Name="canary")
    assert namespace
    space = next(one["Id"] for one in cloud_map.list_namespaces()["Namespaces"] if one["Name"] == "canary")
    service = cloud_map.create_service(Name="router", NamespaceId=space)["Service"]["Id"]
    attributes = {
        "environment": "staging", "api_key_id": key, "url": f"https://{API}.execute-api.{REGION}.amazonaws.com/live",
    }  # fmt: skip
    cloud_map.register_instance(ServiceId=service, InstanceId="staging", Attributes=attributes)
    with stage.recorder.acting_as(UPSTREAM):
        discover("staging", REGION)


def _tried(act: Any) -> None:
    """It is the call that matters; what it found, or that moto knows no such thing, does not."""
    with contextlib.suppress(Unavailable):
        act()
