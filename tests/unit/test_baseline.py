"""The baseline: what is told of current's executions, and what their order statistics are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.domain.baseline import LEAST_DURATIONS, Baseline, Past, baseline_of, still_settling

HOUR_MS = 3_600_000

pasts = st.lists(
    st.builds(Past, st.booleans(), st.integers(0, 10**9), st.integers(1, 10**8)),
    min_size=1,
    max_size=60,
)


def lasting(*durations) -> list[Past]:
    return [Past(failed=False, started_at=number, duration_ms=duration) for number, duration in enumerate(durations)]


def test_the_cuts_are_the_quarter_the_half_three_quarters_and_95_percent():
    told = baseline_of(lasting(*range(1, 101)), "here", "machine")
    assert told.cuts_ms == (25, 50, 75, 95)
    assert (told.slowest_ms, told.mean_ms) == (100, 50)
    assert (told.executions, told.failed, told.source, told.machine) == (100, 0, "here", "machine")


@pytest.mark.parametrize(("count", "slowest"), [(999, 999), (1_000, 999), (1_001, 1_000), (2_000, 1_998), (10_000, 9_990)])
def test_at_least_999_of_1000_took_no_longer_than_the_slowest(count, slowest):
    assert baseline_of(lasting(*range(1, count + 1)), "here").slowest_ms == slowest


@pytest.mark.parametrize(
    ("durations", "cuts"),
    [([7], (7, 7, 7, 7)), ([9, 7], (7, 7, 9, 9)), ([9, 7, 8], (7, 8, 8, 9)), ([9, 7, 8, 6], (6, 7, 8, 9))],
)
def test_a_tiny_history_has_cuts_too(durations, cuts):
    assert baseline_of(lasting(*durations), "here").cuts_ms == cuts


@given(pasts, st.randoms(use_true_random=False))
def test_the_order_of_the_executions_does_not_matter(past, random):
    shuffled = random.sample(past, len(past))
    assert baseline_of(shuffled, "here") == baseline_of(past, "here")


@given(pasts)
def test_an_execution_of_the_history_falls_into_its_own_bin(past):
    """A duration on a cut is in the quicker bin, so equal ones never look slow."""
    told = baseline_of(past, "here")
    for number, cut in enumerate(told.cuts_ms):
        assert told.bin_of(cut) <= number
        assert told.bin_of(cut + 1) > number
    assert told.cuts_ms == tuple(sorted(told.cuts_ms))
    assert told.cuts_ms[-1] <= told.slowest_ms == max(each.duration_ms for each in past)


def test_a_stack_whose_executions_all_take_the_same_time_is_never_in_a_slower_bin():
    told = baseline_of(lasting(*[500] * 50), "here")
    assert [told.bin_of(duration) for duration in (1, 500, 501)] == [0, 0, 4]


def test_the_interval_is_the_mean_time_between_starts():
    hourly = [Past(failed=number == 3, started_at=number * HOUR_MS // 6, duration_ms=1) for number in range(7)]
    told = baseline_of(hourly, "here")
    assert told.interval_ms == HOUR_MS / 6
    assert told.failed == 1


def test_one_execution_has_no_interval():
    assert baseline_of(lasting(5), "here").interval_ms == 0


def test_no_history_is_told_as_such():
    none = baseline_of((), "no history", "machine")
    assert none == Baseline(machine="machine", source="no history")
    assert 0 < none.rate < 0.05
    assert not none.timed


def test_durations_are_compared_from_twenty_executions_on():
    assert LEAST_DURATIONS == 20
    assert not baseline_of(lasting(*[5] * 19), "here").timed
    assert baseline_of(lasting(*[5] * 20), "here").timed


def test_durations_are_compared_only_where_all_of_them_are_known():
    """One without a duration would otherwise count as the quickest, and everything else would look slow beside it."""
    past = lasting(*range(1, 101))
    told = baseline_of([*past[1:], replace(past[0], duration_ms=None, failed=True)], "here")
    assert not told.timed
    assert (told.executions, told.failed, told.interval_ms) == (100, 1, 1)
    assert (told.cuts_ms, told.slowest_ms, told.mean_ms) == ((0, 0, 0, 0), 0, 0)


@given(st.integers(0, 10_000), st.data())
def test_the_rate_is_between_never_and_always(executions, data):
    failed = data.draw(st.integers(0, executions))
    assert 0 < Baseline(executions=executions, failed=failed).rate < 1


@pytest.mark.parametrize(
    ("ended", "left_out"),
    [
        ("", 0),
        ("1" * 50, 0),
        ("00" + "1" * 3, 0),
        ("0" * 3 + "1" * 57, 0),
        ("0" * 3 + "1" * 56, 1),
        ("0101010101" + "1" * 40, 5),
        ("1" * 10 + "0" + "1" * 5, 0),
        ("0" * 90 + "1" * 10, 88),
    ],
)
def test_the_newest_are_left_out_while_so_many_still_run_that_only_the_quick_ones_have_ended(ended, left_out):
    assert still_settling([each == "1" for each in ended]) == left_out
