"""The pace: how many requests may be on the way, and how often the coin shows latest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.domain import pace
from canary.domain.baseline import Baseline
from canary.domain.evidence import ALONE, Evidence
from canary.domain.pace import AT_RISK, MOST_OUT, headroom, share_of, slots
from canary.domain.plan import Stage

GOOD = Baseline(executions=500, failed=2, mean_ms=100_000, interval_ms=600_000)


def seen(finished: int, failed: int = 0) -> Evidence:
    return Evidence(finished=finished, failed=failed)


def test_a_clean_release_earns_two_two_three_five_eight_and_so_on():
    earned, finished = [], 0
    while len(earned) < 9:
        earned.append(slots(seen(finished), GOOD))
        finished += earned[-1]
    assert earned == [2, 2, 3, 5, 8, 13, 21, 34, 52]


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 10_000), st.integers(0, 10_000))
def test_slots_are_at_least_one_and_at_most_a_thousand(succeeded, failed, executions, bad):
    earned = slots(seen(succeeded + failed, failed), Baseline(executions=executions, failed=min(bad, executions)))
    assert 1 <= earned <= MOST_OUT


@given(st.integers(1, 5_000), st.integers(0, 50))
def test_one_failure_more_never_earns_more_and_one_success_more_never_less(finished, failed):
    before = slots(seen(finished + failed, failed), GOOD)
    assert slots(seen(finished + failed, failed + 1), GOOD) <= before
    assert slots(seen(finished + failed + 1, failed), GOOD) >= before


def test_never_more_than_a_thousand_are_out_however_good_it_is():
    assert slots(seen(10**7), Baseline(executions=10_000)) == MOST_OUT


def test_only_failures_leave_one_slot_no_more_than_nothing_does():
    assert slots(seen(0), GOOD) == AT_RISK
    assert slots(seen(1, 1), GOOD) == AT_RISK
    assert [slots(seen(n + 1, n), GOOD) for n in (2, 5)] == [2, 2]


@given(st.integers(0, 500), st.integers(0, 20), st.integers(0, 20))
def test_what_hangs_earns_as_much_as_what_has_failed(finished, failed, overdue):
    hanging = Evidence(finished=finished + failed, failed=failed, overdue=overdue)
    assert slots(hanging, GOOD) == slots(seen(finished + failed + overdue, failed + overdue), GOOD)


def earned_stage(weight: int = 100) -> Stage:
    return Stage(earned=True, weight=weight)


@pytest.mark.parametrize(
    ("interval_ms", "earned", "share"),
    [
        (600_000, 2, ALONE),  # seldom: everything, so that there is evidence at all
        (5_001, 2, ALONE),  # fewer than 20 on the way: a coin would leave latest too little
        (5_000, 2, 500),
        (1_000, 2, 100),  # often: half of what the slots could take, so that they are hardly ever used up
        (1_000, 13, 600),
        (1_000, 40, 2_000),
        (1_000, 900, 2_000),  # a failure says the more, the rarer latest was
        (1, 2, 1),  # the least that keeps evidence coming
        (0, 2, ALONE),  # nothing is known of the traffic
    ],
)
def test_an_earned_stage_takes_as_much_of_the_traffic_as_its_slots_can_use(interval_ms, earned, share):
    assert share_of(earned_stage(), earned, Baseline(executions=500, mean_ms=100_000, interval_ms=interval_ms)) == share


@given(st.integers(1, 100), st.integers(1, 1_000), st.integers(1, 10**7), st.integers(1, 10**5))
def test_shares_come_from_a_small_set_so_that_the_release_stays_small(weight, earned, mean_ms, interval_ms):
    """Each share has a count of failures of its own."""
    share = share_of(earned_stage(weight), earned, Baseline(executions=500, mean_ms=mean_ms, interval_ms=interval_ms))
    assert share in {*pace._SHARES, 100 * weight}
    assert 1 <= share <= 100 * weight
    assert len(pace._SHARES) < 30


@given(st.integers(1, 999), st.integers(1, 10**7), st.integers(1, 10**5))
def test_more_slots_never_ask_for_less_of_the_traffic(earned, mean_ms, interval_ms):
    known = Baseline(executions=500, mean_ms=mean_ms, interval_ms=interval_ms)
    assert share_of(earned_stage(), earned, known) <= share_of(earned_stage(), earned + 1, known)


def test_without_durations_there_is_no_coin():
    assert share_of(earned_stage(), 2, Baseline(executions=500, mean_ms=0, interval_ms=1_000)) == ALONE


def test_a_stages_weight_is_a_ceiling():
    often = Baseline(executions=500, mean_ms=100_000, interval_ms=1_000)
    assert [share_of(earned_stage(10), earned, often) for earned in (2, 13, 34, 60)] == [100, 600, 1_000, 1_000]


@pytest.mark.parametrize("stage", [Stage(quota=5, weight=30), Stage(weight=30)])
def test_a_stage_that_is_not_earned_keeps_its_weight(stage):
    assert share_of(stage, 2, Baseline(executions=500, mean_ms=100_000, interval_ms=1_000)) == 3_000


def test_what_no_evidence_earns_is_granted_in_portions_that_last_for_some_passes():
    often = Baseline(executions=500, mean_ms=100, interval_ms=10)
    assert headroom(Stage(weight=50), often) == 9_000, "half of what comes in three minutes"
    assert headroom(Stage(weight=50), GOOD) == headroom(Stage(quota=5, weight=50), often) == MOST_OUT
    assert headroom(Stage(weight=50), Baseline()) == MOST_OUT
