"""The judge: what a case says, for plans that count and plans that weigh."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from canary.domain.alarm import AlarmState
from canary.domain.baseline import Baseline
from canary.domain.evidence import Epoch, Evidence
from canary.domain.judge import Case, Judgement, judge
from canary.domain.plan import HOUR_MS, Plan, Span, Stage
from canary.domain.sight import WatchSight
from canary.domain.words import duration, weight_of_proof

NOW = 1_795_246_200_123
SEVERITY = [Judgement.PASS, Judgement.WAIT, Judgement.ERROR, Judgement.FAIL]
BASELINE = Baseline(
    executions=500, failed=2, cuts_ms=(60_000, 90_000, 130_000, 200_000), slowest_ms=400_000, mean_ms=100_000, interval_ms=600_000
)
WEIGHED = Plan(stages=(Stage(earned=True, weight=100),), max_failures=None)
moments = st.sampled_from([NOW, NOW + 59_999, NOW + 60_000, NOW + 10**9])


def counted(quota: int = 2, **changes) -> Case:
    """A case of one stage that counts, all of whose requests have succeeded unless the changes say otherwise."""
    plan = changes.pop("plan", Plan(stages=(Stage(quota=quota),)))
    settled = {"completed": quota, "succeeded": quota}
    return Case(**{"plan": plan, "stage": 0, "at": NOW, "stage_since": NOW, **settled, **changes})


def weighed(finished: int = 40, failed: int = 0, running: int = 0, **changes) -> Case:
    """A case of one earned stage: everything went to latest, nothing is out of order."""
    evidence = Evidence(
        finished=finished,
        failed=failed,
        running=running,
        alone_started=finished + running,
        alone_failed=failed,
        bins=(finished // 2, finished - finished // 2, 0, 0, 0),
        prefix_finished=finished,
        prefix_failed=failed,
    )
    fields = {"completed": finished, "succeeded": finished - failed, "failures": failed, "in_flight": running}
    base = {"plan": WEIGHED, "stage": 0, "at": NOW, "stage_since": NOW, "baseline": BASELINE, "evidence": evidence}
    return Case(**{**base, **fields, **changes})


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    judged = draw(st.booleans())
    number = draw(st.integers(1, 3))
    quotas = st.integers(1, 4) if not judged else st.none() | st.integers(1, 30)
    stages = []
    for _ in range(number):
        quota = draw(quotas)
        stages.append(
            Stage(
                quota=quota,
                earned=quota is None and draw(st.booleans()),
                bake=Span(draw(st.sampled_from([0, 60_000])), draw(st.sampled_from([0, 0, 3]))),
                min_completed=draw(st.sampled_from([0, 0, 2])),
                alarms=draw(st.sampled_from([(), (), ("errors",)])),
            )
        )
    most = sum(stage.quota or 0 for stage in stages)
    failures = None if judged else draw(st.integers(0, most - 1))
    return Plan(stages=tuple(stages), max_failures=failures, watch=Span(draw(st.sampled_from([0, 60_000])), 0))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Cases as they come up, none of which is out of the question."""
    plan = draw(plans())
    few = st.sampled_from([0, 0, 0, 1, 2])
    succeeded, failures = draw(st.integers(0, 12) | st.integers(20, 60)), draw(few)
    running, lost = draw(few), draw(few)
    finished = succeeded + failures
    share_failed = draw(st.integers(0, failures))
    prefix = draw(st.integers(0, finished))
    epochs = () if draw(st.booleans()) else (Epoch(draw(st.integers(500, 5_000)), share_failed + draw(few), share_failed),)
    alone_failed = failures - (share_failed if epochs else 0)
    slow = draw(st.integers(0, finished))
    return Case(
        plan=plan,
        stage=draw(st.integers(0, len(plan.stages) - 1)),
        at=draw(moments),
        stage_since=NOW,
        completed=draw(st.integers(0, finished)),
        in_flight=running,
        unseen=draw(st.sampled_from([0, 0, 0, 1])),
        free=draw(few),
        succeeded=succeeded,
        failures=failures,
        lost=lost,
        lost_forgiven=draw(st.integers(0, lost)),
        refunded=draw(st.integers(0, 12)),
        evidence=Evidence(
            finished=finished,
            failed=failures,
            lost=lost,
            running=running,
            oldest_ms=draw(st.sampled_from([0, 1_000, 2_000_000])) if running else 0,
            alone_started=alone_failed + running + draw(st.integers(0, finished - alone_failed)),
            alone_failed=alone_failed,
            epochs=epochs,
            bins=(finished - slow, 0, 0, 0, slow),
            prefix_finished=prefix,
            prefix_failed=draw(st.integers(0, min(prefix, failures))),
        ),
        baseline=draw(st.sampled_from([Baseline(), BASELINE])),
        alarms=draw(st.sampled_from([{}, *({"errors": state} for state in AlarmState), {"errors": AlarmState.OK}])),
        blind=draw(st.sampled_from([None, None, None, "the status of one cannot be read"])),
        watch=draw(st.none() | st.builds(WatchSight, st.integers(0, 60), st.just(0), st.integers(0, 60))),
    )


def one_worse(case: Case) -> Case:
    """The same, but one that has succeeded has failed instead: alone, or where the coin decided."""
    evidence = case.evidence
    in_prefix = evidence.prefix_failed < evidence.prefix_finished
    worse = replace(evidence, failed=evidence.failed + 1, prefix_failed=evidence.prefix_failed + in_prefix)
    if evidence.alone_failed < evidence.alone_started - evidence.running:
        worse = replace(worse, alone_failed=evidence.alone_failed + 1)
    else:
        first = evidence.epochs[0] if evidence.epochs else Epoch(5_000, 0, 0)
        told = replace(first, both=first.both + 1, latest=first.latest + 1)
        worse = replace(worse, epochs=(told, *evidence.epochs[1:]))
    return replace(case, succeeded=case.succeeded - 1, failures=case.failures + 1, evidence=worse)


def milder(before: Case, after: Case) -> bool:
    return SEVERITY.index(judge(after).judgement) < SEVERITY.index(judge(before).judgement)


@given(cases())
def test_a_success_that_had_been_a_failure_never_makes_the_verdict_milder(case):
    assume(case.succeeded)
    assert not milder(case, one_worse(case))


@given(cases(), st.integers(1, 30))
def test_what_has_failed_stays_failed_with_every_further_failure(case, more):
    assume(judge(case).judgement is Judgement.FAIL)
    evidence = case.evidence
    worse = replace(
        evidence,
        finished=evidence.finished + more,
        failed=evidence.failed + more,
        alone_started=evidence.alone_started + more,
        alone_failed=evidence.alone_failed + more,
    )
    after = replace(case, failures=case.failures + more, completed=case.completed + more, evidence=worse)
    assert judge(after).judgement is Judgement.FAIL


@given(cases(), st.sampled_from(["in a slower bin", "lost", "ringing", "unreadable", "gone"]))
def test_nothing_that_is_worse_makes_the_verdict_milder(case, what):
    if what == "in a slower bin":
        quick, *others, slow = case.evidence.bins
        assume(quick)
        after = replace(case, evidence=replace(case.evidence, bins=(quick - 1, *others, slow + 1)))
    elif what == "lost":
        after = replace(case, lost=case.lost + 1)
    elif what == "ringing":
        after = replace(case, alarms={**case.alarms, "errors": AlarmState.ALARM})
    elif what == "unreadable":
        after = replace(case, blind="the status of another cannot be read")
    else:
        assume("errors" in case.alarms and case.alarms["errors"] is not AlarmState.ALARM)
        after = replace(case, alarms={})
    assert not milder(case, after)


@given(cases())
def test_a_pass_has_all_the_proof_that_the_stage_asks_for(case):
    verdict = judge(case)
    if verdict.judgement is not Judgement.PASS:
        return
    stage, plan = case.now, case.plan
    assert case.blind is None
    assert all(case.alarms.get(name) is not AlarmState.ALARM for name in stage.alarms)
    if case.watch is not None:
        assert case.at >= case.stage_since + plan.watch.ms
        return
    assert all(case.alarms[name] is AlarmState.OK for name in stage.alarms)
    assert case.succeeded > 0
    assert case.lost <= case.lost_forgiven
    assert case.completed >= max(stage.quota or 0, stage.min_completed, stage.bake.completed)
    assert case.at >= case.stage_since + stage.bake.ms
    if plan.max_failures is not None:
        assert (case.failures <= plan.max_failures, case.in_flight, case.unseen) == (True, 0, 0)
    elif case.last or stage.open_ended:
        assert verdict.numbers is not None
        assert verdict.numbers.proved


@given(cases(), st.integers(1, 100))
def test_what_is_unknown_never_passes(case, unknown):
    assume(case.watch is None)
    assert judge(replace(case, lost=case.lost_forgiven + unknown)).judgement in {Judgement.ERROR, Judgement.FAIL}
    assert judge(replace(case, blind="it cannot be read")).judgement in {Judgement.ERROR, Judgement.FAIL}


@given(cases())
def test_no_evidence_never_passes_under_any_plan(case):
    nothing = replace(
        case, completed=0, succeeded=0, failures=0, in_flight=0, evidence=Evidence(), watch=None, lost=0, lost_forgiven=0
    )
    assert judge(nothing).judgement is not Judgement.PASS
    assert judge(replace(nothing, at=NOW + 10**12)).judgement is not Judgement.PASS


@given(st.integers(1, 60), moments)
def test_failures_alone_never_pass_however_many_may_be(failures, now):
    plan = Plan(stages=(Stage(quota=60),), max_failures=59)
    assert judge(counted(60, plan=plan, succeeded=0, failures=failures, at=now)).judgement is not Judgement.PASS
    assert judge(weighed(failures, failures, at=now)).judgement is not Judgement.PASS


@given(cases())
def test_every_verdict_says_why(case):
    verdict = judge(case)
    assert verdict.reason.strip()
    assert str(verdict) == f"{verdict.judgement}: {verdict.reason}"
    assert (verdict.numbers is not None) is (case.plan.judged or case.watch is not None)


def test_the_order_of_severity_is_that_of_the_checks():
    """A failure is told even where something cannot be seen; what cannot be seen is told even where something is missing."""
    ringing = Plan(stages=(Stage(quota=2, alarms=("errors",)),))
    both = counted(plan=ringing, failures=1, blind="it cannot be read", alarms={"errors": AlarmState.ALARM})
    assert judge(both).reason.startswith("1 of 3 finished requests failed")
    assert judge(replace(both, failures=0)).reason == "the alarm 'errors' is in state ALARM"
    assert str(judge(replace(both, failures=0, alarms={}))) == "ERROR: it cannot be read"
    assert str(judge(replace(both, failures=0, blind=None, alarms={}))) == (
        "ERROR: there is no alarm 'errors' in CloudWatch, and what is not there is not OK"
    )
    silent = replace(both, failures=0, blind=None, alarms={"errors": AlarmState.INSUFFICIENT_DATA})
    assert str(judge(silent)) == "WAIT: the alarm 'errors' has insufficient data"
    assert judge(replace(silent, alarms={"errors": AlarmState.OK})).judgement is Judgement.PASS


def test_the_first_failure_is_enough_by_default_whatever_else_is_going_on():
    case = counted(completed=2, succeeded=1, failures=1, in_flight=7, unseen=1)
    assert str(judge(case)) == "FAIL: 1 of 2 finished requests failed (0 may)"


@pytest.mark.parametrize(
    "case",
    [
        counted(in_flight=1),
        counted(unseen=1),
        counted(completed=1, succeeded=1, refunded=2),
        counted(completed=1, succeeded=1),
        counted(plan=Plan(stages=(Stage(quota=1), Stage(quota=2)), max_failures=2), completed=1, succeeded=0, failures=1),
        weighed(29),
        weighed(0, in_flight=2),
        weighed(33, completed=33, succeeded=33, evidence=Evidence(finished=33, prefix_finished=20, running=1)),
    ],
    ids=["one runs", "one is open", "some came back", "one is missing", "none succeeded", "too few", "none", "the oldest runs"],
)
def test_what_is_not_proved_waits(case):
    assert judge(case).judgement is Judgement.WAIT


def test_about_thirty_clean_runs_are_proof_with_half_a_percent_of_failures_and_two_are_not():
    assert [judge(weighed(finished)).judgement for finished in (2, 10, 29, 30)] == [Judgement.WAIT] * 3 + [Judgement.PASS]
    verdict = judge(weighed(33))
    assert verdict.reason == "33 of 33 requests succeeded; it fails at most 9.13 % of the time, at 95 %"


def test_a_stage_bakes_to_the_millisecond_and_an_operator_may_cut_it_short():
    case = counted(plan=Plan(stages=(Stage(quota=2, bake=Span(60_000)),)))
    assert str(judge(case)) == "WAIT: 2 of 2 requests succeeded; baking for 60 s more"
    assert judge(replace(case, at=NOW + 59_999)).judgement is Judgement.WAIT
    assert judge(replace(case, at=NOW + 60_000)).judgement is Judgement.PASS
    assert judge(replace(case, bake=False)).judgement is Judgement.PASS


def test_a_stage_bakes_by_what_has_ended_in_it_and_a_promotion_by_hand_cuts_that_short_too():
    plan = Plan(stages=(Stage(weight=20, bake=Span(completed=50)), Stage(earned=True)), max_failures=None)
    case = weighed(60, plan=plan, completed=49)
    assert str(judge(case)) == "WAIT: 49 of 50 finished while it bakes"
    assert judge(replace(case, completed=50)).judgement is Judgement.PASS
    assert judge(replace(case, bake=False)).judgement is Judgement.PASS


def test_what_ends_in_a_stage_is_asked_for_whatever_an_operator_says():
    plan = Plan(stages=(Stage(weight=20, min_completed=10), Stage(earned=True)), max_failures=None)
    case = weighed(60, plan=plan, completed=9)
    assert str(judge(replace(case, bake=False))) == "WAIT: 9 of 10 finished in this stage"
    assert judge(replace(case, completed=10)).judgement is Judgement.PASS


def test_only_the_last_stage_and_one_without_an_end_ask_for_proof():
    stages = (Stage(quota=3), Stage(weight=10, min_completed=3), Stage(earned=True), Stage(quota=30))
    plan = Plan(stages=stages, max_failures=None)
    few = [judge(weighed(3, plan=plan, stage=number, completed=30)).judgement for number in range(4)]
    assert few == [Judgement.PASS, Judgement.PASS, Judgement.WAIT, Judgement.WAIT]


def test_while_it_waits_it_says_for_what():
    assert judge(counted(completed=1, succeeded=1, free=1)).reason == "1 of 2 succeeded, 1 slot free"
    assert judge(counted(completed=0, succeeded=0, in_flight=2)).reason == "0 of 2 succeeded, 2 running"
    quota = Plan(stages=(Stage(quota=5), Stage(earned=True)), max_failures=None)
    case = weighed(3, plan=quota, in_flight=2)
    case = replace(case, evidence=replace(case.evidence, oldest_ms=41 * 60_000))
    assert judge(replace(case, baseline=replace(BASELINE, slowest_ms=65 * 60_000))).reason == (
        "3 of 5 finished, 2 running, the oldest for 41 min (p99.9 is 1 h 5 min)"
    )


def test_what_is_not_proved_yet_says_how_far_it_is():
    assert judge(weighed(10, free=8)).reason == (
        "10 finished, 8 slots free, it fails at most 26.3 % of the time, at 95 %, and 10 % must be excluded; "
        "about 20 more in a row would do"
    )
    assert judge(weighed(0, completed=0, succeeded=0, in_flight=2)).reason == (
        "0 finished, 2 running, it fails at most 100 % of the time, at 95 %, and 10 % must be excluded; "
        "about 30 more in a row would do"
    )


def test_unknown_outcomes_keep_a_release_from_going_on_until_a_person_forgives_them():
    assert str(judge(counted(lost=1))) == "ERROR: the outcome of 1 request is unknown (LOST), and unknown is not success"
    assert judge(counted(lost=1, lost_forgiven=1)).judgement is Judgement.PASS
    assert "2 requests" in judge(counted(lost=3, lost_forgiven=1)).reason


def test_slots_may_come_back_as_often_as_the_plan_allows():
    waiting = counted(completed=1, succeeded=1)
    assert judge(replace(waiting, refunded=2)).judgement is Judgement.WAIT
    assert str(judge(replace(waiting, refunded=3))) == "ERROR: 3 requests could not be sent to latest (see `error` in the audit)"
    assert judge(replace(waiting, refunded=3, refunds_forgiven=1)).judgement is Judgement.WAIT
    assert judge(counted(refunded=9)).judgement is Judgement.PASS


class TestTheWatch:
    """The judge goes on once latest is current: a FAIL there takes it back, and no proof is asked for any more."""

    PLAN = Plan(stages=(Stage(quota=2),), watch=Span(HOUR_MS))

    def seen(self, started=0, failed=0, succeeded=0, *, after=0, plan=PLAN, **changes) -> Case:
        evidence = Evidence(alone_started=2 + started, alone_failed=failed, finished=2 + failed + succeeded, failed=failed)
        watch = WatchSight(started, failed, succeeded)
        base = counted(plan=plan, evidence=evidence, baseline=BASELINE, watch=watch, at=NOW + after)
        return replace(base, **changes)

    def test_it_lasts_as_long_as_the_plan_says_with_traffic_and_without(self):
        assert judge(self.seen(9, 1, after=HOUR_MS // 2)).reason == "watching for 30 min more: 1 of 9 requests failed so far"
        assert judge(self.seen(9, 0, 1, after=HOUR_MS)).judgement is Judgement.PASS

    def test_where_nothing_has_ended_in_it_it_has_seen_nothing(self):
        assert judge(self.seen(9, after=HOUR_MS // 2)).judgement is Judgement.WAIT
        for started in (0, 9):
            blind = judge(self.seen(started, after=HOUR_MS))
            assert (blind.judgement, blind.reason) == (
                Judgement.ERROR,
                "nothing has ended since the promotion: there was nothing to watch",
            )

    def test_it_lasts_until_so_many_have_ended_or_the_deadline_if_there_is_too_little_traffic(self):
        plan = replace(self.PLAN, watch=Span(completed=50))
        waiting = self.seen(60, 2, 47, plan=plan)
        assert judge(waiting).reason == "watching: 49 of 50 executions have ended since the promotion, 2 failed"
        assert judge(self.seen(60, 2, 48, plan=plan)).judgement is Judgement.PASS
        assert judge(replace(waiting, at=NOW + plan.deadline_ms - 1)).judgement is Judgement.WAIT
        assert judge(replace(waiting, at=NOW + plan.deadline_ms)).judgement is Judgement.PASS

    def test_it_asks_for_both_where_the_plan_says_both(self):
        plan = replace(self.PLAN, watch=Span(HOUR_MS, 5))
        assert judge(self.seen(9, 0, 9, plan=plan)).judgement is Judgement.WAIT
        assert judge(self.seen(9, 0, 4, plan=plan, after=HOUR_MS)).judgement is Judgement.WAIT
        assert judge(self.seen(9, 0, 5, plan=plan, after=HOUR_MS)).judgement is Judgement.PASS

    def test_it_fails_by_the_same_evidence_and_alarms_as_a_trial(self):
        assert judge(self.seen(40, 8, 32)).judgement is Judgement.FAIL
        ringing = replace(self.PLAN, stages=(Stage(quota=2, alarms=("errors",)),))
        assert judge(self.seen(plan=ringing, alarms={"errors": AlarmState.ALARM})).judgement is Judgement.FAIL
        assert judge(self.seen(plan=ringing)).judgement is Judgement.ERROR

    def test_what_was_unknown_in_the_trial_does_not_keep_it_from_ending(self):
        assert judge(self.seen(1, 0, 1, after=HOUR_MS, lost=1)).judgement is Judgement.PASS


@pytest.mark.parametrize(("quota", "excluded"), [(1, "95.0"), (2, "77.6"), (3, "63.2"), (10, "25.9")])
def test_a_short_plan_says_how_little_it_proves(quota, excluded):
    said = weight_of_proof(Plan(stages=(Stage(quota=quota),)))
    assert said == f"{quota} of {quota}: at 95 % only failure rates above {excluded} % are excluded"


def test_a_longer_plan_and_one_that_weighs_need_no_such_word():
    assert weight_of_proof(Plan(stages=(Stage(quota=11),))) is None
    assert weight_of_proof(WEIGHED) is None


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
