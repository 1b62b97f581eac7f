"""Whatever a Lambda target answers: the upstream gets an answer, and the record of the request settles."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from canary.aws import answers
from canary.aws.transform_id import expression_problem
from canary.domain.audit import IN_FLIGHT, Status
from canary.domain.call import CallResult
from canary.domain.states import ReleaseState
from canary.domain.target import is_execution
from tests.fakes.scene import APP, arn
from tests.fuzz.installation import on_trial, state
from tests.fuzz.rubbish import expressions, nested, strict, texts, tries, values

#: jmespath takes a text between backticks that is no JSON, and warns.
pytestmark = pytest.mark.filterwarnings("ignore:deprecated string literal syntax:PendingDeprecationWarning")
#: An item's index key has 2,048 bytes.
MOST_KEY_BYTES = 2_048
payloads = st.one_of(
    st.dictionaries(st.sampled_from(["statusCode", "body", "executionArn", "transformId", "a", "errorType"]),
    values | texts).map(json.dumps),
    texts,
).map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=40)  # fmt: skip
arns = st.builds(
    lambda region, account, name: f"arn:aws:states:{region}:{account}:execution:{name}",
    st.sampled_from(["eu-west-1", "us-east-1", "x" * 300]),
    st.sampled_from(["123456789012", "999999999999"]),
    st.sampled_from(["m:e", "m", "m:e:f", "\ud800:e", "m:" + "ü" * 80, "x" * 81 + ":e", "m:e\n"]),
)
failures = st.sampled_from([None, None, "Unhandled", "Handled", "\ud800"])


@tries(400)
@given(payloads, failures, st.none() | expressions)
@example(json.dumps({"statusCode": "9" * 5_000}).encode(), None, None)
@example(b'{"a": [1, 2]}', None, "a[::0]")
@example(b'[{"a": 1}, {"a": "x"}]', None, "max_by(@, &a)")
@example(b"[1e308, 1" + b"0" * 400 + b"]", None, "sum(@)")
@example(b"{}", None, "(" * 2_000)
@example(b"{}", None, "a" + "|a" * 1_500)
def test_whatever_a_function_answers_it_is_understood_somehow(payload, failure, expression):
    call = answers.invoked(payload, failure, expression)
    assert call.result in {CallResult.ANSWERED, CallResult.FAILED}
    assert failure is None or call.result is CallResult.FAILED
    assert len(call.error or "") <= 200, "it goes on record, and to the upstream"
    assert call.transform_id is None or call.transform_id


@tries(100)
@given(expressions)
def test_whatever_the_expression_it_can_be_used_or_is_refused_with_its_reason(expression):
    problem = expression_problem(expression)
    assert problem is None or (len(problem) < 5_000 and "JMESPath" in problem)


@tries(100)
@given(arns)
def test_what_is_taken_for_an_execution_fits_where_it_is_kept_and_asked_for(text):
    assert not is_execution(text) or (text.isprintable() and len(text.encode()) <= 256)


def held_to(answer):
    """The body of an answer that a Lambda runtime can send and every upstream read."""
    sent = json.dumps(answer, ensure_ascii=False).encode()
    assert len(sent) <= 6 * 1024 * 1024, "Lambda sends no more, and who asked would hear of a failure"
    return strict(answer["body"])


@pytest.fixture
def posted(routed, load_event):
    def send(scene, *, key=None):
        event = load_event("api-post-app")
        event["headers"] = {"Idempotency-Key": key} if key else {}
        return routed(scene, event)

    return send


@tries(60)
@given(payloads, st.none() | expressions)
@example(b'{"a": 1e999}', None)
@example(b'{"a": "\\ud800"}', None)
@example(nested("1", 900).encode(), None)
@example(json.dumps({"statusCode": 500, "body": "9" * 5_000}).encode(), None)
def test_whatever_current_answers_the_upstream_gets_an_answer_and_the_same_again(posted, payload, expression):
    scene = on_trial(
        {"v1": (payload, None)}, plan={"transform_id": expression} if expression and expression.isprintable() else None
    )
    scene.write_latest("NONE")
    scene.flip()
    first, second = posted(scene, key="k"), posted(scene, key="k")
    assert first["statusCode"] in {200, 202, 502}
    assert (held_to(first), first["statusCode"]) == (held_to(second), second["statusCode"])
    assert scene.sent_to("v1") == [held_to(first)["request_id"]]


def test_an_answer_too_large_to_pass_on_is_left_out_and_the_work_is_not_called_a_failure(posted):
    scene = on_trial({"v1": (json.dumps({"quotes": '"' * 2_900_000}).encode(), None)})
    scene.write_latest("NONE")
    scene.flip()
    body = held_to(posted(scene))
    assert (body["routed_to"], body["response"], body["response_omitted"]) == ("current", None, True)


def readable(payload: bytes) -> bool:
    """Whether nothing in it was out of our reach: it is JSON that Python can read, or no JSON at all, and so without words."""
    try:
        json.loads(payload)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return True
    except (ValueError, RecursionError):
        return False
    return True


@tries(80)
@given(payloads | arns.map(lambda text: json.dumps({"executionArn": text}).encode()), failures, st.none() | expressions)
@example(json.dumps({"transformId": "x" * 500_000}).encode(), None, None)
@example(json.dumps({"transformId": "\ud800"}).encode(), None, None)
@example(b'{"executionArn": "arn", "n": ' + b"9" * 5_000 + b"}", None, None)
@example(nested("1", 50_000).encode(), None, None)
def test_whatever_latest_answers_the_request_is_served_and_its_record_settles(posted, payload, failure, expression):
    plan = {"stages": [{"quota": 2, "weight": 100}], **({"transform_id": expression} if expression else {})}
    scene = on_trial({"v2": (payload, failure)}, plan=json.dumps(plan))
    release = scene.only_release()
    answer = posted(scene)
    assert answer["statusCode"] in {200, 202}
    held_to(answer)
    if release.state is ReleaseState.REJECTED:
        assert scene.rows() == []
        return
    (row,) = scene.rows()
    assert len((row.transform_id or "").encode()) <= MOST_KEY_BYTES
    assert len(row.error or "") <= 300
    for _ in range(3):
        scene.live(1_000_000)
        scene.flip()
    (settled,) = scene.rows()
    assert settled.status not in IN_FLIGHT
    if settled.status is Status.SUCCEEDED:
        assert readable(payload)
    assert scene.parameter("current") == arn("v1")
    assert {app for app, _ in state(scene)["parameters"]} == {APP}
