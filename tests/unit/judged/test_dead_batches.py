"""Processes that are gone: what they had not used of their batches comes back, however many of them there were."""

from __future__ import annotations

from collections import Counter

import pytest

from canary.domain.audit import GRACE_MS
from canary.domain.batch import BATCH_MS
from tests.fakes.scene import LONG_MS, Scene, machine

SHARE = {"stages": [{"weight": 5, "bake": "10h"}], "max_failure_rate": 0.2}
DEAD_MS = BATCH_MS + GRACE_MS


def left_by(processes: int, *, requests: int = 2) -> Scene:
    """A release whose slots so many processes have taken, and given out ``requests`` each, before they died."""
    scene = Scene(plan=SHARE, current=machine("v1"))
    scene.ran_before(every_ms=1_000)
    scene.write_latest(machine("v2"))
    scene.flip()
    for _ in range(processes):
        desk = scene.desk()
        for _ in range(requests):
            scene.send(desk)
        scene.clock.now -= requests
    return scene


def flip_at(scene: Scene, now: int) -> Counter[str]:
    """Make a pass at a moment, and tell its calls."""
    scene.clock.now = now - LONG_MS
    before = Counter(scene.calls.log)
    scene.flip()
    return Counter(scene.calls.log) - before


@pytest.mark.parametrize(("processes", "writes"), [(1, 1), (50, 1), (120, 3)])
def test_the_rows_of_all_that_died_are_counted_by_one_query_and_taken_back_by_few_writes(processes, writes):
    scene, alive = left_by(processes), left_by(processes)
    quiet = flip_at(alive, alive.clock.now + 1_000)
    made = flip_at(scene, scene.clock.now + DEAD_MS + 10_000)
    assert (made["ddb.of_batches"], quiet["ddb.of_batches"]) == (1, 0)
    assert made["ddb.save"] - quiet["ddb.save"] == writes
    release = scene.only_release()
    assert (release.batches, release.claimed, len(scene.rows())) == ({}, 2 * processes, 2 * processes)


def test_of_several_that_died_each_gives_back_what_it_had_not_used():
    scene = left_by(1, requests=1)
    for requests in (2, 5):
        desk = scene.desk()
        for _ in range(requests):
            scene.send(desk)
    release = scene.only_release()
    assert sorted(batch.slots for batch in release.batches.values()) == [1, 2, 4], "with those that had come back: 1, 3 and 7"
    flip_at(scene, scene.clock.now + DEAD_MS + 1)
    assert (scene.only_release().batches, scene.only_release().claimed) == ({}, 8)


def test_while_a_row_may_still_come_a_batch_stays():
    scene = left_by(1, requests=1)
    (first,) = scene.only_release().batches.values()
    scene.clock.now = first.taken_at + 30_000
    late = scene.desk()
    for _ in range(2):
        scene.send(late)
    flip_at(scene, first.taken_at + DEAD_MS + 100)
    release = scene.only_release()
    assert [batch.taken_at > first.taken_at for batch in release.batches.values()] == [True]
    flip_at(scene, scene.clock.now + DEAD_MS)
    assert (scene.only_release().batches, scene.only_release().claimed) == ({}, 3)


def test_what_comes_back_meanwhile_is_not_taken_back_again():
    scene = left_by(60, requests=1)
    desk = scene.desk()
    for _ in range(2):
        scene.send(desk)
    last = scene.clock.now

    def gives_back(_: int, name: str, when: str) -> None:
        if (name, when) == ("ddb.of_batches", "after"):
            scene.calls.on_call = None
            scene.send(desk)

    scene.calls.on_call = gives_back
    flip_at(scene, last + DEAD_MS + 100)
    release = scene.only_release()
    used, unused = len(scene.rows()), sum(batch.slots for batch in release.batches.values())
    assert used <= release.claimed <= used + unused
    flip_at(scene, scene.clock.now + DEAD_MS + LONG_MS)
    assert (scene.only_release().batches, scene.only_release().claimed) == ({}, 63)
