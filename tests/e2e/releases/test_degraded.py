"""Parameter Store or DynamoDB does not answer: nobody is turned away because of a canary."""

from __future__ import annotations

import json

import pytest

from canary.domain.states import ReleaseState

NOBODY = "http://127.0.0.1:9"


def everything(operation, body):
    return True


@pytest.fixture
def lines(line, given_environment):
    """The router's lines to SSM and to DynamoDB."""
    ssm, dynamodb = line(), line()
    with given_environment("RouterFunction", AWS_ENDPOINT_URL_SSM=ssm.url, AWS_ENDPOINT_URL_DYNAMODB=dynamodb.url):
        yield ssm, dynamodb


def test_a_router_that_starts_while_parameter_store_is_down_serves_from_the_mirror(subject, call, machine, given_environment):
    current = machine()
    subject.given(current=current, latest=machine())
    with given_environment("RouterFunction", AWS_ENDPOINT_URL_SSM=NOBODY):
        answer = call(subject.name, {"n": 1})
        assert (answer.status, answer.body["routed_to"]) == (202, "current")
        assert answer.body["transform_id"].split(":")[6] == current.split(":")[6]
        assert call(subject.name, {"n": 1}, idempotency_key="k").status == 202, "keyed requests need DynamoDB only"


def test_a_router_that_starts_while_both_are_down_says_when_to_try_again(subject, call, machine, given_environment):
    subject.given(current=machine())
    with given_environment("RouterFunction", AWS_ENDPOINT_URL_SSM=NOBODY, AWS_ENDPOINT_URL_DYNAMODB=NOBODY):
        answer = call(subject.name)
        assert (answer.status, answer.headers["content-type"]) == (503, "application/problem+json")
        assert int(answer.headers["retry-after"]) > 0


def test_a_router_goes_on_with_what_it_knows_while_parameter_store_fails(subject, call, machine, lines, eventually):
    ssm, dynamodb = lines
    subject.given(current=machine())
    assert call(subject.name).status == 202
    ssm.cut = everything
    statuses = set()
    eventually(lambda: statuses.add(call(subject.name).status) or ssm.refused, within=30)
    dynamodb.cut = everything
    statuses.add(call(subject.name).status)
    assert statuses == {202}, "what it has read serves on, with the mirror gone too"


def test_a_parameter_store_that_throttles_is_a_parameter_store_that_fails(
    subject, call, machine, lines, fresh_app, subject_named
):
    ssm, _ = lines
    with fresh_app() as name:
        subject_named(name).given(current=machine(), latest=machine())
        ssm.cut = everything
        answer = call(name)
        assert (answer.status, answer.body["routed_to"]) == (202, "current"), "latest is unknown, and the mirror serves"


def test_with_dynamodb_down_current_serves_and_only_keyed_requests_have_to_wait(
    subject, fresh_app, subject_named, call, machine, lines, sfn, get
):
    _, dynamodb = lines
    current, latest = machine(), machine()
    subject.given(current=current, latest=latest)
    with fresh_app() as name:
        subject_named(name).given(current=machine(), latest=latest)
        assert call(name).body["routed_to"] == "latest", "this release is known to the router"
        dynamodb.cut = everything
        for app in (subject.name, name):
            answer = call(app, {"n": 1})
            assert (answer.status, answer.body["routed_to"]) == (202, "current")
            assert "fell_back" not in answer.body, "latest had nothing to do with it"
            keyed = call(app, {"n": 1}, idempotency_key="k")
            assert (keyed.status, keyed.headers["content-type"]) == (503, "application/problem+json")
            assert int(keyed.headers["retry-after"]) > 0
            assert get(f"/{app}/requests/{answer.body['request_id']}").status in {404, 503}
    assert len(sfn.list_executions(stateMachineArn=latest)["executions"]) == 1, "nothing goes to latest off the record"
    assert len(sfn.list_executions(stateMachineArn=current)["executions"]) == 1, "and a keyed request ran nowhere"


def test_a_current_that_cannot_be_read_is_served_from_the_mirror(subject, call, machine, eventually):
    current = machine()
    subject.given(current=current)
    # Where another pass had the app just then, ours has only left word there.
    eventually(lambda: (item := subject.releases.app(subject.name)) and item.mirror)
    subject.parameters.write(subject.name, "current", json.dumps({"tag": "no arn"}))
    answer = call(subject.name)
    assert (answer.status, answer.body["transform_id"].split(":")[6]) == (202, current.split(":")[6])


def test_a_claim_whose_row_cannot_be_written_sends_nothing_to_latest(subject, call, machine, lines, sfn):
    _, dynamodb = lines
    latest = machine()
    release = subject.given(current=machine(), latest=latest)
    dynamodb.cut = lambda operation, body: operation == "PutItem"
    answer = call(subject.name)
    assert (answer.status, answer.body["routed_to"]) == (202, "current")
    assert (subject.release(release).claimed, subject.rows(release)) == (1, []), "the flipper gives that slot back later"
    assert sfn.list_executions(stateMachineArn=latest)["executions"] == []


def test_an_outcome_that_the_router_cannot_write_down_is_found_by_the_flipper(subject, call, machine, lines, stack):
    _, dynamodb = lines
    latest = machine()
    release = subject.given(current=machine(), latest=latest, plan={"stages": [{"quota": 1, "weight": 100}]})
    dynamodb.cut = lambda operation, body: operation == "UpdateItem" and body["TableName"] == stack.outputs["AuditTable"]
    answer = call(subject.name)
    assert (answer.status, answer.body["routed_to"]) == (202, "latest"), "it is served all the same"
    subject.wake()
    subject.becomes(release, ReleaseState.PROMOTED)
    [row] = subject.rows(release)
    assert (row.status, row.transform_id) == ("SUCCEEDED", answer.body["transform_id"])


def test_writes_of_the_router_whose_answers_are_lost_are_done_once(subject, call, machine, lines, sfn):
    _, dynamodb = lines
    current, latest = machine(), machine()
    release = subject.given(current=current, latest=latest)
    dynamodb.lose_first_answers = True
    answers = [call(subject.name, {"n": n}, idempotency_key=str(n)) for n in range(3)]
    assert [(a.status, a.body["routed_to"]) for a in answers] == [(202, "latest"), (202, "latest"), (202, "current")]
    assert dynamodb.lost >= 3 + 2 + 2 + 2, "three keys, two claims, two rows, two outcomes"
    # The third may have met latest as the current one already: what counts is who was sent there with a slot.
    names = {execution["name"] for execution in sfn.list_executions(stateMachineArn=latest)["executions"]}
    assert names - {answers[2].body["request_id"]} == {answer.body["request_id"] for answer in answers[:2]}
    promoted = subject.becomes(release, ReleaseState.PROMOTED)
    assert (promoted.claimed, promoted.tally.succeeded, promoted.tally.refunded) == (2, 2, 0)


def test_writes_of_the_flipper_whose_answers_are_lost_are_done_once(subject, call, machine, line, given_environment, ssm):
    to_ssm, to_dynamodb = line(), line()
    current, latest = machine(), machine()
    urls = {"AWS_ENDPOINT_URL_SSM": to_ssm.url, "AWS_ENDPOINT_URL_DYNAMODB": to_dynamodb.url}
    with given_environment("FlipperFunction", **urls):
        # Only now: a pass that was cut off by the start anew would have kept the app's lease for longer than we wait.
        release = subject.given(current=current, latest=latest)
        to_ssm.lose_first_answers = to_dynamodb.lose_first_answers = True
        for _ in range(2):
            assert call(subject.name).body["routed_to"] == "latest"
        subject.wake()
        promoted = subject.becomes(release, ReleaseState.PROMOTED)
    assert to_ssm.lost >= 3, "previous, current, the blank"
    assert to_dynamodb.lost > 5
    assert (promoted.claimed, promoted.tally.succeeded) == (2, 2)
    assert subject.values() == (latest, "NONE", current)
    assert subject.item().mirror.value == latest
