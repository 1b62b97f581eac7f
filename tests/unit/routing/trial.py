"""A release on trial, and stacks that fail."""

from __future__ import annotations

from canary.domain.call import Call, CallResult
from canary.domain.states import ReleaseState
from tests.fakes.scene import Scene, arn


def on_trial(plan=None, target=None) -> Scene:
    scene = Scene(plan=plan)
    scene.write_latest(target or arn("v2"))
    scene.flip()
    assert scene.only_release().state is ReleaseState.RUNNING
    return scene


def failed(result: CallResult, error: str = "broken") -> Call:
    return Call(result=result, error=error)
