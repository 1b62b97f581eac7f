"""What upstream apps see of the router: its answers, and its errors, which are all problems of RFC 9457."""

from __future__ import annotations

import json

import pytest

from canary.domain.states import ReleaseState


def assert_problem(answer, status, *words):
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json"), answer
    assert answer.body["status"] == status
    assert answer.body["title"]
    for word in words:
        assert word in answer.body["detail"]


def test_the_router_says_that_it_is_there(get):
    answer = get("/health")
    assert (answer.status, answer.body["status"]) == (200, "ok")


@pytest.mark.parametrize("name", ["nobody", "Not-A-Name", "9lives", "x" * 41])
def test_an_app_that_does_not_exist_is_not_found(call, name):
    assert_problem(call(name), 404, "no")


@pytest.mark.parametrize("body", [b"", b"{", b"text", b"NaN", b'{"a": Infinity}', b"\xff"])
def test_a_body_that_is_not_json_is_a_bad_request(subject, call, machine, sfn, body):
    current = machine()
    subject.given(current=current)
    assert_problem(call(subject.name, body), 400)
    assert sfn.list_executions(stateMachineArn=current)["executions"] == []


@pytest.mark.parametrize("body", [{"a": [1, "ä", None]}, [1, 2], "text", 7, True, None])
def test_any_json_reaches_the_target_as_it_is(subject, call, function, body):
    subject.given(current=function("def handler(event, context): return {'got': event}"))
    answer = call(subject.name, json.dumps(body, ensure_ascii=False).encode())
    assert (answer.status, answer.body["response"]) == (200, {"got": body})


@pytest.mark.parametrize("key", ["", "wrong"])
def test_nobody_without_a_key_gets_in(subject, call, machine, sfn, key):
    current = machine()
    subject.given(current=current)
    answer = call(subject.name, {}, api_key=key)
    assert answer.status == 403, "as a problem on AWS; the embedded one knows no gateway responses"
    assert sfn.list_executions(stateMachineArn=current)["executions"] == []


def test_two_apps_behind_one_router_know_nothing_of_each_other(subject, fresh_app, subject_named, call, machine):
    with fresh_app() as name:
        other = subject_named(name)
        mine, theirs = machine(), machine()
        first = subject.given(current=machine(), latest=mine)
        second = other.given(current=theirs)
        assert second is None
        assert [call(subject.name).body["routed_to"] for _ in range(2)] == ["latest"] * 2
        answer = call(name)
        assert (answer.body["app"], answer.body["routed_to"]) == (name, "current")
        assert answer.body["transform_id"].split(":")[6] == theirs.split(":")[6]
        subject.becomes(first, ReleaseState.PROMOTED)
        assert other.values() == (theirs, None, None)


def test_a_body_too_large_for_latest_alone_goes_to_current_unclaimed(subject, call, machine, function):
    release = subject.given(current=function("def handler(event, context): return len(event)"), latest=machine())
    answer = call(subject.name, "x" * 300_000)
    assert (answer.status, answer.body["routed_to"], answer.body["response"]) == (200, "current", 300_000)
    assert (subject.release(release).claimed, subject.rows(release)) == (0, [])


def test_a_body_too_large_for_the_target_is_refused(subject, call, machine):
    subject.given(current=machine())
    assert_problem(call(subject.name, "x" * 300_000), 413)


def test_a_target_that_fails_is_a_bad_gateway_and_its_message_is_not_passed_on(subject, call, function):
    subject.given(current=function("def handler(event, context): raise RuntimeError('a secret')"))
    answer = call(subject.name)
    assert_problem(answer, 502)
    assert "a secret" not in json.dumps(answer.body)
    assert answer.headers["x-canary-request-id"] == answer.body["request_id"]


def test_a_target_outside_the_allowed_pattern_is_never_called(
    subject, fresh_app, subject_named, call, machine, sfn, given_environment
):
    outside, inside = machine(), machine(name="transformer-inside")
    release = subject.given(current=inside, latest=outside)
    assert release.state is ReleaseState.RUNNING, "released while the pattern was a wider one"
    with (
        given_environment("RouterFunction", CANARY_TARGET_PATTERN="transformer-*"),
        given_environment("FlipperFunction", CANARY_TARGET_PATTERN="transformer-*"),
        fresh_app() as other,
    ):
        assert [call(subject.name).body["routed_to"] for _ in range(3)] == ["current"] * 3
        assert sfn.list_executions(stateMachineArn=outside)["executions"] == []

        refused = subject_named(other).given(current=inside, latest=outside)
        subject_named(other).becomes(refused, ReleaseState.REJECTED)
        assert "does not match the allowed pattern 'transformer-*'" in refused.refusal
        assert subject_named(other).value("latest") == "NONE"

        subject_named(other).parameters.write(other, "current", outside)
        assert call(other).body["transform_id"].split(":")[6] == "transformer-inside", (
            "from the mirror, which keeps what may be called"
        )
        with fresh_app() as third:
            subject_named(third).parameters.write(third, "current", outside)
            assert_problem(call(third), 503)
            assert call(third).headers["retry-after"]
        assert sfn.list_executions(stateMachineArn=outside)["executions"] == []


def test_a_path_that_the_contract_does_not_have_is_not_found(get):
    assert get("/a/b/c/d").status in {403, 404}
