"""The emergency stop against a flipper that is about to open a gate."""

from __future__ import annotations

import pytest

from canary.domain.states import Gate
from tests.fakes.scene import APP, Scene, arn


@pytest.mark.parametrize("at", range(40))
def test_a_pass_made_at_any_call_of_a_stop_leaves_no_gate_open(at):
    """Whatever of the stop is done by then, a gate that the pass opens is closed once the stop has returned."""
    scene = Scene()
    scene.write_latest(arn("v2"))
    operator, start = scene.operator(), len(scene.calls.log)

    def interrupt(number: int, _: str, when: str) -> None:
        if number - start == at and when == "before":
            scene.calls.on_call = None
            scene.flip()

    scene.calls.on_call = interrupt
    operator.stop(APP, "an emergency")
    scene.calls.on_call = None
    assert all(release.gate is Gate.CLOSED for release in scene.all_releases())


@pytest.mark.parametrize("at", range(40))
def test_a_stop_at_any_call_of_a_pass_leaves_no_gate_open(at):
    """The pass opens a release, which may be known to the stop already or not."""
    scene = Scene()
    scene.write_latest(arn("v2"))
    operator, start = scene.operator(), len(scene.calls.log)

    def interrupt(number: int, _: str, when: str) -> None:
        if number - start == at and when == "before":
            scene.calls.on_call = None
            operator.stop(APP, "an emergency")

    scene.calls.on_call = interrupt
    scene.flip()
    if scene.releases.items[APP].stopped is None:  # the pass made fewer calls
        scene.calls.on_call = None
        operator.stop(APP, "an emergency")
    scene.flip()
    assert all(release.gate is Gate.CLOSED for release in scene.all_releases())
