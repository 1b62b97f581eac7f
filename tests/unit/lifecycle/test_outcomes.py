"""What is known of a request: refunded, lost, found again, or not to be read."""

from __future__ import annotations

from canary.domain.audit import Execution, ExecutionStatus, Status
from canary.domain.call import Call, CallResult
from canary.domain.release import Verb
from canary.domain.states import ReleaseState
from canary.errors import Unavailable
from tests.fakes.scene import APP, arn, machine
from tests.fakes.stacks import answer
from tests.unit.lifecycle.scenes import HOUR_MS, opened, spend


def test_a_claim_without_a_row_is_fenced_off_and_refunded_once():
    scene = opened()
    scene.releases.claim(APP, scene.only_release().release, "dead-request", scene.clock())
    scene.flip()
    release = scene.only_release()
    assert (release.claimed, release.tally.refunded, release.tally.lost, dict(release.open)) == (0, 1, 0, {})
    scene.flip()
    assert scene.only_release().tally.refunded == 1
    spend(scene)
    scene.end_workflows()
    scene.flip()
    assert scene.only_release().state is ReleaseState.PROMOTED


def test_a_row_without_an_execution_is_lost_not_refunded_and_holds_the_release():
    scene = opened()
    scene.stacks.behaviour[arn("v2")] = answer()

    def die(_: int, name: str, when: str) -> None:
        if name == "ddb.update_row":
            raise Unavailable("DynamoDB", "x", "the router dies before it writes down the answer")

    scene.calls.on_call = die
    scene.send()
    scene.calls.let_live()
    scene.flip()
    release = scene.only_release()
    assert (release.state, release.tally.lost, release.tally.refunded) == (ReleaseState.HELD, 1, 0)
    assert "unknown is not success" in (release.reason or "")
    scene.ask(Verb.RESUME)
    scene.flip()
    assert (scene.only_release().granted, scene.only_release().state) == (3, ReleaseState.RUNNING)


def test_a_row_whose_execution_can_be_found_by_its_name_is_attached_to_it():
    scene = opened(latest=machine("v2"))

    def die(_: int, name: str, when: str) -> None:
        if name == "ddb.update_row":
            raise Unavailable("DynamoDB", "x", "the router dies before it writes down the answer")

    scene.calls.on_call = die
    scene.send()
    scene.calls.let_live()
    scene.flip()
    (row,) = scene.rows()
    assert (row.status, row.transform_id is not None, row.state_machine) == (Status.RUNNING, True, machine("v2"))


def test_an_execution_that_had_started_before_the_request_proves_nothing():
    """A stack that answers with the ARN of an old success must not be promoted for it."""
    scene = opened()
    old = "arn:aws:states:eu-west-1:123456789012:execution:transformer-v1:old-success"
    started = scene.clock.now - HOUR_MS
    scene.stacks.executions[old] = Execution(arn=old, status=ExecutionStatus.SUCCEEDED, started_at=started, stopped_at=started)
    scene.stacks.behaviour[arn("v2")] = Call(result=CallResult.ANSWERED, answer={}, transform_id=old)
    spend(scene)
    scene.flip()
    assert (scene.only_release().state, scene.only_release().tally.lost) == (ReleaseState.HELD, 2)


def test_a_few_refunds_are_forgiven_more_hold_the_release():
    scene = opened({"stages": [{"quota": 2}], "max_lost": 2})
    scene.stacks.behaviour[arn("v2")] = Call(result=CallResult.REFUSED, error="TooManyRequestsException")
    for held in (False, False, True):
        assert scene.send().body["fell_back"] is True
        scene.flip()
        assert (scene.only_release().state is ReleaseState.HELD) is held
    assert scene.only_release().tally.failures == 0


def test_an_outcome_that_cannot_be_read_holds_the_release():
    scene = opened()
    spend(scene)
    for execution in scene.stacks.executions:
        old = scene.stacks.executions[execution]
        scene.stacks.executions[execution] = type(old)(arn=old.arn, status=ExecutionStatus.UNREADABLE, error="AccessDenied")
    scene.flip()
    assert scene.only_release().state is ReleaseState.HELD
    assert "cannot be read" in (scene.only_release().reason or "")
