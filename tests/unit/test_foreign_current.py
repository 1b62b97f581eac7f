"""Somebody else writes current while a release is being promoted."""

from __future__ import annotations

from itertools import count

from tests.fakes.scene import APP, Scene, arn


def promoted_while_somebody_writes(at: int) -> tuple[Scene, str]:
    """A promotion, with a foreign current right before call ``at`` of its pass; that call's name, empty: there was none."""
    scene = Scene()
    scene.write_latest(arn("v2"))
    scene.flip()
    scene.spend()
    scene.end_workflows()
    start, called = len(scene.calls.log), [""]

    def write(number: int, name: str, when: str) -> None:
        if number - start == at and when == "before":
            called[0] = name
            scene.parameters.put(APP, "current", arn("v9"))

    scene.calls.on_call = write
    scene.flip()
    scene.calls.on_call = None
    return scene, called[0]


def test_a_foreign_current_is_overwritten_by_no_flip_that_did_not_start_from_it():
    """But for what lands between the last look and the write: Parameter Store has no compare-and-set."""
    tried = 0
    for at in count():
        scene, name = promoted_while_somebody_writes(at)
        if not name:
            break
        kept = scene.parameter("current") == arn("v9")
        started_from_it = scene.parameter("previous") == arn("v9")
        assert kept or started_from_it or name == "ssm.write current", (at, name)
        tried += 1
    assert tried > 20
