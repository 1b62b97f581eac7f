"""A watch that knows nothing of durations: it counts all failures all the same."""

from __future__ import annotations

import pytest

from canary.domain.audit import ExecutionStatus
from canary.domain.states import ReleaseState
from canary.flipping import watch
from tests.fakes import stacks
from tests.fakes.scene import LONG_MS, Scene, machine

HOUR_MS = 3_600_000


@pytest.fixture(autouse=True)
def _short_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MOST_PAST", 40)
    monkeypatch.setattr(stacks, "MOST_PAST", 40)
    monkeypatch.setattr(stacks, "_PAGE", 10)


def promoted() -> Scene:
    """A release in its watch; its current had so short a history that nothing is known of durations."""
    plan = {"stages": [{"quota": 2}], "watch": "10h", "max_failure_rate": 0.9}
    scene = Scene(plan=plan, current=machine("v1"))
    scene.ran_before(10, 5)
    scene.write_latest(machine("v2"))
    scene.flip()
    scene.spend()
    scene.end_workflows()
    scene.flip()
    assert scene.only_release().state is ReleaseState.WATCHING
    assert not scene.only_release().baseline.timed
    return scene


def ran(scene: Scene, number: int, failed: int) -> None:
    """So many requests went to the promoted stack a while ago; every second one failed, until ``failed`` had."""
    made = len(scene.stacks.executions)
    for each in range(number):
        status = ExecutionStatus.FAILED if each % 2 and each < 2 * failed else ExecutionStatus.SUCCEEDED
        at = scene.clock.now + each * 50_000 // number
        scene.stacks.ran(machine("v2"), f"{made + each:026d}", started_at=at, duration_ms=5, status=status)


def test_more_failures_than_a_list_holds_are_all_counted():
    """Else what fails for hours would look ever better, the longer it does: of ever more starts so many failed at least."""
    scene = promoted()
    for _ in range(8):
        ran(scene, 30, failed=15)
        scene.flip()
    assert (scene.only_release().watched.started, scene.only_release().state) == (240, ReleaseState.WATCHING)
    scene.clock.pass_by(11 * HOUR_MS - LONG_MS)
    scene.flip()
    assert scene.only_release().reason == "watched: 120 of 240 executions failed since the promotion"


def test_few_failures_are_read_anew_so_that_none_is_missed_that_ends_late():
    scene = promoted()
    ran(scene, 30, failed=15)
    late = scene.stacks.ran(machine("v2"), f"{0:026d}", started_at=scene.clock.now, duration_ms=0, status=ExecutionStatus.RUNNING)
    scene.flip()
    assert scene.only_release().watched.failed_until == scene.only_release().watched.since
    scene.stacks.end(late.rsplit(":", 1)[1], ExecutionStatus.FAILED)
    scene.flip()
    scene.clock.pass_by(11 * HOUR_MS - LONG_MS)
    scene.flip()
    assert scene.only_release().reason == "watched: 16 of 31 executions failed since the promotion"
