"""What operators stop, and let go on: pauses, aborts, the emergency stop."""

from __future__ import annotations

import pytest

from canary.domain.asks import NotPossible
from canary.domain.audit import ExecutionStatus
from canary.domain.release import Verb
from canary.domain.states import Gate, ReleaseState
from tests.fakes.scene import APP, Scene, arn
from tests.unit.lifecycle.scenes import opened, spend


def test_pause_closes_the_gate_at_once_and_resume_opens_it():
    scene = opened()
    assert scene.ask(Verb.PAUSE).gate is Gate.CLOSED
    assert scene.only_release().gate is Gate.CLOSED
    scene.flip()
    assert scene.only_release().state is ReleaseState.PAUSED
    scene.ask(Verb.RESUME)
    scene.flip()
    assert (scene.only_release().state, scene.only_release().gate) == (ReleaseState.RUNNING, Gate.OPEN)


def test_a_paused_release_still_aborts_on_a_failure_and_does_not_promote():
    for ended, state in ((ExecutionStatus.FAILED, ReleaseState.ABORTED), (ExecutionStatus.SUCCEEDED, ReleaseState.PAUSED)):
        scene = opened()
        spend(scene)
        scene.ask(Verb.PAUSE)
        scene.flip()
        scene.end_workflows(ended)
        scene.flip()
        assert scene.only_release().state is state


def test_an_operators_abort_says_who_and_why():
    scene = opened()
    scene.ask(Verb.ABORT, "numbers look odd")
    scene.flip()
    release = scene.only_release()
    assert release.state is ReleaseState.ABORTED
    assert (release.reason, release.history[-2].who) == ("abort by ops: numbers look odd", "ops")


def test_verbs_that_a_release_cannot_follow_are_refused_with_the_next_step():
    scene = opened()
    spend(scene)
    scene.end_workflows()
    scene.flip()
    with pytest.raises(NotPossible, match="no release of 'transformer' is running"):
        scene.ask(Verb.ABORT)
    with pytest.raises(NotPossible, match="use `canary rollback transformer`"):
        scene.operator().ask(APP, Verb.ABORT, "", scene.only_release().release)


def test_an_ask_whose_answer_was_lost_is_asked_once():
    scene = opened()
    save = scene.releases.save
    lost = []

    def lossy(before, after, *, idle=False):
        done = save(before, after, idle=idle)
        return done if lost else bool(lost.append(done))

    scene.releases.save = lossy
    scene.ask(Verb.PAUSE)
    assert len(scene.only_release().asks) == 1


@pytest.mark.parametrize("stop", [Verb.ABORT, Verb.PAUSE])
def test_a_resume_does_not_open_the_gate_for_whom_a_stop_was_asked_since(stop):
    scene = opened()
    scene.ask(Verb.PAUSE)
    scene.flip()
    scene.ask(Verb.RESUME)
    scene.ask(stop)
    gates = []
    save = scene.releases.save
    scene.releases.save = lambda before, after, *, idle=False: gates.append(after.gate) or save(before, after, idle=idle)
    scene.flip()
    assert set(gates) == {Gate.CLOSED}


def test_the_emergency_stop_closes_every_gate_and_start_opens_it_again():
    scene = opened()
    spend(scene, 1)
    scene.operator().stop(APP, "fire")
    assert scene.only_release().gate is Gate.CLOSED
    scene.end_workflows()
    scene.flip()
    assert scene.send().body["routed_to"] == "current"
    scene.operator().start(APP)
    spend(scene, 1)


def test_a_release_that_opens_during_an_emergency_stop_gets_nothing():
    scene = Scene()
    scene.operator().stop(APP, "fire")
    scene.write_latest(arn("v2"))
    scene.flip()
    assert (scene.only_release().state, scene.only_release().gate) == (ReleaseState.RUNNING, Gate.CLOSED)
    scene.operator().start(APP)
    assert scene.send().body["routed_to"] == "latest"


def test_all_is_proved_but_the_emergency_stop_keeps_it_from_being_promoted():
    scene = opened()
    spend(scene)
    scene.operator().stop(APP, "fire")
    scene.end_workflows()
    scene.flip()
    assert scene.parameter("current") == arn("v1")


def test_a_start_that_meets_a_new_stop_opens_no_gate():
    scene = opened()
    scene.operator().stop(APP, "fire")

    def stop_again(_: int, name: str, when: str) -> None:
        if name == "ddb.save_app" and when == "after":
            scene.calls.let_live()
            scene.operator().stop(APP, "fire again")

    scene.calls.on_call = stop_again
    scene.operator().start(APP)
    assert scene.only_release().gate is Gate.CLOSED
