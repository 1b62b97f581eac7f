"""A stage that waits for a person, and for how long."""

from __future__ import annotations

from dataclasses import replace

import pytest

from canary.domain.alarm import AlarmState
from canary.domain.asks import NotPossible
from canary.domain.audit import ExecutionStatus
from canary.domain.release import Ask, Verb
from canary.domain.states import Gate, Hold, ReleaseState
from tests.fakes.scene import APP, Scene, machine
from tests.unit.judged.staged import HOUR_MS, later, opened, run

_S = ReleaseState


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
        for _ in range(3):
            later(scene, HOUR_MS)
            scene.ask(Verb.PAUSE)
            scene.flip()
            assert scene.only_release().state is _S.PAUSED
            scene.ask(Verb.RESUME)
            scene.flip()
            scene.flip()
            assert scene.only_release().hold is Hold.APPROVAL
        later(scene, HOUR_MS)
        assert scene.only_release().state is state
        assert (
            "nobody answered at the gate of stage 1 within 4 h"
            in scene.only_release().history[-1 if default == "continue" else -2].why
        )

    def test_nor_does_something_that_cannot_be_seen_for_a_while(self):
        gate = {"type": "manual", "timeout": "4h"}
        plan = {"stages": [{"quota": 1, "gate": gate, "alarms": ["errors"]}], "deadline": "10d"}
        scene = Scene(plan=plan, current=machine("v1"))
        scene.alarms.alarms["errors"] = AlarmState.OK
        scene.write_latest(machine("v2"))
        scene.flip()
        run(scene, 1)
        asked_at = scene.only_release().asked_at
        del scene.alarms.alarms["errors"]
        scene.flip()
        away = scene.only_release()
        assert away.hold is Hold.ALARM
        later(scene, 30 * HOUR_MS)
        scene.alarms.alarms["errors"] = AlarmState.OK
        scene.flip()
        scene.flip()
        back = next(change.at for change in reversed(scene.only_release().history) if change.what == "HELD → RUNNING")
        assert (scene.only_release().hold, scene.only_release().asked_at) == (Hold.APPROVAL, asked_at + back - away.since)

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
