"""Nothing goes to latest off the record, and what is on record is no more than is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from canary.domain.audit import Status
from canary.domain.call import Call, CallResult
from canary.domain.states import ReleaseState
from canary.errors import Unavailable
from canary.routing.router import Request
from tests.fakes.scene import APP, LONG_MS, Scene, arn, machine
from tests.unit.routing.trial import failed, on_trial


def test_the_audit_row_is_durable_before_the_request_is_sent():
    scene = on_trial()
    scene.send()
    log = scene.calls.log
    assert log.index("ddb.claim") < log.index("ddb.put_row") < log.index("stack.call") < log.index("ddb.update_row")
    (row,) = scene.rows()
    assert (row.status, row.payload_bytes, row.state_machine) == (Status.RUNNING, 2, machine("v2"))


@pytest.mark.parametrize("service", ["ddb.claim", "ddb.put_row"])
def test_what_cannot_be_put_on_record_does_not_go_to_latest(service):
    scene = on_trial()
    desk = scene.desk()

    def fail(_: int, name: str, when: str) -> None:
        if name == service and when == "before":
            raise Unavailable("DynamoDB", "InternalServerError", "down")

    scene.calls.on_call = fail
    reply = scene.send(desk)
    assert reply.body["routed_to"] == "current"
    assert "fell_back" not in reply.body
    assert scene.sent_to("v2") == []
    assert ("Degraded", APP) in scene.counts


def test_a_claim_that_the_flipper_has_given_up_is_not_sent():
    scene = on_trial()
    desk = scene.desk()

    def stall(_: int, name: str, when: str) -> None:
        if name == "ddb.claim" and when == "after":
            scene.calls.let_live()
            scene.clock.pass_by(LONG_MS)
            scene.flip()

    scene.calls.on_call = stall
    patient = Request(app=APP, body=b"{}", deadline=scene.clock.now + 10 * LONG_MS)
    reply = desk.take(patient, "key-id", None)
    assert reply.body["routed_to"] == "current"
    assert scene.sent_to("v2") == []
    (row,) = scene.rows()
    assert (row.status, row.unstarted) == (Status.LOST, True)


def test_latest_is_not_called_with_the_rest_of_a_slow_requests_time():
    scene = on_trial()

    def slow(_: int, name: str, when: str) -> None:
        if name == "ddb.claim" and when == "after":
            scene.clock.pass_by(20_000)

    scene.calls.on_call = slow
    assert scene.send().body["routed_to"] == "current"
    assert scene.sent_to("v2") == []
    (row,) = scene.rows()
    assert (row.status, row.unstarted) == (Status.LOST, True)


def test_an_outcome_that_comes_after_the_flipper_has_called_it_lost_is_counted():
    scene = on_trial()

    def stall(_: int, name: str, when: str) -> None:
        if name == "stack.call" and when == "after":
            scene.calls.let_live()
            (row,) = scene.rows()
            scene.audit.table[APP, row.release, row.request_id] = replace(row, status=Status.LOST)

    scene.calls.on_call = stall
    assert scene.send().body["routed_to"] == "latest"
    assert ("OutcomeRefused", APP) in scene.counts
    (row,) = scene.rows()
    assert (row.status, row.transform_id) == (Status.LOST, None)


def test_a_row_that_cannot_be_updated_after_the_call_does_not_cost_the_upstream_its_answer():
    scene = on_trial()

    def fail(_: int, name: str, when: str) -> None:
        if name == "ddb.update_row":
            raise Unavailable("DynamoDB", "InternalServerError", "down")

    scene.calls.on_call = fail
    assert scene.send().body["routed_to"] == "latest"
    scene.calls.let_live()
    scene.flip()
    (row,) = scene.rows()
    assert row.status in {Status.RUNNING, Status.LOST}


def test_a_transform_id_that_cannot_be_followed_is_lost_never_a_success():
    scene = on_trial()
    scene.stacks.behaviour[arn("v2")] = Call(result=CallResult.ANSWERED, answer={}, transform_id="job-17")
    assert scene.send().body["routed_to"] == "latest"
    scene.flip()
    release = scene.only_release()
    assert (release.tally.lost, release.tally.refunded, release.state) == (1, 0, ReleaseState.HELD)


@pytest.mark.parametrize("lost", ["ddb.put_row", "ddb.update_row"])
def test_a_run_of_current_is_never_taken_for_latests(lost):
    """Where both share a state machine, current's run under latest's name would pass for latest's success."""
    shared = "arn:aws:states:eu-west-1:123456789012:stateMachine:transformer-shared"
    scene = Scene()
    scene.parameters.put(APP, "current", f"{shared}:1")
    scene.write_latest(f"{shared}:2")
    scene.flip()
    if lost == "ddb.update_row":
        scene.stacks.behaviour[f"{shared}:2"] = failed(CallResult.FAILED)

    def lose(_: int, name: str, when: str) -> None:
        if name == lost and when == "after":
            raise Unavailable("DynamoDB", "ReadTimeout", "it is done, and the answer is lost")
        if name == lost == "ddb.update_row":
            raise Unavailable("DynamoDB", "ReadTimeout", "it is not done")

    scene.calls.on_call = lose
    desk = scene.desk()
    replies = [scene.send(desk) for _ in range(2)]
    scene.calls.let_live()
    assert {reply.body["routed_to"] for reply in replies} == {"current"}
    scene.end_workflows()
    scene.flip()
    scene.flip()
    assert scene.parameter("current") == f"{shared}:1"
    assert scene.only_release().tally.succeeded == 0


def test_an_answer_without_the_execution_that_the_plan_says_it_names_is_not_a_success():
    scene = on_trial(plan={"stages": [{"quota": 2}], "transform_id": "job.arn"})
    scene.stacks.behaviour[arn("v2")] = Call(result=CallResult.ANSWERED, answer={"rows": 7}, untraced=True)
    assert scene.send().body["routed_to"] == "latest"
    (row,) = scene.rows()
    assert row.status is Status.LOST
