"""What becomes of workflows that run on latest when it is thrown out: they finish, or they are stopped."""

from __future__ import annotations

import pytest

from canary.domain.audit import ExecutionStatus, Status
from canary.domain.release import Verb
from canary.domain.states import ReleaseState
from canary.errors import Denied, Unavailable
from tests.fakes.scene import APP, Scene, arn, machine

_S = ReleaseState


def failing(on_abort: str) -> Scene:
    """A release with one failure and two workflows that still run."""
    scene = Scene(plan={"stages": [{"quota": 3}], "on_abort": on_abort}, current=machine("v1"))
    scene.write_latest(machine("v2"))
    scene.flip()
    scene.spend(1)
    scene.end_workflows(ExecutionStatus.FAILED)
    scene.spend()  # the last one of these finds no slot, and goes to current
    return scene


def running(scene: Scene, name: str) -> int:
    return sum(e.status is ExecutionStatus.RUNNING and f"transformer-{name}:" in a for a, e in scene.stacks.executions.items())


def test_finish_lets_them_run_and_follows_them_to_their_end():
    scene = failing("finish")
    for _ in range(3):
        scene.flip()
    assert (scene.only_release().state, running(scene, "v2"), scene.stacks.stopped) == (_S.ABORTED, 2, {})
    scene.end_workflows()
    scene.flip()
    scene.flip()
    assert (scene.only_release().tally.succeeded, scene.releases.items[APP].followed) == (2, ())


def test_stop_stops_what_runs_on_latest_and_says_why():
    scene = failing("stop")
    for _ in range(4):
        scene.flip()
    release = scene.only_release()
    assert (release.state, running(scene, "v2"), running(scene, "v1")) == (_S.ABORTED, 0, 1)
    assert set(scene.stacks.stopped.values()) == {f"canary release {release.release} was aborted: {release.reason}"}
    assert (release.tally.aborted, release.in_flight, scene.releases.items[APP].followed) == (2, 0, ())
    assert sorted(row.status for row in scene.rows()) == [Status.ABORTED, Status.ABORTED, Status.FAILED]


def test_stop_stops_also_what_was_only_being_sent_when_it_was_aborted():
    scene = failing("stop")
    late = scene.rows()[-1]
    scene.audit.table[APP, late.release, late.request_id] = type(late)(
        **{name: getattr(late, name) for name in late.__slots__} | {"status": Status.CLAIMED, "transform_id": None}
    )
    for _ in range(4):
        scene.flip()
    assert (running(scene, "v2"), len(scene.stacks.stopped)) == (0, 2)


@pytest.mark.parametrize("how", ["an operator", "a withdrawal"])
def test_stop_stops_whatever_the_reason_of_the_abort(how):
    scene = failing("stop")
    for ended in [a for a, e in scene.stacks.executions.items() if e.status is not ExecutionStatus.RUNNING]:
        del scene.stacks.executions[ended]
    scene.ask(Verb.ABORT) if how == "an operator" else scene.write_latest("NONE")
    for _ in range(4):
        scene.flip()
    assert (scene.only_release().state, running(scene, "v2")) == (_S.ABORTED, 0)


def test_stop_does_not_touch_what_is_promoted_superseded_or_still_on_trial():
    scene = Scene(plan={"stages": [{"quota": 3}], "on_abort": "stop"})
    scene.write_latest(arn("v2"))
    scene.flip()
    scene.spend()
    scene.flip()
    scene.write_latest(arn("v3"))
    for _ in range(3):
        scene.flip()
    assert (scene.all_releases()[0].state, scene.stacks.stopped) == (_S.SUPERSEDED, {})


def test_stop_leaves_control_samples_alone_for_they_are_currents():
    scene = Scene(plan={"stages": [{"weight": 50}], "on_abort": "stop"})
    scene.write_latest(arn("v2"))
    scene.flip()
    scene.send(scene.desk(0.99))
    scene.send(scene.desk(0.0))
    scene.ask(Verb.ABORT)
    for _ in range(3):
        scene.flip()
    assert (running(scene, "v1"), running(scene, "v2"), len(scene.samples())) == (1, 0, 1)


def test_a_stop_that_does_not_get_through_is_tried_again():
    scene = failing("stop")
    refused: list[str] = []

    def refuse(_: int, name: str, when: str) -> None:
        if name == "sfn.stop" and not refused:
            refused.append(name)
            raise Unavailable("sfn", "ThrottlingException", "slower")

    scene.calls.on_call = refuse
    for _ in range(5):
        scene.flip()
    assert (refused, running(scene, "v2"), scene.only_release().in_flight) == (["sfn.stop"], 0, 0)


class TestAStopThatIsNotAllowed:
    def refused(self) -> Scene:
        scene = failing("stop")
        scene.calls.fail(Denied("sfn", "AccessDeniedException", "states:StopExecution"), "sfn.stop")
        scene.flip()
        return scene

    def test_it_keeps_no_outcome_from_being_counted(self):
        scene = self.refused()
        assert (scene.only_release().state, running(scene, "v2")) == (_S.ABORTED, 2)
        late = [row.request_id for row in scene.rows() if not row.counted]
        scene.stacks.end(late[0], ExecutionStatus.SUCCEEDED)
        scene.flip()
        assert (scene.only_release().tally.succeeded, scene.only_release().in_flight) == (1, 1)
        scene.stacks.end(late[1], ExecutionStatus.FAILED)
        for _ in range(2):
            scene.flip()
        assert (scene.only_release().tally.failed, scene.releases.items[APP].followed) == (2, ())

    def test_it_is_told_by_each_pass_that_tries(self):
        scene = self.refused()
        (done,) = scene.flip()
        assert done.result == "failed"
        assert "could not be stopped" in (done.error or "")
        assert ("PassFailed", APP) in scene.counts
        scene.end_workflows()
        scene.flip()
        (done,) = scene.flip()
        assert done.result == "done"

    def test_one_that_may_not_be_stopped_does_not_keep_the_others_from_it(self):
        scene = failing("stop")
        tried: list[str] = []

        def refuse(_: int, name: str, when: str) -> None:
            if (name, when) == ("sfn.stop", "before"):
                tried.append(name)
                if len(tried) == 1:
                    raise Denied("sfn", "AccessDeniedException", "not this one")

        scene.calls.on_call = refuse
        for _ in range(2):
            scene.flip()
        assert running(scene, "v2") == 1
