"""What happens when a release's time is up."""

from __future__ import annotations

import pytest

from canary.domain.alarm import AlarmState
from canary.domain.asks import NotPossible
from canary.domain.audit import ExecutionStatus
from canary.domain.release import Verb
from canary.domain.states import Gate, Hold, ReleaseState
from tests.fakes.scene import APP, Scene, machine
from tests.unit.judged.staged import HOUR_MS, later, opened, run

_S = ReleaseState


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
