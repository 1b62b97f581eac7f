"""A release that fails: it is out at once, it stays out, and nobody upstream noticed."""

from __future__ import annotations

import json

import pytest

from canary.domain.states import ReleaseState

FAILS = {"StartAt": "No", "States": {"No": {"Type": "Fail", "Error": "TotalsMismatch", "Cause": "they do not add up"}}}
ONE = [{"quota": 1, "weight": 100}]
RAISES = "def handler(event, context): raise RuntimeError('as it was asked to')"
ANSWERS_500 = "def handler(event, context): return {'statusCode': 503}"
SLEEPS = "import time\ndef handler(event, context): time.sleep(20)"
#: Long enough to reach a function on a machine that is busy, which is not the same as waiting for its answer.
TOO_SLOW = "3s"


def test_a_failed_workflow_throws_the_stack_out_and_quarantines_it_until_somebody_lifts_that(
    subject, call, deploy_version, v1, told, eventually
):
    current, latest = v1.function_alias_arn, deploy_version("v1.2.0", behaviour="fail").function_alias_arn
    release = subject.given(current=current, latest=latest)
    answers = [call(subject.name) for _ in range(2)]
    assert [answer.status for answer in answers] == [202] * 2, "it was started, so upstream is content"
    assert answers[0].body["routed_to"] == "latest"  # it may be out already when the second comes

    aborted = subject.becomes(release, ReleaseState.ABORTED)
    assert "failed (0 may)" in aborted.reason
    assert aborted.tally.failures >= 1
    assert subject.values() == (current, "NONE", None)
    assert subject.item().quarantine[latest].release == release.release
    assert call(subject.name).body["routed_to"] == "current"
    eventually(lambda: subject.wake() and {row.status for row in subject.rows(release)} == {"FAILED"})
    assert {row.error for row in subject.rows(release)} == {"TotalsMismatch"}
    eventually(lambda: any(m.get("detail-type") == "Release Aborted" for m in told(subject.name)))

    refused = subject.tag(latest)
    subject.becomes(refused, ReleaseState.REJECTED)
    assert "quarantined" in refused.refusal
    assert "canary retry" in refused.refusal, "it says what to do next"
    assert subject.value("latest") == "NONE"
    assert call(subject.name).body["routed_to"] == "current"

    subject.operator.retry(subject.name, latest)
    again = subject.tag(latest)
    assert again.state is ReleaseState.RUNNING, again.reason


@pytest.mark.parametrize(
    ("source", "timeout", "error"),
    [
        (RAISES, "10s", "Unhandled error Runtime.HandlerError"),
        (ANSWERS_500, "10s", "statusCode 503"),
        (SLEEPS, TOO_SLOW, "Timeout: no answer within 3000 ms"),
    ],
    ids=["raises", "answers 503", "is too slow"],
)
def test_a_request_that_latest_fails_is_served_by_current_and_says_so(subject, call, function, machine, source, timeout, error):
    release = subject.given(current=machine(), latest=function(source), plan={"stages": ONE, "latest_timeout": timeout})
    answer = call(subject.name)
    assert (answer.status, answer.body["routed_to"], answer.body["fell_back"]) == (202, "current", True)
    assert answer.headers["x-canary-routed-to"] == "current"
    assert ":execution:" in answer.body["transform_id"]
    subject.wake()
    subject.becomes(release, ReleaseState.ABORTED)
    [row] = subject.rows(release)
    assert (row.request_id, row.status, row.error, row.fell_back) == (answer.body["request_id"], "FAILED", error, True)


def test_the_example_whose_lambda_raises_is_thrown_out(subject, call, deploy_version, v1):
    raises = deploy_version("v1.3.0", behaviour="raise")
    release = subject.given(current=v1.function_alias_arn, latest=raises.function_alias_arn)
    answer = call(subject.name, {"orders": 2})
    assert (answer.status, answer.body["routed_to"], answer.body["fell_back"]) == (202, "current", True)
    assert answer.body["transform_id"].split(":")[6] == v1.stack
    subject.wake()
    subject.becomes(release, ReleaseState.ABORTED)


def test_with_fallback_unstarted_a_failure_that_may_have_started_something_is_not_repeated_on_current(
    subject, call, function, machine, sfn
):
    current = machine()
    plan = {"stages": ONE, "fallback": "unstarted"}
    release = subject.given(current=current, latest=function(RAISES), plan=plan)
    answer = call(subject.name)
    assert (answer.status, answer.headers["content-type"]) == (502, "application/problem+json")
    assert answer.body["request_id"] == answer.headers["x-canary-request-id"]
    assert sfn.list_executions(stateMachineArn=current)["executions"] == []
    subject.wake()
    subject.becomes(release, ReleaseState.ABORTED)
    [row] = subject.rows(release)
    assert (row.status, row.fell_back) == ("FAILED", False)


def test_with_fallback_unstarted_a_timeout_is_the_upstreams_to_judge(subject, call, function, machine, sfn):
    current = machine()
    plan = {"stages": ONE, "fallback": "unstarted", "latest_timeout": TOO_SLOW}
    subject.given(current=current, latest=function(SLEEPS), plan=plan)
    answer = call(subject.name)
    assert (answer.status, answer.body["title"]) == (504, "Gateway Timeout")
    assert sfn.list_executions(stateMachineArn=current)["executions"] == []


def test_with_fallback_unstarted_a_target_that_is_gone_has_surely_started_nothing(subject, call, function, machine, awslambda):
    latest = function(RAISES)
    release = subject.given(current=machine(), latest=latest, plan={"stages": ONE, "fallback": "unstarted"})
    awslambda.delete_function(FunctionName=latest.rsplit(":", 1)[0])
    answer = call(subject.name)
    assert (answer.status, answer.body["routed_to"], answer.body["fell_back"]) == (202, "current", True)
    subject.wake()
    subject.becomes(release, ReleaseState.ABORTED)


def test_a_plan_may_forgive_failures(subject, call, machine):
    """One of three may fail; the state machine fails the request that asks for it."""
    choice = {"Type": "Choice", "Choices": [{"Variable": "$.fail", "BooleanEquals": True, "Next": "No"}], "Default": "Yes"}
    definition = {"StartAt": "Which", "States": {"Which": choice, "No": FAILS["States"]["No"], "Yes": {"Type": "Succeed"}}}
    plan = {"stages": [{"quota": 3, "weight": 100}], "max_failures": 1}
    latest = json.dumps({"arn": machine(definition), "tag": "v7"})
    release = subject.given(current=machine(), latest=latest, plan=plan)
    for fail in (True, False, False):
        assert call(subject.name, {"fail": fail}).body["routed_to"] == "latest"
    promoted = subject.becomes(release, ReleaseState.PROMOTED)
    assert (promoted.tally.succeeded, promoted.tally.failed) == (2, 1)
    assert subject.value("current") == latest


def test_what_only_our_own_account_caused_is_not_the_stacks_fault(subject, call, function, machine, awslambda):
    latest = function("def handler(event, context): return {'done': True}").rsplit(":", 1)[0]
    release = subject.given(current=machine(), latest=latest, plan={"stages": ONE})
    name = latest.split(":")[6]
    awslambda.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    answer = call(subject.name)
    assert (answer.status, answer.body["routed_to"], answer.body["fell_back"]) == (202, "current", True)
    awslambda.delete_function_concurrency(FunctionName=name)
    subject.wake()
    found = subject.await_release(release.release, lambda seen: seen.tally.refunded == 1)
    assert (found.state, found.claimed, found.tally.failures, found.tally.lost) == (ReleaseState.RUNNING, 0, 0, 0)
    [row] = subject.rows(release)
    assert (row.status, row.unstarted, row.error) == ("LOST", True, "TooManyRequestsException")
