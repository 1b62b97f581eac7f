"""Passes of the flipper: over all apps, with part of AWS down, and with nothing to do."""

from __future__ import annotations

from canary.domain.audit import ExecutionStatus
from canary.domain.states import ReleaseState
from canary.errors import Unavailable
from canary.flipping.flipper import Flipper
from tests.fakes.scene import APP, Scene, arn
from tests.unit.lifecycle.scenes import HOUR_MS, opened, spend


def test_a_topic_that_does_not_answer_does_not_keep_a_release_from_being_stopped():
    scene = opened()
    spend(scene, 1)
    scene.calls.down = {"events"}
    scene.end_workflows(ExecutionStatus.FAILED)
    assert [done.result for done in scene.flip()] == ["failed"]
    assert scene.only_release().state is ReleaseState.ABORTED
    scene.calls.down = set()
    scene.flip()
    assert "Release Aborted" in [kind for _, kind in scene.notices.sent]


def test_an_app_whose_pass_fails_does_not_stop_the_others():
    scene = Scene()
    scene.parameters.put("another", "current", arn("v1"))
    scene.parameters.put("another", "latest", arn("v2"))

    def fail(_: int, name: str, when: str) -> None:
        if name == "stack.problem":
            raise Unavailable("Lambda", "ServiceException", "down")

    scene.calls.on_call = fail
    results = {done.app: done.result for done in scene.flip()}
    assert results == {"another": "failed", APP: "done"}
    assert ("PassFailed", "another") in scene.counts


def test_a_pass_that_finds_nothing_new_writes_nothing_but_its_lease():
    scene = opened()
    spend(scene)
    scene.flip()
    before = len(scene.calls.log)
    scene.flip()
    made = scene.calls.log[before:]
    assert {name for name in made if name.startswith(("ssm.write", "ddb.save", "ddb.create", "ddb.update", "ddb.put"))} == set()


def test_a_failed_pass_is_not_recorded_as_the_last_one():
    scene = opened()
    scene.calls.down = {"ssm"}
    before = scene.releases.last_passes[APP]
    scene.clock.pass_by(HOUR_MS)
    scene.flip()
    assert scene.releases.last_passes[APP] == before


def test_no_app_is_always_the_last_and_none_is_begun_without_time():
    scene = Scene()
    for name in ("alpha", "beta"):
        scene.parameters.put(name, "current", arn("v1"))
    begun = set()
    for _ in range(3):
        scene.clock.pass_by(60_000)
        flipper = Flipper(scene.world(), lambda *_, **__: None, owner=f"flipper-{scene.clock()}")
        passes = flipper.run(until=scene.clock.now + 8)
        begun.add(passes[0].app)
        assert len(passes) < 3
    assert begun == {"alpha", "beta", APP}


def test_an_app_that_nobody_knows_is_not_made_by_asking_for_it():
    scene = Scene()
    Flipper(scene.world(), lambda *_, **__: None).run(first=["typo"])
    assert "typo" not in scene.releases.leases
    assert list(scene.releases.items) == [APP]


def test_a_release_that_cannot_be_read_does_not_keep_the_others_waiting():
    """An old one that ended long ago, say, in words of a version that was taken back."""
    scene = opened()
    spend(scene)
    scene.end_workflows()
    scene.calls.fail(Unavailable("DynamoDB", "Unreadable", "release 00000001 cannot be understood"), "ddb.recent")
    (done,) = scene.flip()
    assert scene.only_release().state is ReleaseState.PROMOTED
    assert (done.result, "cannot be understood" in (done.error or "")) == ("failed", True)
