"""Slots in batches: a stage that sends a share of the traffic costs no write for each request, and never exceeds its grant."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from canary.domain.audit import GRACE_MS
from canary.domain.batch import BATCH_MS, LAG_MS
from canary.domain.release import Verb
from canary.errors import Unavailable
from tests.fakes.calls import Killed
from tests.fakes.scene import APP, Scene, machine

SHARE = {"stages": [{"weight": 5, "bake": "10h"}], "max_failure_rate": 0.2}


def opened(**changes: object) -> Scene:
    scene = Scene(plan={**SHARE, **changes}, current=machine("v1"))
    scene.ran_before(every_ms=1_000)
    scene.write_latest(machine("v2"))
    scene.flip()
    return scene


def calls(scene: Scene) -> Counter[str]:
    return Counter(scene.calls.log)


def test_a_process_with_traffic_takes_ever_larger_batches():
    scene = opened()
    desk = scene.desk()
    before = calls(scene)
    for _ in range(200):
        scene.send(desk)
    made = calls(scene) - before
    assert made["ddb.claim"] == 0
    assert made["ddb.claim_batch"] == 8, "1, 2, 4, 8, 16, 32, 64, 128"
    assert (len(scene.rows()), scene.only_release().claimed) == (200, 255)
    assert {row.batch for row in scene.rows()} >= set(scene.only_release().batches)


def test_where_requests_are_counted_each_claims_its_own_slot():
    scene = opened(stages=[{"quota": 3, "weight": 100}, {"weight": 5, "bake": "1h"}])
    assert scene.spend(3) == 3
    assert (calls(scene)["ddb.claim_batch"], scene.only_release().batches, {row.batch for row in scene.rows()}) == (0, {}, {None})


def test_of_a_batch_nothing_is_given_out_after_its_time_and_what_is_left_comes_back_with_the_next_one():
    scene = opened()
    desk = scene.desk()
    for _ in range(10):
        scene.send(desk)
    assert scene.only_release().claimed == 15
    scene.clock.pass_by(BATCH_MS)
    scene.send(desk)
    release = scene.only_release()
    assert (len(release.batches), len(scene.rows())) == (1, 11)
    assert release.claimed == 10 + sum(batch.slots for batch in release.batches.values())


def test_stop_means_stop_within_the_time_of_a_batch():
    scene = opened()
    desk = scene.desk()
    for _ in range(10):
        scene.send(desk)
    scene.ask(Verb.PAUSE)
    while scene.clock.now < scene.only_release().history[-1].at + BATCH_MS:
        scene.send(desk)
        scene.clock.pass_by(100)
    before = len(scene.rows())
    scene.clock.pass_by(BATCH_MS)
    for _ in range(50):
        assert scene.send(desk).body["routed_to"] == "current"
    assert len(scene.rows()) == before


def test_what_a_dead_process_did_not_use_comes_back_once_no_row_of_it_can_come_any_more():
    scene = opened()
    desk = scene.desk()
    for _ in range(10):
        scene.send(desk)
    assert (scene.only_release().claimed, scene.only_release().in_flight) == (15, 15)
    scene.clock.pass_by(BATCH_MS + GRACE_MS - 100_000 if BATCH_MS + GRACE_MS > 100_000 else 0)
    scene.flip()
    release = scene.only_release()
    assert (release.batches, release.claimed, release.in_flight) == ({}, 10, 10)


def test_a_batch_of_which_nobody_heard_the_answer_comes_back_as_well():
    scene = opened()

    def lose(_: int, name: str, when: str) -> None:
        if (name, when) == ("ddb.claim_batch", "after"):
            raise Killed("the router dies")

    scene.calls.on_call = lose
    with pytest.raises(Killed):
        scene.send()
    scene.calls.let_live()
    assert scene.only_release().claimed == 1
    scene.flip()
    assert (scene.only_release().claimed, scene.only_release().batches) == (0, {})


def test_evidence_settles_no_further_than_the_oldest_batch_that_may_still_be_used():
    scene = opened()
    desk = scene.desk()
    scene.send(desk)
    scene.clock.pass_by(LAG_MS)
    for _ in range(2):
        scene.send(desk)
    scene.end_workflows()
    scene.calls.let_live()
    release = scene.only_release()
    scene.clock.now = max(batch.taken_at for batch in release.batches.values()) + 1_000 - 100_000
    scene.flip()
    release = scene.only_release()
    assert (release.tally.succeeded, bool(release.batches), release.gathered.prefix.finished) == (3, True, 1)
    scene.flip()
    scene.flip()
    assert (scene.only_release().batches, scene.only_release().gathered.settled_before(None).prefix.finished) == ({}, 3)


def test_sixty_four_processes_share_a_grant_without_ever_exceeding_it_and_write_little():
    """About 50,000 requests a second at 5 %, for a second: 39 slots for each process."""
    scene = opened()
    before = calls(scene)
    rng = random.Random(7)
    desks = [scene.desk() for _ in range(64)]
    granted = scene.only_release().granted
    latest = 0
    for number in range(64 * 39):
        reply = scene.send(desks[rng.randrange(64)])
        latest += reply.body["routed_to"] == "latest"
        if number % 16 == 0:
            release = scene.only_release()
            assert len(scene.rows()) <= release.claimed <= release.granted
        scene.clock.now -= 1 if number % 3 else 0  # many in a millisecond
    release = scene.only_release()
    assert latest == len(scene.rows()) <= release.claimed <= granted == release.granted
    assert latest >= granted * 0.9, "hardly anything is lost to batches that others hold"
    made = calls(scene) - before
    assert made["ddb.claim"] == 0
    assert made["ddb.claim_batch"] < latest / 2
    assert release.app == APP


def test_a_slot_whose_row_could_not_be_written_comes_back_as_well():
    scene = opened()
    desk = scene.desk()
    for _ in range(2):
        scene.send(desk)
    scene.calls.fail(Unavailable("DynamoDB", "InternalServerError", "sorry"), "ddb.put_row")
    assert scene.send(desk).body["routed_to"] == "current"
    scene.calls.let_live()
    for _ in range(5):
        scene.send(desk)
    scene.clock.pass_by(BATCH_MS)
    scene.send(desk)
    for _ in range(2):
        scene.flip()
    release = scene.only_release()
    assert (release.batches, release.claimed) == ({}, len(scene.rows()))


def test_before_a_stage_that_counts_its_requests_no_batches_are_taken():
    """What is left of a batch would come back when the quota has begun, and make it larger."""
    scene = opened(stages=[{"weight": 20, "min_completed": 3}, {"quota": 5, "weight": 100}, "earned"])
    desk = scene.desk()
    for _ in range(5):
        scene.send(desk)
    assert (calls(scene)["ddb.claim_batch"], scene.only_release().claimed) == (0, 5)
