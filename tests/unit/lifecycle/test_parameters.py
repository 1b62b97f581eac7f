"""Parameters that others write as well: newer releases, withdrawals, blanks that meet a write, another current."""

from __future__ import annotations

from dataclasses import replace

import pytest

from canary.domain.app import Parameter, Seen
from canary.domain.audit import ExecutionStatus
from canary.domain.changes import overtaken
from canary.domain.release import Verb
from canary.domain.states import Gate, ReleaseState
from canary.domain.steps import BlankLatest, RestoreLatest, WriteParameter
from canary.flipping.execute import execute
from canary.flipping.observe import observe
from tests.fakes.scene import APP, Scene, arn
from tests.unit.lifecycle.scenes import opened, promoted, spend


@pytest.mark.parametrize("blank", ["NONE", " ", "-"])
def test_blanking_latest_by_hand_withdraws_the_release_without_quarantine(blank):
    scene = opened()
    scene.write_latest(blank)
    scene.flip()
    release = scene.only_release()
    assert (release.state, release.gate) == (ReleaseState.ABORTED, Gate.CLOSED)
    assert (release.reason or "").startswith("withdrawn")
    assert scene.releases.items[APP].quarantine == {}


def test_a_blank_withdraws_a_release_only_once_its_history_tells_whose_it_is():
    """The blank may be ours, and have landed on the release unseen."""
    scene = opened()
    scene.write_latest("NONE")
    release, app = scene.only_release(), scene.releases.items[APP]
    versions = tuple(scene.parameters.versions[APP, "latest"])
    latest = Parameter(versions[-1].value, versions[-1].version, versions[-1].modified_at)
    current = scene.parameters.versions[APP, "current"][-1]
    seen = Seen(
        app=app, current=Parameter(current.value, current.version, current.modified_at), latest=latest, previous=None,
        releases={release.release: release}, history=versions[:-1],
    )  # fmt: skip
    assert overtaken(release, seen, scene.clock.now) is None
    told = overtaken(release, replace(seen, history=versions), scene.clock.now)
    assert told is not None
    assert told.after.state is ReleaseState.ABORTED


def test_the_same_value_written_again_is_a_new_release():
    scene = opened()
    scene.write_latest(arn("v2"))
    scene.flip()
    assert [release.state for release in scene.all_releases()] == [ReleaseState.SUPERSEDED, ReleaseState.RUNNING]


def test_a_stale_read_of_latest_supersedes_nothing():
    scene = opened()
    scene.write_latest(arn("v3"))
    scene.flip()
    versions = scene.parameters.versions[APP, "latest"]
    newest = versions.pop()
    scene.flip()
    assert scene.all_releases()[1].state is ReleaseState.RUNNING
    versions.append(newest)


def test_a_write_during_the_blank_is_put_back_and_becomes_the_next_release():
    scene = opened()
    spend(scene, 1)
    scene.end_workflows(ExecutionStatus.FAILED)

    def tag(_: int, name: str, when: str) -> None:
        if name == "ssm.write latest" and when == "before":
            scene.calls.let_live()
            scene.write_latest(arn("v3"))

    scene.calls.on_call = tag
    scene.flip()
    first, second = scene.all_releases()
    assert (first.state, second.state) == (ReleaseState.ABORTED, ReleaseState.RUNNING)
    assert (scene.parameter("latest"), second.target) == (arn("v3"), arn("v3"))
    assert second.restored_from is not None


def test_latest_is_read_again_right_before_it_is_blanked():
    scene = opened()
    seen = observe(scene.world(), APP, {}, [])
    step = BlankLatest(scene.only_release().release, "over")
    scene.write_latest(arn("v3"))
    execute(scene.world(), seen, step)
    assert scene.parameter("latest") == arn("v3")


def test_a_restore_does_not_land_on_a_write_that_is_newer_still():
    scene = opened()
    seen = observe(scene.world(), APP, {}, [])
    scene.write_latest(arn("v3"))
    execute(scene.world(), seen, RestoreLatest(arn("v9"), scene.only_release().release, 1, "lost"))
    assert scene.parameter("latest") == arn("v3")


def test_a_blank_by_hand_withdraws_though_it_inherited_our_description():
    """`put-parameter` without a description may keep the one that was there: ours."""
    scene = opened()
    spend(scene, 1)
    scene.end_workflows(ExecutionStatus.FAILED)
    scene.flip()
    ours = scene.parameters.versions[APP, "latest"][-1].description
    assert ours.endswith(":blank")
    scene.parameters.put(APP, "latest", arn("v3"), ours)
    scene.flip()
    scene.parameters.put(APP, "latest", "NONE", ours)
    scene.flip()
    assert scene.parameter("latest") == "NONE"
    assert [release.state for release in scene.all_releases()] == [ReleaseState.ABORTED, ReleaseState.ABORTED]


def test_current_written_by_somebody_else_during_a_flip_holds_the_release_and_overwrites_nothing():
    scene = opened()
    spend(scene)
    scene.end_workflows()

    def meddle(_: int, name: str, when: str) -> None:
        if name == "ssm.write previous" and when == "after":
            scene.calls.let_live()
            scene.parameters.put(APP, "current", arn("v9"))

    scene.calls.on_call = meddle
    scene.flip()
    assert (scene.only_release().state, scene.parameter("current")) == (ReleaseState.HELD, arn("v9"))
    assert ("Release Held") in [kind for _, kind in scene.notices.sent]
    scene.ask(Verb.RESUME)
    scene.flip()
    assert (scene.parameter("current"), scene.parameter("previous")) == (arn("v2"), arn("v9"))


def test_a_current_that_was_written_late_does_not_land_on_a_newer_one():
    scene = promoted()
    seen = observe(scene.world(), APP, {}, [])
    execute(scene.world(), seen, WriteParameter("current", arn("v9"), "late", over=1))
    assert scene.parameter("current") == arn("v2")


def test_the_mirror_keeps_what_may_be_called():
    scene = Scene()
    scene.flip()
    scene.parameters.put(APP, "current", arn("v1").replace("transformer-", "payments-"))
    scene.flip()
    mirror = scene.releases.items[APP].mirror
    assert mirror is not None
    assert mirror.value == arn("v1")
