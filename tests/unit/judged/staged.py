"""A judged release whose stages a test plays through."""

from __future__ import annotations

from canary.domain.audit import ExecutionStatus
from canary.domain.states import ReleaseState
from tests.fakes.scene import LONG_MS, Scene, machine

HOUR_MS = 3_600_000
_S = ReleaseState


def opened(*stages: object, **plan: object) -> Scene:
    scene = Scene(plan={"stages": list(stages), **plan}, current=machine("v1"))
    scene.ran_before(500, 2)
    scene.write_latest(machine("v2"))
    scene.flip()
    assert scene.only_release().state is _S.RUNNING
    return scene


def run(scene: Scene, number: int, status: ExecutionStatus = ExecutionStatus.SUCCEEDED) -> None:
    assert scene.spend(number) == number
    scene.end_workflows(status)
    scene.flip()


def later(scene: Scene, milliseconds: int) -> None:
    """Let time pass, and make a pass right after it."""
    scene.clock.pass_by(milliseconds - LONG_MS)
    scene.flip()
