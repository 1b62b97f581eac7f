"""Idempotency keys: one record for each key, the same answer for a day; and what became of requests on record."""

from __future__ import annotations

import pytest

from canary.domain.audit import ExecutionStatus
from canary.domain.call import Call, CallResult
from canary.domain.keyed import IN_PROGRESS_MS, KEEP_MS
from canary.domain.request_id import record_of
from canary.errors import Unavailable
from canary.routing.problem import Problem
from tests.fakes.calls import Killed
from tests.fakes.scene import APP, Scene, arn
from tests.fakes.stacks import answer

DAY_MS = 86_400_000


def opened(plan=None) -> Scene:
    scene = Scene(plan=plan)
    scene.write_latest(arn("v2"))
    scene.flip()
    return scene


def status_of(scene: Scene, **words) -> int:
    with pytest.raises(Problem) as caught:
        scene.send(**words)
    return caught.value.status


def test_the_same_key_gives_the_same_answer_and_runs_once():
    scene = Scene()
    first = scene.send(key="order-1")
    again = scene.send(key="order-1")
    assert (again.status, again.body) == (first.status, first.body)
    assert len(scene.stacks.sent) == 1


def test_the_same_key_gives_the_same_answer_after_a_promotion():
    scene = opened()
    desk = scene.desk()
    first = scene.send(desk, key="order-1")
    scene.send(desk)
    scene.end_workflows()
    scene.flip()
    assert scene.parameter("current") == arn("v2")
    assert scene.send(key="order-1").body == first.body
    assert len(scene.stacks.sent) == 2


def test_another_body_under_the_same_key_is_422():
    scene = Scene()
    scene.send(key="order-1", body=b'{"n": 1}')
    assert status_of(scene, key="order-1", body=b'{"n": 2}') == 422


def test_keys_are_apart_for_each_tenant():
    scene = Scene()
    scene.send(key="order-1", tenant="a")
    scene.send(key="order-1", tenant="b")
    assert len(scene.stacks.sent) == 2


def test_while_the_first_is_in_progress_the_answer_is_409_with_retry_after():
    scene = Scene()
    seen = []

    def meanwhile(_: int, name: str, when: str) -> None:
        if name == "stack.call" and when == "before":
            scene.calls.let_live()
            with pytest.raises(Problem) as caught:
                scene.send(key="order-1")
            seen.append((caught.value.status, caught.value.headers))

    scene.calls.on_call = meanwhile
    assert scene.send(key="order-1").status == 202
    assert seen == [(409, {"Retry-After": "2"})]


def test_after_a_day_the_key_is_new():
    scene = Scene()
    scene.send(key="order-1")
    scene.clock.pass_by(KEEP_MS + 1_000)
    scene.send(key="order-1")
    assert len(scene.stacks.sent) == 2
    assert KEEP_MS == DAY_MS


def test_an_error_that_started_nothing_frees_the_key():
    scene = Scene()
    scene.stacks.behaviour[arn("v1")] = Call(result=CallResult.REFUSED, error="TooManyRequestsException")
    assert status_of(scene, key="order-1") == 503
    scene.stacks.behaviour.clear()
    assert scene.send(key="order-1").status == 202


def test_an_error_of_a_target_that_ran_is_kept_like_any_answer():
    scene = Scene()
    scene.stacks.behaviour[arn("v1")] = Call(result=CallResult.FAILED, error="Unhandled error")
    assert status_of(scene, key="order-1") == 502
    scene.stacks.behaviour.clear()
    again = scene.send(key="order-1")
    assert (again.status, again.body["status"]) == (502, 502)
    assert len(scene.stacks.sent) == 1


def test_with_dynamodb_down_a_keyed_request_is_503_and_the_others_are_served():
    scene = Scene()
    desk = scene.desk()
    scene.send(desk)
    scene.calls.down = {"ddb"}
    assert status_of(scene, desk=desk, key="order-1") == 503
    assert scene.send(desk).status == 202


def test_an_answer_that_cannot_be_kept_is_given_all_the_same():
    scene = Scene()

    def fail(_: int, name: str, when: str) -> None:
        if name == "stack.call" and when == "after":
            scene.calls.down = {"ddb"}

    scene.calls.on_call = fail
    assert scene.send(key="order-1").status == 202
    assert ("Degraded", APP) in scene.counts


def kill(scene: Scene, call: str, half: str, **words) -> None:
    def check(_: int, name: str, when: str) -> None:
        if (name, when) == (call, half):
            raise Killed(call)

    scene.calls.on_call = check
    with pytest.raises(Killed):
        scene.send(**words)
    scene.calls.let_live()


def test_a_key_whose_router_died_is_taken_over_under_the_same_request_id():
    scene = Scene()
    kill(scene, "stack.call", "after", key="order-1")
    assert status_of(scene, key="order-1") == 409
    scene.clock.pass_by(IN_PROGRESS_MS)
    reply = scene.send(key="order-1")
    assert reply.status == 202
    assert {request_id for _, request_id in scene.stacks.sent} == {reply.body["request_id"]}


def test_a_takeover_that_starts_nothing_leaves_the_key_to_the_next_one_under_the_same_request_id():
    scene = Scene()
    kill(scene, "ddb.finish_key", "before", key="order-1")
    scene.clock.pass_by(IN_PROGRESS_MS)
    scene.stacks.behaviour[arn("v1")] = Call(result=CallResult.REFUSED, error="TooManyRequestsException")
    assert status_of(scene, key="order-1") == 503
    scene.stacks.behaviour.clear()
    reply = scene.send(key="order-1")
    assert reply.status == 202
    assert {request_id for _, request_id in scene.stacks.sent} == {reply.body["request_id"]}
    assert scene.send(key="order-1").body == reply.body


def test_a_takeover_that_starts_nothing_and_cannot_say_so_is_in_progress_for_a_while():
    scene = Scene()
    kill(scene, "ddb.finish_key", "before", key="order-1")
    scene.clock.pass_by(IN_PROGRESS_MS)

    def refuse(_: int, name: str, when: str) -> None:
        if name == "stack.call" and when == "after":
            scene.calls.down = {"ddb"}

    scene.calls.on_call = refuse
    scene.stacks.behaviour[arn("v1")] = Call(result=CallResult.REFUSED, error="TooManyRequestsException")
    assert status_of(scene, key="order-1") == 503
    assert ("Degraded", APP) in scene.counts
    scene.calls.let_live()
    scene.calls.down = set()
    scene.stacks.behaviour.clear()
    assert status_of(scene, key="order-1") == 409
    scene.clock.pass_by(IN_PROGRESS_MS)
    assert scene.send(key="order-1").status == 202


def test_a_takeover_finds_what_latest_has_already():
    scene = opened()
    kill(scene, "ddb.finish_key", "before", key="order-1")
    scene.clock.pass_by(IN_PROGRESS_MS)
    reply = scene.send(key="order-1")
    assert (reply.status, reply.body["routed_to"]) == (202, "latest")
    assert reply.body["transform_id"] is not None
    assert len(scene.stacks.sent) == 1


def test_a_takeover_of_a_claim_that_was_never_sent_goes_to_current():
    scene = opened()
    kill(scene, "ddb.put_row", "before", key="order-1")
    scene.clock.pass_by(IN_PROGRESS_MS)
    assert scene.send(key="order-1").body["routed_to"] == "current"
    assert scene.sent_to("v2") == []


def test_a_takeover_waits_while_it_is_unknown_whether_latest_has_started():
    scene = opened()
    kill(scene, "stack.call", "before", key="order-1")
    scene.clock.pass_by(IN_PROGRESS_MS)
    assert status_of(scene, key="order-1") == 409
    scene.flip()
    scene.clock.pass_by(IN_PROGRESS_MS)
    assert status_of(scene, key="order-1") == 504
    assert scene.send(key="order-1").status == 504
    assert scene.sent_to("v1") == []


def test_a_takeover_that_cannot_read_what_latest_has_is_503_and_the_next_repeat_tells_at_once():
    scene = opened()
    kill(scene, "ddb.finish_key", "before", key="order-1")
    scene.clock.pass_by(IN_PROGRESS_MS)
    scene.calls.fail(Unavailable("ddb", "InternalServerError", "no answer"), "ddb.rows")
    assert status_of(scene, key="order-1") == 503
    scene.calls.let_live()
    reply = scene.send(key="order-1")
    assert (reply.status, reply.body["routed_to"]) == (202, "latest")
    assert len(scene.stacks.sent) == 1


def test_a_takeover_tells_what_became_of_it_as_soon_as_that_is_known():
    scene = opened()
    kill(scene, "stack.call", "before", key="order-1")
    scene.clock.pass_by(IN_PROGRESS_MS)
    assert status_of(scene, key="order-1") == 409
    scene.flip()
    assert status_of(scene, key="order-1") == 504


def test_two_takeovers_at_once_run_it_once():
    scene = Scene()
    kill(scene, "stack.call", "before", key="order-1")
    scene.clock.pass_by(IN_PROGRESS_MS)
    refused = []

    def meanwhile(_: int, name: str, when: str) -> None:
        if name == "stack.call" and when == "before":
            scene.calls.let_live()
            refused.append(status_of(scene, key="order-1"))

    scene.calls.on_call = meanwhile
    assert scene.send(key="order-1").status == 202
    assert refused == [409]
    assert len(scene.stacks.sent) == 1


def test_of_two_takeovers_that_have_read_the_same_record_one_runs_it():
    scene = Scene()
    kill(scene, "stack.call", "before", key="order-1")
    scene.clock.pass_by(IN_PROGRESS_MS)
    begun, faster = [], []

    def meanwhile(_: int, name: str, when: str) -> None:
        if (name, when) == ("ddb.begin_key", "before"):
            begun.append(name)
            if len(begun) == 2:  # the first finds the record, the second takes it over
                scene.calls.let_live()
                faster.append(scene.send(key="order-1").status)

    scene.calls.on_call = meanwhile
    assert (status_of(scene, key="order-1"), faster) == (409, [202])
    assert len(scene.stacks.sent) == 1


def test_what_became_of_a_request_to_latest_is_told():
    scene = opened()
    request_id = scene.send().body["request_id"]
    found = scene.desk().find(APP, request_id)
    assert (found.status, found.body["status"], found.body["routed_to"]) == (200, "RUNNING", "latest")
    scene.end_workflows()
    scene.flip()
    assert scene.desk().find(APP, request_id).body["status"] == "SUCCEEDED"


def test_what_became_of_a_keyed_request_to_current_is_told_from_its_execution():
    scene = Scene()
    first = scene.send(key="order-1")
    request_id = first.body["request_id"]
    assert scene.desk().find(APP, request_id).body == {**first.body, "status": "RUNNING"}
    scene.end_workflows(ExecutionStatus.FAILED)
    assert scene.desk().find(APP, request_id).body["status"] == "FAILED"


def test_what_became_of_a_request_whose_workflow_cannot_be_read_is_unknown():
    scene = Scene()
    request_id = scene.send(key="order-1").body["request_id"]
    scene.stacks.executions.clear()
    assert scene.desk().find(APP, request_id).body["status"] == "UNKNOWN"
    scene.stacks.behaviour[arn("v1")] = Call(result=CallResult.ANSWERED, answer={}, transform_id="job-17")
    request_id = scene.send(key="order-2").body["request_id"]
    assert scene.desk().find(APP, request_id).body["status"] == "UNKNOWN"


def test_what_became_of_a_keyed_request_without_a_workflow_is_its_answer():
    scene = Scene()
    scene.stacks.behaviour[arn("v1")] = answer(rows=7)
    request_id = scene.send(key="order-1").body["request_id"]
    assert scene.desk().find(APP, request_id).body["status"] == "SUCCEEDED"


def test_a_request_that_fell_back_is_told_as_current():
    scene = opened()
    scene.stacks.behaviour[arn("v2")] = Call(result=CallResult.FAILED, error="broken")
    request_id = scene.send().body["request_id"]
    found = scene.desk().find(APP, request_id).body
    assert (found["routed_to"], found["fell_back"]) == ("current", True)


@pytest.mark.parametrize("request_id", ["nonsense", "01M7YED1TJ1FMG74QQW1XQDE48", "x" * 300])
def test_a_request_that_is_not_on_record_is_404(request_id):
    with pytest.raises(Problem) as caught:
        Scene().desk().find(APP, request_id)
    assert caught.value.status == 404


def test_a_request_of_another_app_is_404():
    scene = Scene()
    request_id = scene.send(key="order-1").body["request_id"]
    with pytest.raises(Problem) as caught:
        scene.desk().find("other", request_id)
    assert caught.value.status == 404


def test_a_keyed_request_to_latest_says_in_its_id_where_both_records_are():
    scene = opened()
    place = record_of(scene.send(key="order-1").body["request_id"])
    assert place is not None
    assert place.release == scene.only_release().release
    assert place.key in scene.keys.table
