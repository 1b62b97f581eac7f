"""What a repeated Idempotency-Key means."""

from __future__ import annotations

import pytest

from canary.domain.keyed import IN_PROGRESS_MS, KeyRecord, KeyState, Repeat, judge_repeat

NOW = 1_795_246_200_123


def record(state: KeyState) -> KeyRecord:
    return KeyRecord(key="k", app="a", state=state, request_id="r", body_sha256="same", since=NOW)


@pytest.mark.parametrize("state", sorted(KeyState))
def test_another_body_is_told_first_whatever_became_of_the_key(state):
    assert judge_repeat(record(state), "other", NOW + 10**9) is Repeat.OTHER_BODY


def test_what_is_done_gives_the_same_answer_however_old():
    assert judge_repeat(record(KeyState.DONE), "same", NOW + 10**9) is Repeat.SAME_ANSWER


def test_what_is_in_progress_is_so_as_long_as_a_router_can_live_and_then_is_taken_over():
    begun = record(KeyState.IN_PROGRESS)
    assert judge_repeat(begun, "same", NOW + IN_PROGRESS_MS - 1) is Repeat.IN_PROGRESS
    assert judge_repeat(begun, "same", NOW + IN_PROGRESS_MS) is Repeat.TAKE_OVER
