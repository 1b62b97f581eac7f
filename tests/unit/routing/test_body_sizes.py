"""How large a body may be: what a stack cannot take is not sent to it, and what none can take leaves no trace."""

from __future__ import annotations

import pytest

from canary.domain.keyed import KeyState
from canary.domain.states import ReleaseState
from canary.routing.problem import Problem
from tests.fakes.scene import Scene, arn, machine
from tests.unit.routing.trial import on_trial

#: What AWS takes: an invocation of a function, and the input of an execution.
FUNCTION, MACHINE = 6 * 1024 * 1024, 256 * 1024
WEIGHED = {"stages": [{"weight": 50}]}


def body(size: int) -> bytes:
    """A JSON text of so many bytes, most of them of two-byte characters."""
    pairs, odd = divmod(size - 2, 2)
    return b'"' + "é".encode() * pairs + b"x" * odd + b'"'


def with_current(current: str, plan: dict[str, object] | None = None) -> Scene:
    """A release on trial whose stack is a state machine."""
    scene = Scene(plan=plan, current=current)
    scene.write_latest(machine("v2"))
    scene.flip()
    assert scene.only_release().state is ReleaseState.RUNNING
    return scene


def test_a_body_too_large_for_latest_alone_goes_to_current_unclaimed():
    scene = on_trial(target=machine("v2"))
    reply = scene.send(body=b'"' + b"x" * 300_000 + b'"')
    assert reply.body["routed_to"] == "current"
    assert scene.only_release().claimed == 0


def test_a_body_too_large_for_current_is_413():
    scene = Scene()
    with pytest.raises(Problem) as caught:
        scene.send(body=b'"' + b"x" * (6 * 1024 * 1024) + b'"')
    assert caught.value.status == 413


@pytest.mark.parametrize(("current", "most"), [(arn("v1"), FUNCTION), (machine("v1"), MACHINE)])
def test_a_stack_gets_as_much_as_aws_lets_it_have_and_not_a_byte_more(current, most):
    scene = Scene(current=current)
    assert scene.send(body=body(most)).body["routed_to"] == "current"
    with pytest.raises(Problem) as caught:
        scene.send(body=body(most + 1))
    assert (caught.value.status, len(scene.stacks.sent)) == (413, 1)
    assert str(most + 1) in caught.value.body["detail"]


@pytest.mark.parametrize("draw", [0.0, 0.99])
@pytest.mark.parametrize("plan", [None, WEIGHED])
@pytest.mark.parametrize(("current", "size"), [(arn("v1"), FUNCTION + 1), (machine("v1"), MACHINE + 1)])
def test_a_body_that_no_stack_can_take_is_413_and_leaves_no_trace_in_the_audit(current, size, plan, draw):
    scene = with_current(current, plan)
    before, made = scene.only_release(), len(scene.calls.log)
    with pytest.raises(Problem) as caught:
        scene.send(scene.desk(draw), body=body(size), tenant="acme")
    assert caught.value.status == 413
    assert (scene.rows(), scene.stacks.sent, scene.only_release()) == ([], [], before)
    assert {name for name in scene.calls.log[made:] if not name.startswith("ssm.read")} <= {"ddb.release"}, "nothing is written"
    scene.flip()
    assert (scene.rows(), scene.only_release()) == ([], before)


def test_a_key_whose_body_was_too_large_may_be_used_for_one_that_is_not():
    scene = with_current(machine("v1"))
    with pytest.raises(Problem) as caught:
        scene.send(key="k", body=body(MACHINE + 1))
    assert caught.value.status == 413
    assert scene.rows() == []
    assert all(record.state is KeyState.FREE and record.answer is None for record in scene.keys.table.values())
    assert scene.send(key="k", body=body(MACHINE)).status == 202
