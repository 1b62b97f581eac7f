"""A rollback that is taken back: at once while the stack was current a short while ago, by a trial of its own later."""

from __future__ import annotations

import pytest

from canary.domain.app import Version
from canary.domain.audit import ExecutionStatus
from canary.domain.release import Release, Verb
from canary.domain.states import ReleaseState
from tests.fakes.scene import APP, LONG_MS, Scene, arn

HOUR_MS = 3_600_000
_S = ReleaseState


def rolled_back(**plan: object) -> Scene:
    scene = Scene(plan={"stages": [{"quota": 2}], **plan})
    scene.write_latest(arn("v2"))
    scene.flip()
    scene.spend()
    scene.end_workflows()
    scene.flip()
    scene.ask(Verb.ROLLBACK, "wrong numbers")
    scene.flip()
    assert (scene.only_release().state, scene.parameter("current")) == (_S.ROLLED_BACK, arn("v1"))
    return scene


def taken_back(scene: Scene) -> Release:
    scene.ask(Verb.ROLLBACK, "the numbers were right")
    scene.flip()
    return scene.all_releases()[0]


def test_it_is_current_again_at_once():
    scene = rolled_back()
    release = taken_back(scene)
    assert (release.state, release.returning) == (_S.PROMOTED, False)
    assert (scene.parameter("current"), scene.parameter("previous"), scene.parameter("latest")) == (arn("v2"), arn("v1"), "NONE")
    assert scene.releases.items[APP].quarantine == {}
    assert scene.releases.items[APP].mirror is not None
    assert scene.releases.items[APP].mirror.value == arn("v2")
    assert (release.verdict or "").endswith("it was current before; rollback by ops: the numbers were right")
    assert [kind for _, kind in scene.notices.sent][-1] == "Release Promoted"
    assert scene.send().body["routed_to"] == "current"
    assert len(scene.sent_to("v2")) == 3


def test_there_and_back_again_as_often_as_one_likes():
    scene = rolled_back()
    for current in ("v2", "v1", "v2", "v1"):
        scene.ask(Verb.ROLLBACK)
        scene.flip()
        assert scene.parameter("current") == arn(current)


def test_there_is_no_second_watch():
    scene = rolled_back(watch="2h")
    assert taken_back(scene).state is _S.PROMOTED


@pytest.mark.parametrize(("hours", "state"), [(71, _S.PROMOTED), (72, _S.ROLLED_BACK), (200, _S.ROLLED_BACK)])
def test_after_72_hours_it_has_to_prove_itself_anew(hours, state):
    scene = rolled_back()
    since = scene.only_release().since
    scene.clock.now = since + hours * HOUR_MS - LONG_MS
    release = taken_back(scene)
    assert (release.state, release.asks) == (state, ())
    if state is _S.ROLLED_BACK:
        assert scene.parameter("current") == arn("v1")
        assert "canary retry transformer" in release.history[-1].why


def test_a_release_that_runs_is_aborted_first():
    scene = rolled_back()
    scene.write_latest(arn("v3"))
    scene.flip()
    assert taken_back(scene).state is _S.PROMOTED
    assert [release.state for release in scene.all_releases()] == [_S.PROMOTED, _S.ABORTED]
    assert (scene.parameter("current"), scene.parameter("latest")) == (arn("v2"), "NONE")


def test_only_the_last_promotion_returns():
    scene = rolled_back()
    scene.write_latest(arn("v3"))
    scene.flip()
    scene.spend()
    scene.end_workflows()
    scene.flip()
    assert scene.parameter("current") == arn("v3")
    first = scene.all_releases()[0]
    with pytest.raises(Exception, match="only the last promotion"):
        scene.ask(Verb.ROLLBACK, release=first.release)


def test_what_is_current_already_is_not_flipped():
    scene = rolled_back()
    scene.parameters.put(APP, "current", arn("v2"))
    release = taken_back(scene)
    assert (release.state, release.history[-1].why) == (_S.ROLLED_BACK, "it is the current stack already")


def test_current_that_changes_hands_meanwhile_is_not_overwritten_and_it_stays_rolled_back():
    scene = rolled_back()

    def meddle(_: int, name: str, when: str) -> None:
        if name == "ssm.write previous" and when == "after":
            scene.calls.let_live()
            scene.parameters.put(APP, "current", arn("v9"))

    scene.calls.on_call = meddle
    release = taken_back(scene)
    assert (release.state, scene.parameter("current"), release.returning) == (_S.ROLLED_BACK, arn("v9"), False)
    assert (release.reason or "").startswith("it cannot return")
    assert [kind for _, kind in scene.notices.sent][-1] == "Release Held"


def test_two_who_ask_at_the_same_time_mean_the_same():
    scene = Scene(plan={"stages": [{"quota": 2}]})
    scene.write_latest(arn("v2"))
    scene.flip()
    scene.spend()
    scene.end_workflows()
    scene.flip()
    for state, current in ((_S.ROLLED_BACK, "v1"), (_S.PROMOTED, "v2")):
        scene.ask(Verb.ROLLBACK, "first")
        scene.ask(Verb.ROLLBACK, "second")
        scene.flip()
        assert (scene.only_release().state, scene.parameter("current")) == (state, arn(current))


def test_a_write_to_latest_while_it_returns_becomes_the_next_release():
    scene = rolled_back()

    def tag(_: int, name: str, when: str) -> None:
        if name == "ssm.write current" and when == "after":
            scene.calls.let_live()
            scene.write_latest(arn("v3"))

    scene.calls.on_call = tag
    assert taken_back(scene).state is _S.PROMOTED
    scene.flip()
    assert [release.state for release in scene.all_releases()] == [_S.PROMOTED, _S.RUNNING]


def test_a_quarantine_of_a_later_failure_stays():
    """It was tried again after the rollback, and failed: what quarantined it then is not lifted by the return."""
    scene = rolled_back()
    scene.operator().retry(APP, arn("v2"))
    scene.write_latest(arn("v2"))
    scene.flip()
    scene.spend()
    scene.end_workflows(ExecutionStatus.FAILED)
    scene.flip()
    assert scene.releases.items[APP].quarantine[arn("v2")].release == scene.all_releases()[1].release
    assert taken_back(scene).state is _S.PROMOTED
    assert arn("v2") in scene.releases.items[APP].quarantine


def read_late(scene: Scene, name: str, state: ReleaseState) -> list[str]:
    """Answer three reads in ``state`` as the parameter was before its newest write; what was read late is added to the list."""
    versions = scene.parameters.versions[APP, name]
    hidden: list[Version] = []
    late: list[str] = []

    def meanwhile(_: int, call: str, when: str) -> None:
        if call != "ssm.read" or scene.all_releases()[0].state is not state or len(late) == 3:
            return
        if when == "before":
            hidden.append(versions.pop())
        elif hidden:
            late.append(versions[-1].value)
            versions.append(hidden.pop())

    scene.calls.on_call = meanwhile
    return late


def test_a_current_that_is_read_as_it_was_before_the_rollback_is_not_taken_for_written():
    scene = rolled_back()
    late = read_late(scene, "current", _S.PROMOTING)
    assert taken_back(scene).state is _S.PROMOTED
    assert late == [arn("v2")] * 3
    assert scene.parameter("current") == arn("v2")


def test_a_previous_that_is_read_as_it_was_before_the_rollback_is_not_taken_for_written():
    scene = rolled_back()
    late = read_late(scene, "previous", _S.PROMOTING)
    assert taken_back(scene).state is _S.PROMOTED
    assert arn("v1") in late
    assert scene.parameter("previous") == arn("v1")


def test_a_previous_that_is_read_as_it_was_before_the_return_is_not_taken_for_blank():
    scene = rolled_back()
    taken_back(scene)
    late = read_late(scene, "previous", _S.ROLLING_BACK)
    scene.ask(Verb.ROLLBACK, "wrong after all")
    scene.flip()
    assert (scene.only_release().state, scene.parameter("current")) == (_S.ROLLED_BACK, arn("v1"))
    assert "NONE" in late
    assert scene.parameter("previous") == "NONE"
