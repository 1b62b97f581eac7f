"""A stack that fails: latest's failures cost nobody an answer, current's are told."""

from __future__ import annotations

import pytest

from canary.domain.audit import Status
from canary.domain.call import CallResult
from canary.domain.states import ReleaseState
from canary.routing.problem import Problem
from tests.fakes.scene import Scene, arn
from tests.unit.routing.trial import failed, on_trial


@pytest.mark.parametrize(
    ("result", "status", "unstarted"),
    [
        (CallResult.FAILED, Status.FAILED, False),
        (CallResult.TIMED_OUT, Status.FAILED, False),
        (CallResult.MISSING, Status.FAILED, False),
        (CallResult.REFUSED, Status.LOST, True),
        (CallResult.TOO_LARGE, Status.LOST, True),
    ],
)
def test_a_failure_of_latest_is_recorded_and_current_serves(result, status, unstarted):
    scene = on_trial()
    scene.stacks.behaviour[arn("v2")] = failed(result)
    reply = scene.send()
    assert (reply.status, reply.body["routed_to"], reply.body["fell_back"]) == (202, "current", True)
    (row,) = scene.rows()
    assert (row.status, row.unstarted, row.fell_back, row.error) == (status, unstarted, True, "broken")


@pytest.mark.parametrize(
    ("result", "http"),
    [(CallResult.FAILED, 502), (CallResult.TIMED_OUT, 504), (CallResult.MISSING, 0), (CallResult.REFUSED, 0)],
)
def test_with_fallback_unstarted_only_what_surely_started_nothing_falls_back(result, http):
    scene = on_trial(plan={"stages": [{"quota": 2}], "fallback": "unstarted"})
    scene.stacks.behaviour[arn("v2")] = failed(result)
    if http:
        with pytest.raises(Problem) as caught:
            scene.send()
        assert caught.value.status == http
        assert scene.sent_to("v1") == []
    else:
        assert scene.send().body["fell_back"] is True


@pytest.mark.parametrize(
    ("result", "http"),
    [
        (CallResult.FAILED, 502),
        (CallResult.MISSING, 502),
        (CallResult.TIMED_OUT, 504),
        (CallResult.REFUSED, 503),
        (CallResult.TOO_LARGE, 413),
    ],
)
def test_a_failure_of_current_is_told_in_its_own_words(result, http):
    scene = Scene()
    scene.stacks.behaviour[arn("v1")] = failed(result)
    with pytest.raises(Problem) as caught:
        scene.send()
    assert caught.value.status == http
    assert caught.value.body["status"] == http
    assert "request_id" in caught.value.body


def test_a_failure_of_aws_itself_says_nothing_about_the_stack_and_is_unknown():
    scene = on_trial()
    scene.stacks.behaviour[arn("v2")] = failed(CallResult.UNCLEAR, "ServiceException")
    assert scene.send().body["fell_back"] is True
    (row,) = scene.rows()
    assert (row.status, row.unstarted) == (Status.LOST, False)
    scene.flip()
    assert scene.only_release().state is ReleaseState.HELD
