"""The watch: latest is current, the old stack is held, and a failure takes the promotion back by itself."""

from __future__ import annotations

import pytest

from canary.domain.alarm import AlarmState
from canary.domain.audit import ExecutionStatus
from canary.domain.evidence import Epoch
from canary.domain.release import Verb
from canary.domain.states import ReleaseState
from canary.errors import Denied, Unavailable
from tests.fakes.scene import APP, LONG_MS, Scene, arn, machine
from tests.fakes.stacks import answer

HOUR_MS = 3_600_000
_S = ReleaseState


def promoted(watch: object = "2h", *, lambdas: bool = False, stages: object = None, **plan: object) -> Scene:
    stack = arn if lambdas else machine
    scene = Scene(plan={"stages": stages or [{"quota": 2}], "watch": watch, **plan}, current=stack("v1"))
    scene.ran_before(200, 1)
    scene.alarms.alarms["errors"] = AlarmState.OK
    if lambdas:
        scene.send(scene.desk(0.99))
    scene.write_latest(stack("v2"))
    scene.flip()
    scene.spend()
    scene.end_workflows()
    scene.flip()
    assert (scene.only_release().state, scene.parameter("current")) == (_S.WATCHING, stack("v2"))
    return scene


def serve(scene: Scene, number: int, status: ExecutionStatus | None = ExecutionStatus.SUCCEEDED) -> None:
    """So many requests go to current, and their workflows end."""
    desk = scene.desk()
    assert all(scene.send(desk).body["routed_to"] == "current" for _ in range(number))
    if status is not None:
        scene.end_workflows(status)
    scene.flip()
    scene.flip()  # lists of executions lag behind


def later(scene: Scene, milliseconds: int) -> None:
    scene.clock.pass_by(milliseconds - LONG_MS)
    scene.flip()


class TestItsEnd:
    def test_by_time(self):
        scene = promoted("2h")
        assert ("Release Promoted" in [kind for _, kind in scene.notices.sent], scene.parameter("latest")) == (True, "NONE")
        later(scene, HOUR_MS)
        assert scene.only_release().state is _S.WATCHING
        serve(scene, 3)
        later(scene, HOUR_MS)
        release = scene.only_release()
        assert (release.state, release.reason) == (_S.PROMOTED, "watched: 0 of 3 executions failed since the promotion")
        assert [kind for _, kind in scene.notices.sent].count("Release Promoted") == 1
        assert scene.releases.items[APP].followed == ()

    @pytest.mark.parametrize("lambdas", [False, True])
    def test_by_executions(self, lambdas):
        scene = promoted({"completed": 5}, lambdas=lambdas)
        serve(scene, 4)
        assert scene.only_release().state is _S.WATCHING
        serve(scene, 1)
        assert scene.only_release().state is _S.PROMOTED

    def test_by_the_deadline_where_traffic_is_too_little(self):
        scene = promoted({"completed": 5}, deadline="1d")
        serve(scene, 1)
        later(scene, 24 * HOUR_MS)
        assert scene.only_release().state is _S.PROMOTED

    def test_requests_of_the_trial_are_not_counted_again(self):
        scene = promoted({"completed": 2})
        for _ in range(3):
            scene.flip()
        assert scene.only_release().state is _S.WATCHING

    def test_executions_before_the_promotion_do_not_count(self):
        """The same stack may have been tried before: those requests were the router's, and not the watch's."""
        scene = promoted("2h")
        before = scene.only_release().watched.since - 1
        for status in (ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED):
            name = f"{status.value[0] * 26}-r00000000-00000000"
            scene.stacks.ran(machine("v2"), name, started_at=before, duration_ms=5, status=status)
        scene.flip()
        scene.flip()
        assert (scene.only_release().state, scene.only_release().watched.started) == (_S.WATCHING, 0)

    def test_requests_of_the_trial_whose_workflows_started_late_are_not_counted_again(self):
        scene = promoted("2h")
        late = f"{'T' * 26}-r{scene.only_release().release}"
        scene.stacks.ran(machine("v2"), late, started_at=scene.clock.now, duration_ms=5)
        scene.flip()
        assert scene.only_release().watched.started == 0

    def test_what_started_a_moment_ago_is_looked_at_in_the_next_pass(self):
        """Lists of executions lag behind: what is not there yet must not be passed over."""
        scene = promoted("2h")
        just_now = scene.clock.now + LONG_MS - 3_000
        for number in range(3):
            name = f"{number}" * 26
            scene.stacks.ran(machine("v2"), name, started_at=just_now, duration_ms=5, status=ExecutionStatus.FAILED)
        scene.flip()
        assert (scene.only_release().state, scene.only_release().watched.started) == (_S.WATCHING, 0)
        scene.stacks.ran(machine("v2"), "4" * 26, started_at=just_now, duration_ms=5, status=ExecutionStatus.FAILED)
        scene.flip()
        assert (scene.only_release().state, scene.only_release().watched.started) == (_S.ROLLED_BACK, 4)

    def test_executions_that_are_nobodys_business_do_not_count(self):
        scene = promoted({"completed": 2})
        for number in range(4):
            scene.stacks.ran(machine("v2"), f"job-{number}", started_at=scene.clock.now, duration_ms=5)
        scene.flip()
        scene.flip()
        assert scene.only_release().state is _S.WATCHING

    def test_a_stack_that_does_the_work_itself_is_watched_by_time(self):
        scene = Scene(plan={"stages": [{"quota": 2}], "watch": "1h"})
        scene.stacks.behaviour[arn("v2")] = answer(rows=7)
        scene.write_latest(arn("v2"))
        scene.flip()
        scene.spend()
        scene.flip()
        assert scene.only_release().state is _S.WATCHING
        later(scene, HOUR_MS)
        assert scene.only_release().state is _S.PROMOTED


class TestAFailure:
    @pytest.mark.parametrize(("lambdas", "bad"), [(False, 4), (True, 8)], ids=["with a history", "without one"])
    def test_it_rolls_back_by_itself(self, lambdas, bad):
        scene = promoted("2h", lambdas=lambdas)
        stack = arn if lambdas else machine
        serve(scene, 10)
        assert scene.only_release().state is _S.WATCHING
        serve(scene, bad, ExecutionStatus.FAILED)
        release = scene.only_release()
        assert (release.state, scene.parameter("current"), scene.parameter("previous")) == (_S.ROLLED_BACK, stack("v1"), "NONE")
        assert (release.reason or "").startswith(f"the watch failed: {bad} of ")
        assert stack("v2") in scene.releases.items[APP].quarantine
        assert "Release Rolled Back" in [kind for _, kind in scene.notices.sent]
        assert scene.send().body["routed_to"] == "current"

    def test_a_normal_number_of_failures_does_not(self):
        scene = promoted("2h")
        serve(scene, 60)
        serve(scene, 1, ExecutionStatus.FAILED)
        later(scene, 2 * HOUR_MS)
        assert scene.only_release().state is _S.PROMOTED

    def test_an_alarm_does(self):
        scene = promoted("2h", stages=[{"quota": 2, "alarms": ["errors"]}])
        scene.alarms.alarms["errors"] = AlarmState.ALARM
        scene.flip()
        assert scene.only_release().state is _S.ROLLED_BACK
        assert scene.only_release().reason == "the watch failed: the alarm 'errors' is in state ALARM"

    def test_requests_of_the_trial_that_end_badly_now_count_as_well(self):
        scene = Scene(plan={"stages": ["earned"], "watch": "2h", "max_failure_rate": 0.3}, current=machine("v1"))
        scene.ran_before(500, 2)
        scene.write_latest(machine("v2"))
        scene.flip()
        for _ in range(3):
            scene.spend()
            scene.end_workflows()
            scene.flip()
        assert scene.spend() == 5
        for row in [row for row in scene.rows() if not row.counted][:2]:
            scene.stacks.end(row.request_id, ExecutionStatus.SUCCEEDED)
        scene.flip()
        assert (scene.only_release().state, scene.only_release().in_flight) == (_S.WATCHING, 3)
        scene.end_workflows(ExecutionStatus.FAILED)
        scene.flip()
        assert scene.only_release().state is _S.ROLLED_BACK

    @pytest.mark.parametrize(
        ("previous", "why"), [("NONE", "there is no previous stack"), (machine("gone"), "previous cannot serve: it is gone")]
    )
    def test_where_there_is_no_way_back_it_is_told(self, previous, why):
        scene = promoted("2h")
        scene.stacks.problems[machine("gone")] = "it is gone"
        scene.parameters.put(APP, "previous", previous)
        serve(scene, 4, ExecutionStatus.FAILED)
        release = scene.only_release()
        assert (release.state, scene.parameter("current")) == (_S.PROMOTED, machine("v2"))
        assert f"there is no way back: {why}" in (release.reason or "")
        assert [kind for _, kind in scene.notices.sent][-1] == "Release Held"

    def test_current_that_somebody_else_wrote_meanwhile_is_not_overwritten(self):
        scene = promoted("2h")
        scene.parameters.put(APP, "current", machine("v9"))
        scene.stacks.ran(machine("v9"), "x", started_at=scene.clock.now, duration_ms=1)
        for number in range(4):
            scene.stacks.ran(
                machine("v2"), f"{number}" * 26, started_at=scene.clock.now, duration_ms=1, status=ExecutionStatus.FAILED
            )
        scene.flip()
        scene.flip()
        assert (scene.only_release().state, scene.parameter("current")) == (_S.PROMOTED, machine("v9"))


def test_failures_of_both_in_the_trial_are_still_failures_of_both_in_the_watch():
    """An outage in the trial hit both stacks: once latest is current, current's part in it is not forgotten."""
    scene = Scene(
        plan={"stages": [{"weight": 50, "bake": {"completed": 10}}], "watch": "2h", "alpha": 0.01}, current=machine("v1")
    )
    scene.ran_before(500, 2)
    scene.write_latest(machine("v2"))
    scene.flip()
    winner, loser = scene.desk(0.0), scene.desk(0.99)
    for number in range(80):
        scene.send(winner)
        scene.send(loser)
        failed = 10 <= number < 14
        scene.end_workflows(ExecutionStatus.FAILED if failed else ExecutionStatus.SUCCEEDED)
    scene.flip()
    while scene.only_release().state is _S.RUNNING:
        assert scene.send(scene.desk()).body["routed_to"] == "latest"
        scene.end_workflows()
        scene.flip()
    assert scene.only_release().state is _S.WATCHING
    serve(scene, 4)
    assert scene.only_release().state is _S.WATCHING
    later(scene, 2 * HOUR_MS)
    assert scene.only_release().state is _S.PROMOTED
    (epoch,) = scene.kept()[-1].case["evidence"]["epochs"]
    assert Epoch(**epoch) == Epoch(5_000, 8, 4)


class TestWhatCannotBeSeen:
    @pytest.mark.parametrize("error", [Denied, Unavailable])
    def test_it_neither_ends_nor_takes_back_the_promotion_and_goes_on(self, error):
        scene = promoted("2h")

        def fail(_: int, name: str, when: str) -> None:
            if name.startswith("sfn."):
                raise error("sfn", "AccessDenied", "no")

        scene.calls.on_call = fail
        later(scene, HOUR_MS)
        assert scene.only_release().state is _S.WATCHING
        scene.calls.let_live()
        later(scene, HOUR_MS)
        assert scene.only_release().state is _S.PROMOTED

    def test_it_ends_when_time_is_up_and_that_it_saw_nothing_is_told(self):
        scene = promoted("2h")

        def deny(_: int, name: str, when: str) -> None:
            if name == "sfn.started":
                raise Denied("sfn", "AccessDenied", "no")

        scene.calls.on_call = deny
        later(scene, 2 * HOUR_MS)
        release = scene.only_release()
        assert release.state is _S.PROMOTED
        assert "it could not see everything" in (release.reason or "")
        assert [kind for _, kind in scene.notices.sent][-1] == "Release Held"

    def test_an_alarm_that_is_not_there_is_told_when_time_is_up(self):
        scene = promoted("2h", stages=[{"quota": 2, "alarms": ["errors"]}])
        del scene.alarms.alarms["errors"]
        scene.flip()
        assert scene.only_release().state is _S.WATCHING
        later(scene, 2 * HOUR_MS)
        assert (scene.only_release().state, "it could not see" in (scene.only_release().reason or "")) == (_S.PROMOTED, True)

    def test_a_lost_request_of_the_trial_does_not_keep_it_for_ever(self):
        scene = Scene(plan={"stages": ["earned"], "watch": "2h"}, current=machine("v1"))
        scene.ran_before(500, 2)
        scene.write_latest(machine("v2"))
        scene.flip()
        scene.spend(1)
        scene.end_workflows()
        scene.flip()
        scene.spend(1)
        del scene.stacks.executions[scene.rows()[-1].transform_id or ""]
        scene.flip()
        scene.ask(Verb.PROMOTE, force=True)
        scene.flip()
        assert scene.only_release().state is _S.WATCHING
        later(scene, 2 * HOUR_MS)
        assert scene.only_release().state is _S.PROMOTED


class TestOthersMeanwhile:
    def test_a_newer_write_ends_it(self):
        scene = promoted("2h")
        scene.write_latest(machine("v3"))
        scene.flip()
        first, second = scene.all_releases()
        assert (first.state, second.state) == (_S.PROMOTED, _S.RUNNING)
        assert (first.reason or "").startswith(f"the watch ends: {second.release} was written to latest")

    def test_a_rollback_by_hand_takes_it_back(self):
        scene = promoted("2h")
        scene.ask(Verb.ROLLBACK, "wrong numbers")
        scene.flip()
        release = scene.only_release()
        assert (release.state, scene.parameter("current")) == (_S.ROLLED_BACK, machine("v1"))
        assert release.reason == "rollback by ops: wrong numbers"

    @pytest.mark.parametrize("verb", [Verb.PAUSE, Verb.ABORT, Verb.PROMOTE, Verb.RESUME])
    def test_other_verbs_are_refused_with_the_next_step(self, verb):
        scene = promoted("2h")
        with pytest.raises(Exception, match="canary rollback transformer"):
            scene.ask(verb)

    def test_a_withdrawal_is_too_late_and_changes_nothing(self):
        scene = promoted("2h")
        scene.write_latest("NONE")
        scene.flip()
        assert scene.only_release().state is _S.WATCHING


def test_no_page_is_read_twice_and_every_start_is_counted_once():
    scene = promoted("2h")
    for number in range(1, 5):
        serve(scene, 3, None)
        assert scene.only_release().watched.started in {3 * number - 3, 3 * number}
    scene.flip()
    assert scene.only_release().watched.started == 12
