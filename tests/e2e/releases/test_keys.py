"""Requests with an Idempotency-Key, and what became of requests on record."""

from __future__ import annotations

import json

import pytest

WAITS = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": True}}}


def executions(sfn, machine):
    return sfn.list_executions(stateMachineArn=machine)["executions"]


def test_another_body_under_the_same_key_is_refused(subject, call, machine, sfn):
    current = machine()
    subject.given(current=current)
    assert call(subject.name, {"n": 1}, idempotency_key="k").status == 202
    other = call(subject.name, {"n": 2}, idempotency_key="k")
    assert (other.status, other.headers["content-type"]) == (422, "application/problem+json")
    assert len(executions(sfn, current)) == 1


def test_keys_are_kept_when_no_release_runs_too(subject, call, get, machine, sfn, eventually):
    current = machine()
    subject.given(current=current)
    first = call(subject.name, {"n": 1}, idempotency_key="k")
    assert call(subject.name, {"n": 1}, idempotency_key="k").body == first.body
    assert len(executions(sfn, current)) == 1
    path = f"/{subject.name}/requests/{first.body['request_id']}"
    eventually(lambda: get(path).body == {**first.body, "status": "SUCCEEDED"})


def test_a_key_belongs_to_its_app_and_its_tenant(subject, fresh_app, subject_named, call, machine, sfn):
    current = machine()
    subject.given(current=current)
    with fresh_app() as name:
        subject_named(name).given(current=current)
        answers = [
            call(subject.name, {}, idempotency_key="k"),
            call(subject.name, {}, idempotency_key="k", x_canary_tenant="acme"),
            call(subject.name, {}, idempotency_key="k", x_canary_tenant="other"),
            call(name, {}, idempotency_key="k"),
        ]
        assert len({answer.body["request_id"] for answer in answers}) == 4
    assert len(executions(sfn, current)) == 4


def test_an_error_is_kept_like_any_answer(subject, call, function):
    subject.given(current=function("def handler(event, context): raise RuntimeError"))
    first = call(subject.name, {}, idempotency_key="k")
    assert first.status == 502
    assert call(subject.name, {}, idempotency_key="k").body == first.body


def test_a_key_that_started_nothing_is_free_again(subject, call, function, awslambda):
    current = function("def handler(event, context): return 'done'").rsplit(":", 1)[0]
    subject.given(current=current)
    awslambda.put_function_concurrency(FunctionName=current, ReservedConcurrentExecutions=0)
    assert call(subject.name, {}, idempotency_key="k").status == 503
    awslambda.delete_function_concurrency(FunctionName=current)
    answer = call(subject.name, {}, idempotency_key="k")
    assert (answer.status, answer.body["response"]) == (200, "done")


@pytest.fixture
def on_record(dynamodb, stack):
    """All that is in the audit table, other tests' keys too: that is more than one page at times."""

    def scan():
        pages = dynamodb.get_paginator("scan").paginate(TableName=stack.outputs["AuditTable"], ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]

    return scan


@pytest.fixture
def as_if_the_router_had_died(dynamodb, stack, now, on_record):
    """Take the end of a keyed request back: its record is in progress, and so many milliseconds old."""

    def undo(answer, age_ms):
        [record] = [item for item in on_record() if item.get("routed_as", {}).get("S") == answer.body["request_id"]]
        dynamodb.update_item(
            TableName=stack.outputs["AuditTable"],
            Key={name: record[name] for name in ("release_id", "request_id")},
            UpdateExpression="SET #status = :status, since = :since REMOVE answer, answer_status",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":status": {"S": "IN_PROGRESS"}, ":since": {"N": str(now() - age_ms)}},
        )

    return undo


def test_a_repeat_takes_over_from_a_router_that_died_and_nothing_runs_twice(
    subject, call, machine, sfn, as_if_the_router_had_died
):
    current = machine()
    subject.given(current=current)
    first = call(subject.name, {}, idempotency_key="k")
    as_if_the_router_had_died(first, age_ms=5_000)
    early = call(subject.name, {}, idempotency_key="k")
    assert (early.status, early.body["request_id"]) == (409, first.body["request_id"]), "it may still be at it"

    as_if_the_router_had_died(first, age_ms=36_000)
    again = call(subject.name, {}, idempotency_key="k")
    assert (again.status, again.body["request_id"]) == (202, first.body["request_id"])
    assert again.body["transform_id"] == first.body["transform_id"]
    assert call(subject.name, {}, idempotency_key="k").body == again.body
    assert len(executions(sfn, current)) == 1


def test_a_repeat_of_what_latest_has_already_does_not_go_to_current_too(subject, call, machine, sfn, as_if_the_router_had_died):
    current, latest = machine(), machine(WAITS)
    subject.given(current=current, latest=latest)
    first = call(subject.name, {}, idempotency_key="k")
    assert first.body["routed_to"] == "latest"
    as_if_the_router_had_died(first, age_ms=36_000)
    again = call(subject.name, {}, idempotency_key="k")
    assert (again.status, again.body) == (202, {**first.body, "response": None})
    assert (len(executions(sfn, current)), len(executions(sfn, latest))) == (0, 1)


def test_a_key_that_is_not_printable_or_too_long_is_refused(subject, call, machine):
    subject.given(current=machine())
    for key in ("ä", "x" * 256, ""):
        answer = call(subject.name, {}, idempotency_key=key)
        assert (answer.status, answer.body["title"]) == (400, "Bad Request"), key


def test_a_request_that_was_sent_to_latest_is_found_by_its_id_from_start_to_end(subject, call, get, machine, sfn, eventually):
    subject.given(current=machine(), latest=machine(WAITS))
    answer = call(subject.name, {"n": 1})
    path = f"/{subject.name}/requests/{answer.body['request_id']}"
    found = get(path)
    assert (found.status, found.headers["content-type"]) == (200, "application/json")
    assert found.body == {**answer.body, "response": None, "status": "RUNNING"}, "answers are not stored"
    sfn.stop_execution(executionArn=answer.body["transform_id"])
    subject.wake()
    eventually(lambda: get(path).body["status"] == "ABORTED")


def test_a_request_that_fell_back_is_found_with_what_became_of_it_on_current(subject, call, get, machine, function, eventually):
    raises = function("def handler(event, context): raise RuntimeError")
    subject.given(current=machine(), latest=raises)
    answer = call(subject.name, {}, idempotency_key="k")
    assert answer.body["fell_back"] is True
    path = f"/{subject.name}/requests/{answer.body['request_id']}"
    eventually(lambda: get(path).body == {**answer.body, "status": "SUCCEEDED"})


def test_what_is_not_on_record_is_not_found(subject, fresh_app, call, get, machine):
    subject.given(current=machine(), latest=machine(), plan={"stages": [{"quota": 1, "weight": 100}]})
    on_record, not_on_record = call(subject.name), call(subject.name)
    assert (on_record.body["routed_to"], not_on_record.body["routed_to"]) == ("latest", "current")
    with fresh_app() as other:
        for path in (
            f"/{subject.name}/requests/{not_on_record.body['request_id']}",
            f"/{subject.name}/requests/nobody",
            f"/{other}/requests/{on_record.body['request_id']}",
            f"/Not-An-App/requests/{on_record.body['request_id']}",
        ):
            answer = get(path)
            assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json"), path


def test_the_record_tells_neither_key_nor_tenant_nor_payload(subject, call, machine, on_record):
    subject.given(current=machine())
    answer = call(subject.name, {"secret": "payload-word"}, idempotency_key="key-word", x_canary_tenant="tenant-word")
    stored = json.dumps(on_record())
    assert answer.body["request_id"] in stored
    assert "key-word" not in stored
    assert "tenant-word" not in stored
    assert "payload-word" not in stored
