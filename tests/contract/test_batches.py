"""What taking slots in batches promises: never more than were granted, and nothing counted twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from canary.domain.audit import GRACE_MS, Row, Status
from canary.domain.batch import Batch
from canary.domain.release import Release
from canary.domain.request_id import new_request_id
from canary.domain.states import Gate, ReleaseState
from tests.contract.hands import LEAN_TOO

pytestmark = LEAN_TOO
APP, RELEASE = "transformer", "00000001-0123abcd"
NOW = 1_795_246_200_123


def release(**changes) -> Release:
    fields = {
        "app": APP, "release": RELEASE, "rev": 1, "state": ReleaseState.RUNNING, "since": NOW, "opened_at": NOW,
        "written_at": NOW, "value": "v", "target": "t", "tag": "v2", "granted": 100, "gate": Gate.OPEN,
    }  # fmt: skip
    return Release(**{**fields, **changes})


def read(table) -> Release:
    found = table.release(APP, RELEASE)
    assert found is not None
    return found


def take(table, name: str, slots: int, granted: int = 100, unused: tuple[str, int] | None = None) -> int:
    return table.claim_batch(APP, RELEASE, (name, Batch(slots, NOW)), granted, unused)


def test_a_batch_is_claimed_as_a_whole_and_on_record(table):
    table.create(release())
    assert take(table, "a", 20) == 20
    assert (read(table).claimed, read(table).batches) == (20, {"a": Batch(20, NOW)})


def test_a_batch_that_is_taken_twice_is_the_same_batch(table):
    table.create(release())
    assert [take(table, "a", 20), take(table, "a", 20)] == [20, 20]
    assert read(table).claimed == 20


def test_where_fewer_are_left_there_are_fewer_and_then_none(table):
    table.create(release(granted=30))
    assert [take(table, name, 20, granted=30) for name in ("a", "b", "c")] == [20, 10, 0]
    assert (read(table).claimed, read(table).batches.keys()) == (30, {"a", "b"})


@pytest.mark.parametrize("known", [10, 100])
def test_what_was_read_last_may_be_older_than_what_is_granted_now(table, known):
    table.create(release(granted=60))
    assert take(table, "a", 50, granted=known) == 50
    assert take(table, "b", 50, granted=known) == 10


@pytest.mark.parametrize("changes", [{"gate": Gate.CLOSED}, {"granted": 0}])
def test_behind_a_closed_gate_and_without_a_grant_there_is_none(table, changes):
    table.create(release(**changes))
    assert take(table, "a", 5) == 0
    assert (read(table).claimed, read(table).batches) == (0, {})


def test_of_a_release_that_is_not_there_there_is_none(table):
    assert take(table, "a", 5) == 0


def test_what_was_not_used_comes_back_with_the_next_batch(table):
    table.create(release())
    take(table, "a", 40)
    assert take(table, "b", 80, unused=("a", 30)) == 80
    assert (read(table).claimed, read(table).batches) == (90, {"b": Batch(80, NOW)})


def test_a_batch_that_the_flipper_took_for_dead_is_not_given_back_again(table):
    table.create(release())
    take(table, "a", 40)
    before = read(table)
    assert table.save(before, replace(before, claimed=15, batches={}))
    assert take(table, "b", 80, unused=("a", 30)) == 80
    assert read(table).claimed == 95


def test_the_flipper_does_not_take_back_what_its_process_has_given_back(table):
    table.create(release())
    take(table, "a", 40)
    before = read(table)
    take(table, "b", 1, unused=("a", 30))
    assert not table.save(before, replace(before, claimed=10, batches={}))
    assert read(table).claimed == 11


def test_a_save_keeps_the_batches_that_were_taken_meanwhile(table):
    table.create(release())
    before = read(table)
    take(table, "a", 40)
    assert table.save(before, replace(before, reason="a change"))
    assert (read(table).claimed, read(table).batches) == (40, {"a": Batch(40, NOW)})


def test_what_was_judged_on_an_idle_release_is_not_done_once_a_batch_is_taken(table):
    table.create(release())
    before = read(table)
    take(table, "a", 1)
    assert not table.save(before, replace(before, reason="a change"), idle=True)


def test_the_rows_of_a_batch_are_counted_whatever_became_of_them(audit):
    for number, (batch, status) in enumerate(
        [("a", Status.CLAIMED), ("a", Status.FAILED), ("b", Status.CLAIMED), (None, Status.LOST)]
    ):
        request_id = new_request_id(NOW + number, number, RELEASE)
        audit.put(
            Row(
                app=APP,
                release=RELEASE,
                request_id=request_id,
                status=status,
                claimed_at=NOW,
                target="t",
                tag="v2",
                batch=batch,
                counted=number == 1,
            )
        )
    assert audit.of_batches(APP, RELEASE, {"a", "b", "c"}, NOW) == {"a": 2, "b": 1}
    assert audit.of_batches(APP, RELEASE, {"b"}, NOW) == {"b": 1}
    assert audit.of_batches(APP, RELEASE, set(), NOW) == {}
    assert audit.of_batches(APP, RELEASE, {"a", *map(str, range(120))}, NOW) == {"a": 2}, "more than a filter can name"


def test_a_row_of_a_batch_is_counted_whose_request_came_before_the_batch_was_taken(audit):
    """A process takes a batch for a request that it has already; one much older is of no batch of that time."""
    for early in (GRACE_MS - 1_000, GRACE_MS + 1_000):
        request_id = new_request_id(NOW - early, 0, RELEASE)
        audit.put(
            Row(
                app=APP, release=RELEASE, request_id=request_id, status=Status.CLAIMED, claimed_at=NOW, target="t", tag="v2",
                batch="a",
            )
        )  # fmt: skip
    assert audit.of_batches(APP, RELEASE, {"a"}, NOW) == {"a": 1}


def test_those_of_other_releases_are_not_among_them(audit):
    for release_ in (RELEASE, "00000002-0123abcd"):
        request_id = new_request_id(NOW, 0, release_)
        audit.put(
            Row(
                app=APP, release=release_, request_id=request_id, status=Status.CLAIMED, claimed_at=NOW, target="t", tag="v2",
                batch="a",
            )
        )  # fmt: skip
    assert audit.of_batches(APP, RELEASE, {"a"}, NOW) == {"a": 1}


def test_fifty_batches_are_taken_back_in_one_write(table):
    batches = {f"{number:032x}": Batch(2, NOW) for number in range(60)}
    table.create(release(batches=batches, claimed=120))
    before = read(table)
    kept = dict(list(batches.items())[50:])
    assert table.save(before, replace(before, claimed=before.claimed - 75, batches=kept))
    assert (read(table).claimed, read(table).batches) == (45, kept)
