"""What an observation makes of a row."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.domain.audit import GRACE_MS, IN_FLIGHT, OUTCOMES, Execution, ExecutionStatus, Row, Status, abandoned, settle

NOW = 1_795_246_200_123
ARN = "arn:aws:states:eu-west-1:123456789012:execution:m:r"
ENDS = {status for status in ExecutionStatus if status.value in {outcome.value for outcome in OUTCOMES}}
seen = st.none() | st.builds(
    Execution, arn=st.just(ARN), status=st.sampled_from(ExecutionStatus), started_at=st.none() | st.just(NOW)
)
ages = st.integers(0, 10 * GRACE_MS)


def row(status: Status = Status.CLAIMED, **changes) -> Row:
    claimed = Row(app="a", release="00000001-0123abcd", request_id="r", status=status, claimed_at=NOW, target="t", tag="v2")
    return replace(claimed, **changes)


def execution(status: ExecutionStatus, **changes) -> Execution:
    return replace(Execution(arn=ARN, status=status, started_at=NOW), **changes)


@given(st.sampled_from(sorted(OUTCOMES)), seen, ages)
def test_a_finished_row_never_changes_whatever_is_seen(status, found, age):
    """A failed execution may be redriven under the same ARN and succeed: what is counted stays counted."""
    assert settle(row(status), found, NOW + age) is None


@given(st.sampled_from(sorted(IN_FLIGHT)), st.sampled_from(sorted(ENDS)), ages)
def test_an_execution_that_has_ended_ends_its_row_in_the_same_way(status, end, age):
    update = settle(row(status), execution(end, stopped_at=NOW + 7, error="E"), NOW + age)
    assert (update.status.value, update.stopped_at, update.error, update.unstarted) == (end.value, NOW + 7, "E", False)


@given(st.sampled_from(sorted(IN_FLIGHT)), seen, ages)
def test_only_a_seen_success_is_one(status, found, age):
    update = settle(row(status), found, NOW + age)
    if update is not None and update.status is Status.SUCCEEDED:
        assert found.status is ExecutionStatus.SUCCEEDED


@pytest.mark.parametrize("status", sorted(IN_FLIGHT))
@pytest.mark.parametrize("found", [None, execution(ExecutionStatus.MISSING)])
def test_a_row_without_an_execution_is_lost_after_the_grace_and_not_before(status, found):
    assert settle(row(status), found, NOW + GRACE_MS) is None
    update = settle(row(status), found, NOW + GRACE_MS + 1)
    assert (update.status, update.stopped_at, update.unstarted) == (Status.LOST, NOW + GRACE_MS + 1, False)
    assert update.error


def test_the_grace_of_a_running_row_begins_with_its_execution():
    begun = row(Status.RUNNING, started_at=NOW + 50_000)
    assert settle(begun, None, NOW + GRACE_MS + 1) is None
    assert settle(begun, None, NOW + 50_000 + GRACE_MS + 1).status is Status.LOST


@pytest.mark.parametrize("status", [ExecutionStatus.UNREADABLE, ExecutionStatus.PENDING_REDRIVE])
def test_what_cannot_be_read_and_what_will_be_redriven_is_no_news_however_old(status):
    assert settle(row(Status.RUNNING), execution(status), NOW + 10**9) is None


def test_a_claimed_row_whose_execution_runs_is_attached_to_it():
    update = settle(row(), execution(ExecutionStatus.RUNNING), NOW + 1)
    assert (update.status, update.transform_id, update.started_at) == (Status.RUNNING, ARN, NOW)


def test_a_running_row_whose_execution_runs_has_no_news():
    assert settle(row(Status.RUNNING, transform_id=ARN), execution(ExecutionStatus.RUNNING), NOW + 10**9) is None


def test_a_row_that_knows_its_execution_keeps_it():
    assert settle(row(Status.RUNNING, transform_id=ARN), execution(ExecutionStatus.FAILED), NOW).transform_id is None
    assert settle(row(), execution(ExecutionStatus.FAILED), NOW).transform_id == ARN


def test_an_end_without_a_time_ends_now():
    assert settle(row(Status.RUNNING), execution(ExecutionStatus.ABORTED), NOW + 5).stopped_at == NOW + 5


def test_a_claim_is_given_up_after_the_grace_and_not_before():
    given_up = ("a", "00000001-0123abcd", "r", NOW, "t", "v2")
    assert abandoned(*given_up, NOW + GRACE_MS) is None
    fence = abandoned(*given_up, NOW + GRACE_MS + 1)
    assert (fence.status, fence.unstarted, fence.counted, fence.claimed_at) == (Status.LOST, True, False, NOW)
    assert (fence.app, fence.release, fence.request_id, fence.target, fence.tag) == ("a", "00000001-0123abcd", "r", "t", "v2")


def test_a_duration_is_known_once_both_ends_are_and_is_never_negative():
    assert row(started_at=NOW).duration_ms is None
    assert row(stopped_at=NOW).duration_ms is None
    assert row(started_at=NOW, stopped_at=NOW + 5).duration_ms == 5
    assert row(started_at=NOW, stopped_at=NOW - 5).duration_ms == 0
