"""What runs unseen: rows that the index of rows in flight does not show yet, and what that keeps from being credited."""

from __future__ import annotations

import pytest

from canary.domain.audit import ExecutionStatus
from canary.domain.batch import LAG_MS, Batch, unseen_since
from tests.fakes.audit import FakeAudit
from tests.fakes.scene import LONG_MS, Scene, machine

NOW = 1_795_246_200_000


class Lagging(FakeAudit):
    """An index that shows rows in no order: one may be hidden for longer than those that were put after it."""

    hidden: frozenset[str] = frozenset()

    def in_flight(self, app: str, release: str) -> tuple[str, ...]:
        return tuple(name for name in super().in_flight(app, release) if name not in self.hidden)


def opened(stages: list[object]) -> tuple[Scene, Lagging]:
    scene = Scene(plan={"stages": stages, "max_failure_rate": 0.2}, current=machine("v1"))
    audit = Lagging(scene.calls)
    scene.audit = audit
    scene.ran_before(every_ms=1_000)
    scene.write_latest(machine("v2"))
    scene.flip()
    return scene, audit


def flip_after(scene: Scene, milliseconds: int) -> None:
    scene.clock.now += milliseconds - LONG_MS
    scene.flip()


@pytest.mark.parametrize("status", [ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED])
def test_behind_a_row_of_a_batch_that_the_index_does_not_show_yet_nothing_is_credited(status):
    """Its batch has come back, and those of the batch that is open now are as many as the counters miss."""
    scene, audit = opened([{"weight": 5, "bake": "10h"}])
    desk = scene.desk()
    first, second, *_ = (scene.send(desk).body["request_id"] for _ in range(4))
    audit.hidden = frozenset({first})
    scene.stacks.end(second, status)
    flip_after(scene, 1_000)
    release = scene.only_release()
    assert release.tally.known == 1, "what has ended is counted at once"
    assert release.gathered.prefix.finished == 0, "what was claimed before it may still run"
    audit.hidden = frozenset()
    scene.end_workflows()
    flip_after(scene, 200_000)
    flip_after(scene, 1_000)
    assert scene.only_release().gathered.settled_before(None).prefix.finished == 4


@pytest.mark.parametrize("hidden", [1, 2])
def test_where_each_request_claims_its_own_slot_the_counters_tell_that_some_are_missing(hidden):
    scene, audit = opened([{"quota": 20, "weight": 100}])
    ids = [scene.send().body["request_id"] for _ in range(3)]
    flip_after(scene, 500)
    assert scene.only_release().open == {}, "all are found through the index alone from now on"
    audit.hidden = frozenset(ids[:hidden])
    for name in ids[hidden:]:
        scene.stacks.end(name, ExecutionStatus.SUCCEEDED)
    flip_after(scene, 1_000)
    release = scene.only_release()
    assert (release.tally.succeeded, release.gathered.prefix.finished) == (3 - hidden, 0)
    audit.hidden = frozenset()
    scene.end_workflows()
    flip_after(scene, 1_000)
    assert scene.only_release().gathered.settled_before(None).prefix.finished == 3


def test_without_batches_nothing_runs_unseen_and_with_some_what_came_a_little_before_the_oldest_may():
    assert unseen_since([]) is None
    assert unseen_since([Batch(1, NOW + 5), Batch(7, NOW), Batch(2, NOW + 9)]) == NOW - LAG_MS
