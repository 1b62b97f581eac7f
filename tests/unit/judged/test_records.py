"""Evidence records: every decision by a verdict leaves its whole input, from which the same verdict is computed again."""

from __future__ import annotations

import json
from dataclasses import replace
from unittest import mock

import pytest

from canary import __version__
from canary.domain import judge
from canary.domain.alarm import AlarmState
from canary.domain.audit import ExecutionStatus
from canary.domain.case import case_document, case_from, judged_again
from canary.domain.record import Record
from canary.domain.release import Verb
from canary.domain.states import ON_TRIAL, ReleaseState
from tests.fakes.scene import Scene, machine

HOUR_MS = 3_600_000
_S = ReleaseState


def opened(*stages: object, **plan: object) -> Scene:
    scene = Scene(plan={"stages": list(stages), **plan}, current=machine("v1"))
    scene.ran_before(500, 2)
    scene.alarms.alarms["errors"] = AlarmState.OK
    scene.write_latest(machine("v2"))
    scene.flip()
    return scene


def run(scene: Scene, number: int = 10_000, status: ExecutionStatus = ExecutionStatus.SUCCEEDED) -> None:
    scene.spend(number)
    scene.end_workflows(status)
    scene.flip()


def earned_and_promoted() -> Scene:
    scene = opened("earned")
    while scene.only_release().state is _S.RUNNING:
        run(scene)
    return scene


def thrown_out() -> Scene:
    scene = opened("earned")
    while scene.only_release().state is _S.RUNNING:
        run(scene, 1, ExecutionStatus.FAILED)
    return scene


def with_the_coin() -> Scene:
    scene = opened({"weight": 50, "min_completed": 4}, "earned")
    loser = scene.desk(0.99)
    for _ in range(4):
        scene.send(loser)
        run(scene, 1)
    scene.ask_abort()
    return scene


def at_a_gate() -> Scene:
    scene = opened({"quota": 2, "gate": {"type": "manual", "timeout": "1h"}, "alarms": ["errors"]}, "earned")
    run(scene)
    scene.ask(Verb.PROMOTE)
    scene.flip()
    return scene


def nobody_at_the_gate() -> Scene:
    scene = opened({"quota": 2, "gate": {"type": "manual", "timeout": "1h"}}, "earned")
    run(scene)
    scene.clock.pass_by(HOUR_MS)
    scene.flip()
    return scene


def promoted_by_hand_before_it_was_baked() -> Scene:
    scene = opened({"quota": 2, "bake": "5h"})
    run(scene)
    scene.ask(Verb.PROMOTE)
    scene.flip()
    return scene


def forced() -> Scene:
    scene = opened("earned")
    run(scene)
    scene.ask(Verb.PROMOTE, force=True)
    scene.flip()
    return scene


def without_an_alarm() -> Scene:
    scene = opened({"quota": 2, "alarms": ["errors"]})
    del scene.alarms.alarms["errors"]
    scene.flip()
    return scene


def out_of_time() -> Scene:
    scene = opened("earned", deadline="2h", no_data="hold")
    run(scene)
    scene.clock.pass_by(3 * HOUR_MS)
    scene.flip()
    return scene


def watched() -> Scene:
    scene = opened({"quota": 2}, watch="1h")
    run(scene)
    scene.clock.pass_by(HOUR_MS)
    scene.flip()
    return scene


def taken_back_by_the_watch() -> Scene:
    scene = opened({"quota": 2}, watch="1h")
    run(scene)
    for _ in range(5):
        scene.send()
    scene.end_workflows(ExecutionStatus.FAILED)
    scene.flip()
    scene.flip()
    assert scene.only_release().state is _S.ROLLED_BACK
    return scene


FLOWS = {
    flow.__name__.replace("_", " "): flow
    for flow in (
        earned_and_promoted,
        thrown_out,
        with_the_coin,
        at_a_gate,
        nobody_at_the_gate,
        promoted_by_hand_before_it_was_baked,
        forced,
        without_an_alarm,
        out_of_time,
        watched,
        taken_back_by_the_watch,
    )
}


@pytest.mark.parametrize("name", FLOWS)
class TestEveryDecision:
    def test_it_is_computed_again_from_its_record_with_the_same_verdict_and_numbers(self, name):
        for record in FLOWS[name]().kept():
            again = judged_again(record)
            assert (again.judgement.value, again.reason) == (record.judgement, record.reason)
            assert json.loads(json.dumps(_numbers(again))) == record.numbers

    def test_the_release_names_its_newest_record_and_the_record_the_code(self, name):
        scene = FLOWS[name]()
        records = scene.kept()
        assert scene.only_release().record == records[-1].name
        assert {record.code for record in records} == {__version__}

    def test_there_is_one_for_each_change_that_a_verdict_made(self, name):
        """A decision is a change of state or stage by the flipper or an operator, or of slots; its record has the words of it."""
        scene = FLOWS[name]()
        told = [record.decision for record in scene.kept()]
        release = scene.only_release()
        trial, watch = ON_TRIAL, {_S.WATCHING} if release.plan.watch else set()
        decided = [c.why for c in release.history if c.what == "next stage" or c.what.split(" → ")[0] in trial | watch]
        assert [why for why in told if why in decided] == decided
        assert len(told) == len({record.name for record in scene.kept()})


def _numbers(verdict: judge.Verdict) -> dict[str, float]:
    return {name: getattr(verdict.numbers, name) for name in verdict.numbers.__slots__} if verdict.numbers else {}


def test_each_grant_of_slots_has_its_record():
    scene = earned_and_promoted()
    earned = [record for record in scene.kept() if record.judgement == "WAIT"]
    assert [record.numbers["slots"] for record in earned] == [2, 3, 5, 8, 13]
    assert [record.decision.split(" slots")[0] for record in earned] == ["2", "3", "5", "8", "13"]


def test_a_look_that_changes_nothing_leaves_none():
    scene = opened("earned")
    scene.spend()
    for _ in range(5):
        scene.flip()
    assert scene.kept() == []


def test_the_record_is_kept_before_what_it_is_about_is_written():
    scene = opened("earned")
    scene.spend()
    scene.end_workflows()
    scene.calls.log.clear()
    scene.flip()
    log = scene.calls.log
    assert "ddb.save" in log[log.index("ddb.put_record") :]


def test_a_case_is_read_back_as_it_was_written():
    seen: list[judge.Case] = []
    judging = judge.judge

    def listen(case: judge.Case) -> judge.Verdict:
        seen.append(case)
        return judging(case)

    with mock.patch.object(judge, "judge", listen):
        for flow in FLOWS.values():
            flow()
    assert len(seen) > 50
    for case in seen:
        assert case_from(json.loads(json.dumps(case_document(case)))) == case


def test_another_answer_than_the_kept_one_is_seen():
    (*_, record) = thrown_out().kept()
    case = dict(record.case)
    milder = replace(record, case={**case, "evidence": {**case["evidence"], "alone_failed": 0}})
    assert judged_again(milder).judgement.value != record.judgement


@pytest.mark.parametrize("broken", [{"stage": 7}, {"evidence": {"epochs": None}}, {"unknown": 1}])
def test_a_case_that_cannot_be_read_says_so(broken):
    (*_, record) = thrown_out().kept()
    for case in ({}, {**record.case, **broken}):
        with pytest.raises(ValueError, match=f"the case of record {record.name} cannot be read"):
            judged_again(replace(record, case=case))


def test_records_sort_by_time_and_two_of_one_moment_by_the_revision():
    def record(at: int, rev: int) -> Record:
        return Record(
            app="a", release="r", rev=rev, at=at, code="1", judgement="WAIT", reason="", decision="", case={}, numbers={}
        )

    moments = [(0, 5), (1, 9), (1, 10), (999, 1), (1_000, 1), (1_795_246_200_123, 3)]
    assert sorted(moments) == sorted(moments, key=lambda each: record(*each).name)
    assert record(1_795_246_200_123, 3).name == "2026-11-21T07:30:00.123Z#00000003"
