"""Errors that pass: one reading that fails leaves the rest to be judged. What is seen may fail a release; nothing passes it."""

from __future__ import annotations

import pytest

from canary.domain.alarm import AlarmState
from canary.domain.audit import ExecutionStatus
from canary.domain.states import Gate, Hold, ReleaseState
from canary.errors import Denied, Unavailable
from tests.fakes.scene import Scene, machine

HOUR_MS = 3_600_000
SLOWER = Unavailable("AWS", "ThrottlingException", "slower")
NO = Denied("AWS", "AccessDenied", "no")
#: Readings beside that of latest's own requests.
BESIDE = ["cloudwatch.states", "sfn.failures"]
_S = ReleaseState


def opened(**plan: object) -> Scene:
    """One stage of a coin, then one of all; both with an alarm. Some requests were tossed for."""
    stages = [
        {"weight": 50, "min_completed": 2, "alarms": ["errors"]},
        {"weight": 100, "min_completed": 4, "alarms": ["errors"]},
    ]
    scene = Scene(plan={"stages": stages, "max_failure_rate": 0.9, **plan}, current=machine("v1"))
    scene.ran_before(200, 1)
    scene.alarms.alarms["errors"] = AlarmState.OK
    scene.write_latest(machine("v2"))
    scene.flip()
    run(scene, 2)
    assert (scene.only_release().state, scene.only_release().stage) == (_S.RUNNING, 1)
    return scene


def run(scene: Scene, number: int, status: ExecutionStatus = ExecutionStatus.SUCCEEDED) -> None:
    assert scene.spend(number) == number
    scene.end_workflows(status)
    scene.flip()


def held(scene: Scene) -> int:
    return [kind for _, kind in scene.notices.sent].count("Release Held")


@pytest.mark.parametrize("call", BESIDE)
class TestOneReadingFails:
    def test_what_is_seen_still_throws_a_release_out(self, call):
        scene = opened()
        scene.calls.fail(SLOWER, call)
        run(scene, 4, ExecutionStatus.FAILED)
        assert scene.only_release().state is _S.ABORTED
        assert "4 of 6 finished requests failed" in (scene.only_release().reason or "")

    def test_what_is_seen_promotes_nothing(self, call):
        scene = opened()
        scene.calls.fail(SLOWER, call)
        run(scene, 4)
        release = scene.only_release()
        assert (release.state, release.tally.succeeded, release.gate) == (_S.RUNNING, 6, Gate.OPEN)
        scene.calls.let_live()
        scene.flip()
        assert scene.only_release().state is _S.PROMOTED

    def test_it_is_told_as_a_failed_pass_and_holds_nothing(self, call):
        scene = opened()
        scene.calls.fail(SLOWER, call)
        for _ in range(3):
            (done,) = scene.flip()
            assert (done.result, done.held) == ("failed", 0)
            assert "not everything can be seen" in (done.error or "")
        assert (scene.only_release().state, held(scene)) == (_S.RUNNING, 0)

    def test_what_may_not_be_read_and_then_cannot_stays_held_and_is_told_once(self, call):
        scene = opened()
        for error in (NO, SLOWER, NO, SLOWER, SLOWER, NO):
            scene.calls.fail(error, call)
            scene.flip()
            assert (scene.only_release().state, scene.only_release().hold) == (_S.HELD, Hold.OBSERVATION)
        assert held(scene) == 1
        scene.calls.let_live()
        scene.flip()
        assert (scene.only_release().state, scene.only_release().hold) == (_S.RUNNING, None)

    @pytest.mark.parametrize(("no_data", "state"), [("abort", _S.ABORTED), ("hold", _S.HELD), ("promote", _S.ABORTED)])
    def test_the_deadline_ends_it_all_the_same(self, call, no_data, state):
        scene = opened(no_data=no_data, deadline="3h")
        scene.calls.fail(SLOWER, call)
        run(scene, 4)
        scene.clock.pass_by(3 * HOUR_MS)
        scene.flip()
        release = scene.only_release()
        assert (release.state, scene.parameter("current")) == (state, machine("v1"))
        assert (release.reason or "").startswith("not decided within its deadline of 3 h: not everything can be seen")


def test_an_alarm_that_rings_is_heard_although_currents_failures_cannot_be_read():
    scene = opened()
    scene.calls.fail(SLOWER, "sfn.failures")
    scene.alarms.alarms["errors"] = AlarmState.ALARM
    scene.flip()
    assert scene.only_release().reason == "the alarm 'errors' is in state ALARM"


def test_failures_under_the_coin_say_nothing_while_currents_cannot_be_read():
    """Perhaps current fails as often."""
    scene = Scene(plan={"stages": [{"weight": 50}]}, current=machine("v1"))
    scene.ran_before(200, 1)
    scene.write_latest(machine("v2"))
    scene.flip()
    scene.calls.fail(SLOWER, "sfn.failures")
    run(scene, 12, ExecutionStatus.FAILED)
    assert scene.only_release().state is _S.RUNNING
    scene.calls.let_live()
    scene.flip()
    assert scene.only_release().state is _S.ABORTED


class TestLatestsOwnRequestsCannotBeRead:
    def test_nothing_is_decided_and_nothing_is_held(self):
        scene = opened()
        scene.calls.fail(SLOWER, "sfn.observe")
        run(scene, 4)
        before = scene.only_release()
        run(scene, 1)
        assert (before.state, scene.only_release().tally, held(scene)) == (_S.RUNNING, before.tally, 0)
        scene.calls.let_live()
        scene.flip()
        assert scene.only_release().state is _S.PROMOTED

    def test_the_deadline_ends_it_all_the_same(self):
        scene = opened(deadline="3h")
        scene.calls.fail(SLOWER, "sfn.observe")
        run(scene, 1)
        scene.clock.pass_by(3 * HOUR_MS)
        scene.flip()
        assert scene.only_release().state is _S.ABORTED
        assert "cannot be followed" in (scene.only_release().reason or "")


def test_an_alarm_is_heard_while_the_requests_of_the_release_cannot_be_followed():
    scene = Scene(plan={"stages": [{"quota": "earned", "alarms": ["errors"]}]}, current=machine("v1"))
    scene.ran_before()
    scene.alarms.alarms["errors"] = AlarmState.OK
    scene.write_latest(machine("v2"))
    scene.flip()
    scene.spend(1)
    scene.calls.down = {"sfn"}
    scene.flip()
    assert scene.only_release().state is ReleaseState.RUNNING
    scene.alarms.alarms["errors"] = AlarmState.ALARM
    scene.flip()
    assert (scene.only_release().state, "ALARM" in (scene.only_release().reason or "")) == (ReleaseState.ABORTED, True)
