"""What `status` computes itself: the same as the flipper, at little cost."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from canary.domain.alarm import AlarmState
from canary.domain.audit import Arm, ExecutionStatus
from canary.domain.call import Call, CallResult
from canary.domain.case import case_from, judged_again
from canary.domain.evidence import Epoch
from canary.domain.judge import Judgement
from canary.domain.states import Hold, ReleaseState
from canary.errors import Denied
from canary.operating.judging import Weigher, verdict_now
from canary.routing.problem import Problem
from tests.fakes.scene import APP, Scene, arn, machine

MINUTE = 60_000
COIN = {"stages": [{"quota": "earned", "weight": 40}]}
RING = {"stages": [{"quota": 1, "alarms": ["errors"]}]}


def judged(plan: dict, seed: int = 1) -> Scene:
    """A release of a state machine on trial, with a current that has a history."""
    scene = Scene(plan=plan, seed=seed)
    scene.parameters.put(APP, "current", machine("v1"))
    for number in range(100):
        status = ExecutionStatus.FAILED if number < 3 else ExecutionStatus.SUCCEEDED
        at = scene.clock() - (101 - number) * MINUTE
        scene.stacks.ran(machine("v1"), f"past-{number}", started_at=at, duration_ms=MINUTE + number * 1_000, status=status)
    scene.write_latest(machine("v2"))
    scene.flip()
    return scene


def weigher(scene: Scene) -> Weigher:
    return Weigher(scene.audit, scene.records, scene.alarms)


def some_traffic(scene: Scene, draw: random.Random) -> None:
    for _ in range(draw.randrange(4)):
        scene.send(scene.desk(draw=draw.random()))
    for name, execution in list(scene.stacks.executions.items()):
        if execution.status is ExecutionStatus.RUNNING and draw.random() < 0.5:
            scene.stacks.end_all(draw.choice([ExecutionStatus.SUCCEEDED] * 4 + [ExecutionStatus.FAILED]), of=name)


@pytest.mark.parametrize("seed", range(12))
def test_it_sees_the_evidence_that_the_flipper_has_recorded(seed):
    scene, draw = judged(COIN, seed), random.Random(seed)
    looking, compared = weigher(scene), 0
    for _ in range(25):
        some_traffic(scene, draw)
        before = scene.clock()
        scene.flip()
        release = scene.only_release()
        newest = next((each for each in scene.records.of_release(APP, release.release) if each.at > before), None)
        weighed = looking.weigh(release, newest.at) if newest else None
        if weighed is None or newest is None:
            continue
        recorded = case_from(newest.case)
        assert weighed.record == newest
        # When a workflow has started may be told a moment later: in its row, not in the claim.
        assert abs(weighed.case.evidence.oldest_ms - recorded.evidence.oldest_ms) < 1_000
        assert replace(weighed.case.evidence, oldest_ms=0) == replace(recorded.evidence, oldest_ms=0)
        assert weighed.verdict.numbers == judged_again(newest).numbers
        compared += 1
    assert compared


def test_a_plan_that_counts_is_judged_from_the_item_alone():
    scene = judged({"stages": [{"quota": 2}]})
    scene.calls.log.clear()
    weighed = weigher(scene).weigh(scene.only_release(), scene.clock())
    assert weighed is not None
    assert weighed.verdict == verdict_now(scene.only_release(), weighed.case.at)
    assert scene.calls.log == []


def test_what_is_not_on_trial_is_not_weighed():
    scene = judged(COIN)
    release = replace(scene.only_release(), state=ReleaseState.WATCHING)
    assert weigher(scene).weigh(release, scene.clock()) is None


def test_looking_again_reads_neither_rows_nor_records_anew():
    scene = judged({"stages": [{"quota": "earned"}]})
    scene.send()
    scene.flip()
    scene.send()
    scene.end_workflows()
    scene.flip()
    scene.send()
    scene.flip()
    looking, release = weigher(scene), scene.only_release()
    first = looking.weigh(release, scene.clock())
    assert first is not None
    assert first.case.evidence.running == 1
    assert first.record is not None
    scene.calls.log.clear()
    again = looking.weigh(release, scene.clock())
    assert again is not None
    assert again.case.evidence.running == 1
    assert scene.calls.log == ["ddb.in_flight"]


def test_a_request_that_has_been_counted_runs_no_more_in_the_next_look():
    scene = judged({"stages": [{"quota": "earned"}]})
    scene.send()
    scene.flip()
    looking = weigher(scene)
    first = looking.weigh(scene.only_release(), scene.clock())
    scene.end_workflows()
    scene.flip()
    second = looking.weigh(scene.only_release(), scene.clock())
    assert first is not None
    assert second is not None
    assert [each.case.evidence.running for each in (first, second)] == [1, 0]
    assert second.case.evidence.prefix_finished == 1


def test_what_runs_on_current_is_nothing_that_latest_has_to_end():
    scene = Scene(plan=COIN)  # of a Lambda function it is not known yet where its workflows run, so there is a sample
    scene.write_latest(arn("v2"))
    scene.flip()
    scene.send(scene.desk(draw=0.99))
    assert [row.arm for row in scene.rows()] == [Arm.CURRENT]
    weighed = weigher(scene).weigh(scene.only_release(), scene.clock())
    assert weighed is not None
    assert weighed.case.evidence.running == 0


def test_a_failure_that_is_newer_than_the_record_is_not_held_against_current():
    scene = judged({"stages": [{"weight": 40}]})
    for _ in range(3):
        scene.send()
    scene.flip()
    scene.end_workflows(ExecutionStatus.FAILED)
    scene.send(scene.desk(draw=0.99))  # current answers too, so it can be compared
    scene.flip()
    release = scene.only_release()
    assert release.control is not None
    unaware = replace(release, record=None, state=ReleaseState.RUNNING)
    weighed = weigher(scene).weigh(unaware, scene.clock())
    assert weighed is not None
    assert weighed.case.evidence.epochs == ()
    assert weighed.verdict.judgement is Judgement.WAIT


def test_calls_of_current_that_failed_outright_are_not_counted_twice():
    scene = judged({"stages": [{"quota": "earned", "weight": 40}]})
    scene.stacks.behaviour[machine("v1")] = Call(result=CallResult.FAILED, error="boom")
    for _ in range(3):
        with pytest.raises(Problem):
            scene.send(scene.desk(draw=0.99))
    scene.stacks.behaviour.clear()
    scene.send(scene.desk(draw=0.99))
    scene.flip()
    scene.send()
    scene.end_workflows(ExecutionStatus.FAILED, of="transformer-v2")
    before = scene.clock()
    scene.flip()
    release = scene.only_release()
    newest = scene.records.of_release(APP, release.release)[-1]
    assert newest.at > before
    assert release.gathered.shares[4_000].control == 3
    weighed = weigher(scene).weigh(release, newest.at)
    assert weighed is not None
    assert weighed.case.evidence.epochs == case_from(newest.case).evidence.epochs == (Epoch(4_000, 4, 1),)


def test_alarms_are_read_and_one_that_is_not_there_is_not_ok():
    scene = judged(RING)
    scene.send()
    scene.end_workflows()
    scene.alarms.alarms["errors"] = AlarmState.INSUFFICIENT_DATA
    scene.flip()
    looking = weigher(scene)
    waits = looking.weigh(scene.only_release(), scene.clock())
    assert waits is not None
    assert str(waits.verdict) == "WAIT: the alarm 'errors' has insufficient data"
    del scene.alarms.alarms["errors"]
    missing = looking.weigh(scene.only_release(), scene.clock())
    assert missing is not None
    assert missing.verdict.judgement is Judgement.ERROR


def test_what_cannot_be_read_is_said_and_the_rest_is_judged(monkeypatch):
    scene = judged({"stages": [{"quota": "earned", "alarms": ["errors"]}]})
    scene.send()
    scene.flip()

    def denied(_):
        raise Denied("CloudWatch", "AccessDenied", "cloudwatch:DescribeAlarms")

    monkeypatch.setattr(scene.alarms, "states", denied)
    weighed = weigher(scene).weigh(scene.only_release(), scene.clock())
    assert weighed is not None
    assert weighed.case.evidence.running == 1
    assert weighed.trouble is not None
    assert str(weighed.verdict) == f"ERROR: {weighed.trouble}"
    assert "cloudwatch:DescribeAlarms" in weighed.trouble


def test_a_release_that_is_held_since_something_could_not_be_seen_says_so_still():
    scene = judged({"stages": [{"quota": "earned"}]})
    scene.send()
    scene.flip()
    release = scene.only_release()
    (newest,) = scene.records.of_release(APP, release.release)[-1:] or (None,)
    assert newest is None or newest.case["blind"] is None
    name = next(name for name in scene.stacks.executions if ":transformer-v2:" in name)
    unreadable = replace(scene.stacks.executions[name], status=ExecutionStatus.UNREADABLE, error="AccessDenied")
    scene.stacks.executions[name] = unreadable
    scene.flip()
    held = scene.only_release()
    assert held.hold is Hold.OBSERVATION
    weighed = weigher(scene).weigh(held, scene.clock())
    assert weighed is not None
    assert weighed.verdict.judgement is Judgement.ERROR
    assert weighed.verdict.reason == held.reason
