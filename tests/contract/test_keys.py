"""What the records of idempotency keys promise."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canary.domain.keyed import KEEP_MS, Answer, KeyRecord, KeyState
from tests.contract.hands import LEAN_TOO
from tests.strategies import NO_SHRINKING, texts

pytestmark = LEAN_TOO

NOW = 1_795_246_200_123
KEY = "0123456789abcdef0123456789abcdef"
ANSWER = Answer(status=202, body={"request_id": "first", "response": {"lines": [1, 2.5, None, "ü"]}})


def record(request_id: str = "first", **changes) -> KeyRecord:
    begun = KeyRecord(key=KEY, app="transformer", state=KeyState.IN_PROGRESS, request_id=request_id, body_sha256="aa", since=NOW)
    return replace(begun, **changes)


def test_a_key_that_nobody_used_has_no_record(keys):
    assert keys.get(KEY) is None


def test_the_first_begins_and_the_second_finds_him(keys):
    assert keys.begin(record("first"), NOW) is None
    assert keys.begin(record("second"), NOW) == record("first")
    assert keys.get(KEY) == record("first")


def test_whoever_finds_his_own_record_has_begun(keys):
    """A put whose answer was lost is sent again, and meets itself."""
    assert keys.begin(record(), NOW) is None
    assert keys.begin(record(), NOW) is None


def test_another_key_is_free(keys):
    keys.begin(record(), NOW)
    assert keys.begin(record(key="f" * 32), NOW) is None


def test_the_answer_is_kept_with_the_record(keys):
    keys.begin(record(), NOW)
    done = record(state=KeyState.DONE, answer=ANSWER)
    keys.finish(done)
    assert keys.get(KEY) == done
    assert keys.begin(record("second"), NOW + 1) == done


@settings(max_examples=30, phases=NO_SHRINKING)
@given(
    body=st.dictionaries(
        texts,
        st.recursive(st.none() | st.booleans() | st.integers() | texts, lambda inner: st.lists(inner, max_size=2)),
        max_size=3,
    )
)
def test_any_answer_is_read_back_as_it_was_given(keys, body):
    keys.begin(record(), NOW)
    done = record(state=KeyState.DONE, answer=Answer(status=200, body=body))
    keys.finish(done)
    assert keys.get(KEY) == done


def test_a_freed_key_can_begin_anew(keys):
    keys.begin(record(), NOW)
    keys.finish(record(state=KeyState.FREE))
    assert keys.begin(record("second", since=NOW + 5), NOW + 5) is None
    assert keys.get(KEY) == record("second", since=NOW + 5)


@pytest.mark.parametrize("state", [KeyState.IN_PROGRESS, KeyState.DONE])
def test_a_record_lives_for_a_day_and_no_longer(keys, state):
    keys.begin(record(), NOW)
    if state is KeyState.DONE:
        keys.finish(record(state=state, answer=ANSWER))
    last = NOW + KEEP_MS
    assert keys.begin(record("second"), last) is not None
    assert keys.begin(record("second", since=last + 1000), last + 1000) is None


def test_of_two_that_take_over_the_same_record_one_wins(keys):
    abandoned = record("first")
    keys.begin(abandoned, NOW)
    mine, theirs = replace(abandoned, since=NOW + 40_000), replace(abandoned, since=NOW + 40_001)
    assert keys.begin(mine, NOW + 40_000, abandoned) is None
    assert keys.begin(theirs, NOW + 40_001, abandoned) == mine
    assert keys.get(KEY) == mine


def test_a_record_that_was_answered_meanwhile_is_still_the_one_that_was_seen(keys):
    """A take-over of what has just been finished: the protocol above it looks at the state, the table at the identity."""
    keys.begin(record(), NOW)
    assert keys.begin(record(since=NOW + 1), NOW, record(since=NOW + 9)) == record()


def test_the_answer_of_one_that_was_taken_over_does_not_replace_that_of_his_successor(keys):
    abandoned = record("first")
    keys.begin(abandoned, NOW)
    mine = replace(abandoned, since=NOW + 40_000)
    keys.begin(mine, NOW + 40_000, abandoned)
    keys.finish(replace(abandoned, state=KeyState.DONE, answer=ANSWER))
    assert keys.get(KEY) == mine


def test_to_finish_what_nobody_began_makes_no_record(keys):
    keys.finish(record(state=KeyState.DONE, answer=ANSWER))
    assert keys.get(KEY) is None
