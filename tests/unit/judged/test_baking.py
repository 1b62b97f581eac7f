"""How long a stage lasts: time, and how much has to end in it."""

from __future__ import annotations

from canary.domain.audit import ExecutionStatus
from canary.domain.release import Verb
from canary.domain.states import Hold, ReleaseState
from tests.unit.judged.staged import HOUR_MS, later, opened, run

_S = ReleaseState


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
