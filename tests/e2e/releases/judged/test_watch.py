"""After the promotion: current is watched, and taken back by itself when it begins to fail."""

from __future__ import annotations

import json

from canary.domain.release import Verb
from canary.domain.states import ReleaseState
from tests.e2e.releases.judged.orders import FAILS, OUTAGE, PATIENCE_S, order, plays

#: Two requests promote it; then fifty executions are watched.
WATCHED = {"stages": [{"quota": 2, "weight": 100}], "watch": {"completed": 50}, "on_new_release": "queue"}


def test_a_watch_that_sees_current_fail_takes_the_promotion_back_and_the_queue_goes_on(
    subject, machine, seasoned, call, look, forget, evidence, eventually
):
    latest, waiting = machine(plays("latest")), machine()
    release = subject.given(current=seasoned, latest=latest, plan=WATCHED)
    for _ in range(2):
        call(subject.name, order())
    assert look(release).state is ReleaseState.WATCHING
    assert subject.values() == (latest, "NONE", seasoned)

    subject.parameters.write(subject.name, "latest", waiting)
    second = subject.key()
    forget()
    for _ in range(6):
        answer = call(subject.name, FAILS)
        assert (answer.body["routed_to"], answer.body["transform_id"].split(":")[6]) == ("current", latest.split(":")[6])
    subject.wake()
    subject.becomes(second, ReleaseState.OPENING)
    # Executions are counted ten seconds after their start: lists lag behind.
    eventually(
        lambda: subject.wake() and subject.release(release).state is ReleaseState.ROLLED_BACK, within=PATIENCE_S, every=0.5
    )

    back = subject.release(release)
    assert "the watch failed" in back.reason
    assert subject.value("current") == seasoned
    assert list(subject.item().quarantine) == [latest]
    [_, record] = evidence.of(back)
    assert (record.judgement, record.case["watch"]["failed"] > 1) == ("FAIL", True)
    opened = subject.becomes(second, ReleaseState.RUNNING)
    assert (subject.value("latest"), opened.target) == (waiting, waiting)
    assert subject.value("previous") == "NONE"


def test_a_watch_that_sees_enough_ends_and_runs_of_others_are_nothing_to_it(
    subject, machine, seasoned, call, look, forget, sfn, eventually
):
    plan, latest = {**WATCHED, "watch": {"completed": 3}}, machine(plays("latest"))
    release = subject.given(current=seasoned, latest=latest, plan=plan)
    for _ in range(2):
        call(subject.name, order())
    look(release)
    for _ in range(9):
        sfn.start_execution(stateMachineArn=latest, input=json.dumps(OUTAGE))
    forget()
    for _ in range(3):
        call(subject.name, order())
    eventually(lambda: subject.wake() and subject.release(release).state is ReleaseState.PROMOTED, within=PATIENCE_S, every=0.5)
    assert subject.release(release).reason == "watched: 0 of 3 executions failed since the promotion"


def test_a_rollback_can_be_taken_back_at_once(subject, machine, seasoned, call, look):
    latest = machine(plays("latest"))
    release = subject.given(current=seasoned, latest=latest, plan=WATCHED)
    for _ in range(2):
        call(subject.name, order())
    look(release)
    for current, previous, quarantine in ((seasoned, "NONE", [latest]), (latest, seasoned, []), (seasoned, "NONE", [latest])):
        subject.operator.ask(subject.name, Verb.ROLLBACK, "I was wrong")
        subject.wake()
        look(release)
        assert (subject.value("current"), subject.value("previous")) == (current, previous)
        assert list(subject.item().quarantine) == quarantine
