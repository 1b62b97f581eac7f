"""What a claim promises."""

from __future__ import annotations

from dataclasses import replace

import pytest

from canary.domain.claim import Claimed
from canary.domain.release import Release
from canary.domain.states import Gate, ReleaseState
from tests.contract.hands import LEAN_TOO

pytestmark = LEAN_TOO

APP, RELEASE = "transformer", "00000001-0123abcd"
NOW = 1_795_246_200_123


def release(**changes) -> Release:
    running = Release(
        app=APP,
        release=RELEASE,
        rev=1,
        state=ReleaseState.RUNNING,
        since=NOW,
        opened_at=NOW,
        written_at=NOW,
        value="v",
        target="t",
        tag="v2",
        granted=2,
        gate=Gate.OPEN,
    )
    return replace(running, **changes)


def claim(table, request_id: str, now: int = NOW) -> Claimed:
    return table.claim(APP, RELEASE, request_id, now)


def test_as_many_claims_win_as_slots_were_granted_and_the_others_find_them_gone(table):
    table.create(release())
    assert [claim(table, name) for name in ("a", "b", "c")] == [Claimed.WON, Claimed.WON, Claimed.GONE]


def test_a_claim_leaves_its_id_and_its_time(table):
    table.create(release())
    claim(table, "a", NOW + 7)
    left = table.release(APP, RELEASE)
    assert (left.claimed, left.open) == (1, {"a": NOW + 7})


def test_a_claim_changes_nothing_that_the_flipper_writes(table):
    table.create(release())
    claim(table, "a")
    left = table.release(APP, RELEASE)
    assert replace(left, claimed=0, open={}) == release()


def test_claims_that_lost_leave_nothing(table):
    table.create(release(granted=0))
    claim(table, "a")
    assert table.release(APP, RELEASE) == release(granted=0)


def test_a_repeated_claim_wins_again_and_takes_no_second_slot(table):
    table.create(release())
    assert [claim(table, "a", NOW + n) for n in range(3)] == [Claimed.WON] * 3
    left = table.release(APP, RELEASE)
    assert (left.claimed, left.open) == (1, {"a": NOW})


def test_a_repeated_claim_wins_also_when_all_slots_are_gone(table):
    table.create(release(granted=1))
    claim(table, "a")
    assert (claim(table, "b"), claim(table, "a")) == (Claimed.GONE, Claimed.WON)


def test_behind_a_closed_gate_nothing_can_be_claimed(table):
    table.create(release(gate=Gate.CLOSED))
    assert claim(table, "a") is Claimed.CLOSED


def test_a_repeated_claim_behind_a_gate_that_has_closed_since_is_still_won(table):
    table.create(release(gate=Gate.CLOSED, claimed=1, open={"a": NOW}))
    assert (claim(table, "a"), claim(table, "b")) == (Claimed.WON, Claimed.CLOSED)


def test_a_claim_on_a_release_that_does_not_exist_finds_it_closed_and_makes_none(table):
    assert claim(table, "a") is Claimed.CLOSED
    assert table.release(APP, RELEASE) is None


@pytest.mark.parametrize("request_id", ["0", "-", "_", "01ABC-r00000001-0123abcd-k0123456789abcdef0123456789abcdef", "x" * 80])
def test_any_request_id_can_claim(table, request_id):
    table.create(release())
    assert claim(table, request_id) is Claimed.WON
    assert table.release(APP, RELEASE).open == {request_id: NOW}
