"""The simulated world: luck that is the same for everybody, and releases that go as they would on AWS."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, inf

import numpy as np
import pytest

from canary.domain.audit import Row, Status
from canary.domain.baseline import Past, baseline_of
from canary.domain.counting import accounted
from canary.domain.evidence import ALONE
from canary.domain.plan import Plan, Span, Stage
from canary.domain.plan_document import parse_plan
from canary.domain.states import ReleaseState
from canary.domain.steps import SaveRelease
from canary.domain.trial import on_trial
from canary.routing import view
from canary.simulating import trial as trials
from canary.simulating.durations import HeavyTailed, Lognormal, Resampled, Weibull
from canary.simulating.judged import Judged
from canary.simulating.measured import Chance, measured, spread
from canary.simulating.policy import Ending, Fate
from canary.simulating.routers import FRESH_MS, Routers
from canary.simulating.scene import PlanRefused, on_trial_sight, opened
from canary.simulating.study import Study
from canary.simulating.trace import Stream, Trace
from canary.simulating.trial import Trial
from canary.simulating.wald import to_promote, to_throw_out
from canary.simulating.watch import _Everybody, watched
from canary.simulating.world import GOOD, VERSIONS, Outage, Version, World

CAREFUL = parse_plan('{"preset": "careful"}')
TRIAL = replace(CAREFUL, watch=Span())
BY_NAME = {version.name: version for version in VERSIONS}
ALWAYS = BY_NAME["always fails"]
BUSY = World(hourly=36_000, durations=Lognormal(20_000))
SHAPES = [Lognormal(1000), Weibull(1000), HeavyTailed(1000), Resampled((5, 10, 20))]


@pytest.mark.parametrize("durations", SHAPES, ids=lambda shape: type(shape).__name__)
def test_luck_is_the_same_however_much_of_it_is_asked_for_at_a_time(durations):
    def stream():
        rng = np.random.default_rng(7)
        return Stream(lambda count: durations.sample(rng, count))

    one_by_one, at_once = stream(), stream()
    assert [one_by_one[number] for number in range(500)] == at_once.upto(500).tolist()


@pytest.mark.parametrize(
    "durations", [Lognormal(1000, 3), Weibull(1000), HeavyTailed(1000, 3)], ids=lambda shape: type(shape).__name__
)
def test_half_take_longer_than_the_median(durations):
    drawn = durations.sample(np.random.default_rng(1), 20_000)
    assert np.median(drawn) == pytest.approx(1000, rel=0.03)
    assert drawn.min() > 0


def test_one_in_twenty_takes_as_many_times_as_long_as_the_spread_says():
    for shape in (Lognormal(1000, 3), HeavyTailed(1000, 3)):
        assert np.quantile(shape.sample(np.random.default_rng(1), 50_000), 0.95) == pytest.approx(3000, rel=0.05)


def test_a_drawn_baseline_is_the_baseline_of_the_executions_that_were_drawn():
    world = World(history=437, failing_takes=3.0, normal=0.1)
    found = Trace(world, 5, 9).baseline
    rng = np.random.default_rng(np.random.SeedSequence([5, 9]).spawn(4)[0])
    failed = rng.random(437) < 0.1
    takes = world.durations.sample(rng, 437)
    takes[failed] *= 3.0
    past = [Past(bool(f), 0, round(float(t))) for f, t in zip(failed, takes, strict=True)]
    expected = baseline_of(past, found.source, found.machine)
    assert replace(found, interval_ms=0, mean_ms=0) == replace(expected, mean_ms=0)
    assert found.mean_ms == pytest.approx(expected.mean_ms, abs=1)


def test_what_fails_on_a_version_fails_on_a_worse_one_too():
    trace = Trace(World(normal=0.1), 1, 1)
    good = [trace.latest.outcome(GOOD, number, 0)[0] for number in range(300)]
    worse = [trace.latest.outcome(Version(name="worse", times=3), number, 0)[0] for number in range(300)]
    assert sum(worse) > sum(good) > 0
    assert all(bad for bad, failed in zip(worse, good, strict=True) if failed)


def test_outcomes_at_once_are_the_outcomes_one_by_one():
    world = World(normal=0.1, failing_takes=0.2, outages=(Outage(100.0, 200.0, 0.9),))
    version = Version(name="bad", times=2, slower=1.5, hanging=0.1)
    arm = Trace(world, 1, 1).latest
    starts = np.arange(0.0, 500.0, 2.0)
    failed, takes = arm.outcomes(version, starts, 5)
    assert [arm.outcome(version, 5 + number, at) for number, at in enumerate(starts)] == list(
        zip(failed.tolist(), takes.tolist(), strict=True)
    )


def test_a_study_comes_out_the_same_on_any_number_of_processors():
    study = Study(world=World(), policies=[Judged(TRIAL, "careful")], versions=[GOOD, ALWAYS], releases=30, seed=3)
    assert study.run(jobs=1) == study.run(jobs=2)
    assert study.run() != replace(study, seed=4).run()


def test_no_more_goes_to_latest_than_was_granted():
    for number in range(5):
        trial = Trial(TRIAL, Trace(BUSY, 1, number), GOOD)
        while trial.next_pass() and trial.release.flip is None:
            assert trial.claimed <= trial.release.granted
            assert trial.release.in_flight == len(trial._running)


@pytest.mark.parametrize(
    "version", [GOOD, BY_NAME["1.3 × as slow"], BY_NAME["twice as slow"], BY_NAME["one in ten hangs"]], ids=lambda v: v.name
)
def test_a_pass_that_is_left_out_would_have_decided_nothing(version, monkeypatch):
    monkeypatch.setattr(trials, "PASS_MS", 0)  # a pass that finds nothing must not put off the next one
    plan, traces = replace(TRIAL, deadline_ms=24 * 3_600_000), [Trace(World(history=100), 2, number) for number in range(6)]
    policy = Judged(plan, "careful")
    quick = [policy.release(trace, version) for trace in traces]

    def every_minute(self, now):
        return (now // 60_000 + 1) * 60_000 if self._running else inf

    monkeypatch.setattr(Trial, "_older", every_minute)
    monkeypatch.setattr(Trial, "_is_slow", lambda self, now: True)
    assert [policy.release(trace, version) for trace in traces] == quick


def test_once_slots_are_granted_the_same_evidence_asks_for_nothing_more(monkeypatch):
    asked = []

    def twice(release, seen, now, *keep):
        step = on_trial(release, seen, now, *keep)
        if isinstance(step, SaveRelease) and (step.after.state, step.after.stage) == (release.state, release.stage):
            [sight] = seen.sights.values()
            asked.append(on_trial(step.after, on_trial_sight(step.after, sight), now))
        return step

    monkeypatch.setattr(trials, "on_trial", twice)
    for world in (World(), BUSY):
        Judged(TRIAL, "careful").release(Trace(world, 1, 1), GOOD)
    assert len(asked) > 20
    assert not any(asked)


def test_a_version_that_always_fails_is_thrown_out_and_a_good_one_promoted():
    for name in ("two-requests", "careful", "fast"):
        policy = Judged(parse_plan(f'{{"preset": "{name}"}}'), name)
        out, good = (policy.release(Trace(World(normal=0.001), 1, 1), version) for version in (ALWAYS, GOOD))
        assert (out.ending, out.why) == (Ending.ABORTED, "failures")
        assert out.exposed < 20
        assert good.ending is Ending.PROMOTED


def test_a_version_that_never_answers_is_never_promoted():
    fate = Judged(TRIAL, "careful").release(Trace(World(), 1, 1), Version(name="silent", rate=0.0, hanging=1.0))
    assert (fate.ending, fate.why) == (Ending.ABORTED, "hung")
    assert fate.samples == 2, "what hangs counts as failed"


def test_outcomes_are_counted_as_the_flipper_counts_them():
    trial = Trial(replace(TRIAL, max_failure_rate=0.25), Trace(World(normal=0.15, hourly=60), 1, 1), GOOD)
    while trial.next_pass() and trial.release.state is ReleaseState.RUNNING:
        before, running = trial.release, sorted(trial._running)
        at = int(running[0][0]) + 1 if running else trial.now + 1
        found, _ = trial.observe(at)
        rows = [_row(before, *each) for each in running if each[0] <= at]
        expected = accounted(replace(before, claimed=trial.claimed), rows)
        oldest = min((each[3].claimed_at for each in trial._running), default=None)
        assert (found.tally, found.gathered) == (expected.tally, expected.gathered.settled_before(oldest))
        assert found.in_flight == expected.in_flight
        trial.release = found
    assert trial.release.tally.failed > 1
    assert trial.release.tally.succeeded > 10


def _row(release, end, number, failed, running):
    return Row(
        app=release.app,
        release=release.release,
        request_id=str(number),
        status=Status.FAILED if failed else Status.SUCCEEDED,
        claimed_at=running.claimed_at,
        target=release.target,
        tag=release.tag,
        share=running.share,
        started_at=running.started_at,
        stopped_at=ceil(end),
    )


def test_the_watch_takes_back_what_the_trial_let_pass():
    hotfix = parse_plan('{"preset": "hotfix"}')
    fates = [Judged(hotfix, "hotfix").release(Trace(World(hourly=60), 1, n), Version(name="half", rate=0.5)) for n in range(20)]
    back = [fate for fate in fates if fate.ending is Ending.ROLLED_BACK]
    assert len(back) > 5
    assert all(fate.promoted_at is not None and fate.at > fate.promoted_at and fate.exposed > 1 for fate in back)
    assert not any(fate.ending is Ending.PROMOTED for fate in fates)


def test_the_watch_sees_what_has_started_and_ended():
    trial = Trial(replace(TRIAL, watch=Span(ms=3_600_000, completed=30)), Trace(World(hourly=600, normal=0.2), 1, 1), GOOD)
    everybody = _Everybody(trial, 0)
    everybody.reach(3_600_000)
    ends, starts = everybody._ends, everybody.starts
    failing = trial.trace.latest.luck.upto(len(starts)) < 0.2
    for now in (600_000, 3_000_000, 3_600_000):
        seen = everybody.seen(now)
        counted = starts < now - 10_000  # lists of executions lag behind: what is not counted as started does not count as failed
        assert seen.failed == sum(failing & counted & (ends <= now))
        assert seen.started == sum(counted)
        assert seen.succeeded == min(30 - min(30, seen.failed), sum(~failing & (ends <= now)))
    assert everybody.complete() == np.sort(ends)[29]


def test_a_watch_that_is_not_asked_for_is_not_held():
    trial = Trial(TRIAL, Trace(World(), 1, 1), GOOD)
    assert watched(trial).ending is Ending.PROMOTED


def test_a_plan_that_nothing_could_pass_is_refused_as_it_would_be():
    with pytest.raises(PlanRefused, match="nothing could pass"):
        opened(replace(TRIAL, max_failure_rate=0.001), Trace(World(normal=0.05), 1, 1).baseline)


def test_routers_know_a_release_as_long_as_the_real_ones_do():
    assert FRESH_MS == view.FRESH_MS


def test_claims_come_as_often_as_the_coin_shows_latest():
    routers = Routers(Trace(BUSY, 1, 1))
    routers.tell(0, ALONE // 10)
    claims = []
    while claim := routers.claim(3_600_000):
        claims.append(claim)
    assert len(claims) == pytest.approx(3600, rel=0.05)
    assert {share for _, share in claims} == {ALONE // 10}
    assert claims == sorted(claims)


def test_a_failure_of_current_is_compared_while_slots_are_to_be_had_and_no_longer_than_routers_believe_that():
    world = World(hourly=360_000, normal=0.2, durations=Lognormal(1000))
    routers = Routers(Trace(world, 1, 1))
    routers.tell(0, ALONE // 4)
    routers.tell(60_000, 0)
    routers.failures(60_000)
    [(share, count)] = routers.failures(600_000).items()
    assert share == ALONE // 4
    # three quarters of 20 failures a second, for a minute: routers learn of it late, and of its end as late
    assert count == pytest.approx(15 * 60, rel=0.12)
    assert routers.failures(6_000_000) == {share: count}


def test_nothing_is_compared_when_there_is_no_coin():
    routers = Routers(Trace(replace(BUSY, normal=0.5), 1, 1))
    routers.tell(0, ALONE)
    assert not routers.failures(3_600_000)


def test_of_failures_while_the_coin_decides_latest_has_its_share():
    """What the concurrent bet supposes: a good version has no more failures than the coin gives it."""
    plan = Plan(stages=(Stage(weight=20, bake=Span(ms=600_000)),), max_failures=None, max_failure_rate=0.5, alpha=0.0001)
    world = World(hourly=72_000, normal=0.1, durations=Lognormal(2000))
    latest = both = 0
    for number in range(6):
        trial = Trial(plan, Trace(world, 1, number), GOOD)
        while trial.next_pass() and trial.release.flip is None:
            release, sight = trial.observe(trial.now)
        [mine] = [each.failed for share, each in release.gathered.shares.items() if share != ALONE]
        latest += mine
        both += mine + sum((sight.control or {}).values())
    assert both > 1000
    assert latest / both == pytest.approx(0.2, abs=4 * (0.16 / both) ** 0.5)


def test_chances_and_spreads_are_counted():
    fates = [
        Fate(ending=Ending.PROMOTED, at=3_600_000, exposed=10, promoted_at=3_600_000, samples=8, why="proof"),
        Fate(ending=Ending.ABORTED, at=1, exposed=2, why="failures"),
        Fate(ending=Ending.ROLLED_BACK, at=2, exposed=30, promoted_at=7_200_000, samples=10, why="durations"),
        Fate(ending=Ending.UNDECIDED, at=2, exposed=2),
    ]
    found = measured(fates)
    assert (found.out.times, found.taken_back.times, found.shipped.times, found.undecided.times) == (2, 1, 1, 1)
    assert (found.exposed.mean, found.hours.median, found.samples.mean) == (11, 1.5, 9)
    assert found.causes == {"failures": 1, "durations": 1}
    assert Chance(0, 100).error == pytest.approx(0.00995, abs=1e-5)
    assert spread([]).count == 0


def test_walds_bound_is_what_no_test_beats():
    assert to_throw_out(0.005, 0.01) == pytest.approx(2149, abs=1)
    assert to_promote(0.005, 0.1) == pytest.approx(34.3, abs=0.05)
    assert to_promote(0.005, 0.1, alpha=0) == pytest.approx(35.3, abs=0.05), "it throws out none, and so goes on a little longer"
    assert to_throw_out(0.005, 1.0) < 1
    rng, p, q = np.random.default_rng(1), 0.05, 0.2
    steps = np.where(rng.random((4000, 600)) < q, np.log(q / p), np.log((1 - q) / (1 - p)))
    walks = np.cumsum(steps, axis=1)
    over = (walks >= np.log(100)) | (walks <= np.log(0.05))
    assert over.argmax(axis=1).mean() + 1 == pytest.approx(to_throw_out(p, q), rel=0.15)
