"""An outage that hits both stacks says nothing about latest: the coin tells who failed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from canary.domain.audit import Arm
from canary.domain.case import case_from
from canary.domain.judge import Judgement, judge
from canary.domain.release import Verb
from canary.domain.states import ReleaseState
from tests.e2e.releases.judged.orders import OUTAGE, PATIENCE_S, order, plays

#: Failures of latest: more than enough for the history alone. Which requests latest gets is left to chance, and sixteen in a row
#: would be blamed on latest.
ENOUGH = 8
#: No coin shows latest fewer times than that among so many.
MOST = 200
HALF = {"stages": [{"weight": 50, "min_completed": 100}], "alpha": 0.0001, "max_lost": 100}
ANSWERS = "def handler(event, context): return {'statusCode': 500 if event['latest']['fails'] else 200}"


def test_workflows_that_fail_on_both_stacks_throw_out_neither(
    subject, machine, seasoned_apart, call, look, sfn, evidence, eventually
):
    release = subject.given(current=seasoned_apart, latest=machine(plays("latest")), plan=HALF)
    went_well = until_latest_has_served(subject, call)
    failed = an_outage(subject, call)
    for _ in range(10):
        sfn.start_execution(stateMachineArn=seasoned_apart, input=json.dumps(OUTAGE))  # not by us: that is no comparison
    running = {"stateMachineArn": seasoned_apart, "statusFilter": "RUNNING"}
    eventually(lambda: not sfn.list_executions(**running)["executions"], within=PATIENCE_S)
    found = look(release)

    assert (found.state, found.tally.failed) == (ReleaseState.RUNNING, ENOUGH)
    assert subject.item().quarantine == {}
    assert {row.share for row in subject.rows(found)} == {5_000}
    assert found.tally.succeeded == sum(answer.body["routed_to"] == "latest" for answer in went_well) == 1
    subject.operator.ask(subject.name, Verb.PROMOTE, "the outage is over", force=True)
    assert_left_to_the_coin(look(found), evidence, both=len(failed), latest=ENOUGH)


def test_calls_that_fail_on_both_stacks_throw_out_neither(subject, function, call, look, evidence):
    release = subject.given(current=function(ANSWERS), latest=function(ANSWERS), plan=HALF)
    assert {answer.status for answer in until_latest_has_served(subject, call)} == {200}
    look(release)
    failed = an_outage(subject, call, on_current=1)
    assert {answer.status for answer in failed} == {502}
    found = look(release)

    assert (found.state, found.tally.failed) == (ReleaseState.RUNNING, sum(map(is_latests, failed)))
    controls = [row for row in subject.rows(found) if row.arm is Arm.CURRENT]
    assert sum(row.status == "FAILED" for row in controls) == len(failed) - found.tally.failed, "current's failures are on record"
    subject.operator.ask(subject.name, Verb.PROMOTE, "the outage is over", force=True)
    assert_left_to_the_coin(look(found), evidence, both=len(failed), latest=found.tally.failed)


def test_an_outage_from_the_very_first_request_throws_out_neither(subject, function, call, look):
    release = subject.given(current=function(ANSWERS), latest=function(ANSWERS), plan=HALF)
    assert {answer.status for answer in an_outage(subject, call)} == {502}
    found = look(release)
    assert found.tally.failed == ENOUGH
    assert (found.state, found.reason) == (ReleaseState.RUNNING, release.reason)


def until_latest_has_served(subject, call):
    """Requests that go well, the last one on latest: more of these would ask for more failures."""
    answers = [call(subject.name, order())]
    while not is_latests(answers[-1]):
        answers.append(call(subject.name, order()))
        if len(answers) > MOST:
            pytest.fail("the coin never shows latest")
    return answers


def an_outage(subject, call, *, on_current=0):
    """Requests that fail wherever they go, until latest has had enough of them, and current so many."""
    answers = []
    while (latest := sum(map(is_latests, answers))) < ENOUGH or len(answers) - latest < on_current:
        answers.append(call(subject.name, OUTAGE))
        if len(answers) > MOST:
            pytest.fail(f"the coin does not show both: {latest} of {len(answers)} are latest's")
    return answers


def is_latests(answer):
    """Whether the coin has shown latest, as the request's id says; an error does not say where it comes from."""
    return "-r" in answer.headers["x-canary-request-id"]


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
