"""A row's transform id is written once: router and flipper may find different ones, and the outcome is of the one on record."""

from __future__ import annotations

from collections.abc import Callable

from canary.domain.audit import ExecutionStatus, RowUpdate, Status
from canary.domain.call import Call, CallResult
from canary.domain.states import ReleaseState
from canary.errors import Unavailable
from tests.fakes.calls import Calls
from tests.fakes.scene import LONG_MS, Scene, arn, machine


def opened(target: str) -> Scene:
    scene = Scene(plan={"stages": [{"quota": 2, "weight": 100}]}, current=machine("v1"))
    scene.write_latest(target)
    scene.flip()
    return scene


def once(calls: Calls, call: str, when: str, happens: Callable[[], None]) -> None:
    """Let something happen at the next call of that name."""

    def check(_: int, name: str, half: str) -> None:
        if (name, half) == (call, when):
            calls.on_call = None
            happens()

    calls.on_call = check


def test_the_flipper_does_not_overwrite_what_the_router_has_written_meanwhile_and_counts_that():
    """It found an execution that bears the request's id; the stack's own answer names another one."""
    scene = opened(machine("v2"))
    scene.calls.fail(Unavailable("ddb", "InternalServerError", "sorry"), "ddb.update_row")
    name = scene.send().body["request_id"]
    scene.calls.let_live()
    scene.stacks.end(name, ExecutionStatus.SUCCEEDED)
    other = scene.stacks.ran(machine("v2"), "other", started_at=scene.clock.now, duration_ms=9, status=ExecutionStatus.FAILED)
    (row,) = scene.rows()
    assert row.status is Status.CLAIMED

    def answered() -> None:
        assert scene.audit.update(row, RowUpdate(status=Status.RUNNING, transform_id=other))

    once(scene.calls, "ddb.update_row", "before", answered)
    scene.flip()
    assert [(row.status, row.transform_id) for row in scene.rows()] == [(Status.FAILED, other)]
    tally = scene.only_release().tally
    assert (tally.failed, tally.succeeded, scene.only_release().state) == (1, 0, ReleaseState.ABORTED)


def test_what_the_stack_itself_answers_goes_before_what_a_pass_may_find_by_name_meanwhile():
    scene = opened(arn("v2"))
    scene.send()
    scene.end_workflows()
    scene.flip()
    assert scene.only_release().state_machine == machine("v2"), "from now on executions can be found by their names"
    named = scene.stacks.ran(machine("v2"), "named", started_at=scene.clock.now, duration_ms=9, status=ExecutionStatus.FAILED)
    scene.stacks.behaviour[arn("v2")] = Call(result=CallResult.ANSWERED, answer={}, transform_id=named)

    def found() -> None:
        row = next(row for row in scene.rows() if row.status is Status.CLAIMED)
        running = ExecutionStatus.RUNNING
        scene.stacks.ran(machine("v2"), row.request_id, started_at=scene.clock.now, duration_ms=0, status=running)
        scene.clock.now -= LONG_MS
        scene.flip()
        scene.stacks.end(row.request_id, ExecutionStatus.SUCCEEDED)

    once(scene.calls, "stack.call", "after", found)
    reply = scene.send()
    assert (reply.status, reply.body["routed_to"]) == (202, "latest")
    row = next(row for row in scene.rows() if row.request_id == reply.body["request_id"])
    assert (row.status, row.transform_id) == (Status.RUNNING, named)
    scene.flip()
    release = scene.only_release()
    assert (release.tally.succeeded, release.tally.failed, release.state) == (1, 1, ReleaseState.ABORTED)
