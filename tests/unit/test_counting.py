"""Counting: outcomes become counters and evidence, each once, in whatever order they come."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.domain.audit import FAILURES, IN_FLIGHT, OUTCOMES, Arm, Row, Status
from canary.domain.baseline import Baseline
from canary.domain.case import case_of
from canary.domain.counting import accounted, is_named, is_new
from canary.domain.evidence import ALONE, Share
from canary.domain.judge import judge
from canary.domain.plan import Plan, Stage
from canary.domain.release import Control, Release
from canary.domain.sight import Sight
from canary.domain.states import Gate, ReleaseState

NOW = 1_795_246_200_123
MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:transformer-v1"
TIMED = Baseline(executions=100, failed=1, cuts_ms=(10, 20, 30, 40), slowest_ms=50, mean_ms=25, interval_ms=100)


def release(**changes) -> Release:
    running = Release(
        app="a", release="00000001-0123abcd", rev=1, state=ReleaseState.RUNNING, since=NOW, opened_at=NOW, written_at=NOW,
        value="v", target="t", tag="v2", plan=Plan(stages=(Stage(earned=True),), max_failures=None), granted=100, claimed=10,
        gate=Gate.OPEN, baseline=TIMED,
    )  # fmt: skip
    return replace(running, **changes)


def row(request_id: str = "r", status: Status = Status.SUCCEEDED, **changes) -> Row:
    took = changes.pop("took", 15)
    base = Row(
        app="a", release="00000001-0123abcd", request_id=request_id, status=status, claimed_at=NOW, target="t", tag="v2",
        share=ALONE, started_at=NOW, stopped_at=NOW + took if status in OUTCOMES else None,
    )  # fmt: skip
    return replace(base, **changes)


def execution(name: str) -> str:
    return MACHINE.replace("stateMachine", "execution") + f":{name}"


@pytest.mark.parametrize("status", Status)
def test_a_row_is_new_once_it_has_ended_until_it_is_counted(status):
    assert is_new(row(status=status), release()) is (status not in IN_FLIGHT)
    assert not is_new(row(status=status, counted=True), release())
    assert not is_new(row(status=status), release(counted={"r": status.value}))


def test_an_outcome_is_counted_marked_and_no_longer_open():
    before = release(open={"r": NOW, "other": NOW})
    after = accounted(before, [row()])
    assert (after.tally.succeeded, after.counted, after.open) == (1, {"r": "SUCCEEDED"}, {"other": NOW})
    assert accounted(after, [row()]) == after


def test_marks_of_an_earlier_count_stay():
    assert accounted(release(counted={"q": "FAILED"}), [row()]).counted == {"q": "FAILED", "r": "SUCCEEDED"}


def test_what_runs_is_no_longer_open_and_not_counted():
    after = accounted(release(open={"r": NOW}), [row(status=Status.RUNNING)])
    assert (after.open, after.tally.known, after.counted) == ({}, 0, {})


@pytest.mark.parametrize("status", sorted(FAILURES))
def test_every_bad_end_is_a_failure_of_its_share(status):
    after = accounted(release(), [row(status=status, share=30)])
    assert (after.gathered.shares, after.tally.failures) == ({30: Share(1, 1, 0)}, 1)


def test_a_row_without_a_share_was_sent_alone():
    assert accounted(release(), [row(share=None)]).gathered.shares == {ALONE: Share(1, 0, 0)}


def test_a_duration_falls_into_its_bin_and_none_into_none():
    assert [accounted(release(), [row(took=took)]).gathered.bins.index(1) for took in (10, 11, 21, 31, 41)] == [0, 1, 2, 3, 4]
    assert sum(accounted(release(), [row(started_at=None)]).gathered.bins) == 0
    assert sum(accounted(release(baseline=Baseline()), [row()]).gathered.bins) == 0


def test_what_is_lost_is_neither_good_nor_bad_and_a_refund_gives_the_slot_back():
    lost = accounted(release(), [row(status=Status.LOST)])
    assert (lost.gathered, lost.tally.lost, lost.claimed) == (release().gathered, 1, 10)
    refunded = accounted(release(), [row(status=Status.LOST, unstarted=True)])
    assert (refunded.gathered, refunded.tally.lost, refunded.tally.refunded, refunded.claimed) == (release().gathered, 0, 1, 9)


class TestControlSamples:
    def sample(self, status: Status = Status.RUNNING, **changes) -> Row:
        known = {"share": 50, "arm": Arm.CURRENT, "transform_id": execution("r"), "state_machine": MACHINE}
        return row("r", status, **{**known, **changes})

    def test_one_that_was_answered_tells_where_the_workflows_run_and_that_they_bear_our_names(self):
        after = accounted(release(), [self.sample()])
        assert after.control == Control(MACHINE, named=True)
        assert (after.claimed, after.tally, after.gathered, after.counted) == (10, release().tally, release().gathered, {})

    def test_names_that_are_not_ours_tell_that_they_cannot_be_told_apart(self):
        assert accounted(release(), [self.sample(transform_id=execution("job-17"))]).control == Control(MACHINE, named=False)

    def test_one_that_did_the_work_itself_has_none(self):
        itself = self.sample(Status.SUCCEEDED, transform_id=None, state_machine=None)
        assert accounted(release(), [itself]).control == Control(None, named=True)

    @pytest.mark.parametrize("transform_id", [None, "job-17"])
    def test_one_whose_workflow_cannot_be_followed_is_not_taken_for_one_without(self, transform_id):
        lost = self.sample(Status.LOST, transform_id=transform_id, state_machine=None)
        assert accounted(release(), [lost]).control == Control(None, named=False)

    def test_what_is_known_stays(self):
        known = release(control=Control("m", named=True))
        assert accounted(known, [self.sample(transform_id=execution("job-17"))]).control == Control("m", named=True)

    def test_a_failed_call_counts_and_tells_nothing_of_workflows(self):
        after = accounted(release(), [self.sample(Status.FAILED, transform_id=None, state_machine=None)])
        assert (after.gathered.shares, after.control, after.tally) == ({50: Share(0, 0, 1)}, None, release().tally)
        assert after.counted == {"r": "FAILED"}

    def test_a_failed_workflow_is_left_to_where_workflows_are_listed(self):
        after = accounted(release(), [self.sample(Status.FAILED)])
        assert (after.gathered, after.counted) == (release().gathered, {"r": "FAILED"})

    def test_a_workflow_that_has_failed_tells_where_the_workflows_run_all_the_same(self):
        """A router process samples once. Were this one no sample, nobody would ever know."""
        assert accounted(release(), [self.sample(Status.FAILED)]).control == Control(MACHINE, named=True)

    def test_one_of_another_current_than_the_release_is_compared_with_counts_for_nothing(self):
        compared = release(against="the other")
        for sample in (self.sample(), self.sample(Status.FAILED, transform_id=None, state_machine=None)):
            after = accounted(compared, [sample])
            assert (after.control, after.gathered) == (None, compared.gathered)
        assert accounted(compared, [self.sample(Status.FAILED, transform_id=None)]).counted == {"r": "FAILED"}

    def test_one_of_the_current_that_the_release_is_compared_with_counts(self):
        after = accounted(
            release(against="t"), [self.sample(Status.FAILED, transform_id=None, state_machine=None), self.sample()]
        )
        assert (after.control, after.gathered.shares) == (Control(MACHINE, named=True), {50: Share(0, 0, 1)})

    def test_a_sample_is_none_of_latests(self):
        """Neither its state machine nor its name says anything of latest."""
        after = accounted(release(), [self.sample()])
        assert (after.state_machine, after.named) == (None, False)


def test_latests_own_rows_tell_where_its_workflows_run_and_how_they_are_named():
    told = row("r", Status.RUNNING, transform_id=execution("r"), state_machine=MACHINE)
    after = accounted(release(), [row("q", Status.FAILED), told])
    assert (after.state_machine, after.named) == (MACHINE, True)
    assert accounted(after, [replace(told, request_id="s")]).named


def test_a_workflow_bears_its_request_only_if_it_is_the_whole_name():
    assert is_named(row("r", transform_id=execution("r")))
    assert not is_named(row("r", transform_id=execution("xr")))
    assert not is_named(row("r", transform_id=None))


outcomes = st.lists(
    st.tuples(st.sampled_from(sorted(OUTCOMES)), st.integers(0, 40), st.sampled_from([5, 50, 100]), st.integers(0, 60)),
    min_size=1,
    max_size=60,
)


@given(outcomes, st.randoms(use_true_random=False), st.integers(0, 40))
def test_order_and_duplicates_of_outcomes_do_not_matter(found, random, oldest):
    rows = [
        row(f"r{number}", status, claimed_at=NOW + at, share=share, took=took)
        for number, (status, at, share, took) in enumerate(found)
    ]
    first = accounted(release(claimed=100), rows)
    mixed = [*rows, *random.sample(rows, len(rows) // 2)]
    random.shuffle(mixed)
    second = release(claimed=100)
    for each in mixed:
        second = accounted(second, [each])
    assert (second.tally, second.claimed, second.gathered.shares, second.gathered.bins) == (
        first.tally,
        first.claimed,
        first.gathered.shares,
        first.gathered.bins,
    )
    assert second.gathered.settled_before(NOW + oldest).prefix == first.gathered.settled_before(NOW + oldest).prefix
    verdicts = [judge(case_of(each, Sight(control={}), NOW + 100)) for each in (first, second)]
    assert verdicts[0] == verdicts[1]
