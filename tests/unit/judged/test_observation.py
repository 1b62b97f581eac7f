"""What cannot be seen: it holds a release, it never condemns and never promotes it, and it goes away by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from canary.domain.alarm import AlarmState
from canary.domain.audit import ExecutionStatus
from canary.domain.call import Call, CallResult
from canary.domain.release import Verb
from canary.domain.states import Gate, Hold, ReleaseState
from canary.errors import Denied, Unavailable
from tests.fakes.scene import APP, Scene, machine

HOUR_MS = 3_600_000
EARNED = {"stages": ["earned"]}
COUNTED = {"stages": [{"quota": 2}]}
_S = ReleaseState


def opened(plan: dict[str, object] = EARNED) -> Scene:
    scene = Scene(plan=plan, current=machine("v1"))
    scene.ran_before(100, 0)
    scene.alarms.alarms["errors"] = AlarmState.OK
    scene.write_latest(machine("v2"))
    scene.flip()
    return scene


def unreadable(scene: Scene) -> None:
    """Our permissions are gone: the status of what runs on latest may not be read."""
    for arn_, execution in scene.stacks.executions.items():
        if "transformer-v2:" in arn_ and execution.status is ExecutionStatus.RUNNING:
            scene.stacks.executions[arn_] = replace(execution, status=ExecutionStatus.UNREADABLE, error="AccessDenied")


def readable(scene: Scene) -> None:
    for arn_, execution in scene.stacks.executions.items():
        if execution.status is ExecutionStatus.UNREADABLE:
            scene.stacks.executions[arn_] = replace(execution, status=ExecutionStatus.RUNNING, error=None)


def now(scene: Scene) -> tuple[ReleaseState, Hold | None, Gate]:
    release = scene.all_releases()[-1]
    return release.state, release.hold, release.gate


@pytest.mark.parametrize("plan", [EARNED, COUNTED], ids=["weighed", "counted"])
class TestWhatCannotBeRead:
    def test_it_holds_the_release_and_tells_and_goes_on_by_itself(self, plan):
        scene = opened(plan)
        scene.spend()
        unreadable(scene)
        scene.flip()
        assert now(scene) == (_S.HELD, Hold.OBSERVATION, Gate.CLOSED)
        assert "cannot be read: AccessDenied" in (scene.only_release().reason or "")
        assert scene.notices.sent.count((scene.only_release().release, "Release Held")) == 1
        scene.flip()
        assert now(scene) == (_S.HELD, Hold.OBSERVATION, Gate.CLOSED)
        readable(scene)
        scene.flip()
        assert now(scene) == (_S.RUNNING, None, Gate.OPEN)
        assert scene.notices.sent.count((scene.only_release().release, "Release Held")) == 1

    def test_it_does_not_go_on_against_an_emergency_stop_that_came_meanwhile(self, plan):
        scene = opened(plan)
        scene.spend(1)
        unreadable(scene)
        scene.flip()
        scene.operator().stop(APP, "fire")
        readable(scene)
        scene.flip()
        assert now(scene)[2] is Gate.CLOSED
        assert scene.send().body["routed_to"] == "current"
        scene.operator().start(APP)
        scene.flip()
        assert now(scene) == (_S.RUNNING, None, Gate.OPEN)

    def test_it_does_not_go_on_against_a_pause_that_came_meanwhile(self, plan):
        scene = opened(plan)
        scene.spend(1)
        unreadable(scene)
        scene.flip()
        scene.ask(Verb.PAUSE)
        readable(scene)
        scene.flip()
        scene.flip()
        assert now(scene) == (_S.PAUSED, None, Gate.CLOSED)
        scene.ask(Verb.RESUME)
        scene.flip()
        assert now(scene) == (_S.RUNNING, None, Gate.OPEN)

    def test_while_it_is_not_looked_at_at_all_it_stays_held(self, plan):
        scene = opened(plan)
        scene.spend()
        unreadable(scene)
        scene.flip()
        scene.calls.down = {"sfn"}
        scene.flip()
        assert now(scene) == (_S.HELD, Hold.OBSERVATION, Gate.CLOSED)

    def test_an_operator_can_abort_it(self, plan):
        scene = opened(plan)
        scene.spend()
        unreadable(scene)
        scene.flip()
        scene.ask(Verb.ABORT)
        scene.flip()
        assert now(scene)[0] is _S.ABORTED


def test_what_cannot_be_read_for_long_is_not_taken_for_a_workflow_that_hangs_or_is_slow():
    scene = opened({**EARNED, "deadline": "10d"})
    scene.spend()
    unreadable(scene)
    for _ in range(20):
        scene.clock.pass_by(HOUR_MS)
        scene.flip()
    assert now(scene) == (_S.HELD, Hold.OBSERVATION, Gate.CLOSED)
    readable(scene)
    scene.flip()
    assert now(scene)[0] is _S.ABORTED, "now it is seen that they hang"


def test_a_failure_is_told_though_another_outcome_cannot_be_read():
    scene = opened({"stages": [{"quota": 3}]})
    scene.spend(1)
    scene.end_workflows(ExecutionStatus.FAILED)
    scene.spend()
    unreadable(scene)
    scene.flip()
    assert now(scene)[0] is _S.ABORTED


def test_at_the_deadline_what_could_not_be_looked_at_is_aborted_or_held_as_the_plan_says():
    for no_data, state in (("abort", _S.ABORTED), ("promote", _S.ABORTED), ("hold", _S.HELD)):
        scene = opened({**EARNED, "no_data": no_data, "deadline": "2h"})
        scene.spend()
        scene.end_workflows()
        scene.flip()
        scene.spend()
        scene.calls.down = {"sfn"}
        scene.clock.pass_by(3 * HOUR_MS)
        scene.flip()
        assert now(scene)[0] is state
        assert "cannot be followed" in (scene.only_release().reason or "")
        assert scene.parameter("current") == machine("v1")


def test_at_the_deadline_what_cannot_be_read_waits_for_a_person_where_the_plan_says_hold():
    scene = opened({**EARNED, "no_data": "hold", "deadline": "2h"})
    scene.spend()
    unreadable(scene)
    scene.flip()
    assert now(scene)[1] is Hold.OBSERVATION
    scene.clock.pass_by(3 * HOUR_MS)
    scene.flip()
    assert now(scene) == (_S.HELD, Hold.DEADLINE, Gate.CLOSED)
    assert "not decided within its deadline" in (scene.only_release().reason or "")


class TestLost:
    def lose_one(self) -> Scene:
        scene = opened()
        scene.stacks.behaviour[machine("v2")] = Call(result=CallResult.UNCLEAR, error="ServiceException")
        scene.spend(1)
        del scene.stacks.behaviour[machine("v2")]
        scene.flip()
        return scene

    def test_an_unknown_outcome_holds_the_release(self):
        scene = self.lose_one()
        assert now(scene) == (_S.HELD, Hold.LOST, Gate.CLOSED)
        assert "unknown is not success" in (scene.only_release().reason or "")

    def test_it_does_not_go_away_by_itself(self):
        scene = self.lose_one()
        for _ in range(3):
            scene.flip()
        assert now(scene)[1] is Hold.LOST

    def test_a_person_lets_it_pass_and_it_is_neither_good_nor_bad(self):
        scene = self.lose_one()
        scene.ask(Verb.RESUME, "it was the network")
        scene.flip()
        release = scene.only_release()
        assert now(scene) == (_S.RUNNING, None, Gate.OPEN)
        assert (release.tally.lost, release.lost_forgiven, release.gathered.shares) == (1, 1, {})
        assert release.granted - release.claimed == 2

    def test_what_could_not_be_read_and_is_lost_now_needs_a_person(self):
        scene = opened()
        scene.spend()
        unreadable(scene)
        scene.flip()
        assert now(scene)[1] is Hold.OBSERVATION
        for arn_ in [a for a, e in scene.stacks.executions.items() if e.status is ExecutionStatus.UNREADABLE]:
            del scene.stacks.executions[arn_]
        scene.flip()
        assert now(scene) == (_S.HELD, Hold.LOST, Gate.CLOSED)
        assert "unknown is not success" in (scene.only_release().reason or "")
        assert scene.notices.sent.count((scene.only_release().release, "Release Held")) == 2


def test_slots_that_come_back_too_often_hold_the_release():
    scene = opened({**EARNED, "max_lost": 1})
    scene.stacks.behaviour[machine("v2")] = Call(result=CallResult.REFUSED, error="TooManyRequestsException")
    for _ in range(2):
        scene.send()
        scene.flip()
    assert now(scene) == (_S.HELD, Hold.UNSENT, Gate.CLOSED)
    scene.ask(Verb.RESUME)
    scene.flip()
    assert now(scene) == (_S.RUNNING, None, Gate.OPEN)


@pytest.mark.parametrize("proved", [False, True])
def test_a_current_that_cannot_be_called_holds_the_release_until_it_can(proved):
    scene = opened(COUNTED)
    if proved:
        scene.spend()
        scene.end_workflows()
    scene.parameters.put(APP, "current", "oops")
    scene.flip()
    assert now(scene) == (_S.HELD, Hold.CURRENT, Gate.CLOSED)
    scene.parameters.put(APP, "current", machine("v1"))
    scene.flip()
    assert now(scene)[0] is (_S.PROMOTED if proved else _S.RUNNING)
    assert scene.parameter("previous") == (machine("v1") if proved else None)


class TestAlarms:
    RINGING = {"stages": [{"quota": 2, "alarms": ["errors"]}]}  # noqa: RUF012 - read only

    @pytest.mark.parametrize(
        "plan", [RINGING, {"stages": [{"quota": "earned", "alarms": ["errors"]}]}], ids=["counted", "weighed"]
    )
    def test_an_alarm_that_rings_aborts(self, plan):
        scene = opened(plan)
        scene.alarms.alarms["errors"] = AlarmState.ALARM
        scene.flip()
        assert now(scene)[0] is _S.ABORTED
        assert scene.only_release().reason == "the alarm 'errors' is in state ALARM"

    def test_one_that_is_not_there_holds_until_it_is(self):
        scene = opened(self.RINGING)
        assert now(scene) == (_S.RUNNING, None, Gate.OPEN)
        del scene.alarms.alarms["errors"]
        scene.flip()
        assert now(scene) == (_S.HELD, Hold.ALARM, Gate.CLOSED)
        assert scene.only_release().reason == "there is no alarm 'errors' in CloudWatch, and what is not there is not OK"
        scene.alarms.alarms["errors"] = AlarmState.OK
        scene.flip()
        assert now(scene) == (_S.RUNNING, None, Gate.OPEN)

    def test_one_without_data_waits_and_is_not_taken_for_ok(self):
        scene = opened(self.RINGING)
        scene.alarms.alarms["errors"] = AlarmState.INSUFFICIENT_DATA
        scene.spend()
        scene.end_workflows()
        scene.flip()
        assert now(scene) == (_S.RUNNING, None, Gate.OPEN)
        scene.alarms.alarms["errors"] = AlarmState.OK
        scene.flip()
        assert now(scene)[0] is _S.PROMOTED

    def test_alarms_that_may_not_be_read_hold(self):
        scene = opened(self.RINGING)

        def deny(_: int, name: str, when: str) -> None:
            if name == "cloudwatch.states":
                raise Denied("CloudWatch", "AccessDenied", "no")

        scene.calls.on_call = deny
        scene.spend()
        scene.end_workflows()
        scene.flip()
        assert now(scene) == (_S.HELD, Hold.OBSERVATION, Gate.CLOSED)
        scene.calls.let_live()
        scene.flip()
        scene.flip()
        assert now(scene)[0] is _S.PROMOTED

    def test_alarms_that_cannot_be_read_just_now_let_nothing_pass(self):
        scene = opened(self.RINGING)
        scene.spend()
        scene.end_workflows()
        scene.calls.down = {"cloudwatch"}
        scene.flip()
        assert now(scene)[0] is _S.RUNNING
        scene.calls.down = set()
        scene.flip()
        assert now(scene)[0] is _S.PROMOTED

    def test_each_stage_has_its_own_and_they_are_known_when_it_begins(self):
        stages = [{"quota": 1, "alarms": ["errors"]}, {"quota": 1, "alarms": ["latency"]}]
        scene = opened({"stages": stages})
        scene.alarms.alarms["latency"] = AlarmState.OK
        scene.spend()
        scene.end_workflows()
        scene.flip()
        assert now(scene) == (_S.RUNNING, None, Gate.OPEN)
        scene.alarms.alarms["errors"] = AlarmState.ALARM
        scene.flip()
        assert now(scene)[0] is _S.RUNNING
        scene.alarms.alarms["latency"] = AlarmState.ALARM
        scene.flip()
        assert now(scene)[0] is _S.ABORTED
        assert "Release Held" not in [kind for _, kind in scene.notices.sent]

    def test_a_plan_without_alarms_asks_cloudwatch_nothing(self):
        scene = opened()
        scene.spend()
        scene.flip()
        assert not [call for call in scene.calls.log if call.startswith("cloudwatch")]


def test_an_error_that_is_not_lasting_ends_the_pass_and_changes_nothing():
    scene = opened()
    scene.spend()
    scene.end_workflows()

    def fail(_: int, name: str, when: str) -> None:
        if name == "sfn.observe":
            raise Unavailable("sfn", "ThrottlingException", "slower")

    scene.calls.on_call = fail
    before = scene.only_release()
    assert [done.result for done in scene.flip()] == ["failed"]
    assert scene.only_release() == before
