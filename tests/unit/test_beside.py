"""What is due to be read again is read beside the call of the target, and never used for long after it was due."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, get_ident

import pytest

from canary.domain.call import Call, CallResult
from canary.domain.states import ReleaseState
from canary.routing.beside import in_a_thread
from canary.routing.problem import Problem
from canary.routing.router import Request
from canary.routing.view import FRESH_MS, SOON_MS, STALE_MS
from tests.fakes.scene import APP, Scene, arn


def after_the_call(work: Callable[[], None]) -> Callable[[], None]:
    """Work that is as slow as it may be: done when it is waited for."""
    return work


def log_of(scene: Scene, send: Callable[[], object]) -> list[str]:
    before = len(scene.calls.log)
    send()
    return scene.calls.log[before:]


def test_parameters_that_are_due_are_read_beside_the_call_and_used_from_the_next_request_on():
    scene = Scene()
    desk = scene.desk(beside=after_the_call)
    scene.send(desk)
    scene.parameters.put(APP, "current", arn("v9"))
    scene.clock.pass_by(FRESH_MS)
    assert log_of(scene, lambda: scene.send(desk)) == ["stack.call", "ssm.read"]
    assert scene.sent_to("v9") == []
    assert log_of(scene, lambda: scene.send(desk)) == ["stack.call"]
    assert len(scene.sent_to("v9")) == 1


def test_a_process_that_was_frozen_reads_first():
    scene = Scene()
    desk = scene.desk(beside=after_the_call)
    scene.send(desk)
    scene.parameters.put(APP, "current", arn("v9"))
    scene.clock.pass_by(FRESH_MS + STALE_MS)
    assert log_of(scene, lambda: scene.send(desk)) == ["ssm.read", "stack.call"]
    assert len(scene.sent_to("v9")) == 1


def test_the_release_is_read_beside_the_call_as_well_and_claims_stay_exact():
    scene = Scene()
    scene.write_latest(arn("v2"))
    scene.flip()
    desks = [scene.desk(beside=after_the_call) for _ in range(5)]
    for _ in range(3):
        for desk in desks:
            scene.send(desk)
            scene.clock.pass_by(FRESH_MS // 2)
    assert (len(scene.sent_to("v2")), scene.only_release().claimed) == (2, 2)


def test_with_all_slots_gone_there_is_no_call_but_the_targets_until_something_is_due():
    scene = Scene()
    scene.write_latest(arn("v2"))
    scene.flip()
    scene.spend()
    desk = scene.desk(beside=after_the_call)
    scene.send(desk)
    assert log_of(scene, lambda: scene.send(desk)) == ["stack.call"]


def test_an_old_view_of_a_release_that_has_ended_gets_no_slot():
    scene = Scene()
    scene.write_latest(arn("v2"))
    scene.flip()
    desk = scene.desk(beside=after_the_call)
    desk._router.known(APP)
    scene.ask_abort()
    scene.clock.now -= 100_000 - FRESH_MS
    assert scene.send(desk).body["routed_to"] == "current"
    assert scene.only_release().state is ReleaseState.ABORTED
    assert scene.sent_to("v2") == []


def test_what_cannot_be_read_beside_a_call_harms_nobody_and_is_counted_from_the_next_request_on():
    scene = Scene()
    desk = scene.desk(beside=after_the_call)
    scene.send(desk)
    scene.clock.pass_by(FRESH_MS)
    scene.calls.down = {"ssm"}
    assert scene.send(desk).status == 202
    scene.counts.clear()
    assert scene.send(desk).status == 202
    assert ("Degraded", APP) in scene.counts


def test_a_call_that_fails_waits_for_what_is_read_beside_it_too():
    scene = Scene()
    desk = scene.desk(beside=after_the_call)
    scene.send(desk)
    scene.clock.pass_by(FRESH_MS)
    scene.stacks.behaviour[arn("v1")] = Call(result=CallResult.FAILED, error="Boom")
    with pytest.raises(Problem):
        scene.send(desk)
    assert scene.calls.log[-1] == "ssm.read"


def test_an_app_that_could_not_be_served_is_looked_up_again_soon():
    scene = Scene()
    scene.calls.down = {"ssm", "ddb"}
    desk = scene.desk(beside=after_the_call)
    with pytest.raises(Problem, match="neither"):
        scene.send(desk)
    scene.calls.down = set()
    with pytest.raises(Problem, match="neither"):
        scene.send(desk)
    scene.clock.pass_by(SOON_MS)
    assert scene.send(desk).status == 202


def test_work_in_a_thread_runs_beside_the_caller_and_is_waited_for():
    begun, go, threads = Event(), Event(), []

    def work() -> None:
        begun.set()
        go.wait(60)
        threads.append(get_ident())

    wait = in_a_thread(work)
    assert begun.wait(60)
    assert threads == []
    go.set()
    wait()
    assert len(threads) == 1
    assert threads != [get_ident()]


def test_a_table_that_cannot_be_read_beside_a_call_is_counted_with_every_request():
    scene = Scene()
    scene.write_latest(arn("v2"))
    scene.flip()
    desk = scene.desk(0.99, beside=after_the_call)
    scene.send(desk)
    scene.calls.down = {"ddb"}
    scene.clock.pass_by(FRESH_MS)
    scene.send(desk)
    scene.counts.clear()
    for _ in range(3):
        assert scene.send(desk).status == 202
    assert scene.counts.count(("Degraded", APP)) == 3


def test_how_long_latest_takes_is_not_how_long_the_reading_takes():
    scene = Scene()
    scene.write_latest(arn("v2"))
    scene.flip()
    slow = Call(result=CallResult.ANSWERED, answer={})
    scene.stacks.behaviour[arn("v2")] = slow
    desk = scene.desk(beside=lambda work: lambda: (work(), scene.clock.pass_by(6_000), None)[-1])
    desk._router.known(APP)
    scene.clock.pass_by(FRESH_MS)
    scene.send(desk)
    (row,) = scene.rows()
    assert (row.duration_ms or 0) < 1_000


def test_with_little_time_left_nothing_is_read_beside_the_call():
    scene = Scene()
    desk = scene.desk(beside=after_the_call)
    scene.send(desk)
    scene.clock.pass_by(FRESH_MS)
    request = Request(app=APP, body=b"{}", deadline=scene.clock.now + 15_000)
    assert log_of(scene, lambda: desk.take(request, "key-id", None)) == ["stack.call"]
