"""Cases: what the judge is given of a release, and what is kept of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canary.domain.alarm import AlarmState
from canary.domain.app import App, Seen
from canary.domain.baseline import Baseline
from canary.domain.batch import LAG_MS, Batch
from canary.domain.case import case_document, case_from, case_of, sight_of
from canary.domain.evidence import ALONE, Epoch, Gathered, Running, Share, Slice
from canary.domain.plan import Plan, Span, Stage
from canary.domain.release import Release, Watched
from canary.domain.sight import Sight, WatchSight
from canary.domain.states import Gate, Hold, ReleaseState
from canary.domain.tally import Tally
from tests.strategies import NO_SHRINKING, releases

NOW = 1_795_246_200_123
JUDGED = Plan(stages=(Stage(weight=50, min_completed=1), Stage(earned=True, alarms=("errors",))), max_failures=None)
COUNTED = Plan(stages=(Stage(quota=2),))


def release(plan: Plan = JUDGED, **changes) -> Release:
    running = Release(
        app="a", release="00000001-0123abcd", rev=1, state=ReleaseState.RUNNING, since=NOW, opened_at=NOW, written_at=NOW,
        value="v", target="t", tag="v2", plan=plan, stage_since=NOW + 1, granted=9, claimed=7, gate=Gate.OPEN,
        open={"x": NOW}, tally=Tally(succeeded=3, failed=1, lost=1, refunded=2),
        gathered=Gathered(shares={5_000: Share(3, 1, 2), ALONE: Share(1, 0, 0)}),
    )  # fmt: skip
    return replace(running, **changes)


def seen(sights: dict[str, Sight]) -> Seen:
    return Seen(app=App(app="a"), current=None, latest=None, previous=None, sights=sights)


def test_the_counters_are_the_releases_and_what_ended_is_the_stages():
    case = case_of(release(stage_base=1), Sight(), NOW + 5)
    assert (case.at, case.stage_since, case.completed, case.in_flight, case.unseen, case.free) == (NOW + 5, NOW + 1, 3, 2, 1, 2)
    assert (case.succeeded, case.failures, case.lost, case.refunded) == (3, 1, 1, 2)


def test_what_was_on_its_way_when_the_stage_began_ends_first():
    assert case_of(release(stage_base=6), Sight(), NOW).completed == 0


def test_slots_that_were_taken_away_are_not_free():
    assert case_of(release(granted=5), Sight(), NOW).free == 0


class TestTheEvidence:
    def test_of_the_coin_is_compared_where_current_can_be_told_apart(self):
        evidence = case_of(release(), Sight(control={5_000: 4, 2_000: 1}), NOW).evidence
        assert evidence.epochs == (Epoch(2_000, 1, 0), Epoch(5_000, 7, 1))
        assert (evidence.alone_started, evidence.alone_failed) == (1, 0)

    def test_of_the_coin_is_held_against_the_history_where_it_cannot(self):
        evidence = case_of(release(), Sight(control=None), NOW).evidence
        assert (evidence.epochs, evidence.alone_started, evidence.alone_failed) == ((), 4, 1)

    def test_of_the_coin_says_nothing_while_currents_failures_cannot_be_read(self):
        evidence = case_of(release(), Sight(control={}, uncompared=True), NOW).evidence
        assert (evidence.epochs, evidence.alone_started, evidence.alone_failed) == ((), 1, 0)
        assert (evidence.finished, evidence.failed) == (4, 1)

    def test_what_runs_counts_as_started_alone_at_a_share_of_one(self):
        running = (Running(NOW, ALONE, NOW), Running(NOW + 2, 5_000, NOW + 3))
        assert case_of(release(), Sight(control={}, running=running), NOW + 9).evidence.alone_started == 2
        assert case_of(release(), Sight(running=running), NOW + 9).evidence.alone_started == 6

    def test_of_the_watch_is_latests_alone(self):
        watch = WatchSight(started=20, failed=2, succeeded=11)
        watching = release(state=ReleaseState.WATCHING, watched=Watched(since=NOW + 70))
        case = case_of(watching, Sight(control={5_000: 4}, watch=watch), NOW + 80)
        assert (case.stage_since, case.watch) == (NOW + 70, watch)
        assert (case.evidence.alone_started, case.evidence.alone_failed) == (21, 2)
        assert (case.evidence.finished, case.evidence.failed) == (17, 3)
        assert case.evidence.epochs == (Epoch(5_000, 7, 1),)

    def test_what_hangs_is_told_by_the_plans_own_limit(self):
        running = (Running(NOW, ALONE, NOW),)
        timed = Baseline(executions=100, failed=1, cuts_ms=(10, 20, 30, 40), slowest_ms=50, mean_ms=25, interval_ms=100)
        for hung_after, overdue in ((1.0, 1), (3.0, 0)):
            hanging = release(replace(JUDGED, hung_after=hung_after), baseline=timed)
            assert case_of(hanging, Sight(control={}, running=running), NOW + 100).evidence.overdue == overdue

    def test_of_what_was_claimed_since_shortly_before_the_oldest_batch_was_taken_some_may_run_unseen(self):
        tail = tuple(Slice(NOW - LAG_MS + at, 1) for at in (10, 20, 30))
        batches = {"a": Batch(5, NOW + 25), "b": Batch(5, NOW + 15)}
        for held, settled in (({}, 3), ({"a": batches["a"]}, 2), (batches, 1)):
            taken = release(gathered=Gathered(tail=tail), batches=held)
            assert case_of(taken, Sight(), NOW + 99).evidence.prefix_finished == settled

    def test_of_the_watch_is_no_proof_of_the_trial(self):
        """What ended since the promotion is not in the prefix: it would promote nothing that is not promoted yet."""
        watching = release(state=ReleaseState.WATCHING, watched=Watched(since=NOW))
        case = case_of(watching, Sight(watch=WatchSight(started=20, succeeded=20)), NOW)
        assert case.evidence.prefix_finished == 0

    def test_what_could_not_be_seen_is_handed_on(self):
        assert case_of(release(), Sight(blind="no permission"), NOW).blind == "no permission"

    def test_there_is_no_watch_before_the_promotion(self):
        case = case_of(release(), Sight(watch=WatchSight(started=20)), NOW)
        assert (case.watch, case.evidence.alone_started) == (None, 4)


def test_only_the_stages_own_alarms_are_told():
    alarms = {"errors": AlarmState.OK, "latency": AlarmState.ALARM}
    assert case_of(release(), Sight(alarms=alarms), NOW).alarms == {}
    assert case_of(release(stage=1), Sight(alarms=alarms), NOW).alarms == {"errors": AlarmState.OK}
    assert case_of(release(stage=1), Sight(), NOW).alarms == {}


class TestWithoutASight:
    @pytest.mark.parametrize(
        "blind",
        [release(), release(stage=1, claimed=0), release(COUNTED, state=ReleaseState.HELD, hold=Hold.OBSERVATION)],
        ids=["evidence", "alarms", "it was unreadable"],
    )
    def test_nothing_is_judged_where_something_is_there_to_be_seen(self, blind):
        assert sight_of(blind, seen({})) is None
        assert sight_of(blind, seen({blind.release: Sight(controls=3)})) == Sight(controls=3)

    @pytest.mark.parametrize("known", [release(COUNTED), release(claimed=0)], ids=["counters", "nothing was sent"])
    def test_the_item_says_it_all_where_nothing_is(self, known):
        assert sight_of(known, seen({})) == Sight()


sights = st.builds(
    Sight,
    running=st.lists(st.builds(Running, st.integers(0, 10**6), st.integers(1, 100)), max_size=3).map(tuple),
    control=st.none() | st.dictionaries(st.integers(1, 99), st.integers(0, 50), max_size=3),
    uncompared=st.booleans(),
    watch=st.none() | st.builds(WatchSight, st.integers(0, 99), st.integers(0, 99), st.integers(0, 99)),
    blind=st.none() | st.text(max_size=10),
)


@settings(max_examples=60, phases=NO_SHRINKING)
@given(releases(), sights, st.integers(0, 10**13), st.booleans())
def test_a_case_is_read_back_as_it_was_written(any_release, sight, now, bake):
    alarms = dict.fromkeys((name for stage in any_release.plan.stages for name in stage.alarms), AlarmState.OK)
    timed = Baseline(executions=100, cuts_ms=(1, 2, 3, 4), slowest_ms=5)
    case = replace(case_of(replace(any_release, baseline=timed), replace(sight, alarms=alarms), now), bake=bake)
    document = case_document(case)
    assert case_from(json.loads(json.dumps(document))) == case
    assert case_document(case_from(document)) == document


def test_a_record_of_an_earlier_version_that_knew_fewer_fields_is_still_read():
    case = case_of(release(), Sight(), NOW)
    document = {key: value for key, value in case_document(case).items() if key != "bake"}
    assert case_from(document) == case


def test_the_documents_of_a_case_stand_for_themselves():
    """Whoever reads them in the table needs no code: the plan as people write it, alarms by name, times in milliseconds."""
    plan = Plan(stages=(Stage(quota=2, alarms=("errors",), bake=Span(60_000)),))
    document = case_document(case_of(release(plan), Sight(alarms={"errors": AlarmState.OK}), NOW))
    assert document["plan"]["stages"] == [{"quota": 2, "weight": 50, "bake": "1m", "alarms": ["errors"]}]
    assert document["alarms"] == {"errors": "OK"}
    assert document["at"] == NOW
