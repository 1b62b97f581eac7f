"""A promotion that is taken back, or cannot be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from canary.domain.release import Verb
from canary.domain.states import ReleaseState
from canary.flipping.flipper import Flipper
from tests.fakes.calls import Killed
from tests.fakes.scene import APP, arn
from tests.unit.lifecycle.scenes import opened, promoted, spend


def test_a_rollback_restores_previous_and_quarantines_what_it_took_back():
    scene = opened()
    spend(scene)
    scene.end_workflows()
    scene.flip()
    scene.ask(Verb.ROLLBACK, "wrong numbers")
    scene.flip()
    assert (scene.parameter("current"), scene.parameter("previous")) == (arn("v1"), "NONE")
    assert scene.only_release().state is ReleaseState.ROLLED_BACK
    assert arn("v2") in scene.releases.items[APP].quarantine
    assert scene.send().body["routed_to"] == "current"


def test_a_promotion_is_told_also_where_its_rollback_is_asked_for_at_once_and_stops():
    scene = opened()
    spend(scene)
    scene.end_workflows()

    asked: list[str] = []

    def meanwhile(_: int, call: str, when: str) -> None:
        release = scene.only_release()
        if release.state is ReleaseState.WATCHING and scene.releases.items[APP].promoted and not asked:
            asked.append(call)
            scene.ask(Verb.ROLLBACK, "wrong numbers")
        if release.state is ReleaseState.ROLLING_BACK and when == "after":
            scene.calls.let_live()
            scene.parameters.put(APP, "current", arn("v9"))

    scene.calls.on_call = meanwhile
    scene.flip()
    scene.flip()
    assert (scene.only_release().state, scene.parameter("current"), len(asked)) == (ReleaseState.PROMOTED, arn("v9"), 1)
    assert [kind for _, kind in scene.notices.sent] == ["Release Opened", "Stage Passed", "Release Promoted", "Release Held"]


@pytest.mark.parametrize("name", ["current", "previous"])
@pytest.mark.parametrize("promotions", [1, 2])
def test_a_rollback_right_after_the_promotion_does_not_follow_what_was_read_too_early(name, promotions):
    scene = promoted()
    if promotions == 2:
        scene.write_latest(arn("v3"))
        scene.flip()
        spend(scene)
        scene.end_workflows()
        scene.flip()
    before, after = scene.parameter("previous"), scene.parameter("current")
    versions = scene.parameters.versions[APP, name]
    hidden = []

    def read_late(_: int, call: str, when: str) -> None:
        if call == "ssm.read" and when == "before":
            hidden.append(versions.pop())
        elif call == "ssm.read":
            versions.append(hidden.pop())

    scene.ask(Verb.ROLLBACK, "wrong numbers")
    scene.clock.now = scene.all_releases()[-1].since + 1_500
    scene.calls.on_call = read_late
    Flipper(scene.world(), lambda *_, **__: None, owner="early").run()
    scene.calls.on_call = None
    assert (scene.parameter("current"), scene.parameter("previous")) == (after, before)
    assert len(scene.all_releases()[-1].asks) == 1
    scene.flip()
    assert (scene.parameter("current"), scene.parameter("previous")) == (before, "NONE")
    assert scene.all_releases()[-1].state is ReleaseState.ROLLED_BACK


def test_a_rollback_that_an_older_version_has_begun_is_finished():
    scene = promoted()
    scene.ask(Verb.ROLLBACK, "wrong numbers")

    def die(_: int, call: str, when: str) -> None:
        if call == "ssm.write previous" and when == "before":
            raise Killed(call)

    scene.calls.on_call = die
    with pytest.raises(Killed):
        scene.flip()
    scene.calls.on_call = None
    [(key, half)] = scene.releases.releases.items()
    assert half.state is ReleaseState.ROLLING_BACK
    scene.releases.releases[key] = replace(half, flip=None)  # so it said that current was written
    scene.flip()
    assert scene.only_release().state is ReleaseState.ROLLED_BACK
    assert scene.parameter("previous") == "NONE"
    assert arn("v2") in scene.releases.items[APP].quarantine


def test_a_rollback_aborts_a_running_release_first():
    scene = opened()
    spend(scene)
    scene.end_workflows()
    scene.flip()
    scene.write_latest(arn("v3"))
    scene.flip()
    scene.ask(Verb.ROLLBACK)
    scene.flip()
    assert [release.state for release in scene.all_releases()] == [ReleaseState.ROLLED_BACK, ReleaseState.ABORTED]
    assert (scene.parameter("current"), scene.parameter("latest")) == (arn("v1"), "NONE")


def test_a_rollback_after_current_was_changed_by_hand_is_refused():
    scene = opened()
    spend(scene)
    scene.end_workflows()
    scene.flip()
    scene.parameters.put(APP, "current", arn("v9"))
    scene.ask(Verb.ROLLBACK)
    scene.flip()
    assert (scene.only_release().state, scene.parameter("current")) == (ReleaseState.PROMOTED, arn("v9"))
    assert scene.only_release().history[-1].what == "rollback refused"


@pytest.mark.parametrize(
    ("previous", "reason"),
    [
        ("arn:aws:lambda:eu-west-1:999999999999:function:transformer-v1:live", "only account"),
        (arn("gone"), "it does not exist"),
        (arn("v2"), "previous is the same stack"),
    ],
)
def test_a_rollback_to_what_could_not_serve_is_refused(previous, reason):
    scene = promoted()
    scene.stacks.problems[arn("gone")] = "it does not exist"
    scene.parameters.put(APP, "previous", previous)
    scene.ask(Verb.ROLLBACK)
    scene.flip()
    assert (scene.parameter("current"), scene.only_release().state) == (arn("v2"), ReleaseState.PROMOTED)
    assert reason in scene.only_release().history[-1].why
    assert scene.releases.items[APP].quarantine == {}


def test_a_rollback_does_not_wait_for_step_functions():
    scene = promoted()
    scene.write_latest(arn("v3"))
    scene.flip()
    spend(scene, 1)
    scene.ask(Verb.ABORT)
    scene.operator().ask(APP, Verb.ROLLBACK, "it is wrong", scene.all_releases()[0].release)
    scene.calls.down = {"sfn"}
    (done,) = scene.flip()
    assert done.result == "failed"
    assert "cannot be followed" in (done.error or "")
    assert scene.parameter("current") == arn("v1")
    assert [release.state for release in scene.all_releases()] == [ReleaseState.ROLLED_BACK, ReleaseState.ABORTED]


def test_a_rollback_that_lands_when_the_next_promotion_is_over_is_refused_and_not_forgotten():
    """Who asks has read that this one was promoted last; until the ask is written, the next one is, and this one is let go."""
    scene = promoted()
    asked: list[str] = []

    def meanwhile(_: int, call: str, when: str) -> None:
        if (call, when) == ("ddb.save", "before") and not asked:
            asked.append(call)
            scene.write_latest(arn("v3"))
            scene.flip()
            spend(scene)
            scene.end_workflows()
            scene.flip()
            assert scene.releases.items[APP].followed == ()

    scene.calls.on_call = meanwhile
    scene.ask(Verb.ROLLBACK, "wrong numbers")
    assert asked
    scene.flip()
    first, second = scene.all_releases()
    assert (first.asks, first.history[-1].what, first.history[-1].who) == ((), "rollback refused", "ops")
    assert (second.state, scene.parameter("current")) == (ReleaseState.PROMOTED, arn("v3"))
    assert scene.releases.items[APP].followed == ()
