"""An outage that hits both stacks says nothing about latest: the coin tells who failed."""

from __future__ import annotations

import json
from dataclasses import replace

from canary.domain.audit import Arm
from canary.domain.case import case_from
from canary.domain.judge import Judgement, judge
from canary.domain.release import Verb
from canary.domain.states import ReleaseState
from tests.e2e.releases.judged.orders import OUTAGE, order, plays

#: Half of the requests, and hardly ever a wrong abort: which of them latest gets is left to chance.
HALF = {"stages": [{"weight": 50, "min_completed": 100}], "alpha": 0.0001, "max_lost": 100}
ANSWERS = "def handler(event, context): return {'statusCode': 500 if event['latest']['fails'] else 200}"


def test_workflows_that_fail_on_both_stacks_throw_out_neither(subject, machine, seasoned_apart, call, look, sfn, evidence):
    release = subject.given(current=seasoned_apart, latest=machine(plays("latest")), plan=HALF)
    went_well = until_latest_has_served(subject, call)
    failed = [call(subject.name, OUTAGE) for _ in range(30)]
    for _ in range(10):
        sfn.start_execution(stateMachineArn=seasoned_apart, input=json.dumps(OUTAGE))  # not by us: that is no comparison
    found = look(release)

    on_latest = [answer for answer in failed if answer.body["routed_to"] == "latest"]
    assert (found.state, found.tally.failed) == (ReleaseState.RUNNING, len(on_latest))
    assert subject.item().quarantine == {}
    assert {row.share for row in subject.rows(found)} == {5_000}
    assert found.tally.succeeded == sum(answer.body["routed_to"] == "latest" for answer in went_well)
    subject.operator.ask(subject.name, Verb.PROMOTE, "the outage is over", force=True)
    assert_left_to_the_coin(look(found), evidence, both=30, latest=len(on_latest))


def test_calls_that_fail_on_both_stacks_throw_out_neither(subject, function, call, look, evidence):
    release = subject.given(current=function(ANSWERS), latest=function(ANSWERS), plan=HALF)
    assert {answer.status for answer in until_latest_has_served(subject, call)} == {200}
    look(release)
    failed = [call(subject.name, OUTAGE) for _ in range(30)]
    assert {answer.status for answer in failed} == {502}
    found = look(release)

    assert (found.state, found.tally.failed > 5) == (ReleaseState.RUNNING, True)
    controls = [row for row in subject.rows(found) if row.arm is Arm.CURRENT]
    assert sum(row.status == "FAILED" for row in controls) == 30 - found.tally.failed, "current's failures are on record"
    subject.operator.ask(subject.name, Verb.PROMOTE, "the outage is over", force=True)
    assert_left_to_the_coin(look(found), evidence, both=30, latest=found.tally.failed)


def test_an_outage_from_the_very_first_request_throws_out_neither(subject, function, call, look):
    release = subject.given(current=function(ANSWERS), latest=function(ANSWERS), plan=HALF)
    assert {call(subject.name, OUTAGE).status for _ in range(16)} == {502}
    found = look(release)
    assert found.tally.failed > 0
    assert (found.state, found.reason) == (ReleaseState.RUNNING, release.reason)


def until_latest_has_served(subject, call):
    """At least six requests that go well, and more while the coin has sent none of them to latest."""
    answers = [call(subject.name, order()) for _ in range(6)]
    while all(answer.body["routed_to"] == "current" for answer in answers):
        answers.append(call(subject.name, order()))
    return answers


def assert_left_to_the_coin(release, evidence, *, both, latest):
    """An operator who has promoted all the same has left on record who failed; the history alone would have said FAIL."""
    assert release.state is ReleaseState.PROMOTED
    record, verdict = evidence.last(release)
    [epoch] = record.case["evidence"]["epochs"]
    assert (epoch["share"], epoch["both"], epoch["latest"]) == (5_000, both, latest)
    assert verdict.judgement is Judgement.WAIT
    case = case_from(record.case)
    finished, failed = case.evidence.finished, case.evidence.failed
    alone = replace(case, evidence=replace(case.evidence, alone_started=finished, alone_failed=failed, epochs=()))
    assert judge(alone).judgement is Judgement.FAIL
