"""Explaining: every decision of a release is computed again, and told with its numbers."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from canary.cli.show_explain import explained_view
from canary.domain.audit import ExecutionStatus
from canary.domain.case import case_document, case_from
from canary.domain.record import Record
from canary.domain.release import Release, Verb
from canary.domain.states import ReleaseState
from canary.operating.explaining import Explained, explained, in_force
from canary.operating.telling import normal, numbers_of, stakes, told
from tests.fakes.calls import Killed
from tests.fakes.scene import APP, Scene, machine

MINUTE = 60_000
CAREFUL = {"preset": "careful"}


def judged(plan: dict[str, Any], seed: int = 1, *, past: int = 100) -> Scene:
    """A release on trial, of a state machine with a past."""
    scene = Scene(plan=plan, seed=seed)
    scene.parameters.put(APP, "current", machine("v1"))
    for number in range(past):
        status = ExecutionStatus.FAILED if number < 3 else ExecutionStatus.SUCCEEDED
        at = scene.clock() - (past + 1 - number) * MINUTE
        scene.stacks.ran(machine("v1"), f"past-{number}", started_at=at, duration_ms=MINUTE + number * 1_000, status=status)
    scene.write_latest(machine("v2"))
    scene.flip()
    return scene


def serve(scene: Scene, status: ExecutionStatus = ExecutionStatus.SUCCEEDED, number: int = 1) -> None:
    desk = scene.desk()
    for _ in range(number):
        scene.send(desk)
    scene.clock.pass_by(MINUTE)
    scene.end_workflows(status)
    scene.flip()


def records(scene: Scene) -> tuple[Record, ...]:
    return tuple(scene.records.of_release(APP, scene.only_release().release))


def decisions(scene: Scene) -> list[Explained]:
    return explained(records(scene), scene.only_release().record)


def sentences(each: Explained) -> dict[str, str]:
    assert each.case is not None
    return dict(told(each.record, each.case))


@pytest.mark.parametrize(
    "plan",
    [
        CAREFUL,
        {"preset": "two-requests"},
        {"preset": "hotfix"},
        {"stages": [{"quota": "earned", "weight": 40}, {"weight": 100, "bake": {"completed": 3}}], "watch": {"completed": 2}},
    ],
    ids=["careful", "two requests", "hotfix", "a coin, then all"],
)
@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_every_record_computed_again_gives_the_same_answer(plan, seed):
    scene, draw = judged(plan, seed), random.Random(seed)
    for _ in range(30):
        for _ in range(draw.randrange(5)):
            scene.send(scene.desk(draw=draw.choice([0.0, 0.2, 0.99])))
        if draw.random() < 0.1 and scene.only_release().state is ReleaseState.RUNNING:
            scene.operator().ask(APP, Verb.PROMOTE, "why wait?", force=draw.random() < 0.5)
        scene.clock.pass_by(draw.randrange(10) * MINUTE)
        scene.end_workflows(draw.choice([ExecutionStatus.SUCCEEDED] * 9 + [ExecutionStatus.FAILED]))
        scene.flip()
    found = decisions(scene)
    assert found
    assert [each.differences for each in found] == [()] * len(found)
    for each in found:
        assert sentences(each)["verdict"] == f"{each.record.judgement}: {each.record.reason}"
        assert sentences(each)["done"] == each.record.decision


def test_a_promotion_that_an_operator_asked_for_before_the_bake_was_over_is_computed_again_without_it():
    scene = judged({"stages": [{"quota": 1, "bake": "1h"}]})
    scene.send()
    scene.end_workflows()
    scene.ask(Verb.PROMOTE)
    scene.flip()
    (only,) = decisions(scene)
    assert only.agrees
    assert only.again is not None
    assert only.again.judgement == "PASS"
    assert "minimum time" in sentences(only)["asked"]


def test_a_decision_is_told_with_what_was_seen_and_what_each_bet_says():
    scene = judged(CAREFUL)
    serve(scene, number=2)
    serve(scene, ExecutionStatus.FAILED)
    words = sentences(decisions(scene)[-1])
    assert words["seen"] == "2 succeeded on latest, 1 failed, 0 in flight; stage 1 of 1: 3 ended, 1 slot free"
    assert words["shares"] == "3 requests held against the history alone, 1 failed"
    assert words["durations"].startswith("3 up to 84 s, 0 up to 2 min, ")
    assert "as 5 % of current's take" in words["durations"]
    assert words["failures"] == "the stake is worth 2.9 of 133 (evidence 1.05 of 4.89)"
    assert words["slowness"].endswith("of 5.99)")
    assert words["promotion"].startswith("it fails at most ")
    assert "more in a row without a failure would do (proof -1.30 of 3.00)" in words["promotion"]
    assert words["earned"] == "2 requests on latest at a time"


def test_what_was_normal_is_told_once_with_where_it_was_read():
    scene = judged(CAREFUL)
    serve(scene, number=2)
    first = decisions(scene)[0]
    assert first.case is not None
    words = normal(first.case.baseline)
    assert words.startswith("3 of current's newest 100 executions had failed: 3.47 % is normal. 25 % within 84 s, ")
    assert words.endswith(f"Read when the release opened, from the executions of {machine('v1')}")
    numbers = numbers_of(first.record)
    assert numbers is not None
    assert "has become 133" in stakes(numbers, timed=True)
    assert "in 0.75 % of releases at most" in stakes(numbers, timed=True)
    assert "slower" not in stakes(numbers, timed=False)


def test_without_a_history_it_says_so_and_nothing_of_durations():
    scene = judged(CAREFUL, past=0)
    serve(scene, number=2)
    first = decisions(scene)[0]
    assert first.case is not None
    assert normal(first.case.baseline).startswith("nothing was known of current (")
    assert not {"durations", "slowness"} & sentences(first).keys()


def test_while_a_coin_decides_both_stacks_are_told_apart():
    scene = judged({"stages": [{"quota": "earned", "weight": 40}]})
    for _ in range(4):
        scene.send(scene.desk(draw=0.99))
    scene.end_workflows(ExecutionStatus.FAILED, of="transformer-v1")
    serve(scene, number=2)
    serve(scene, ExecutionStatus.FAILED)
    words = sentences(decisions(scene)[-1])
    assert words["shares"] == "while 40 % went to latest, 5 failed on either stack, 1 of them on latest"
    assert "against current at the same time" in words["failures"]


def test_a_watch_is_told_by_the_executions_since_the_promotion():
    scene = judged({"stages": [{"quota": 1}], "watch": {"completed": 2}})
    serve(scene)
    assert scene.only_release().state is ReleaseState.WATCHING
    for _ in range(3):
        scene.send()
    scene.end_workflows()
    scene.flip()
    assert scene.only_release().state is ReleaseState.PROMOTED
    last = decisions(scene)[-1]
    assert last.agrees
    assert sentences(last)["watched"] == "3 executions had started since the promotion; 0 failed, 3 succeeded"


def test_a_decision_holds_until_the_next_one_and_none_before_the_first():
    scene = judged(CAREFUL)
    serve(scene, number=2)
    serve(scene)
    first, second, *_ = found = decisions(scene)
    assert in_force(found, first.record.at - 1) is None
    assert in_force(found, first.record.at) is first
    assert in_force(found, second.record.at - 1) is first
    assert in_force(found, second.record.at + 99 * MINUTE) is found[-1]


def test_a_decision_that_the_flipper_did_not_live_to_carry_out_is_told_as_such():
    scene = judged({"stages": [{"quota": 1}]})
    scene.send()
    scene.end_workflows()

    def check(_: int, name: str, when: str) -> None:
        if (name, when) == ("ddb.put_record", "after"):
            raise Killed(name)

    scene.calls.on_call = check
    with pytest.raises(Killed):
        scene.flip()
    scene.calls.let_live()
    (only,) = decisions(scene)
    assert only.dropped
    assert in_force([only], only.record.at) is None
    scene.flip()
    assert [each.dropped for each in decisions(scene)] == [True, False]


def test_nor_is_one_carried_out_that_came_after_the_last_that_was():
    scene = judged(CAREFUL)
    serve(scene)
    scene.send()
    scene.end_workflows()

    def check(_: int, name: str, when: str) -> None:
        if (name, when) == ("ddb.put_record", "after"):
            raise Killed(name)

    scene.calls.on_call = check
    with pytest.raises(Killed):
        scene.flip()
    scene.calls.let_live()
    assert [each.dropped for each in decisions(scene)] == [False, True]


def test_a_decision_that_somebody_was_faster_than_is_told_as_dropped_and_only_the_chain_is_in_force(monkeypatch):
    """Its record is kept, and the release moved on from another revision: the next decision follows on the one before it."""
    scene = judged(CAREFUL)
    serve(scene)
    scene.send()
    scene.end_workflows()
    save, faster = scene.releases.save, []

    def slower(before: Release, after: Release, *, idle: bool = False) -> bool:
        if after.record != before.record and not faster:
            faster.append(after.record)
            scene.ask(Verb.PAUSE)
        return save(before, after, idle=idle)

    monkeypatch.setattr(scene.releases, "save", slower)
    scene.flip()
    scene.ask(Verb.RESUME)
    scene.flip()
    serve(scene)
    first, lost, *others = found = decisions(scene)
    assert lost.record.name == faster[0]
    assert others
    assert [each.dropped for each in found] == [False, True, *[False] * len(others)]
    assert lost.record.before == others[0].record.before == first.record.name
    assert in_force(found, lost.record.at) is first
    assert in_force(found, others[-1].record.at) is others[-1]
    assert all(each.agrees for each in found)


def test_records_of_before_there_was_a_chain_end_it_and_nothing_is_in_force_twice():
    scene = judged(CAREFUL)
    for _ in range(3):
        serve(scene)
    kept = records(scene)
    assert len(kept) >= 3
    old = (replace(kept[0], before=None), replace(kept[1], before=None), *kept[2:])
    assert [each.dropped for each in explained(old, kept[-1].name)][:2] == [True, False]
    assert all(each.dropped for each in explained(kept, None))
    circle = [replace(kept[0], before=kept[-1].name), *kept[1:]]
    assert not any(each.dropped for each in explained(circle, kept[-1].name))


def test_a_record_that_somebody_has_changed_comes_out_otherwise():
    scene = judged(CAREFUL)
    serve(scene, number=2)
    record = records(scene)[0]
    case = case_from(record.case)
    milder = case_document(replace(case, evidence=replace(case.evidence, prefix_failed=case.evidence.prefix_failed + 1)))
    (changed,) = explained([replace(record, case=milder)], record.name)
    assert not changed.agrees
    assert any(each.startswith("bound: ") for each in changed.differences)
    (other,) = explained([replace(record, judgement="PASS", reason="it is good")], record.name)
    assert other.differences[0] == "verdict: 'PASS' on record, 'WAIT' computed again"
    assert other.differences[1].startswith("reason: 'it is good' on record, ")
    (fewer,) = explained([replace(record, numbers={})], record.name)
    assert any("nothing on record" in each for each in fewer.differences)


@pytest.mark.parametrize(("factor", "agrees"), [(1 + 1e-12, True), (1 + 1e-6, False)])
def test_numbers_agree_to_nine_digits(factor, agrees):
    scene = judged(CAREFUL)
    serve(scene, number=2)
    record = records(scene)[0]
    rounded = replace(record, numbers={**record.numbers, "at_most": record.numbers["at_most"] * factor})
    (only,) = explained([rounded], record.name)
    assert only.agrees is agrees


@pytest.mark.parametrize("case", [{}, {"plan": {"stages": 3}}, {"evidence": None}])
def test_a_record_that_cannot_be_read_is_a_difference_and_not_a_crash(case):
    scene = judged(CAREFUL)
    serve(scene, number=2)
    record = records(scene)[0]
    broken = {**record.case, **case} if case else {}
    (only,) = explained([replace(record, case=broken)], record.name)
    assert (only.case, only.again) == (None, None)
    assert only.differences[0].startswith("it cannot be computed again: ")


@pytest.mark.parametrize(("count", "whole", "shown"), [(20, False, 20), (21, False, 15), (21, True, 21)])
def test_of_many_decisions_the_first_and_the_last_ones_are_shown_unless_all_are_asked_for(count, whole, shown):
    scene = judged("careful")
    scene.send()
    scene.end_workflows()
    scene.flip()
    each = decisions(scene)[0]
    console = Console(width=200)
    with console.capture() as captured:
        console.print(explained_view(scene.only_release(), [each] * count, whole=whole))
    text = captured.get()
    assert text.count(each.record.decision) == shown
    assert ("… 6 decisions more: --all shows them" in text) is (shown < count)
    assert f"{count} decisions were computed again" in text


def test_of_many_decisions_one_that_differs_is_always_shown():
    scene = judged("careful")
    scene.send()
    scene.end_workflows()
    scene.flip()
    each = decisions(scene)[0]
    found = [each] * 30
    found[10] = replace(each, differences=("verdict: another",))
    console = Console(width=200)
    with console.capture() as captured:
        console.print(explained_view(scene.only_release(), found))
    assert "DIFFERENT" in captured.get()
