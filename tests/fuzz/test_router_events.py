"""Whatever wakes the router: an answer that API Gateway can pass on, and never a word of what went on inside."""

from __future__ import annotations

import base64
import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.fakes.scene import APP
from tests.fuzz.installation import on_trial, state
from tests.fuzz.rubbish import strict, texts, tries, values, words

#: What the contract knows. A defect is 500: never that.
POSTED = {200, 202, 400, 404, 409, 413, 422}
FOLLOWED = {200, 404}
READ = ["httpMethod", "path", "headers", "body", "isBase64Encoded", "requestContext", "multiValueHeaders", "pathParameters"]
INSIDE = re.compile(r"Traceback|File \"|\.py\b|Error\(|Exception|KeyError|object has no attribute|NoneType")


@pytest.fixture
def answered(routed):
    """The status and the body of an answer, once nothing is to be said against its form."""

    def answer(scene, event):
        said = routed(scene, event)
        json.dumps(said, ensure_ascii=False).encode()
        assert isinstance(said["statusCode"], int)
        body = strict(said["body"])
        headers = {name: value for name, (value,) in said["multiValueHeaders"].items()}
        assert all(isinstance(value, str) and value.isprintable() for value in headers.values())
        if said["statusCode"] >= 400:
            assert headers["Content-Type"] == "application/problem+json"
            assert body["status"] == said["statusCode"]
            assert not INSIDE.search(said["body"])
        return said["statusCode"], body

    return answer


@tries(80)
@given(st.data())
def test_an_event_that_is_not_whole_is_answered_by_a_problem(answered, load_event, data):
    event = load_event(data.draw(st.sampled_from(["api-post-app", "api-get-request", "api-get-health"])))
    for name in data.draw(st.sets(st.sampled_from(READ), min_size=1, max_size=3)):
        if data.draw(st.booleans()):
            event.pop(name)
        else:
            event[name] = data.draw(
                values | st.dictionaries(st.sampled_from(["Idempotency-Key", "X-Canary-Tenant", "identity"]), values)
            )
    status, _ = answered(on_trial(), event)
    assert status in POSTED


@tries(60)
@given(values)
@example(None)
@example([])
@example({"version": "2.0", "rawPath": "/transformer", "requestContext": {"http": {"method": "POST"}}, "body": "{}"})
@example({"Records": [{"eventSource": "aws:sqs", "body": "{}"}]})
@example({"requestContext": {"elb": {}}, "httpMethod": "POST", "path": "/transformer", "headers": None, "body": "{}"})
def test_what_does_not_come_from_api_gateway_is_answered_by_a_problem(answered, event):
    status, _ = answered(on_trial(), event)
    assert status in POSTED


@tries(120)
@given(texts, st.sampled_from([None, False, True, "true", 1]))
@example("9" * 5_000, False)
def test_any_body_is_taken_where_it_is_json_and_refused_where_it_is_not_and_then_nothing_changes(
    answered, load_event, body, encoded
):
    scene = on_trial()
    before = state(scene)
    event = load_event("api-post-app")
    del event["headers"]["Idempotency-Key"]
    text = base64.b64encode(body.encode("utf-8", "surrogatepass")).decode() if encoded else body
    status, _ = answered(scene, {**event, "body": text, "isBase64Encoded": encoded})
    try:
        body.encode()
        whole = json.JSONDecoder(parse_constant=_none, parse_int=str).decode(body)
        del whole
    except (ValueError, RecursionError):
        assert (status, state(scene)) == (400, before)
    else:
        assert status in {200, 202} or (status == 413 and len(body) > 256_000)


def _none(name):
    raise ValueError(name)


@tries(80)
@given(st.sampled_from(["Idempotency-Key", "idempotency-key", "X-CANARY-TENANT"]), words | values)
def test_any_header_is_taken_or_refused_by_its_name_and_then_nothing_changes(answered, load_event, name, value):
    scene = on_trial()
    before = state(scene)
    status, body = answered(scene, {**load_event("api-post-app"), "headers": {name: value}})
    if value is None or (isinstance(value, str) and re.fullmatch(r"[\x20-\x7e]{1,255}", value)):
        assert status == 202
    else:
        assert (status, name.lower() in body["detail"].lower(), state(scene)) == (400, True, before)


segments = (
    words
    | st.text(max_size=100)
    | st.sampled_from(["..", "%2e%2e", "%00", "requests", "health", "transformer", "a" * 90, "'; --"])
)
ids = st.from_regex(r"\A[0-9A-HJKMNP-TV-Z]{26}(-r[0-9]{8,9}-[0-9a-f]{8}|-c[0-9]{4}[0-9a-f]{8})?(-k[0-9a-f]{32})?\Z") | segments


@tries(150)
@given(ids)
@example("01M7YED1TJ1FMG74QQW1XQDE48-r00000001-00000000\n")
@example("٠" * 26)
def test_any_id_may_be_asked_for_and_what_is_not_on_record_is_not_found(answered, load_event, request_id):
    scene = on_trial()
    before = state(scene)
    status, body = answered(scene, {**load_event("api-get-request"), "path": f"/{APP}/requests/{request_id}"})
    assert (status, state(scene)) == (404, before)
    assert len(body["detail"]) < 400


@tries(100)
@given(st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "", "get", "\ud800"]), st.lists(segments, max_size=5))
@example("GET", ["transformer", "requests", ""])
@example("POST", ["transformer", ""])
def test_any_path_is_in_the_contract_or_not_found(answered, load_event, method, path):
    scene = on_trial()
    before = state(scene)
    event = {**load_event("api-post-app"), "httpMethod": method, "path": "/" + "/".join(path)}
    status, _ = answered(scene, event)
    while path and not path[-1]:
        path.pop()
    if status != 404:
        assert (method, path, status) in [("GET", ["health"], 200), ("POST", [APP], 202)]
    if (method, path) != ("POST", [APP]):
        assert state(scene) == before


@tries(30)
@given(st.lists(st.tuples(st.sampled_from(["k", "l"]), st.sampled_from(['{"a": 1}', '{"a": 2}', "[]"])), min_size=2, max_size=5))
def test_a_key_has_one_answer_and_refuses_every_other_body(answered, load_event, sends):
    scene = on_trial()
    first: dict[str, tuple[str, tuple[int, dict[str, object]]]] = {}
    for key, body in sends:
        said = answered(scene, {**load_event("api-post-app"), "headers": {"Idempotency-Key": key}, "body": body})
        known = first.setdefault(key, (body, said))
        assert said == known[1] if body == known[0] else said[0] == 422
    assert len(scene.stacks.sent) == len(first)
