"""The certificate: good versions are thrown out more seldom than promised, whatever current's rate and history."""

from __future__ import annotations

from math import comb, exp

import pytest

from bench.judge.certificate import COINS, HISTORIES, RATES, SHARES, blamed, region, thrown_out
from bench.judge.durations import thrown_out_as_slow
from canary.domain.bets import closed_history_bet, fails_at, slow_at

#: Of the three quarters of a percent that the bets on failures may throw out.
PROMISED = 0.007


@pytest.mark.parametrize(("rate", "history", "within"), [(0.2, 20, 150), (0.15, 50, 120), (0.02, 30, 200)])
def test_the_certificate_agrees_with_following_every_case_one_by_one(rate, history, within):
    thrown = 0.0
    for failures in range(history + 1):
        chance = comb(history, failures) * rate**failures * (1 - rate) ** (history - failures)
        alive = {0: chance}
        for started in range(1, within + 1):
            then: dict[int, float] = {}
            for failed, here in alive.items():
                then[failed] = then.get(failed, 0) + here * (1 - rate)
                then[failed + 1] = then.get(failed + 1, 0) + here * rate
            alive = {
                failed: here
                for failed, here in then.items()
                if here > 1e-15 and closed_history_bet(started, failed, history, failures) < fails_at(0.01)
            }
        thrown += chance - sum(alive.values())
    assert thrown_out(rate, history, within) == pytest.approx(thrown, abs=1e-8)


@pytest.mark.parametrize(("history", "failures", "until"), [(20, 0, 100), (50, 10, 250), (30, 30, 150), (300, 1, 300)])
def test_the_region_begins_with_the_fewest_failures_at_which_the_rule_says_fail(history, failures, until):
    edges = region(history, failures, fails_at(0.01), until)
    for started, edge in enumerate(edges):
        says = [closed_history_bet(started, failed, history, failures) >= fails_at(0.01) for failed in range(started + 1)]
        assert says == [failed >= edge for failed in range(started + 1)]


@pytest.mark.slow
@pytest.mark.parametrize("history", [history for history in HISTORIES if history <= 500])
def test_a_good_version_is_ever_thrown_out_in_seven_of_a_thousand_releases_at_most(history):
    assert max(thrown_out(rate, history) for rate in RATES) <= PROMISED


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.0005, 0.01, 0.05, 0.2])
def test_that_holds_after_a_history_of_a_thousand(rate):
    assert thrown_out(rate, 1_000) <= PROMISED


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.0005, 0.005, 0.02, 0.2])
def test_that_holds_for_two_thousand_executions_after_a_history_of_ten_thousand(rate):
    assert thrown_out(rate, 10_000, within=2_000) <= PROMISED


@pytest.mark.parametrize("rate", [0.13, 0.142, 0.145, 0.15, 0.16])
def test_a_lucky_history_condemns_nobody_in_the_long_run(rate):
    """One that saw no failure is likely enough here. A bet that goes on growing throws them all out, after 100,000 executions."""
    assert thrown_out(rate, 20) <= PROMISED


@pytest.mark.parametrize("share", SHARES)
def test_a_coin_blames_a_version_no_worse_than_current_with_the_promised_chance_at_most(share):
    chance = blamed(share, COINS)
    assert exp(-fails_at(0.01)) / 3 < chance <= exp(-fails_at(0.01))


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "history"), [(0.2, 20), (0.15, 50), (0.2, 300), (0.05, 300)])
def test_what_a_coin_has_won_before_makes_nothing_more_likely(rate, history):
    """At whatever wealth the history's bet begins: the chance to multiply it stays below one over the factor."""
    for wealth in (1.0, 2.0, 3.0, 4.0, 6.0, 8.0):
        assert thrown_out(rate, history, wealth=wealth) <= exp(-wealth)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("durations", "within", "runs"),
    [(20, 300, 400), (25, 300, 300), (50, 500, 200), (200, 500, 200), (1_000, 500, 120), (10_000, 500, 120)],
)
def test_a_version_as_fast_as_current_is_thrown_out_as_slow_with_the_promised_chance_at_most(durations, within, runs):
    estimate = thrown_out_as_slow(durations, within, runs, seed=1)
    assert estimate.chance + 2 * estimate.error <= exp(-slow_at(0.01))
    assert estimate.error < 0.0003
