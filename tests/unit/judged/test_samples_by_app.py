"""The control sample that says how current's workflows are named: one for each app and router process."""

from __future__ import annotations

import json

from canary.domain.audit import Arm
from canary.routing.router import Request
from tests.fakes.scene import APP, Scene, arn

OTHER = "reporter"
HALF = {"stages": [{"weight": 50}]}
LOSES = 0.99


def test_with_releases_of_two_apps_each_is_sampled_once():
    scene = Scene(plan=HALF)
    scene.parameters.put(OTHER, "plan", json.dumps(HALF))
    scene.parameters.put(OTHER, "current", arn("v3"))
    for app, latest in ((APP, "v2"), (OTHER, "v4")):
        scene.parameters.put(app, "latest", arn(latest))
    scene.flip()
    desk = scene.desk(LOSES)
    for app in (APP, OTHER) * 3:
        desk.take(Request(app=app, body=b"{}", deadline=scene.clock.now + 28_000), "key-id", None)
    assert sorted((row.app, row.arm) for row in scene.rows()) == [(OTHER, Arm.CURRENT), (APP, Arm.CURRENT)]
