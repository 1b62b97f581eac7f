"""openapi.yaml against the deployed router, with requests that schemathesis makes of it: such as keep to it, and such as do not.

No answer is one that the contract does not have, none is a defect, and what is refused has changed nothing.
"""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
import yaml
from hypothesis import given
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.fuzz.rubbish import texts, tries_on_the_stack

CONTRACT = schemathesis.openapi.from_dict(yaml.safe_load((Path(__file__).parents[3] / "openapi.yaml").read_text()))
POST, FOLLOW = CONTRACT["/{app}"]["POST"], CONTRACT["/{app}/requests/{request_id}"]["GET"]
HEALTH = CONTRACT["/health"]["GET"]
CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
#: A function as both stacks: it answers what it is given.
ECHO = "def handler(event, context): return {'echo': event}"
INSIDE = re.compile(r"Traceback|File \\?\"|\.py\b|KeyError|NoneType|object has no attribute")
both = st.sampled_from(GenerationMode)


@pytest.fixture
def trial(subject, function):
    """A release on trial, with more slots than a test sends requests."""
    plan = {"stages": [{"quota": 10_000, "weight": 50}], "deadline": "1d"}
    return subject.given(current=function(ECHO), latest=function(ECHO), plan=plan)


@pytest.fixture
def sent(stack):
    """Send a case with the API key, and hold the answer to the contract."""
    session = requests.Session()

    def send(case: Any) -> requests.Response:
        request = case.as_transport_kwargs(base_url=stack.router_url)
        request["headers"]["x-api-key"] = stack.api_key  # here, since a case may be one that leaves it out
        response = session.request(**request, timeout=40)
        assert response.status_code < 500, response.text
        assert not INSIDE.search(response.text)
        if not _gateways(response):
            case.validate_response(response, checks=CHECKS)
        return response

    with session:
        yield send


def _gateways(response):
    """Whether the gateway itself has answered: on AWS as the contract says, the embedded one in words of its own."""
    return response.status_code in {403, 404} and response.json().keys() == {"message"}


def held(subject, release):
    """What no refused request may change."""
    now = subject.release(release)
    return subject.values(), now.state, now.gate, now.granted, now.claimed, len(subject.rows(release))


@tries_on_the_stack(20)
@given(st.data())
def test_requests_of_all_kinds_are_answered_as_the_contract_says_and_what_is_refused_changes_nothing(subject, trial, sent, data):
    case = data.draw(both.flatmap(lambda mode: POST.as_strategy(generation_mode=mode)))
    if data.draw(st.integers(0, 3)):
        case.path_parameters["app"] = subject.name
    before = held(subject, trial)
    response = sent(case)
    if response.status_code >= 400:
        assert held(subject, trial) == before
    elif not _keyed(case):
        assert response.json()["response"] == {"echo": json.loads(response.request.body)}


def _keyed(case):
    return "idempotency-key" in {name.lower() for name in case.headers}


@tries_on_the_stack(20)
@given(st.data())
def test_any_bytes_are_taken_as_json_or_refused_and_then_nothing_has_changed(subject, trial, call, data):
    text = data.draw(texts)
    before = held(subject, trial)
    answer = call(subject.name, text.encode("utf-8", "surrogatepass"))
    if answer.status == 502:  # JSON that Python cannot read, or not write: numbers of 5,000 digits, half a surrogate pair
        assert answer.body["detail"].startswith("current")
        return
    assert answer.status in {200, 400}
    assert not INSIDE.search(json.dumps(answer.body))
    if answer.status == 400:
        assert (answer.headers["content-type"], held(subject, trial)) == ("application/problem+json", before)


@tries_on_the_stack(20)
@given(st.data())
def test_any_id_may_be_asked_for_and_nothing_is_changed_by_asking(subject, trial, sent, data):
    case = data.draw(both.flatmap(lambda mode: FOLLOW.as_strategy(generation_mode=mode)))
    if data.draw(st.booleans()):
        case.path_parameters["app"] = subject.name
    before = held(subject, trial)
    assert sent(case).status_code == 404
    assert held(subject, trial) == before


@tries_on_the_stack(5)
@given(st.data())
def test_what_was_sent_can_be_asked_for(subject, trial, sent, data):
    case = data.draw(POST.as_strategy())
    case.path_parameters["app"] = subject.name
    case.headers["Idempotency-Key"] = uuid.uuid4().hex  # never the same again: with another body it would be refused
    answer = sent(case)
    follow = data.draw(FOLLOW.as_strategy())
    request_id = answer.json()["request_id"]
    follow.path_parameters.update(app=subject.name, request_id=request_id)
    followed = sent(follow)
    assert (answer.status_code, followed.status_code) == (200, 200)
    assert followed.json() == {**answer.json(), "status": "SUCCEEDED"}
    assert answer.headers["X-Canary-Request-Id"] == followed.headers["X-Canary-Request-Id"] == request_id


@tries_on_the_stack(5)
@given(st.data())
def test_health_is_as_the_contract_says(sent, data):
    assert sent(data.draw(HEALTH.as_strategy())).status_code == 200


@tries_on_the_stack(5)
@given(st.data())
def test_nobody_gets_in_by_a_key_that_was_made_up(subject, trial, stack, data):
    case = data.draw(POST.as_strategy())
    case.path_parameters["app"] = subject.name
    before = held(subject, trial)
    assert case.headers["x-api-key"] != stack.api_key
    assert case.call(base_url=stack.router_url, timeout=40).status_code == 403
    assert held(subject, trial) == before
