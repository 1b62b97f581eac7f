"""Scenes that tests of a life begin with."""

from __future__ import annotations

from canary.domain.states import ReleaseState
from tests.fakes.scene import Scene, arn

HOUR_MS = 3_600_000


def opened(plan=None, *, latest: str | None = None) -> Scene:
    scene = Scene(plan=plan)
    scene.write_latest(latest or arn("v2"))
    scene.flip()
    return scene


def spend(scene: Scene, number: int = 2) -> None:
    desk = scene.desk()
    for _ in range(number):
        assert scene.send(desk).body["routed_to"] == "latest"


def promoted() -> Scene:
    scene = opened()
    spend(scene)
    scene.end_workflows()
    scene.flip()
    assert scene.only_release().state is ReleaseState.PROMOTED
    return scene
