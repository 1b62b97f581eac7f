"""Evidence: the order in which outcomes come does not matter, and nothing is credited before its time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canary.domain.baseline import Baseline
from canary.domain.evidence import ALONE, MOST_SLICES, Epoch, Evidence, Gathered, Running, Slice, gather
from tests.strategies import NO_SHRINKING

TIMED = Baseline(executions=100, failed=2, cuts_ms=(10, 20, 30, 40), slowest_ms=50, mean_ms=20)
UNTIMED = Baseline()


@dataclass(frozen=True)
class Outcome:
    """One request on latest, from its claim to its end."""

    claimed_at: int
    ended_at: int
    share: int = ALONE
    failed: bool = False
    duration_bin: int | None = None


@st.composite
def histories(draw: st.DrawFn, most: int, shortest: int = 0) -> list[Outcome]:
    """Requests in the order of their claims; some at the same moment, some fast, some very slow."""
    count = draw(st.integers(shortest, most))
    rng = draw(st.randoms(use_true_random=False))
    step, longest = draw(st.sampled_from([0, 1, 5])), draw(st.sampled_from([1, 20, 500]))
    requests, now = [], 0
    for _ in range(count):
        now += rng.randint(0, step)
        share = rng.choice([500, 5_000, ALONE, ALONE])
        requests.append(Outcome(now, now + rng.randint(1, longest), share, rng.random() < 0.3, rng.choice([None, 0, 1, 4])))
    return requests


def plus(kept: Gathered, each: Outcome) -> Gathered:
    return kept.plus(share=each.share, failed=each.failed, claimed_at=each.claimed_at, duration_bin=each.duration_bin)


def gathered(outcomes: Sequence[Outcome]) -> Gathered:
    kept = Gathered()
    for each in outcomes:
        kept = plus(kept, each)
    return kept


def seen(
    kept: Gathered,
    running: Sequence[Running] = (),
    control=None,
    baseline: Baseline = TIMED,
    now: int = 0,
    *,
    hung_after: float = 10**9,
) -> Evidence:
    return gather(kept, running, control, baseline, hung_after=hung_after, lost=0, now=now)


def passes(outcomes: Sequence[Outcome], every: int):
    """What each pass of the flipper sees while these requests come and end; it keeps what has settled."""
    kept = Gathered()
    last = max((each.ended_at for each in outcomes), default=0)
    for now in range(0, last + every, every):
        for each in sorted(outcomes, key=lambda each: each.ended_at):
            if now - every < each.ended_at <= now:
                kept = plus(kept, each)
        running = [each for each in outcomes if each.claimed_at <= now < each.ended_at]
        oldest = min((each.claimed_at for each in running), default=None)
        told = seen(kept, [Running(each.claimed_at, each.share, each.claimed_at) for each in running], now=now)
        claimed = [each for each in outcomes if each.claimed_at <= now]
        yield told, claimed, oldest
        kept = kept.settled_before(oldest)


def counted(outcomes: Sequence[Outcome]) -> tuple[int, int]:
    return len(outcomes), sum(each.failed for each in outcomes)


@given(histories(most=MOST_SLICES), st.randoms(use_true_random=False), st.integers(0, 100))
def test_the_order_of_outcomes_does_not_matter(outcomes, rng, oldest):
    shuffled = rng.sample(outcomes, len(outcomes))
    running = [Running(oldest, ALONE)]
    assert seen(gathered(shuffled), running, {}) == seen(gathered(outcomes), running, {})


@settings(phases=NO_SHRINKING)
@given(histories(most=200, shortest=MOST_SLICES), st.randoms(use_true_random=False))
def test_the_order_does_not_matter_to_counts_however_many_there_are(outcomes, rng):
    shuffled, inorder = gathered(rng.sample(outcomes, len(outcomes))), gathered(outcomes)
    assert (shuffled.shares, shuffled.bins) == (inorder.shares, inorder.bins)
    assert seen(shuffled) == seen(inorder)
    assert counted(outcomes) == (seen(shuffled).prefix_finished, seen(shuffled).prefix_failed)


@given(histories(most=MOST_SLICES), st.integers(1, 30))
def test_the_prefix_is_all_that_was_claimed_before_the_oldest_unfinished_request(outcomes, every):
    for told, claimed, oldest in passes(outcomes, every):
        before = [each for each in claimed if oldest is None or each.claimed_at < oldest]
        assert (told.prefix_finished, told.prefix_failed) == counted(before)


@settings(phases=NO_SHRINKING)
@given(histories(most=200, shortest=MOST_SLICES), st.integers(1, 30))
def test_of_very_many_outcomes_the_prefix_may_be_credited_later_but_never_out_of_order_nor_too_early(outcomes, every):
    for told, claimed, oldest in passes(outcomes, every):
        starts = sorted({each.claimed_at for each in claimed if oldest is None or each.claimed_at < oldest})
        prefixes = [counted([each for each in claimed if each.claimed_at <= until]) for until in [-1, *starts]]
        assert (told.prefix_finished, told.prefix_failed) in prefixes
        if oldest is None:
            assert (told.prefix_finished, told.prefix_failed) == counted(claimed)


@settings(phases=NO_SHRINKING)
@given(histories(most=200), st.randoms(use_true_random=False))
def test_slices_stay_few_and_in_order_and_keep_every_outcome(outcomes, rng):
    tail = gathered(rng.sample(outcomes, len(outcomes))).tail
    assert len(tail) <= MOST_SLICES
    assert [each.until for each in tail] == sorted(each.until for each in tail)
    assert (sum(each.finished for each in tail), sum(each.failed for each in tail)) == counted(outcomes)


def test_slices_stay_of_a_size_so_that_little_is_credited_late():
    tail = gathered([Outcome(number, number) for number in range(50 * MOST_SLICES)]).tail
    assert max(each.finished for each in tail) <= 2 * 50 + 2


def test_what_was_claimed_in_one_moment_is_credited_in_one():
    kept = gathered([Outcome(number // 3, 0, failed=number % 3 == 0) for number in range(5 * MOST_SLICES)])
    for oldest in range(5 * MOST_SLICES // 3):
        ready = kept.settled_before(oldest).prefix
        assert (ready.finished, ready.failed) == (3 * ready.failed, ready.failed)


def test_what_settles_moves_to_the_prefix_and_stays_there():
    kept = gathered([Outcome(1, 9), Outcome(5, 9, failed=True), Outcome(7, 9)]).settled_before(7)
    assert (kept.prefix, kept.tail) == (Slice(5, 2, 1), (Slice(7, 1, 0),))
    assert kept.settled_before(7) is kept
    late = plus(kept, Outcome(3, 9)).settled_before(7)  # a router whose clock is behind
    assert (late.prefix, late.tail) == (Slice(5, 3, 1), (Slice(7, 1, 0),))
    assert late.settled_before(None).prefix == Slice(7, 4, 1)


@given(histories(most=30), st.lists(st.builds(Running, st.integers(0, 100), st.sampled_from([5, 50, ALONE])), max_size=5))
def test_every_request_is_in_one_bet_on_failures(outcomes, running):
    """Those of the coin are compared with current where that is possible, all others with the history."""
    kept = gathered(outcomes)
    alone = [each for each in outcomes if each.share == ALONE]
    compared = seen(kept, running, {})
    assert (compared.alone_started, compared.alone_failed) == (
        len(alone) + sum(each.share == ALONE for each in running),
        sum(each.failed for each in alone),
    )
    assert sum(epoch.latest for epoch in compared.epochs) == sum(each.failed for each in outcomes) - compared.alone_failed
    blind = seen(kept, running, None)
    assert (blind.alone_started, blind.alone_failed) == (len(outcomes) + len(running), sum(each.failed for each in outcomes))
    assert blind.epochs == ()


def test_failures_of_current_count_at_the_share_at_which_the_coin_was_tossed():
    kept = gathered([Outcome(1, 2, share=5_000, failed=True), Outcome(1, 2, share=5_000), Outcome(1, 2)])
    told = seen(kept.with_control({5_000: 1}), control={5_000: 3, ALONE: 9})
    assert told.epochs == (Epoch(5_000, both=5, latest=1),)


def test_failures_of_current_count_before_anything_has_ended_on_latest():
    assert seen(Gathered(), control={500: 2}).epochs == (Epoch(500, both=2, latest=0),)
    assert seen(Gathered().with_control({500: 1}), control={}).epochs == (Epoch(500, both=1, latest=0),)


@pytest.mark.parametrize(("age", "number"), [(0, 0), (10, 0), (11, 1), (20, 1), (40, 3), (41, 4), (10**6, 4)])
def test_a_running_request_is_in_the_lowest_bin_that_its_age_allows(age, number):
    told = seen(Gathered(), [Running(claimed_at=0, share=5, started_at=100)], now=100 + age)
    assert told.bins == tuple(int(each == number) for each in range(5))
    assert (told.oldest_ms, told.running) == (age, 1)


def test_a_request_whose_workflow_has_not_started_for_certain_is_in_the_lowest_bin():
    told = seen(Gathered(), [Running(claimed_at=0, share=ALONE)], now=1_000)
    assert told.bins == (1, 0, 0, 0, 0)
    assert told.oldest_ms == 1_000


def test_a_clock_that_is_behind_makes_no_negative_ages():
    assert seen(Gathered(), [Running(50, ALONE, 60)], now=10).oldest_ms == 0


def test_durations_say_nothing_without_a_history_of_them():
    kept = gathered([Outcome(1, 2, duration_bin=4)])
    assert seen(kept, [Running(0, ALONE, 0)], baseline=UNTIMED, now=99).bins == (0, 0, 0, 0, 0)
    assert seen(kept, [Running(0, ALONE, 0)], now=99).bins == (0, 0, 0, 0, 2)


class TestWhatHangs:
    """A request that has been on its way for longer than three times what 99.9 % of current's take."""

    @pytest.mark.parametrize(("age", "overdue"), [(150, 0), (151, 1)])
    def test_is_overdue_beyond_the_limit(self, age, overdue):
        told = seen(Gathered(), [Running(0, ALONE, 0)], now=age, hung_after=3)
        assert (told.overdue, told.alone_started, told.alone_failed, told.failed) == (overdue, 1, overdue, 0)

    def test_nothing_is_where_nothing_is_known_of_durations(self):
        assert seen(Gathered(), [Running(0, ALONE, 0)], baseline=UNTIMED, now=10**12, hung_after=3).overdue == 0

    @pytest.mark.parametrize("control", [{}, None])
    def test_is_held_against_the_history_whatever_its_share(self, control):
        running = [Running(0, 500, 0), Running(990, 500, 990)]
        told = seen(Gathered(), running, control=control, now=1_000, hung_after=3)
        assert (told.alone_started, told.alone_failed) == (1 if control is not None else 2, 1)

    def test_keeps_nothing_that_was_claimed_after_it_from_being_credited(self):
        kept = gathered([Outcome(5, 900), Outcome(20, 910), Outcome(980, 990)])
        running = [Running(10, ALONE, 10), Running(950, ALONE, 950)]
        told = seen(kept, running, now=1_000, hung_after=3)
        assert (told.prefix_finished, told.prefix_failed) == (3, 1)
        assert seen(kept, running, now=1_000).prefix_finished == 1

    def test_is_credited_no_sooner_than_what_was_claimed_before_it(self):
        """The one before it started late, and is on its way for a while only."""
        running = [Running(0, ALONE, 900), Running(10, ALONE, 10)]
        told = seen(gathered([Outcome(5, 900)]), running, now=1_000, hung_after=3)
        assert (told.overdue, told.prefix_finished, told.prefix_failed) == (1, 0, 0)

    def test_counts_as_failed_only_until_it_ends(self):
        kept = gathered([Outcome(0, 1_000)])
        told = seen(kept, now=1_000, hung_after=3)
        assert (told.overdue, told.alone_started, told.alone_failed) == (0, 1, 0)


def test_what_is_lost_is_told_apart():
    told = gather(gathered([Outcome(1, 2)]), (), None, TIMED, hung_after=3, lost=3, now=0)
    assert (told.lost, told.finished, told.failed) == (3, 1, 0)
