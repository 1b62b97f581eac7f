"""What operators do to a stage: pause it, and promote past it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from canary.domain.audit import ExecutionStatus
from canary.domain.release import Ask, Verb
from canary.domain.states import Gate, Hold, ReleaseState
from tests.fakes.scene import APP, machine
from tests.unit.judged.staged import opened, run

_S = ReleaseState


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
