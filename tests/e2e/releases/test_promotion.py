"""A release that succeeds: its workflows prove it, and latest becomes current."""

from __future__ import annotations

import hashlib
import json
import re
import uuid

import pytest

from canary.domain.asks import NotPossible
from canary.domain.release import Verb
from canary.domain.states import ReleaseState

ONE = {"stages": [{"quota": 1, "weight": 100}]}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
KINDS = ["function alias", "function version", "state machine", "state machine alias", "state machine version"]


@pytest.fixture
def item(dynamodb, stack):
    """A row of the audit table, as operators see it."""

    def read(release_id, request_id):
        key = {"release_id": {"S": release_id}, "request_id": {"S": request_id}}
        return dynamodb.get_item(TableName=stack.outputs["AuditTable"], Key=key, ConsistentRead=True)["Item"]

    return read


@pytest.fixture(params=KINDS)
def target_of(request, sfn):
    """How to name a version's target, one kind after the other."""

    def published(version) -> str:
        return sfn.publish_state_machine_version(stateMachineArn=version.state_machine_arn)["stateMachineVersionArn"]

    def aliased(version) -> str:
        name = f"live{len(made)}"
        made.append(name)
        routing = [{"stateMachineVersionArn": published(version), "weight": 100}]
        return sfn.create_state_machine_alias(name=name, routingConfiguration=routing)["stateMachineAliasArn"]

    made: list[str] = []
    return {
        "function alias": lambda version: version.function_alias_arn,
        "function version": lambda version: f"{version.function_arn}:1",
        "state machine": lambda version: version.state_machine_arn,
        "state machine alias": aliased,
        "state machine version": published,
    }[request.param]


def test_two_requests_prove_a_stack_and_it_becomes_the_current_one(subject, call, item, sfn, v1, v2, target_of):
    before, target = target_of(v1), target_of(v2)
    value = json.dumps({"arn": target, "tag": "v1.1.0", "commit": "0a1b2c3", "by": "ci"})
    release = subject.given(current=before, latest=value)
    assert release.state is ReleaseState.RUNNING, release.reason

    answers = [call(subject.name, {"orders": n}, x_canary_tenant="acme") for n in (3, 4, 5)]

    assert [(a.status, a.body["routed_to"]) for a in answers] == [(202, "latest"), (202, "latest"), (202, "current")]
    for answer in answers:
        assert answer.headers["x-canary-request-id"] == answer.body["request_id"]
        assert answer.headers["x-canary-routed-to"] == answer.body["routed_to"]
        assert answer.body["app"] == subject.name
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,80}", answer.body["request_id"])
        assert answer.body["transform_id"].endswith(f":{answer.body['request_id']}"), "the request id names the execution"
        assert answer.body["response"]["executionArn"] == answer.body["transform_id"]
        assert "fell_back" not in answer.body
    assert answers[0].body["tag"] == "v1.1.0"
    started = sfn.describe_execution(executionArn=answers[0].body["transform_id"])
    assert json.loads(started["input"]) == {"orders": 3}, "the body goes to the target as it came"

    promoted = subject.becomes(release, ReleaseState.PROMOTED)
    assert subject.values() == (value, "NONE", before), "the value is copied as it stands, with its tag"
    assert (promoted.claimed, promoted.granted, promoted.tally.succeeded, promoted.open) == (2, 2, 2, {})
    assert (promoted.commit, promoted.by, promoted.tag) == ("0a1b2c3", "ci", "v1.1.0")
    assert subject.item().mirror.value == value
    for answer, orders in zip(answers[:2], (3, 4), strict=True):
        assert_complete(item(f"{subject.name}#{release.release}", answer.body["request_id"]), answer, target, orders)
    assert len(subject.rows(release)) == 2, "requests to current are not on record"


def assert_complete(row, answer, target, orders):
    body = json.dumps({"orders": orders}).encode()
    assert {name: value["S"] for name, value in row.items() if name in {"arm", "tag", "target", "status", "tenant"}} == {
        "arm": "latest",
        "tag": "v1.1.0",
        "target": target,
        "status": "SUCCEEDED",
        "tenant": "acme",
    }
    assert row["transform_id"]["S"] == answer.body["transform_id"]
    assert row["state_machine"]["S"].split(":")[5] == "stateMachine"
    assert all(TIME.fullmatch(row[name]["S"]) for name in ("claimed_at", "started_at", "stopped_at"))
    assert row["claimed_at"]["S"] <= row["stopped_at"]["S"]
    assert int(row["duration_ms"]["N"]) >= 0
    assert row["payload_sha256"]["S"] == hashlib.sha256(body).hexdigest()
    assert int(row["payload_bytes"]["N"]) == len(body)
    assert "expires_at" in row
    assert "in_flight" not in row, "it has left the index of rows in flight"
    assert not any("NULL" in value for value in row.values()), "what is not known is absent"


def test_a_promotion_is_told_on_the_event_bus_and_in_words_on_the_topic(subject, call, eventually, machine, told):
    release = subject.given(current=machine(), latest=machine())
    for _ in range(2):
        assert call(subject.name).body["routed_to"] == "latest"
    subject.becomes(release, ReleaseState.PROMOTED)
    eventually(lambda: not subject.release(release).notices)

    eventually(lambda: len(told(subject.name)) == 6)
    events = [message for message in told(subject.name) if message.get("source") == "canary.router"]
    words = [message for message in told(subject.name) if message.get("Type") == "Notification"]
    kinds = ["Release Opened", "Stage Passed", "Release Promoted"]
    assert [event["detail-type"] for event in events] == kinds
    assert [message["Subject"].split(": ")[1].split(" (")[0] for message in words] == kinds
    assert all(event["detail"]["release"] == release.release for event in events)
    assert events[-1]["detail"]["state"] == "PROMOTED"
    assert "2 of 2 requests succeeded" in words[-1]["Message"]


def test_a_target_that_does_the_work_itself_is_judged_by_its_answer(subject, call, eventually, function):
    works = function(
        "def handler(event, context): return {'statusCode': 200, 'seen': event, 'sent': context.client_context.custom}"
    )
    release = subject.given(current=function("def handler(event, context): return 'current'"), latest=works)
    answers = [call(subject.name, {"n": n}) for n in range(3)]
    assert [(a.status, a.body["routed_to"], a.body["transform_id"]) for a in answers] == [
        (200, "latest", None),
        (200, "latest", None),
        (200, "current", None),
    ]
    sent = {"canary_request_id": answers[0].body["request_id"], "canary_release": release.release}
    assert answers[0].body["response"] == {"statusCode": 200, "seen": {"n": 0}, "sent": sent}
    assert answers[2].body["response"] == "current"
    subject.wake()
    subject.becomes(release, ReleaseState.PROMOTED)


def test_the_plan_says_where_the_transform_id_stands_in_the_answer(subject, call, function, machine, sfn, eventually):
    runs = machine()
    execution = f"{runs.replace(':stateMachine:', ':execution:')}:the-run"
    latest = function(f"def handler(event, context): return {{'result': {{'run': {execution!r}}}}}")
    plan = {"stages": [{"quota": 1, "weight": 100}], "transform_id": "result.run"}
    release = subject.given(current=machine(), latest=latest, plan=plan)
    answer = call(subject.name)
    assert (answer.status, answer.body["routed_to"], answer.body["transform_id"]) == (202, "latest", execution)
    # Only now: of one that had started well before the request nothing would be believed.
    assert sfn.start_execution(stateMachineArn=runs, name="the-run")["executionArn"] == execution
    subject.wake()
    assert subject.becomes(release, ReleaseState.PROMOTED).state_machine


@pytest.fixture
def gate(sfn):
    """A workflow that ends when the test says so, where its request wants it to `wait`: its definition, and how to say so."""
    arn = sfn.create_activity(name=f"a-{uuid.uuid4().hex}")["activityArn"]
    which = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.wait", "BooleanEquals": True, "Next": "Wait"}],
        "Default": "Done",
    }
    waits = {"Type": "Task", "Resource": arn, "Next": "Done"}
    definition = {"StartAt": "Which", "States": {"Which": which, "Wait": waits, "Done": {"Type": "Succeed"}}}

    def end():
        sfn.send_task_success(taskToken=sfn.get_activity_task(activityArn=arn)["taskToken"], output="{}")

    yield definition, end
    sfn.delete_activity(activityArn=arn)


def test_a_release_goes_through_its_stages_one_after_the_other(subject, call, eventually, machine, gate):
    definition, end = gate
    plan = {"stages": [{"quota": 1, "weight": 100}, {"quota": 2, "weight": 100}]}
    release = subject.given(current=machine(), latest=machine(definition), plan=plan)
    assert call(subject.name, {"wait": True}).body["routed_to"] == "latest"
    subject.wake()
    assert call(subject.name, {"wait": False}).body["routed_to"] == "current", "the second stage waits until the first has passed"
    assert subject.release(release).granted == 1
    end()
    eventually(lambda: subject.wake() and subject.release(release).granted == 3)
    eventually(
        lambda: call(subject.name, {"wait": False}).body["routed_to"] == "latest" and subject.release(release).claimed == 3,
        within=30,
    )
    subject.becomes(release, ReleaseState.PROMOTED)
    assert len(subject.rows(release)) == 3


def test_no_evidence_never_promotes(subject, machine):
    current = machine()
    release = subject.given(current=current, latest=machine())
    for _ in range(3):
        subject.wake()
    assert subject.release(release).state is ReleaseState.RUNNING
    assert subject.value("current") == current


def test_a_promotion_can_be_taken_back_and_the_stack_stays_out(subject, call, eventually, machine):
    current, latest = machine(), machine()
    release = subject.given(current=current, latest=latest)
    for _ in range(2):
        call(subject.name)
    subject.becomes(release, ReleaseState.PROMOTED)
    subject.operator.ask(subject.name, Verb.ROLLBACK, "it is slow")
    subject.wake()
    subject.becomes(release, ReleaseState.ROLLED_BACK)
    assert subject.values() == (current, "NONE", "NONE")
    assert subject.item().mirror.value == current
    assert subject.tag(latest).state is ReleaseState.REJECTED


def test_only_the_last_promotion_can_be_taken_back(subject, call, machine):
    first = subject.given(current=machine(), latest=machine(), plan=ONE)
    call(subject.name)
    subject.becomes(first, ReleaseState.PROMOTED)
    second = subject.tag(machine())
    subject.operator.ask(subject.name, Verb.ABORT, "no")
    subject.wake()
    subject.becomes(second, ReleaseState.ABORTED)
    with pytest.raises(NotPossible, match="only the last promotion"):
        subject.operator.ask(subject.name, Verb.ROLLBACK, "no", second.release)
    subject.operator.ask(subject.name, Verb.ROLLBACK, "yes", first.release)
    subject.wake()
    subject.becomes(first, ReleaseState.ROLLED_BACK)
