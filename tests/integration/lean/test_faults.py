"""What the router's adapters make of an AWS that refuses, is throttled, or breaks: and how often they ask."""

from __future__ import annotations

from typing import Any

import pytest

from canary.domain.audit import ExecutionStatus, Row, RowUpdate, Status
from canary.domain.keyed import KeyRecord, KeyState
from canary.errors import Denied, Unavailable
from canary.lean.audit import LeanAudit
from canary.lean.executions import LeanExecutions
from canary.lean.keys import LeanKeys
from canary.lean.parameters import LeanParameters
from canary.lean.slots import LeanSlots
from tests.fakes.endpoint import Answer, refusal

NOW = 1_795_246_200_123
NAME = "00000001-0123abcd"
EXECUTION = "arn:aws:states:eu-west-1:123456789012:execution:transformer-v2:r"
ROW = Row(app="a", release=NAME, request_id="r", status=Status.CLAIMED, claimed_at=NOW, target="t", tag="v2")
KEY = KeyRecord(key="k", app="a", state=KeyState.IN_PROGRESS, request_id="r", body_sha256="aa", since=NOW)
CALLS = {
    "parameters": lambda w: LeanParameters(w, "/canary").read("a", "current"),
    "release": lambda w: LeanSlots(w, "releases").release("a", NAME),
    "claim": lambda w: LeanSlots(w, "releases").claim("a", NAME, "r", NOW),
    "app": lambda w: LeanSlots(w, "releases").app("a"),
    "put row": lambda w: LeanAudit(w, "audit").put(ROW),
    "update row": lambda w: LeanAudit(w, "audit").update(ROW, RowUpdate(status=Status.RUNNING)),
    "rows": lambda w: LeanAudit(w, "audit").rows("a", NAME, ["r"]),
    "key": lambda w: LeanKeys(w, "audit").get("k"),
    "begin": lambda w: LeanKeys(w, "audit").begin(KEY, NOW),
    "finish": lambda w: LeanKeys(w, "audit").finish(KEY),
    "describe": lambda w: LeanExecutions(w).observe([EXECUTION]),
}


def unavailable(call, wire) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        call(wire)
    return caught.value


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(("code", "status"), [("ThrottlingException", 400), ("InternalServerError", 500)])
def test_a_service_that_is_throttled_or_broken_is_asked_twice_and_unavailable_by_its_code(answering, name, code, status):
    wire, served = answering(refusal(code, status))
    fault = unavailable(CALLS[name], wire)
    assert (fault.code, isinstance(fault, Denied), len(served.asked)) == (code, False, 2)
    assert code in str(fault)


@pytest.mark.parametrize("name", sorted(CALLS.keys() - {"describe"}))
def test_a_service_that_we_may_not_use_is_denied_and_asked_once(answering, name):
    wire, served = answering(refusal("AccessDeniedException", 400, "not you"))
    fault = unavailable(CALLS[name], wire)
    assert (type(fault), fault.code, len(served.asked)) == (Denied, "AccessDeniedException", 1)
    assert "not you" in str(fault)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_gateway_in_between_that_fails_is_unavailable_by_its_status(answering, name, status):
    wire, served = answering(Answer(b"<html>no</html>", status))
    assert (unavailable(CALLS[name], wire).code, len(served.asked)) == (str(status), 2)


@pytest.mark.parametrize("name", CALLS)
def test_a_second_try_that_works_is_an_answer(answering, name):
    document: dict[str, Any] = {"Parameters": [], "executionArn": EXECUTION, "status": "RUNNING", "startDate": NOW / 1000}
    wire, served = answering(refusal("ThrottlingException"), Answer(document))
    CALLS[name](wire)
    assert len(served.asked) == 2
    assert served.asked[0].body == served.asked[1].body


@pytest.mark.parametrize("name", ["parameters", "describe"])
@pytest.mark.parametrize("body", [b"", b"[]", b"nonsense", b'{"Parameters": [{}]}', b'{"Parameters": 7, "status": "NOVEL"}'])
def test_an_answer_that_is_none_is_unavailable_and_no_defect(answering, name, body):
    wire, _ = answering(Answer(body))
    assert unavailable(CALLS[name], wire).code == "Unreadable"


@pytest.mark.parametrize("name", ["rows", "key"])
def test_an_item_that_is_none_of_ours_is_unavailable_and_no_defect(answering, name):
    item = {"release_id": {"S": "no separator"}, "request_id": {"S": "r"}, "status": {"S": "NOVEL"}}
    wire, _ = answering(Answer({"Item": item, "Responses": {"audit": [item]}}))
    assert unavailable(CALLS[name], wire).code == "Unreadable"


def test_an_execution_that_we_may_not_see_is_unreadable_and_one_that_is_not_known_is_missing(answering):
    for code, status in (
        ("AccessDeniedException", ExecutionStatus.UNREADABLE),
        ("ExecutionDoesNotExist", ExecutionStatus.MISSING),
        ("InvalidArn", ExecutionStatus.MISSING),
    ):
        wire, _ = answering(refusal(code))
        assert LeanExecutions(wire).observe([EXECUTION])[EXECUTION].status is status


def test_rows_that_dynamodb_leaves_for_later_are_asked_for_again(answering):
    def item(name: str) -> dict[str, Any]:
        return {"release_id": {"S": f"a#{NAME}"}, "request_id": {"S": name}, "status": {"S": "CLAIMED"}}

    key = {"release_id": {"S": f"a#{NAME}"}, "request_id": {"S": "y"}}
    partial = {"Responses": {"audit": [item("x")]}, "UnprocessedKeys": {"audit": {"Keys": [key], "ConsistentRead": True}}}
    wire, served = answering(Answer(partial), Answer({"Responses": {"audit": [item("y")]}, "UnprocessedKeys": {}}))
    assert sorted(LeanAudit(wire, "audit").rows("a", NAME, ["x", "y"])) == ["x", "y"]
    assert served.asked[1].document["RequestItems"]["audit"] == {"Keys": [key], "ConsistentRead": True}
