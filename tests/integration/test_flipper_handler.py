"""The flipper's handler: whatever wakes it, it makes a pass, and the result is the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from canary import bootstrap
from flipper import app as flipper
from tests.integration.conftest import ACCOUNT, REGION
from tests.integration.test_router_handler import Context

APP = "transformer"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:transformer"
EVENTS = ["schedule", "parameter-store-change", "step-functions-status-change", "step-functions-status-change-failed"]
RUBBISH: list[Any] = [
    None,
    True,
    7,
    "",
    "text",
    [],
    [1, [2]],
    {},
    {"detail": None},
    {"detail": "x"},
    {"detail": {"name": 5}},
    {"detail": {"name": "/other/transformer/latest"}},
    {"detail": {"name": "/canary//latest"}},
    {"detail": {"name": "/canary/" + "a" * 1_000_000}},
    {"app": ["transformer"]},
    {"app": "../../etc"},
    {"app": "UPPER"},
    {"app": "transformer\n"},
    {"app": "x" * 1_000_000},
    {"Records": [{}] * 10_000},
]


@pytest.fixture
def installed(moto, tables, monkeypatch):
    """An app with a current stack, and a process that has just begun."""
    topic = moto("sns").create_topic(Name="canary")["TopicArn"]
    values = {
        "CANARY_PREFIX": "/canary", "CANARY_RELEASES_TABLE": tables.releases, "CANARY_AUDIT_TABLE": tables.audit,
        "CANARY_TARGET_PATTERN": "transformer-*", "CANARY_ACCOUNT": ACCOUNT, "CANARY_ENVIRONMENT": "local",
        "CANARY_TOPIC_ARN": topic, "CANARY_EVENT_BUS": "default",
    }  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(bootstrap, "patient", moto)  # making clients is slow; theirs differ in timeouts only
    for version in ("v1", "v2"):
        definition = '{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}'
        moto("stepfunctions").create_state_machine(
            name=f"transformer-{version}", definition=definition, roleArn=f"arn:aws:iam::{ACCOUNT}:role/r"
        )
    moto("ssm").put_parameter(Name=f"/canary/{APP}/current", Value=f"{MACHINE}-v1", Type="String")
    flipper.flipper.cache_clear()
    yield moto
    flipper.flipper.cache_clear()


def woken(event: Any) -> dict[str, Any]:
    """One pass; what it says must be JSON, since the CLI reads it."""
    answer: dict[str, Any] = json.loads(json.dumps(flipper.handler(event, Context())))
    return answer


def releases(moto: Any) -> list[tuple[str, str]]:
    items = moto("dynamodb").scan(TableName="releases")["Items"]
    return [(item["target"]["S"], item["state"]["S"]) for item in items if item["release"]["S"] != "#app"]


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_that_wakes_it_opens_what_was_released(installed, load_event, name):
    installed("ssm").put_parameter(Name=f"/canary/{APP}/latest", Value=f"{MACHINE}-v2", Type="String")
    answer = woken(load_event(name))
    assert [(done["app"], done["result"]) for done in answer["passes"]] == [(APP, "done")]
    assert releases(installed) == [(f"{MACHINE}-v2", "RUNNING")]


@pytest.mark.parametrize("event", RUBBISH, ids=lambda event: repr(event)[:40])
def test_rubbish_wakes_it_too_and_the_result_is_the_same(installed, event):
    installed("ssm").put_parameter(Name=f"/canary/{APP}/latest", Value=f"{MACHINE}-v2", Type="String")
    assert [(done["app"], done["result"]) for done in woken(event)["passes"]] == [(APP, "done")]
    assert releases(installed) == [(f"{MACHINE}-v2", "RUNNING")]


def test_a_second_event_changes_nothing(installed, load_event):
    installed("ssm").put_parameter(Name=f"/canary/{APP}/latest", Value=f"{MACHINE}-v2", Type="String")
    woken(load_event("schedule"))
    before = installed("dynamodb").scan(TableName="releases")["Items"]
    assert woken(load_event("parameter-store-change"))["passes"] == [{"app": APP, "result": "done", "steps": 0}]
    after = installed("dynamodb").scan(TableName="releases")["Items"]
    times = {"last_pass"}
    assert [{k: v for k, v in i.items() if k not in times} for i in after] == [
        {k: v for k, v in i.items() if k not in times} for i in before
    ]


@pytest.mark.parametrize(
    "event", [{"app": "zeta"}, {"detail": {"name": "/canary/zeta/latest"}}, {"detail": {"name": "/canary/zeta/plan"}}]
)
def test_the_app_that_an_event_speaks_of_comes_first(installed, event):
    installed("ssm").put_parameter(Name="/canary/zeta/current", Value=f"{MACHINE}-v1", Type="String")
    assert [done["app"] for done in woken(event)["passes"]] == ["zeta", APP]


def test_without_any_app_a_pass_is_made_all_the_same_and_counted(installed, capsys):
    installed("ssm").delete_parameter(Name=f"/canary/{APP}/current")
    assert woken({}) == {"passes": []}
    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert [m["FlipperPass"] for m in metrics if "FlipperPass" in m] == [[1.0]]


def test_an_app_whose_pass_fails_does_not_stop_the_others_and_is_told(installed, capsys, monkeypatch):
    installed("ssm").put_parameter(Name="/canary/zeta/current", Value=f"{MACHINE}-v1", Type="String")
    table = flipper.flipper()._world.apps
    read = type(table).app

    def app(self: Any, name: str) -> Any:
        if name == APP:
            raise RuntimeError("broken")
        return read(self, name)

    monkeypatch.setattr(type(table), "app", app)
    passes = sorted(woken({})["passes"], key=lambda done: done["app"])
    assert [(done["app"], done["result"]) for done in passes] == [(APP, "failed"), ("zeta", "done")]
    assert "broken" in passes[0]["error"]
    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert [(m["app"], m["PassFailed"]) for m in metrics if "PassFailed" in m] == [(APP, [1.0])]


def test_a_setting_that_is_missing_is_named(installed, monkeypatch):
    for name in ("CANARY_TOPIC_ARN", "CANARY_AUDIT_TABLE"):
        monkeypatch.delenv(name)
    with pytest.raises(Exception, match="CANARY_AUDIT_TABLE, CANARY_TOPIC_ARN"):
        woken({})
