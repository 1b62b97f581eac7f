"""One pass for each app at a time."""

from __future__ import annotations

from tests.fakes.scene import APP, Scene, arn


def test_a_flipper_that_finds_the_lease_held_does_nothing_else():
    scene = Scene()
    scene.write_latest(arn("v2"))
    now = scene.clock.now
    assert scene.releases.lease(APP, "another", now, now + 10**9)
    before = len(scene.calls.log)
    assert [done.result for done in scene.flip()] == ["busy"]
    assert scene.calls.log[before:] == ["ssm.apps", "ddb.apps", "ddb.lease", "ddb.lease word"]
    assert scene.all_releases() == []
