"""The numbers behind a verdict."""

from __future__ import annotations

from dataclasses import asdict
from math import isfinite, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.domain.baseline import Baseline
from canary.domain.bets import closed_duration_bet, closed_history_bet, concurrent_bet, duration_bet, history_bet
from canary.domain.evidence import Epoch, Evidence
from canary.domain.measure import bad_rate, failing, measured, overdue, slow
from canary.domain.plan import Plan, Stage

PLAN = Plan(stages=(Stage(earned=True),), max_failures=None)
HISTORY = Baseline(
    executions=500, failed=2, cuts_ms=(60_000, 90_000, 130_000, 200_000), slowest_ms=400_000, mean_ms=100_000, interval_ms=600_000
)
#: So often a history of 500 executions with 2 failures says that current fails.
NORMAL = 2.5 / 501


def seen(**numbers: object) -> Evidence:
    return Evidence(**numbers)  # type: ignore[arg-type]


def test_each_number_is_the_bet_of_what_belongs_to_it():
    evidence = seen(
        finished=40,
        failed=3,
        alone_started=20,
        alone_failed=1,
        epochs=(Epoch(500, 6, 2), Epoch(2_500, 10, 0)),
        bins=(5, 5, 10, 15, 5),
        prefix_finished=30,
        prefix_failed=2,
    )
    numbers = measured(evidence, HISTORY, PLAN)
    assert numbers.history == history_bet(20, 1, 500, 2)
    assert numbers.concurrent == concurrent_bet([(0.05, 6, 2), (0.25, 10, 0)])
    assert numbers.failures == closed_history_bet(20, 1, 500, 2) + numbers.concurrent
    assert numbers.durations == duration_bet((5, 5, 10, 15, 5), 500)
    assert numbers.durations_decide == closed_duration_bet((5, 5, 10, 15, 5), 500)
    assert numbers.normal == pytest.approx(NORMAL)
    assert numbers.bound == pytest.approx(2 * log(NORMAL / 0.1) + 28 * log((1 - NORMAL) / 0.9))


def test_the_levels_divide_the_plans_alpha():
    numbers = measured(Evidence(), HISTORY, PLAN)
    assert (numbers.failures_at, numbers.durations_at) == (pytest.approx(4.892852), pytest.approx(5.991465))
    assert numbers.bound_at == pytest.approx(log(20))
    stricter = measured(Evidence(), HISTORY, Plan(stages=PLAN.stages, max_failures=None, alpha=0.001))
    assert stricter.failures_at == pytest.approx(numbers.failures_at + log(10))


def test_promotion_asks_for_the_prefix_and_slots_for_all_that_has_finished():
    numbers = measured(seen(finished=40, alone_started=40, prefix_finished=2), HISTORY, PLAN)
    assert numbers.at_most == pytest.approx(0.777511, abs=1e-4)
    assert (numbers.proved, numbers.slots) == (False, 26)
    assert measured(seen(finished=40, prefix_finished=30), HISTORY, PLAN).proved


@pytest.mark.parametrize(("prefix", "more"), [(0, 30), (2, 28), (29, 1), (30, 0), (60, 0)])
def test_it_says_how_many_clean_runs_are_missing(prefix, more):
    assert measured(seen(finished=prefix, prefix_finished=prefix), HISTORY, PLAN).clean_runs == more


def test_without_a_history_durations_say_nothing():
    numbers = measured(seen(finished=9, bins=(0, 0, 0, 0, 9)), Baseline(), PLAN)
    assert (numbers.durations, numbers.durations_decide) == (0.0, 0.0)
    assert slow(seen(bins=(0, 0, 0, 0, 9)), numbers) is None


@pytest.mark.parametrize(
    ("executions", "failed", "bad"),
    [(500, 2, 0.1), (1000, 19, 0.1), (1000, 30, 5 * 30.5 / 1001), (100, 50, (1 + 50.5 / 101) / 2), (0, 0, 5 * 0.5 / 21)],
)
def test_the_rate_that_must_be_excluded_is_five_times_the_normal_one_within_reason(executions, failed, bad):
    baseline = Baseline(executions=executions, failed=failed)
    assert bad_rate(PLAN, baseline) == pytest.approx(bad)
    assert baseline.rate < bad_rate(PLAN, baseline) < 1


def test_the_plan_may_say_another_rate():
    assert bad_rate(Plan(stages=PLAN.stages, max_failures=None, max_failure_rate=0.02), HISTORY) == 0.02


def test_what_decides_are_the_closed_bets_which_more_failures_never_lower():
    often = seen(finished=10_000, failed=300, alone_started=10_000, alone_failed=300)
    numbers = measured(often, HISTORY, PLAN)
    assert numbers.history < numbers.failures_at < numbers.failures
    assert failing(often, HISTORY, PLAN, numbers) is not None
    late = seen(bins=(0, 0, 0, 950, 50))
    numbers = measured(late, HISTORY, PLAN)
    assert numbers.durations < numbers.durations_at < numbers.durations_decide
    assert slow(late, numbers) is not None


class TestInWords:
    def test_too_many_failures(self):
        evidence = seen(finished=5, failed=2, alone_started=5, alone_failed=2)
        said = failing(evidence, HISTORY, PLAN, measured(evidence, HISTORY, PLAN))
        assert said == "2 of 5 finished requests failed, where 0.499 % is normal (evidence 5.48 of 4.89)"

    def test_who_failed_while_the_coin_decided(self):
        evidence = seen(finished=8, failed=8, epochs=(Epoch(2_000, 11, 10),))
        said = failing(evidence, HISTORY, PLAN, measured(evidence, HISTORY, PLAN))
        assert said is not None
        assert "8 of 8 finished requests failed" in said
        assert "; of 11 failures while the coin decided, 10 were latest's (evidence" in said

    def test_few_enough(self):
        evidence = seen(finished=5, failed=1, alone_started=5, alone_failed=1)
        assert failing(evidence, HISTORY, PLAN, measured(evidence, HISTORY, PLAN)) is None

    @pytest.mark.parametrize(
        ("bins", "words"),
        [
            ((0, 0, 0, 1, 9), "9 of 10 took longer than 95 % of current's do"),
            ((0, 1, 14, 35, 0), "49 of 50 took longer than 50 % of current's do"),
            ((0, 0, 2, 28, 3), "31 of 33 took longer than 75 % of current's do"),
        ],
    )
    def test_slower_where_it_shows_most(self, bins, words):
        evidence = seen(bins=bins)
        said = slow(evidence, measured(evidence, HISTORY, PLAN))
        assert said is not None
        assert said.startswith(f"it is slower than current: {words} (evidence ")

    def test_what_hangs_and_beyond_what_limit(self):
        said = "on the way for 2 h, more than 3 times the 7 min in which 99.9 % of current's end"
        assert overdue(seen(overdue=1, oldest_ms=7_200_000), HISTORY, PLAN) == f"1 request hangs: {said}"
        assert overdue(seen(overdue=2, oldest_ms=7_200_000), HISTORY, PLAN) == f"2 requests hang: {said}"
        assert overdue(seen(oldest_ms=7_200_000), HISTORY, PLAN) is None

    def test_too_many_that_hang(self):
        evidence = seen(overdue=2, oldest_ms=7_200_000, alone_started=2, alone_failed=2)
        said = failing(evidence, HISTORY, PLAN, measured(evidence, HISTORY, PLAN))
        words = f"0 of 0 finished requests failed, where 0.499 % is normal; {overdue(evidence, HISTORY, PLAN)}"
        assert said == f"{words} (evidence 8.81 of 4.89)"


def test_what_hangs_proves_and_earns_as_little_as_what_has_failed():
    hanging = measured(seen(overdue=1, alone_started=1, alone_failed=1, prefix_finished=1, prefix_failed=1), HISTORY, PLAN)
    failed = measured(
        seen(finished=1, failed=1, alone_started=1, alone_failed=1, prefix_finished=1, prefix_failed=1), HISTORY, PLAN
    )
    assert hanging == failed


def test_one_that_hangs_is_not_enough_by_itself_and_two_of_few_are():
    for count, out in ((1, False), (2, True)):
        evidence = seen(overdue=count, alone_started=5, alone_failed=count)
        assert (failing(evidence, HISTORY, PLAN, measured(evidence, HISTORY, PLAN)) is not None) is out


@given(st.integers(0, 10**7), st.floats(0, 1), st.integers(0, 10_000), st.floats(0, 1), st.integers(1, 9_999))
def test_all_numbers_are_finite_whatever_has_happened(finished, bad, executions, normal, share):
    failed, history = round(finished * bad), round(executions * normal)
    evidence = seen(
        finished=finished,
        failed=failed,
        alone_started=finished,
        alone_failed=failed,
        epochs=(Epoch(share, finished, failed),),
        bins=(finished - failed, 0, 0, 0, failed),
        prefix_finished=finished,
        prefix_failed=failed,
    )
    baseline = Baseline(executions=executions, failed=history, slowest_ms=1)
    assert all(isfinite(number) for number in asdict(measured(evidence, baseline, PLAN)).values())
