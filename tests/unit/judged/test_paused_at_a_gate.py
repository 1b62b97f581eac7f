"""A release that is paused, or held for something else, at its gate: its time there is that in which somebody could answer."""

from __future__ import annotations

import pytest

from canary.domain.audit import ExecutionStatus
from canary.domain.plan import HOUR_MS
from canary.domain.release import Release, Verb
from canary.domain.states import Hold, ReleaseState
from tests.fakes.scene import APP, LONG_MS, Scene, machine

_S = ReleaseState


def later(scene: Scene, milliseconds: int) -> Release:
    """Let time pass, and make a pass right after it."""
    scene.clock.pass_by(milliseconds - LONG_MS)
    scene.flip()
    return scene.only_release()


def asked(scene: Scene, verb: Verb) -> Release:
    scene.ask(verb)
    scene.flip()
    scene.flip()
    return scene.only_release()


def at_its_gate(default: str) -> Scene:
    gate = {"type": "manual", "timeout": "4h", "default": default}
    scene = Scene(plan={"stages": [{"quota": 2, "gate": gate}, {"quota": 2}], "deadline": "10d"}, current=machine("v1"))
    scene.write_latest(machine("v2"))
    scene.flip()
    assert scene.spend() == 2
    scene.end_workflows()
    scene.flip()
    assert scene.only_release().hold is Hold.APPROVAL
    return scene


def lapsing() -> Scene:
    """A judged release at its gate, one workflow of which is still running."""
    gate = {"type": "manual", "timeout": "4h"}
    plan = {"stages": [{"quota": "earned", "gate": gate}, "earned"], "hung_after": 100, "deadline": "10d"}
    scene = Scene(plan=plan, current=machine("v1"))
    scene.ran_before(500, 2)
    scene.write_latest(machine("v2"))
    scene.flip()
    while scene.only_release().hold is None:
        scene.spend()
        going = [a for a, e in scene.stacks.executions.items() if e.status is ExecutionStatus.RUNNING and "transformer-v2:" in a]
        for name in going[:-1]:
            scene.stacks.end_all(ExecutionStatus.SUCCEEDED, of=name)
        scene.flip()
    assert scene.only_release().hold is Hold.APPROVAL
    return scene


@pytest.mark.parametrize(("default", "state"), [("abort", _S.ABORTED), ("continue", _S.RUNNING)])
def test_one_that_was_paused_for_longer_than_its_gate_waits_still_waits_after_it(default, state):
    scene = at_its_gate(default)
    later(scene, HOUR_MS)
    assert asked(scene, Verb.PAUSE).state is _S.PAUSED
    assert later(scene, 30 * HOUR_MS).state is _S.PAUSED
    assert asked(scene, Verb.RESUME).hold is Hold.APPROVAL
    assert later(scene, 2 * HOUR_MS).hold is Hold.APPROVAL
    release = later(scene, HOUR_MS)
    assert (release.state, release.hold, release.stage) == (state, None, int(default == "continue"))


def test_it_can_be_approved_while_it_is_paused_and_after():
    for resumes in (False, True):
        scene = at_its_gate("abort")
        asked(scene, Verb.PAUSE)
        later(scene, 30 * HOUR_MS)
        if resumes:
            asked(scene, Verb.RESUME)
        release = asked(scene, Verb.PROMOTE)
        assert (release.stage, release.asked_at, release.state) == (1, None, _S.RUNNING if resumes else _S.PAUSED)


def test_what_has_lapsed_during_the_pause_is_asked_anew_and_has_its_whole_time():
    scene = lapsing()
    later(scene, 3 * HOUR_MS)
    asked(scene, Verb.PAUSE)
    scene.end_workflows(ExecutionStatus.FAILED, of="transformer-v2")
    scene.flip()
    assert scene.only_release().state is _S.PAUSED
    release = asked(scene, Verb.RESUME)
    assert (release.state, release.hold, release.asked_at) == (_S.RUNNING, None, None)
    while scene.only_release().hold is None:
        assert scene.spend(10)
        scene.end_workflows()
        scene.flip()
    assert scene.only_release().asked_at == scene.only_release().since
    assert later(scene, 3 * HOUR_MS).hold is Hold.APPROVAL
    assert later(scene, HOUR_MS).state is _S.ABORTED


def test_what_has_not_lapsed_is_not_asked_anew_by_a_pause():
    scene = at_its_gate("abort")
    before = later(scene, 3 * HOUR_MS)
    paused = asked(scene, Verb.PAUSE)
    after = asked(scene, Verb.RESUME)
    resumed_at = next(change.at for change in after.history if change.what == "PAUSED → RUNNING")
    assert before.asked_at is not None
    assert after.asked_at == before.asked_at + resumed_at - paused.since
    assert later(scene, HOUR_MS).state is _S.ABORTED


def test_one_that_was_held_for_a_lost_request_at_its_gate_is_asked_again_and_has_time_to_answer():
    scene = lapsing()
    running = [arn for arn, each in scene.stacks.executions.items() if each.status is ExecutionStatus.RUNNING]
    for name in [arn for arn in running if "transformer-v2:" in arn]:
        del scene.stacks.executions[name]  # Step Functions knows nothing of it any more
    assert later(scene, HOUR_MS).hold is Hold.LOST
    later(scene, 30 * HOUR_MS)
    asked(scene, Verb.RESUME)
    for _ in range(3):
        if scene.only_release().state is _S.RUNNING:
            scene.spend(10)
            scene.end_workflows()
        scene.flip()
    release = scene.only_release()
    assert (release.state, release.hold) == (_S.HELD, Hold.APPROVAL)
    assert release.gate_ends is not None
    assert release.gate_ends > scene.clock.now + 2 * HOUR_MS


def test_one_that_was_approved_and_met_a_foreign_write_is_asked_again_and_has_time_to_answer():
    gate = {"type": "manual", "timeout": "4h"}
    scene = Scene(plan={"stages": [{"quota": 2, "gate": gate}], "deadline": "10d"}, current=machine("v1"))
    scene.write_latest(machine("v2"))
    scene.flip()
    scene.spend()
    scene.end_workflows()
    scene.flip()
    assert later(scene, HOUR_MS).hold is Hold.APPROVAL

    def meanwhile(_: int, name: str, when: str) -> None:
        if (name, when) == ("ddb.save", "after") and scene.only_release().state is _S.PROMOTING:
            scene.calls.let_live()
            scene.parameters.put(APP, "current", machine("v0"))

    scene.ask(Verb.PROMOTE)
    scene.calls.on_call = meanwhile
    scene.flip()
    assert scene.only_release().hold is Hold.FOREIGN
    later(scene, 30 * HOUR_MS)
    assert asked(scene, Verb.RESUME).hold is Hold.APPROVAL


def test_what_people_are_told_of_the_gates_end_does_not_count_the_pause():
    scene = at_its_gate("abort")
    assert scene.only_release().asked_at is not None
    later(scene, HOUR_MS)
    asked(scene, Verb.PAUSE)
    assert scene.only_release().gate_ends is None
    later(scene, 30 * HOUR_MS)
    release = asked(scene, Verb.RESUME)
    assert release.gate_ends is not None
    assert release.gate_ends < release.since + 3 * HOUR_MS + LONG_MS
    assert later(scene, release.gate_ends - scene.clock.now - 1_000).hold is Hold.APPROVAL
    assert later(scene, 2_000 + LONG_MS).state is _S.ABORTED
