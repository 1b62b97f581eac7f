"""What becomes a release, and what is rejected before any request."""

from __future__ import annotations

import json

import pytest

from canary.domain.app import Version
from canary.domain.audit import ExecutionStatus
from canary.domain.release import Release
from canary.domain.states import ReleaseState
from canary.flipping.flipper import LEASE_MS
from tests.fakes.calls import Killed
from tests.fakes.scene import APP, Scene, arn
from tests.unit.lifecycle.scenes import opened, spend


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("nonsense", "is not the ARN"),
        ('{"tag": "v2"}', 'has no "arn"'),
        (arn("v1"), "it is the current stack already"),
        ("arn:aws:lambda:eu-west-1:999999999999:function:transformer-v2:live", "only account 123456789012"),
        ("arn:aws:lambda:eu-west-1:123456789012:function:payments:live", "does not match the allowed pattern"),
    ],
)
def test_an_invalid_target_is_rejected_with_the_reason_and_nobody_is_quarantined(value, reason):
    scene = opened(latest=value)
    release = scene.only_release()
    assert release.state is ReleaseState.REJECTED
    assert reason in (release.reason or "")
    assert (scene.parameter("latest"), scene.releases.items[APP].quarantine) == ("NONE", {})
    assert [kind for _, kind in scene.notices.sent] == ["Release Rejected"]


@pytest.mark.parametrize("plan", ["{", '{"stages": []}', '{"stages": [{"quota": 2}], "colour": "blue"}', '{"transform_id": "["}'])
def test_a_plan_that_cannot_be_used_rejects_the_release(plan):
    scene = Scene()
    scene.parameters.put(APP, "plan", plan)
    scene.write_latest(arn("v2"))
    scene.flip()
    assert scene.only_release().state is ReleaseState.REJECTED
    assert "plan" in (scene.only_release().reason or "")


def test_a_target_that_does_not_exist_is_rejected():
    scene = Scene()
    scene.stacks.problems[arn("v2")] = "it does not exist"
    scene.write_latest(arn("v2"))
    scene.flip()
    assert scene.only_release().reason == "it does not exist"


def test_an_app_without_current_rejects_a_release():
    scene = Scene()
    scene.parameters.versions.clear()
    scene.write_latest(arn("v2"))
    scene.flip()
    assert "no valid current" in (scene.only_release().reason or "")


def test_a_quarantined_target_stays_out_until_retry():
    scene = opened()
    spend(scene, 1)
    scene.end_workflows(ExecutionStatus.FAILED)
    scene.flip()
    scene.write_latest(arn("v2"))
    scene.flip()
    assert [release.state for release in scene.all_releases()] == [ReleaseState.ABORTED, ReleaseState.REJECTED]
    assert "canary retry" in (scene.all_releases()[1].reason or "")
    scene.operator().retry(APP, arn("v2"))
    scene.write_latest(arn("v2"))
    scene.flip()
    assert scene.all_releases()[2].state is ReleaseState.RUNNING


@pytest.mark.parametrize("unqualified", [arn("v2").removesuffix(":live"), arn("v2").replace(":live", ":$LATEST")])
def test_a_mutable_target_is_accepted_with_a_warning(unqualified):
    release = opened(latest=unqualified).only_release()
    assert release.state is ReleaseState.RUNNING
    assert "mutable" in (release.warning or "")


def test_nothing_waits_for_a_target_that_cannot_be_inspected():
    scene = Scene()
    scene.calls.down = {"stack"}
    scene.write_latest(arn("v2"))
    (done,) = scene.flip()
    assert (done.result, scene.only_release().state) == ("failed", ReleaseState.OPENING)
    scene.write_latest("NONE")
    scene.flip()
    assert scene.only_release().state is ReleaseState.ABORTED
    scene.calls.down = set()
    scene.write_latest(arn("v2"))
    scene.flip()
    assert scene.all_releases()[-1].state is ReleaseState.RUNNING


def test_a_value_that_current_could_not_hold_is_rejected_before_any_request():
    scene = Scene()
    value = json.dumps({"arn": arn("v2"), "commit": "c" * 2000, "by": "b" * 2000, "tag": "t" * 200})
    scene.parameters.versions[APP, "latest"] = [Version(value, 1, scene.clock(), "")]
    scene.flip()
    assert "4096 at most" in (scene.only_release().reason or "")


class TestOpenedLate:
    """A flipper stalls right before it opens a release, for longer than its lease; others go on meanwhile."""

    def late(self, then: str) -> tuple[Scene, Release]:
        """A release that is opened only after another write was seen to."""
        scene = Scene()
        create, late = scene.releases.create, []

        def stalls(release: Release) -> bool:
            late.append(release)
            raise Killed("for now")

        scene.releases.create = stalls
        scene.write_latest(arn("v2"))
        with pytest.raises(Killed):
            scene.flip()
        scene.releases.create = create
        scene.clock.pass_by(LEASE_MS + 1)
        scene.write_latest(then)
        scene.flip()
        assert create(late[0])
        return scene, late[0]

    def test_what_was_given_up_for_a_newer_one_gives_way_to_it(self):
        scene, late = self.late(arn("v3"))
        scene.flip()
        first, second = scene.all_releases()
        assert (first.release, first.state, second.state) == (late.release, ReleaseState.SUPERSEDED, ReleaseState.RUNNING)
        assert "a newer write to latest" in (first.reason or "")
        assert scene.releases.items[APP].followed == (second.release,)

    def test_it_gives_way_whatever_an_old_read_of_latest_says(self):
        scene, _ = self.late(arn("v3"))
        newest = scene.parameters.versions[APP, "latest"].pop()
        scene.flip()
        assert scene.all_releases()[0].state is ReleaseState.SUPERSEDED
        scene.parameters.versions[APP, "latest"].append(newest)
        scene.flip()
        assert scene.all_releases()[1].state is ReleaseState.RUNNING

    def test_what_was_blanked_by_hand_before_it_opened_is_withdrawn(self):
        scene, late = self.late("NONE")
        scene.flip()
        assert (scene.only_release().release, scene.only_release().state) == (late.release, ReleaseState.ABORTED)
        assert "withdrawn" in (scene.only_release().reason or "")
        assert scene.releases.items[APP].followed == ()
