"""How large a batch of slots is, and how long it lives."""

from __future__ import annotations

import pytest

from canary.domain.audit import GRACE_MS
from canary.domain.batch import BATCH_MS, MOST_SLOTS, Batch, size_after

NOW = 1_795_246_200_123


@pytest.mark.parametrize(
    ("after_ms", "used", "size"),
    [(0, 10, 20), (BATCH_MS - 1, 10, 20), (BATCH_MS, 7, 7), (BATCH_MS, 0, 1), (10**6, 10, 10)],
)
def test_the_next_batch_is_as_large_as_the_last_one_was_used(after_ms, used, size):
    assert size_after(Batch(10, NOW), used, NOW + after_ms) == size
    assert size_after(Batch(MOST_SLOTS, NOW), MOST_SLOTS, NOW) == MOST_SLOTS
    assert size_after(None, 0, NOW) == 1


def test_no_slot_of_a_batch_is_given_out_after_its_time_and_it_is_dead_once_no_row_can_come():
    batch = Batch(10, NOW)
    assert (batch.open(NOW + BATCH_MS - 1), batch.open(NOW + BATCH_MS)) == (True, False)
    assert (batch.over(NOW + BATCH_MS + GRACE_MS), batch.over(NOW + BATCH_MS + GRACE_MS + 1)) == (False, True)
