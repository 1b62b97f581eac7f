"""Stages: how long each lasts, who has to say so, and what happens when time is up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from canary.domain.alarm import AlarmState
from canary.domain.asks import NotPossible
from canary.domain.audit import ExecutionStatus
from canary.domain.release import Ask, Verb
from canary.domain.states import Gate, Hold, ReleaseState
from tests.fakes.scene import APP, LONG_MS, Scene, machine

HOUR_MS = 3_600_000
_S = ReleaseState


def opened(*stages: object, **plan: object) -> Scene:
    scene = Scene(plan={"stages": list(stages), **plan}, current=machine("v1"))
    scene.ran_before(500, 2)
    scene.write_latest(machine("v2"))
    scene.flip()
    assert scene.only_release().state is _S.RUNNING
    return scene


def run(scene: Scene, number: int, status: ExecutionStatus = ExecutionStatus.SUCCEEDED) -> None:
    assert scene.spend(number) == number
    scene.end_workflows(status)
    scene.flip()


def later(scene: Scene, milliseconds: int) -> None:
    """Let time pass, and make a pass right after it."""
    scene.clock.pass_by(milliseconds - LONG_MS)
    scene.flip()


class TestBaking:
    def test_by_time_from_the_stages_own_start(self):
        scene = opened({"quota": 1}, {"quota": 1, "bake": "2h"})
        later(scene, 5 * HOUR_MS)
        run(scene, 1)
        run(scene, 1)
        assert (scene.only_release().stage, scene.only_release().state) == (1, _S.RUNNING)
        later(scene, HOUR_MS)
        assert scene.only_release().state is _S.RUNNING
        later(scene, HOUR_MS)
        assert scene.only_release().state is _S.PROMOTED

    def test_by_completed_executions_from_the_stages_own_start(self):
        scene = opened({"weight": 100, "bake": {"completed": 6}}, {"weight": 100, "bake": {"completed": 4}}, "earned")
        run(scene, 5)
        assert scene.only_release().stage == 0
        run(scene, 1)
        assert scene.only_release().stage == 1
        run(scene, 3)
        assert scene.only_release().stage == 1
        run(scene, 1)
        assert scene.only_release().stage == 2

    def test_requests_of_the_stage_before_do_not_count_in_the_next(self):
        scene = opened({"weight": 100, "bake": {"completed": 2}}, {"weight": 100, "bake": {"completed": 2}}, "earned")
        scene.spend(5)
        first, second, *others = [row.request_id for row in scene.rows()]
        for name in (first, second):
            scene.stacks.end(name, ExecutionStatus.SUCCEEDED)
        scene.flip()
        assert scene.only_release().stage == 1
        for name in others:
            scene.stacks.end(name, ExecutionStatus.SUCCEEDED)
        scene.flip()
        assert scene.only_release().stage == 1
        run(scene, 2)
        assert scene.only_release().stage == 2

    def test_requests_of_the_stage_before_that_still_run_do_not_keep_the_next_from_passing(self):
        scene = opened({"weight": 100, "min_completed": 2}, {"weight": 100, "bake": "1h"}, "earned", hung_after=100)
        scene.spend(5)
        for row in scene.rows()[:2]:
            scene.stacks.end(row.request_id, ExecutionStatus.SUCCEEDED)
        scene.flip()
        release = scene.only_release()
        assert (release.stage, release.in_flight) == (1, 3)
        later(scene, HOUR_MS)
        assert scene.only_release().stage == 2

    def test_at_least_so_many_have_to_end_in_the_stage(self):
        scene = opened({"weight": 100, "min_completed": 3}, "earned")
        run(scene, 2)
        assert scene.only_release().stage == 0
        run(scene, 1)
        assert scene.only_release().stage == 1

    def test_lost_ones_are_asked_for_once_more_and_not_counted_twice(self):
        scene = opened({"quota": 3}, {"quota": 2}, "earned")
        scene.spend()
        names = [row.request_id for row in scene.rows()]
        for name in names[:2]:
            scene.stacks.end(name, ExecutionStatus.SUCCEEDED)
        del scene.stacks.executions[next(row.transform_id or "" for row in scene.rows() if row.request_id == names[2])]
        scene.flip()
        assert scene.only_release().hold is Hold.LOST
        scene.ask(Verb.RESUME)
        scene.flip()
        assert (scene.only_release().stage, scene.spend()) == (0, 1)
        scene.end_workflows()
        scene.flip()
        assert scene.only_release().stage == 1
        run(scene, 2)
        assert scene.only_release().stage == 2


class TestAManualGate:
    GATED = ({"quota": 1, "gate": "manual"}, {"quota": 1})

    def test_a_stage_that_has_passed_waits_for_a_person(self):
        scene = opened(*self.GATED)
        run(scene, 1)
        release = scene.only_release()
        assert (release.state, release.hold, release.gate) == (_S.HELD, Hold.APPROVAL, Gate.CLOSED)
        assert "after 24 h without an answer the plan says abort" in (release.reason or "").replace("1 d", "24 h")
        assert scene.send().body["routed_to"] == "current"
        assert ("ReleaseHeld", APP) not in scene.counts

    def test_an_approval_goes_on_to_the_next_stage(self):
        scene = opened(*self.GATED)
        run(scene, 1)
        scene.ask(Verb.PROMOTE, "looks good")
        scene.flip()
        release = scene.only_release()
        assert (release.state, release.stage, release.gate) == (_S.RUNNING, 1, Gate.OPEN)
        assert "promote by ops: looks good" in release.history[-1].why
        run(scene, 1)
        assert scene.only_release().state is _S.PROMOTED

    def test_an_approval_at_the_last_stage_promotes(self):
        scene = opened({"quota": 1, "gate": "manual"})
        run(scene, 1)
        scene.ask(Verb.PROMOTE)
        scene.flip()
        assert (scene.only_release().state, scene.parameter("current")) == (_S.PROMOTED, machine("v2"))

    def test_nobody_answers_and_the_default_aborts(self):
        scene = opened({"quota": 1, "gate": {"type": "manual", "timeout": "2h"}})
        later(scene, 5 * HOUR_MS)  # the time at the gate counts from there
        run(scene, 1)
        later(scene, HOUR_MS)
        assert scene.only_release().state is _S.HELD
        later(scene, HOUR_MS)
        release = scene.only_release()
        assert release.state is _S.ABORTED
        assert release.reason == "nobody answered at the gate of stage 1 within 2 h, and the plan says abort"

    def test_nobody_answers_and_the_plan_says_continue(self):
        scene = opened({"quota": 1, "gate": {"type": "manual", "timeout": "2h", "default": "continue"}}, {"quota": 1})
        run(scene, 1)
        later(scene, 2 * HOUR_MS)
        release = scene.only_release()
        assert (release.state, release.stage, release.gate) == (_S.RUNNING, 1, Gate.OPEN)
        run(scene, 1)
        assert scene.only_release().state is _S.PROMOTED

    def test_an_emergency_stop_keeps_the_default_from_going_on(self):
        scene = opened({"quota": 1, "gate": {"type": "manual", "timeout": "2h", "default": "continue"}})
        run(scene, 1)
        scene.operator().stop(APP, "fire")
        later(scene, 3 * HOUR_MS)
        assert (scene.only_release().state, scene.parameter("current")) == (_S.HELD, machine("v1"))
        scene.operator().start(APP)
        scene.flip()
        assert scene.only_release().state is _S.PROMOTED

    def test_an_approval_during_an_emergency_stop_opens_no_gate(self):
        scene = opened(*self.GATED)
        run(scene, 1)
        scene.operator().stop(APP, "fire")
        scene.ask(Verb.PROMOTE)
        scene.flip()
        release = scene.only_release()
        assert (release.state, release.stage, release.gate) == (_S.RUNNING, 1, Gate.CLOSED)

    def test_a_paused_stage_that_has_passed_stays_paused_and_asks_nobody(self):
        scene = opened(*self.GATED)
        scene.spend(1)
        scene.ask(Verb.PAUSE)
        scene.end_workflows()
        for _ in range(2):
            scene.flip()
        assert (scene.only_release().state, scene.only_release().hold) == (_S.PAUSED, None)
        scene.ask(Verb.RESUME)
        scene.flip()
        assert scene.only_release().hold is Hold.APPROVAL

    def test_a_failure_aborts_it_while_it_waits(self):
        scene = opened({"weight": 100, "min_completed": 2, "gate": "manual"}, "earned")
        scene.spend(4)
        for row in scene.rows()[:2]:
            scene.stacks.end(row.request_id, ExecutionStatus.SUCCEEDED)
        scene.flip()
        assert scene.only_release().hold is Hold.APPROVAL
        scene.end_workflows(ExecutionStatus.FAILED)
        scene.flip()
        assert scene.only_release().state is _S.ABORTED

    def test_resume_is_no_approval(self):
        scene = opened(*self.GATED)
        run(scene, 1)
        with pytest.raises(NotPossible, match="canary promote transformer"):
            scene.ask(Verb.RESUME)
        before = scene.only_release()
        assert scene.releases.save(before, replace(before, asks=(Ask(Verb.RESUME, "ops", "asked before it was held", 0),)))
        scene.flip()
        release = scene.only_release()
        assert (release.hold, release.since, release.history[-1].what) == (Hold.APPROVAL, before.since, "resume refused")

    def test_a_promotion_before_the_stage_has_passed_is_refused(self):
        scene = opened({"quota": 2, "gate": "manual"})
        run(scene, 1)
        scene.ask(Verb.PROMOTE)
        scene.flip()
        assert (scene.only_release().state, scene.only_release().history[-1].what) == (_S.RUNNING, "promote refused")


class TestTheTimeOfAManualGate:
    """It runs from when a person was first asked, until the stage has not passed any more."""

    def asked(self, default: str = "abort") -> Scene:
        gate = {"type": "manual", "timeout": "4h", "default": default}
        scene = opened({"weight": 100, "min_completed": 4, "gate": gate}, "earned", hung_after=100, deadline="10d")
        run(scene, 4)
        assert scene.only_release().hold is Hold.APPROVAL
        return scene

    @pytest.mark.parametrize(("default", "state"), [("abort", _S.ABORTED), ("continue", _S.RUNNING)])
    def test_a_pause_does_not_begin_it_anew(self, default, state):
        scene = self.asked(default)
        asked_at = scene.only_release().asked_at
        for _ in range(3):
            scene.ask(Verb.PAUSE)
            later(scene, HOUR_MS)
            assert scene.only_release().state is _S.PAUSED
            scene.ask(Verb.RESUME)
            scene.flip()
            scene.flip()
            assert (scene.only_release().hold, scene.only_release().asked_at) == (Hold.APPROVAL, asked_at)
        later(scene, HOUR_MS)
        assert scene.only_release().state is state
        assert (
            "nobody answered at the gate of stage 1 within 4 h"
            in scene.only_release().history[-1 if default == "continue" else -2].why
        )

    def test_nor_does_something_that_cannot_be_seen_for_a_while(self):
        gate = {"type": "manual", "timeout": "4h"}
        scene = Scene(plan={"stages": [{"quota": 1, "gate": gate, "alarms": ["errors"]}]}, current=machine("v1"))
        scene.alarms.alarms["errors"] = AlarmState.OK
        scene.write_latest(machine("v2"))
        scene.flip()
        run(scene, 1)
        asked_at = scene.only_release().asked_at
        del scene.alarms.alarms["errors"]
        scene.flip()
        assert scene.only_release().hold is Hold.ALARM
        later(scene, 3 * HOUR_MS)
        scene.alarms.alarms["errors"] = AlarmState.OK
        scene.flip()
        scene.flip()
        assert (scene.only_release().hold, scene.only_release().asked_at) == (Hold.APPROVAL, asked_at)

    def test_nor_does_another_current_for_a_while(self):
        scene = self.asked()
        asked_at = scene.only_release().asked_at
        for name in ("v0", "v1"):
            scene.parameters.put(APP, "current", machine(name))
            scene.flip()
        assert (scene.only_release().hold, scene.only_release().asked_at) == (Hold.APPROVAL, asked_at)

    def test_an_approval_that_lapsed_with_its_verdict_is_asked_for_anew_and_has_its_whole_time(self):
        """What ran on has failed: the stage has not passed any more. When it has again, nobody was asked about that yet."""
        gate = {"type": "manual", "timeout": "4h"}
        scene = opened({"quota": "earned", "gate": gate}, "earned", hung_after=100, deadline="10d")
        for _ in range(12):
            scene.spend()
            going = [
                a for a, e in scene.stacks.executions.items() if e.status is ExecutionStatus.RUNNING and "transformer-v2:" in a
            ]
            for name in going[:-1]:
                scene.stacks.end_all(ExecutionStatus.SUCCEEDED, of=name)
            scene.flip()
        asked_at = scene.only_release().asked_at
        assert (scene.only_release().hold, asked_at is not None) == (Hold.APPROVAL, True)
        later(scene, 3 * HOUR_MS)
        scene.end_workflows(ExecutionStatus.FAILED, of="transformer-v2")
        scene.flip()
        assert (scene.only_release().hold, scene.only_release().asked_at) == (None, None)
        while scene.only_release().hold is None:
            run(scene, 10)
        again = scene.only_release().asked_at
        assert again == scene.only_release().since
        later(scene, 3 * HOUR_MS)
        assert scene.only_release().hold is Hold.APPROVAL
        later(scene, HOUR_MS)
        assert scene.only_release().state is _S.ABORTED

    def test_the_next_stages_gate_has_its_own(self):
        gate = {"type": "manual", "timeout": "4h"}
        scene = opened({"quota": 1, "gate": gate}, {"quota": 1, "gate": gate}, max_failure_rate=0.9, deadline="10d")
        run(scene, 1)
        later(scene, 3 * HOUR_MS)
        scene.ask(Verb.PROMOTE)
        scene.flip()
        assert (scene.only_release().stage, scene.only_release().asked_at) == (1, None)
        run(scene, 1)
        later(scene, 3 * HOUR_MS)
        assert scene.only_release().hold is Hold.APPROVAL


class TestTheDeadline:
    def decided(self, no_data: str, *stages: object, ended: int = 0, failed: int = 0, **plan: object) -> Scene:
        scene = opened(*(stages or ("earned",)), no_data=no_data, deadline="3h", **plan)
        for _ in range(failed):
            run(scene, 1, ExecutionStatus.FAILED)
        for _ in range(ended):
            run(scene, 1)
        later(scene, 3 * HOUR_MS)
        return scene

    @pytest.mark.parametrize("ended", [0, 1, 3])
    def test_no_data_abort(self, ended):
        scene = self.decided("abort", ended=ended)
        assert (scene.only_release().state, scene.parameter("current")) == (_S.ABORTED, machine("v1"))

    def test_no_data_promote_with_some_success_and_no_failure(self):
        scene = self.decided("promote", ended=3)
        assert (scene.only_release().state, scene.parameter("current")) == (_S.PROMOTED, machine("v2"))
        assert "nothing failed, and the plan says promote" in (scene.only_release().verdict or "")

    @pytest.mark.parametrize(("ended", "failed"), [(0, 0), (0, 1), (3, 1)])
    def test_no_data_promote_never_promotes_on_zero_evidence_or_a_failure(self, ended, failed):
        scene = self.decided("promote", ended=ended, failed=failed)
        assert (scene.only_release().state, scene.parameter("current")) == (_S.ABORTED, machine("v1"))

    def test_no_data_promote_does_not_count_what_is_unknown_as_good(self):
        scene = opened("earned", no_data="promote", deadline="3h")
        run(scene, 1)
        scene.spend(1)
        del scene.stacks.executions[scene.rows()[-1].transform_id or ""]
        later(scene, 3 * HOUR_MS)
        assert scene.only_release().state is _S.ABORTED

    def test_no_data_promote_does_not_promote_while_an_alarm_has_no_data(self):
        scene = opened({"quota": "earned", "alarms": ["errors"]}, no_data="promote", deadline="3h")
        scene.alarms.alarms["errors"] = AlarmState.OK
        scene.flip()
        run(scene, 2)
        scene.alarms.alarms["errors"] = AlarmState.INSUFFICIENT_DATA
        later(scene, 3 * HOUR_MS)
        assert scene.only_release().state is _S.ABORTED

    @pytest.mark.parametrize("stop", ["pause", "stop-all"])
    def test_no_data_promote_does_not_promote_what_was_stopped(self, stop):
        scene = opened("earned", no_data="promote", deadline="3h")
        run(scene, 2)
        scene.ask(Verb.PAUSE) if stop == "pause" else scene.operator().stop(APP, "fire")
        later(scene, 3 * HOUR_MS)
        assert scene.parameter("current") == machine("v1")
        assert scene.only_release().state is _S.ABORTED

    @pytest.mark.parametrize("ended", [0, 2])
    def test_no_data_hold_waits_for_a_person(self, ended):
        scene = self.decided("hold", ended=ended)
        release = scene.only_release()
        assert (release.state, release.hold, release.gate) == (_S.HELD, Hold.DEADLINE, Gate.CLOSED)
        with pytest.raises(NotPossible, match="canary promote transformer --force"):
            scene.ask(Verb.RESUME)
        scene.ask(Verb.PROMOTE, force=True)
        scene.flip()
        assert scene.only_release().state is (_S.PROMOTED if ended else _S.HELD)
        if not ended:
            scene.ask(Verb.ABORT)
            scene.flip()
            assert scene.only_release().state is _S.ABORTED

    def test_no_data_hold_still_aborts_on_a_failure(self):
        scene = opened("earned", no_data="hold", deadline="3h", hung_after=100)
        scene.spend()
        later(scene, 3 * HOUR_MS)
        assert scene.only_release().hold is Hold.DEADLINE
        scene.end_workflows(ExecutionStatus.FAILED)
        scene.flip()
        assert scene.only_release().state is _S.ABORTED

    def test_what_is_proved_in_the_same_moment_is_promoted(self):
        scene = opened({"quota": 2}, deadline="3h")
        scene.spend()
        scene.end_workflows()
        later(scene, 3 * HOUR_MS)
        assert scene.only_release().state is _S.PROMOTED


class TestPauseAndForce:
    def test_a_pause_closes_the_slots_at_once_also_for_a_router_that_knows_nothing_of_it(self):
        scene = opened({"weight": 100})
        stale = scene.desk()
        assert scene.send(stale).body["routed_to"] == "latest"
        scene.ask(Verb.PAUSE)
        assert scene.only_release().gate is Gate.CLOSED
        assert scene.send(stale).body["routed_to"] == "current"

    def test_a_paused_release_still_aborts_on_evidence_and_is_not_promoted_by_it(self):
        for status, state in ((ExecutionStatus.FAILED, _S.ABORTED), (ExecutionStatus.SUCCEEDED, _S.PAUSED)):
            scene = opened({"weight": 100})
            scene.spend(40)
            scene.ask(Verb.PAUSE)
            scene.flip()
            scene.end_workflows(status)
            scene.flip()
            assert scene.only_release().state is state

    def test_a_paused_release_earns_no_slots_until_it_is_resumed(self):
        scene = opened("earned")
        scene.spend()
        scene.ask(Verb.PAUSE)
        scene.flip()
        scene.end_workflows()
        scene.flip()
        assert scene.only_release().granted == 2
        scene.ask(Verb.RESUME)
        scene.flip()
        assert scene.only_release().granted - scene.only_release().claimed == 2

    def test_promote_without_force_needs_the_proof_and_says_what_is_missing(self):
        scene = opened("earned")
        run(scene, 2)
        scene.ask(Verb.PROMOTE)
        scene.flip()
        change = scene.only_release().history[-1]
        assert (change.what, scene.only_release().state) == ("promote refused", _S.RUNNING)
        assert "must be excluded" in change.why

    def test_force_needs_one_success(self):
        scene = opened("earned")
        scene.spend(1)
        scene.ask(Verb.PROMOTE, force=True)
        scene.flip()
        change = scene.only_release().history[-1]
        assert (change.what, scene.only_release().state) == ("promote refused", _S.RUNNING)
        assert "nothing has succeeded on latest yet" in change.why
        scene.end_workflows()
        scene.ask(Verb.PROMOTE, "we know it", force=True)
        scene.flip()
        assert (scene.only_release().state, scene.parameter("current")) == (_S.PROMOTED, machine("v2"))
        assert "we know it" in (scene.only_release().verdict or "")

    def test_force_is_refused_on_a_failure(self):
        scene = opened({"quota": 3})
        run(scene, 1)
        scene.spend(1)
        scene.ask(Verb.PROMOTE, force=True)
        scene.end_workflows(ExecutionStatus.FAILED)
        scene.flip()
        assert (scene.only_release().state, scene.parameter("current")) == (_S.ABORTED, machine("v1"))
        assert "promote refused" in [change.what for change in scene.only_release().history]

    @pytest.mark.parametrize("state", ["running", "paused", "held"])
    def test_force_goes_from_wherever_it_is_past_all_stages(self, state):
        scene = opened({"quota": 2}, {"quota": 50, "bake": "10h", "gate": "manual"})
        run(scene, 1)
        if state == "paused":
            scene.ask(Verb.PAUSE)
            scene.flip()
        if state == "held":
            scene.spend(1)
            del scene.stacks.executions[scene.rows()[-1].transform_id or ""]
            scene.flip()
            assert scene.only_release().hold is Hold.LOST
        scene.ask(Verb.PROMOTE, force=True)
        scene.flip()
        assert (scene.only_release().state, scene.parameter("current")) == (_S.PROMOTED, machine("v2"))
        assert "forced past stage 1 of 2" in (scene.only_release().verdict or "")

    def test_what_runs_when_it_is_forced_is_followed_to_its_end(self):
        scene = opened("earned")
        run(scene, 1)
        scene.spend()
        scene.ask(Verb.PROMOTE, force=True)
        scene.flip()
        assert scene.only_release().state is _S.PROMOTED
        assert scene.only_release().in_flight > 0
        scene.end_workflows()
        scene.flip()
        scene.flip()
        assert (scene.only_release().in_flight, scene.releases.items[APP].followed) == (0, ())

    def test_a_verdict_that_no_longer_passes_asks_nobody_any_more_and_goes_on(self):
        scene = opened({"quota": "earned", "gate": "manual"})
        while scene.only_release().state is _S.RUNNING:
            scene.spend()
            latest = {name: each for name, each in scene.stacks.executions.items() if "transformer-v2:" in name}
            running = [name for name, each in latest.items() if each.status is ExecutionStatus.RUNNING]
            for name in running[:-1]:  # the newest goes on, and still runs when the stage has passed
                scene.stacks.end_all(ExecutionStatus.SUCCEEDED, of=name)
            scene.flip()
        assert scene.only_release().hold is Hold.APPROVAL
        scene.end_workflows(ExecutionStatus.FAILED, of="transformer-v2")
        scene.flip()
        release = scene.only_release()
        assert (release.hold, release.state) == (None, _S.RUNNING)
        assert "waits for approval" in release.history[-1].why

    def test_a_pause_that_waits_behind_a_promotion_keeps_the_gate_closed(self):
        scene = opened({"quota": 2, "gate": "manual"}, {"quota": 2})
        run(scene, 2)
        assert scene.only_release().hold is Hold.APPROVAL
        before = scene.only_release()
        asks = (Ask(Verb.PROMOTE, "ops", "good", 0), Ask(Verb.PAUSE, "ops", "wait", 1))
        assert scene.releases.save(before, replace(before, asks=asks))
        gates: list[tuple[ReleaseState, Gate]] = []

        def look(_: int, name: str, when: str) -> None:
            if name == "ddb.save" and when == "after":
                gates.append((scene.only_release().state, scene.only_release().gate))

        scene.calls.on_call = look
        scene.flip()
        assert (ReleaseState.RUNNING, Gate.CLOSED) in gates
        assert {gate for _, gate in gates} == {Gate.CLOSED}
        assert scene.only_release().state is ReleaseState.PAUSED
