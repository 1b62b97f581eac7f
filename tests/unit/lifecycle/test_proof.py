"""What a release is promoted on, and what ends it: outcomes, stages, its deadline."""

from __future__ import annotations

import json

import pytest

from canary.domain.audit import ExecutionStatus
from canary.domain.release import Verb
from canary.domain.states import ReleaseState
from tests.fakes.scene import APP, arn
from tests.unit.lifecycle.scenes import HOUR_MS, opened, spend


def test_two_successes_promote_and_the_value_is_copied_as_it_stands():
    value = json.dumps({"arn": arn("v2"), "tag": "v2.0.0", "commit": "abc", "by": "ci"})
    scene = opened(latest=value)
    spend(scene)
    scene.end_workflows()
    scene.flip()
    assert (scene.parameter("current"), scene.parameter("previous"), scene.parameter("latest")) == (value, arn("v1"), "NONE")
    release = scene.only_release()
    assert (release.state, release.tag, release.by, release.commit) == (ReleaseState.PROMOTED, "v2.0.0", "ci", "abc")
    assert [kind for _, kind in scene.notices.sent] == ["Release Opened", "Stage Passed", "Release Promoted"]


def test_nothing_is_promoted_while_a_request_runs():
    scene = opened()
    spend(scene)
    scene.flip()
    assert scene.parameter("current") == arn("v1")


def test_nothing_is_promoted_without_evidence_however_long_it_takes():
    scene = opened({"stages": [{"quota": 2}], "deadline": "30d"})
    for _ in range(20):
        scene.clock.pass_by(HOUR_MS)
        scene.flip()
    assert scene.only_release().state is ReleaseState.RUNNING


def test_the_first_failure_throws_latest_out_while_the_other_request_still_runs():
    scene = opened()
    spend(scene, 1)
    scene.end_workflows(ExecutionStatus.FAILED)
    scene.send()
    scene.flip()
    release = scene.only_release()
    assert (release.state, scene.parameter("latest")) == (ReleaseState.ABORTED, "NONE")
    assert release.reason == "1 of 1 finished requests failed (0 may)"
    scene.end_workflows()
    scene.flip()
    assert (scene.only_release().tally.succeeded, scene.releases.items[APP].followed) == (1, ())


@pytest.mark.parametrize("ended", [ExecutionStatus.FAILED, ExecutionStatus.TIMED_OUT, ExecutionStatus.ABORTED])
def test_every_bad_end_of_a_workflow_is_a_failure(ended):
    scene = opened()
    spend(scene)
    scene.end_workflows(ended)
    scene.flip()
    assert scene.only_release().state is ReleaseState.ABORTED


def test_failures_within_the_plan_do_not_stop_a_release():
    scene = opened({"stages": [{"quota": 3}], "max_failures": 1})
    spend(scene, 1)
    scene.end_workflows(ExecutionStatus.FAILED)
    scene.flip()
    spend(scene, 2)
    scene.end_workflows()
    scene.flip()
    assert scene.only_release().state is ReleaseState.PROMOTED


def test_stages_are_climbed_one_by_one():
    scene = opened({"stages": [{"quota": 1}, {"quota": 2}]})
    spend(scene, 1)
    assert scene.send().body["routed_to"] == "current"
    scene.end_workflows()
    scene.flip()
    assert (scene.only_release().stage, scene.only_release().granted) == (1, 3)
    spend(scene, 2)
    scene.end_workflows()
    scene.flip()
    assert scene.only_release().state is ReleaseState.PROMOTED
    assert [kind for _, kind in scene.notices.sent].count("Stage Passed") == 2


def test_a_stage_bakes_before_it_passes_unless_an_operator_promotes():
    scene = opened({"stages": [{"quota": 1, "bake": "2h"}]})
    spend(scene, 1)
    scene.end_workflows()
    scene.flip()
    assert scene.only_release().state is ReleaseState.RUNNING
    scene.ask(Verb.PROMOTE)
    scene.flip()
    assert scene.only_release().state is ReleaseState.PROMOTED


def test_promote_without_proof_is_refused_on_the_record():
    scene = opened()
    spend(scene, 1)
    scene.end_workflows()
    scene.ask(Verb.PROMOTE)
    scene.flip()
    release = scene.only_release()
    assert (release.state, release.asks) == (ReleaseState.RUNNING, ())
    assert release.history[-1].what == "promote refused"
    assert release.history[-1].why == "promotion needs proof: 1 of 2 succeeded, 1 slot free"


def test_the_deadline_ends_a_release_paused_or_not():
    for pause in (False, True):
        scene = opened({"stages": [{"quota": 2}], "deadline": "3h"})
        if pause:
            scene.ask(Verb.PAUSE)
            scene.flip()
        scene.clock.pass_by(3 * HOUR_MS)
        scene.flip()
        assert scene.only_release().state is ReleaseState.ABORTED
        assert arn("v2") in scene.releases.items[APP].quarantine


def test_a_plan_edited_during_a_release_does_not_change_it():
    scene = opened({"stages": [{"quota": 1}]})
    scene.parameters.put(APP, "plan", json.dumps({"stages": [{"quota": 50}]}))
    scene.flip()
    assert scene.only_release().granted == 1


def test_a_release_passes_only_on_condition_that_nothing_was_claimed_since():
    scene = opened()
    spend(scene)
    scene.end_workflows()
    steps = []
    save = scene.releases.save
    scene.releases.save = lambda before, after, *, idle=False: steps.append((after.state, idle)) or save(before, after, idle=idle)
    scene.flip()
    assert (ReleaseState.PROMOTING, True) in steps
