"""The judge."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from canary.domain.judge import Judgement, duration, judge, missing, weight_of_proof
from canary.domain.plan import Plan, Stage
from canary.domain.release import Release, ReleaseState, Tally

NOW = 1_795_246_200_123
SEVERITY = [Judgement.PASS, Judgement.WAIT, Judgement.FAIL]
small = st.integers(0, 6)


def release(tally: Tally = Tally(), **changes) -> Release:  # noqa: B008 - frozen
    running = Release(
        app="a", release="00000001-0123abcd", rev=1, state=ReleaseState.RUNNING, since=NOW, opened_at=NOW, written_at=NOW,
        value="v", target="t", tag="v2", stage_since=NOW, granted=2, claimed=tally.settled, tally=tally,
    )  # fmt: skip
    return replace(running, **changes)


@st.composite
def evidence(draw: st.DrawFn) -> Release:
    stages = tuple(
        Stage(quota=draw(st.integers(1, 4)), bake_ms=draw(st.sampled_from([0, 60_000]))) for _ in range(draw(st.integers(1, 3)))
    )
    quota = sum(stage.quota for stage in stages)
    plan = Plan(stages=stages, max_failures=draw(st.integers(0, quota - 1)))
    few = st.sampled_from([0, 0, 0, 1, 2])
    tally = draw(st.builds(Tally, st.integers(0, 12), few, few, few, few, small))
    running = draw(st.sampled_from([0, 0, 0, 1]))
    opened = draw(st.sampled_from([{}, {}, {}, {"r": NOW}]))
    return release(tally, plan=plan, stage=draw(st.integers(0, len(stages) - 1)), claimed=tally.settled + running, open=opened)


moments = st.sampled_from([NOW, NOW + 59_999, NOW + 60_000, NOW + 10**9])


@given(evidence(), moments, st.sampled_from(["failed", "timed_out", "aborted", "lost"]))
def test_a_success_that_had_been_none_never_makes_the_verdict_milder(seen, now, other):
    assume(seen.tally.succeeded)
    worse = replace(seen.tally, succeeded=seen.tally.succeeded - 1, **{other: getattr(seen.tally, other) + 1})
    before, after = (judge(each, now).judgement for each in (seen, replace(seen, tally=worse)))
    assert SEVERITY.index(after) >= SEVERITY.index(before)


@given(evidence(), moments, st.sampled_from(["failed", "timed_out", "aborted"]))
def test_what_has_failed_stays_failed_with_every_further_failure(seen, now, other):
    assume(judge(seen, now).judgement is Judgement.FAIL)
    worse = replace(seen.tally, **{other: getattr(seen.tally, other) + 1})
    assert judge(replace(seen, tally=worse), now).judgement is Judgement.FAIL


@given(evidence(), moments)
def test_a_pass_has_all_the_proof_that_the_stage_asks_for(seen, now):
    if judge(seen, now).judgement is not Judgement.PASS:
        return
    known = seen.tally.succeeded + seen.tally.failures
    assert known >= seen.plan.quota_through(seen.stage)
    assert (seen.tally.succeeded > 0, seen.tally.failures <= seen.plan.max_failures) == (True, True)
    assert (seen.in_flight, seen.open) == (0, {})
    assert now >= seen.stage_since + seen.plan.stages[seen.stage].bake_ms


@given(evidence(), moments, st.integers(0, 100), st.integers(0, 100))
def test_unknown_and_refunded_outcomes_prove_nothing(seen, now, lost, refunded):
    tally = replace(seen.tally, lost=lost, refunded=refunded)
    other = replace(seen, tally=tally, claimed=seen.claimed - seen.tally.lost + lost)
    assert judge(other, now).judgement is judge(seen, now).judgement


@given(st.integers(1, 5), moments)
def test_no_evidence_never_passes(quota, now):
    seen = release(plan=Plan(stages=(Stage(quota=quota),), max_failures=quota - 1))
    assert judge(seen, now).judgement is Judgement.WAIT


@given(st.integers(2, 5), moments)
def test_failures_alone_never_pass_however_many_may_be(quota, now):
    plan = Plan(stages=(Stage(quota=quota),), max_failures=quota - 1)
    verdicts = [judge(release(Tally(failed=n), plan=plan), now).judgement for n in range(quota + 1)]
    assert Judgement.PASS not in verdicts
    assert verdicts[-1] is Judgement.FAIL


def test_the_first_failure_is_enough_by_default_whatever_else_is_going_on():
    seen = release(Tally(succeeded=1, failed=1), claimed=9, open={"r": NOW})
    assert str(judge(seen, NOW)) == "FAIL: 1 of 2 finished requests failed (0 may)"


@pytest.mark.parametrize(
    "seen",
    [
        release(Tally(succeeded=2), claimed=3),
        release(Tally(succeeded=2), open={"r": NOW}),
        release(Tally(succeeded=1, lost=1)),
        release(Tally(succeeded=1, refunded=9)),
        release(Tally(succeeded=1), stage=0),
        release(Tally(failed=1), plan=Plan(stages=(Stage(quota=1), Stage(quota=2)), max_failures=2)),
    ],
    ids=["one runs", "one is open", "one is lost", "some came back", "one is missing", "none succeeded"],
)
def test_what_is_not_proved_waits(seen):
    assert judge(seen, NOW).judgement is Judgement.WAIT


def test_a_stage_bakes_to_the_millisecond_and_an_operator_may_cut_it_short():
    seen = release(Tally(succeeded=2), plan=Plan(stages=(Stage(quota=2, bake_ms=60_000),)))
    assert judge(seen, NOW + 59_999).judgement is Judgement.WAIT
    assert str(judge(seen, NOW)) == "WAIT: 2 of 2 requests succeeded; baking for 60 s more"
    assert judge(seen, NOW + 60_000).judgement is Judgement.PASS
    assert judge(seen, NOW, bake=False).judgement is Judgement.PASS


def test_while_it_waits_it_says_for_what():
    assert judge(release(Tally(succeeded=1), claimed=1), NOW).reason == "1 of 2 succeeded, 1 slot free"
    assert judge(release(Tally(), claimed=2), NOW).reason == "0 of 2 succeeded, 2 running"


def test_unknown_outcomes_keep_a_release_from_going_on_until_a_person_forgives_them():
    assert "1 request is unknown" in (missing(release(Tally(lost=1))) or "")
    assert missing(release(Tally(lost=1), lost_forgiven=1)) is None
    assert "2 requests" in (missing(release(Tally(lost=3), lost_forgiven=1)) or "")


def test_slots_may_come_back_as_often_as_the_plan_allows():
    assert missing(release(Tally(refunded=2))) is None
    assert "3 requests could not be sent" in (missing(release(Tally(refunded=3))) or "")
    assert missing(release(Tally(refunded=3), refunds_forgiven=1)) is None


@pytest.mark.parametrize(("quota", "excluded"), [(1, "95.0"), (2, "77.6"), (3, "63.2"), (10, "25.9")])
def test_a_short_plan_says_how_little_it_proves(quota, excluded):
    said = weight_of_proof(Plan(stages=(Stage(quota=quota),)))
    assert said == f"{quota} of {quota}: at 95 % only failure rates above {excluded} % are excluded"


def test_a_longer_plan_needs_no_such_word():
    assert weight_of_proof(Plan(stages=(Stage(quota=11),))) is None


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [
        (-5, "0 s"),
        (41_000, "41 s"),
        (89_499, "89 s"),
        (720_000, "12 min"),
        (12_000_000, "3 h 20 min"),
        (7_200_000, "2 h"),
        (187_200_000, "2 d 4 h"),
        (172_800_000, "2 d"),
    ],
)
def test_a_duration_is_written_for_people(milliseconds, words):
    assert duration(milliseconds) == words
