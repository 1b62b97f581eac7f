"""The bets: reference values, fairness, and what an outcome more may and may not do."""

from __future__ import annotations

from itertools import product
from math import exp, lgamma, log

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from canary.domain.bets import (
    CUTS,
    PASS_AT,
    SLOWER,
    at_most,
    closed_duration_bet,
    closed_history_bet,
    concurrent_bet,
    duration_bet,
    fails_at,
    history_bet,
    marks,
    most_told,
    normal_rate,
    promotion_bound,
    slow_at,
)

#: Logarithms of gamma functions of 10⁷ are 10⁸, so the last digits of their differences are noise.
NOISE = 1e-6
VERY_MANY = 10**7

shares = st.integers(1, 99).map(lambda percent: percent / 100)
rates = st.floats(1e-6, 0.99)


def sizes(least: int = 0, most: int = VERY_MANY) -> st.SearchStrategy[int]:
    """Few as often as very many."""
    return st.integers(0, len(str(most))).flatmap(lambda digits: st.integers(least, max(least, min(most, 10**digits))))


@st.composite
def parts(draw: st.DrawFn, whole: st.SearchStrategy[int]) -> tuple[int, int]:
    """So many, and how many of them: none and all are often among them."""
    total = draw(whole)
    return total, draw(st.one_of(st.just(0), st.just(total), st.integers(0, total)))


outcomes = parts(sizes())
histories = parts(sizes(most=10_000))
bins = st.lists(sizes(most=10**6), min_size=5, max_size=5).map(tuple)
history_sizes = st.integers(20, 10_000)
epochs = st.lists(st.tuples(shares, parts(sizes())).map(lambda epoch: (epoch[0], *epoch[1])), max_size=5)


@pytest.mark.parametrize(
    ("started", "failed", "executions", "failures", "wealth"),
    [
        (1, 1, 500, 2, 4.158768),
        (2, 1, 500, 2, 2.856052),
        (2, 2, 500, 2, 8.810034),
        (2, 0, 500, 2, -0.510055),
        (5, 2, 500, 2, 5.484082),
        (2, 2, 500, 25, 4.613653),
        (2, 2, 0, 0, 5.019573),
        (4, 2, 0, 0, 2.848140),
        (300, 8, 10_000, 50, 5.017746),
        (3_000, 30, 10_000, 50, 2.732271),
    ],
)
def test_the_history_bet_has_its_reference_values(started, failed, executions, failures, wealth):
    assert history_bet(started, failed, executions, failures) == pytest.approx(wealth, abs=1e-6)


@pytest.mark.parametrize(
    ("epochs", "wealth"),
    [
        ([(0.05, 2, 2)], 4.795224),
        ([(0.05, 40, 8)], 4.324594),
        ([(0.5, 8, 8)], 4.833439),
        ([(0.05, 10, 0)], -1.640161),
        ([(0.05, 6, 2), (0.25, 10, 6)], 3.644337),
        ([], 0.0),
    ],
)
def test_the_concurrent_bet_has_its_reference_values(epochs, wealth):
    assert concurrent_bet(epochs) == pytest.approx(wealth, abs=1e-6)


@pytest.mark.parametrize(("counts", "wealth"), [((0, 0, 1, 3, 2), 4.286477), ((10, 10, 10, 8, 2), -3.347346)])
def test_the_duration_bet_has_its_reference_values(counts, wealth):
    assert duration_bet(counts, 300) == pytest.approx(wealth, abs=1e-6)
    assert closed_duration_bet(counts, 300) == pytest.approx(wealth, abs=1e-6)


@pytest.mark.parametrize(
    ("finished", "failed", "bound"),
    [(2, 0, 0.777511), (2, 1, 0.999751), (5, 0, 0.453466), (30, 0, 0.099559), (2_000, 10, 0.009902), (0, 0, 1.0), (3, 3, 1.0)],
)
def test_the_excluded_rate_has_its_reference_values(finished, failed, bound):
    assert at_most(finished, failed, 0.005) == pytest.approx(bound, abs=1e-6)


@pytest.mark.parametrize(("finished", "wealth", "proved"), [(29, 2.910091, False), (30, 3.010439, True)])
def test_the_promotion_bound_has_its_reference_values(finished, wealth, proved):
    bound = promotion_bound(finished, 0, 0.005, 0.1)
    assert bound == pytest.approx(wealth, abs=1e-6)
    assert (bound >= PASS_AT) is proved


def test_the_two_chances_of_a_wrong_abort_are_alpha_together():
    assert fails_at(0.01) == pytest.approx(4.892852, abs=1e-6)
    assert slow_at(0.01) == pytest.approx(5.991465, abs=1e-6)
    assert exp(-fails_at(0.05)) + exp(-slow_at(0.05)) == pytest.approx(0.05)


def weights_of(executions, failures):
    return failures + 0.5, executions - failures + 0.5 + max(0, 20 - executions)


@given(parts(sizes(most=2_000)), histories)
def test_the_history_bet_is_fair(outcome, history):
    """The next execution of a stack like current's changes nothing on average, whatever happened before."""
    started, failed = outcome
    a, c = weights_of(*history)
    chance = (a + failed) / (a + c + started)
    before = history_bet(started, failed, *history)
    worse = exp(history_bet(started + 1, failed + 1, *history) - before)
    better = exp(history_bet(started + 1, failed, *history) - before)
    assert chance * worse + (1 - chance) * better == pytest.approx(1, abs=1e-6)


@given(epochs, st.integers(0, 4))
def test_the_concurrent_bet_is_fair(epochs, number):
    assume(number < len(epochs))
    share, both, latest = epochs[number]

    def with_one_more(on_latest):
        return [*epochs[:number], (share, both + 1, latest + on_latest), *epochs[number + 1 :]]

    before = concurrent_bet(epochs)
    worse, better = (exp(concurrent_bet(with_one_more(on_latest)) - before) for on_latest in (1, 0))
    assert share * worse + (1 - share) * better == pytest.approx(1, abs=1e-6)


def gaps_of(durations):
    return [high - low for low, high in zip([0, *marks(durations)], [*marks(durations), durations + 1], strict=True)]


def plus_one(counts, number):
    return tuple(count + (each == number) for each, count in enumerate(counts))


@given(st.lists(st.integers(0, 500), min_size=5, max_size=5).map(tuple), st.integers(4, 10_000))
def test_the_duration_bet_is_fair(counts, durations):
    weights = [gap + count for gap, count in zip(gaps_of(durations), counts, strict=True)]
    before = duration_bet(counts, durations)
    average = sum(
        weight / sum(weights) * exp(duration_bet(plus_one(counts, number), durations) - before)
        for number, weight in enumerate(weights)
    )
    assert average == pytest.approx(1, abs=1e-5)  # the alternatives are written with four digits


@pytest.mark.parametrize("durations", [4, 5, 6, 7, 10, 20, 50, 9_999])
def test_every_bin_has_a_weight_and_one_duration_is_still_to_come(durations):
    gaps = gaps_of(durations)
    assert min(gaps) >= 1
    assert sum(gaps) == durations + 1
    assert len(gaps) == len(CUTS) + 1


@given(outcomes, histories)
def test_one_more_failure_never_makes_the_decision_milder(outcome, history):
    started, failed = outcome
    now = closed_history_bet(started, failed, *history)
    assert closed_history_bet(started + 1, failed + 1, *history) >= now - NOISE
    assume(failed < started)
    assert closed_history_bet(started, failed + 1, *history) >= now - NOISE


@given(outcomes, histories)
def test_the_decision_keeps_all_that_the_bet_has_won(outcome, history):
    assume(outcome[0] <= most_told(history[0]))
    assert closed_history_bet(*outcome, *history) >= history_bet(*outcome, *history) - NOISE


@given(outcomes, histories)
def test_the_decision_is_the_bet_while_more_failures_raise_it(outcome, history):
    started, failed = outcome
    assume(started <= most_told(history[0]))
    a, c = weights_of(*history)
    mildest = 2 * min(normal_rate(*history), 0.3)
    assume(failed <= mildest * (a + c + started - 1) - a)
    assert closed_history_bet(started, failed, *history) == pytest.approx(history_bet(started, failed, *history), abs=NOISE)


@given(parts(st.integers(0, 40)), parts(st.integers(0, 60)))
def test_each_alternative_keeps_what_it_had_won_at_its_best(outcome, history):
    started, failed = outcome
    a, c = weights_of(*history)
    normal = normal_rate(*history)
    b = min(normal, 0.3)

    def won(q, f):
        ratio = lgamma(a + f) + lgamma(c + started - f) - lgamma(a + c + started) - (lgamma(a) + lgamma(c) - lgamma(a + c))
        return f * log(q) + (started - f) * log(1 - q) - ratio

    rates = (2 * b, min(5 * b, 0.9), min((2.5 * b) ** 0.5, 0.9), max(0.5, min(2 * b, 0.9)), 0.95)
    best = [max(won(q, f) for f in range(failed + 1)) if q > normal else 0.0 for q in rates]
    assert closed_history_bet(started, failed, *history) == pytest.approx(log(sum(map(exp, best)) / 5), abs=1e-6)


@given(sizes(), histories)
def test_a_success_more_never_speaks_against_a_clean_stack(started, history):
    assert closed_history_bet(started + 1, 0, *history) <= closed_history_bet(started, 0, *history) + NOISE


@given(parts(sizes(least=1, most=500)), st.integers(1, 10**5), histories)
def test_of_more_executions_than_the_history_can_tell_of_only_the_proportion_counts(outcome, times, history):
    parts, failed = outcome
    most = most_told(history[0])
    at_most_told = closed_history_bet(most, failed * most // parts, *history)
    assume(parts * times >= most)
    assert closed_history_bet(parts * times, failed * times, *history) == pytest.approx(at_most_told, abs=NOISE)


def test_a_stack_that_always_fails_stays_out_however_late_one_looks():
    assert history_bet(VERY_MANY, VERY_MANY, 20, 0) < 0
    assert all(closed_history_bet(10**digits, 10**digits, 20, 0) > fails_at(0.01) for digits in range(1, 8))


@pytest.mark.parametrize("failed", [500, 600, 650])
def test_a_stack_that_fails_less_often_than_a_broken_current_is_not_thrown_out_for_it(failed):
    assert closed_history_bet(1_000, failed, 1_000, 700) <= 0
    assert closed_history_bet(1_000, 960, 1_000, 700) > fails_at(0.01)


@given(epochs, shares, parts(sizes()))
def test_a_failure_on_latest_speaks_against_it_and_one_of_current_for_it(others, share, epoch):
    both, latest = epoch
    now = concurrent_bet([*others, (share, both, latest)])
    slack = NOISE * max(1, abs(now))
    assert concurrent_bet([*others, (share, both + 1, latest + 1)]) >= now - slack
    assert concurrent_bet([*others, (share, both + 1, latest)]) <= now + slack


@given(bins, history_sizes, st.integers(0, 3), st.integers(1, 4), st.floats(0, 1))
def test_executions_in_a_slower_bin_never_make_the_decision_milder(counts, durations, quick, further, part):
    slow = min(4, quick + further)
    moved = int(part * counts[quick])
    slower = tuple(count + moved * ((number == slow) - (number == quick)) for number, count in enumerate(counts))
    assert closed_duration_bet(slower, durations) >= closed_duration_bet(counts, durations) - NOISE


@given(bins, history_sizes)
def test_one_more_in_the_slowest_bin_never_makes_the_decision_milder(counts, durations):
    assert closed_duration_bet(plus_one(counts, 4), durations) >= closed_duration_bet(counts, durations) - NOISE


@given(bins, history_sizes)
def test_the_decision_on_durations_keeps_all_that_the_bet_has_won(counts, durations):
    assume(sum(counts) <= most_told(durations))
    assert closed_duration_bet(counts, durations) >= duration_bet(counts, durations) - NOISE


@given(st.lists(st.integers(0, 3), min_size=5, max_size=5).map(tuple), st.integers(4, 60))
def test_each_alternative_counts_executions_in_the_bins_that_fit_it_best(counts, durations):
    gaps = gaps_of(durations)

    def won(chances, at):
        predicted = sum(lgamma(gap + n) - lgamma(gap) for gap, n in zip(gaps, at, strict=True))
        predicted += lgamma(durations + 1) - lgamma(durations + 1 + sum(at))
        return sum(n * log(q) for n, q in zip(at, chances, strict=True)) - predicted

    quicker = [at for at in spread(sum(counts)) if all(sum(at[number:]) <= sum(counts[number:]) for number in range(5))]
    best = [max(won(chances, at) for at in quicker) for chances in SLOWER]
    assert closed_duration_bet(counts, durations) == pytest.approx(log(sum(map(exp, best)) / 4), abs=1e-6)


def spread(total):
    for first, second, third, fourth in product(range(total + 1), repeat=4):
        if (rest := total - first - second - third - fourth) >= 0:
            yield first, second, third, fourth, rest


@pytest.mark.parametrize("durations", [20, 300, 10_000])
def test_a_stack_that_is_always_slow_stays_out_however_late_one_looks(durations):
    late = [closed_duration_bet((0, 0, 0, 0, 10**digits), durations) for digits in range(1, 8)]
    assert late == sorted(late)
    assert late[0] > slow_at(0.01)
    assert duration_bet((0, 0, 0, 0, 10**5), 20) < 0


def test_of_more_durations_than_the_history_can_tell_of_only_the_proportions_count():
    most = most_told(40)
    counts = (most // 5,) * 5
    many = tuple(1_000 * count for count in counts)
    assert closed_duration_bet(many, 40) == closed_duration_bet(counts, 40)
    assert closed_duration_bet(plus_one(many, 0), 40) <= closed_duration_bet(counts, 40)


@given(outcomes, rates, rates)
def test_a_failure_more_never_proves_more(outcome, normal, bad):
    finished, failed = outcome
    assume(normal < bad and failed < finished)
    assert promotion_bound(finished, failed + 1, normal, bad) <= promotion_bound(finished, failed, normal, bad)
    assert at_most(finished, failed + 1, normal) >= at_most(finished, failed, normal) - 1e-9


@given(outcomes, rates)
def test_the_excluded_rate_is_where_the_promotion_bound_is_met(outcome, normal):
    """The one above the normal rate and the one that was seen, so that every rate above it is excluded too."""
    finished, failed = outcome
    excluded = at_most(finished, failed, normal)
    lowest = max(normal, failed / finished) if finished else normal
    assert lowest <= excluded <= 1
    low, high = lowest, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        proved = finished > 0 and (middle >= 1 or promotion_bound(finished, failed, normal, middle) >= PASS_AT)
        low, high = (low, middle) if proved else (middle, high)
    assert excluded == pytest.approx(high, abs=1e-9)


@given(outcomes, histories, bins, history_sizes, epochs, rates)
def test_every_number_is_finite_for_ten_million_executions(outcome, history, counts, durations, epochs, normal):
    numbers = [
        history_bet(*outcome, *history),
        closed_history_bet(*outcome, *history),
        concurrent_bet(epochs),
        duration_bet(counts, durations),
        closed_duration_bet(counts, durations),
        at_most(*outcome, normal),
    ]
    assert all(abs(number) < 1e10 for number in numbers)
    assert 0 < normal_rate(*history) < 1
