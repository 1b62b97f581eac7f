"""The flipper killed at the writes that judged releases have brought: the next one finishes, and nothing is done twice."""

from __future__ import annotations

import json
import secrets

import pytest

from canary.domain.audit import Status
from canary.domain.release import Verb
from canary.domain.request_id import new_request_id
from canary.domain.states import Gate, ReleaseState

_S = ReleaseState
FAILS = {"StartAt": "No", "States": {"No": {"Type": "Fail", "Error": "TotalsMismatch"}}}
WAITS = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": True}}}
TWO = {"stages": [{"quota": 2, "weight": 100}]}
#: Two successes in a row exclude so high a rate.
PROVED = {"stages": ["earned"], "max_failure_rate": 0.9}


@pytest.fixture
def app(app, quiet):
    return quiet(app)


@pytest.fixture
def failing(sfn, flippers, eventually):
    """Let a stack that fails be called as routers do it, until so many calls have failed, and no list lags behind any more."""

    def runs(machine, count):
        for _ in range(count):
            sfn.start_execution(stateMachineArn=machine, name=new_request_id(flippers.now(), secrets.randbits(80)))
        eventually(lambda: len(sfn.list_executions(stateMachineArn=machine, statusFilter="FAILED")["executions"]) == count)
        flippers.ahead += 11_000

    return runs


@pytest.fixture
def survives(app, flippers):
    """Kill the flipper right after a write, and let the next ones finish; returns the release, at rest."""

    def killed(release, write, nth=1):
        assert flippers.killed_at(app.name, write, nth), f"there is no {write} number {nth}"
        flippers.past_the_lease()
        flippers.passes(app.name)
        settled = app.release(release)
        assert flippers.passes(app.name).steps == 0, "there is nothing left to do"
        assert app.release(release) == settled
        return settled

    return killed


@pytest.mark.parametrize(("write", "nth"), [("records.put", 1), ("releases.save", 1), ("releases.save", 3)])
def test_a_judged_promotion(app, machine, claimed, survives, flippers, history, write, nth):
    current, latest = machine(), machine()
    release = app.given(current=current, latest=latest, plan=PROVED)
    claimed(app, release, Status.SUCCEEDED)
    promoted = survives(release, write, nth)
    assert (promoted.state, app.values()) == (_S.PROMOTED, (latest, "NONE", current))
    assert history(app.name, "current") == [current, latest]
    assert (promoted.tally.succeeded, promoted.gathered.prefix.finished, promoted.counted) == (2, 2, {})
    assert promoted.record in {record.name for record in flippers.world.records.of_release(app.name, promoted.release)}


@pytest.mark.parametrize("write", ["records.put", "executions.stop"])
def test_an_abort_that_stops_what_runs(app, machine, claimed, survives, sfn, flippers, write):
    latest = machine(WAITS)
    plan = {"stages": [{"quota": 9, "weight": 100}], "alpha": 0.01, "on_abort": "stop"}
    release = app.given(current=machine(), latest=latest, plan=plan)
    [row] = claimed(app, release, Status.CLAIMED, 1)
    execution = sfn.start_execution(stateMachineArn=latest, name=row.request_id)["executionArn"]
    claimed(app, release, Status.FAILED, 4)
    if write == "executions.stop":  # that comes with the pass after the abort
        flippers.passes(app.name)
    survives(release, write)
    flippers.passes(app.name)
    aborted = app.release(release)
    assert (aborted.state, list(app.item().quarantine)) == (_S.ABORTED, [latest])
    assert sfn.describe_execution(executionArn=execution)["status"] == "ABORTED"
    assert (aborted.tally.failed, aborted.tally.aborted, aborted.in_flight) == (4, 1, 0)


@pytest.mark.parametrize(("write", "nth"), [("targets.call", 1), ("targets.call", 2), ("releases.save", 3)])
def test_a_preflight_runs_each_payload_once(app, machine, flippers, eventually, sfn, write, nth):
    latest = machine()
    app.given(current=machine(), plan={**TWO, "preflight": [{"n": 1}, {"n": 2}]})
    app.parameters.write(app.name, "latest", latest)
    assert flippers.killed_at(app.name, write, nth)
    flippers.past_the_lease()
    eventually(lambda: flippers.passes(app.name) and app.newest().state is not _S.OPENING)
    assert (app.newest().state, app.newest().gate) == (_S.RUNNING, Gate.OPEN), app.newest().reason
    inputs = [
        json.loads(sfn.describe_execution(executionArn=execution["executionArn"])["input"])
        for execution in sfn.list_executions(stateMachineArn=latest)["executions"]
    ]
    assert sorted(payload["n"] for payload in inputs) == [1, 2]


@pytest.mark.parametrize(("write", "nth"), [("records.put", 1), ("parameters.write", 1), ("apps.save_app", 1)])
def test_a_watch_that_takes_its_promotion_back(app, machine, claimed, failing, survives, history, write, nth):
    current, latest = machine(), machine(FAILS)
    release = app.given(current=current, latest=latest, plan={**TWO, "watch": {"completed": 20}})
    claimed(app, release, Status.SUCCEEDED)
    app.wake({"app": app.name})
    assert app.release(release).state is _S.WATCHING
    failing(latest, 8)
    back = survives(release, write, nth)
    assert (back.state, app.values()) == (_S.ROLLED_BACK, (current, "NONE", "NONE"))
    assert history(app.name, "current") == [current, latest, current]
    assert list(app.item().quarantine) == [latest]


@pytest.mark.parametrize(("write", "nth"), [("releases.save", 1), ("parameters.write", 1), ("parameters.write", 2)])
def test_a_rollback_that_is_taken_back(app, machine, claimed, survives, history, write, nth):
    current, latest = machine(), machine()
    release = app.given(current=current, latest=latest, plan=TWO)
    claimed(app, release, Status.SUCCEEDED)
    app.wake({"app": app.name})
    app.operator.ask(app.name, Verb.ROLLBACK, "it is slow")
    app.wake({"app": app.name})
    assert app.release(release).state is _S.ROLLED_BACK
    app.operator.ask(app.name, Verb.ROLLBACK, "it was something else")
    returned = survives(release, write, nth)
    assert (returned.state, app.values()) == (_S.PROMOTED, (latest, "NONE", current))
    assert history(app.name, "current") == [current, latest, current, latest]
    assert app.item().quarantine == {}


@pytest.mark.parametrize(("write", "nth"), [("apps.save_app", 1), ("releases.create", 1), ("releases.save", 3)])
def test_a_queue_whose_first_one_is_thrown_out(app, machine, claimed, survives, write, nth):
    current, latest, waiting = machine(), machine(), machine()
    release = app.given(current=current, latest=latest, plan={**TWO, "on_new_release": "queue"})
    claimed(app, release, Status.FAILED)
    app.parameters.write(app.name, "latest", waiting)
    aborted = survives(release, write, nth)
    assert (aborted.state, list(app.item().quarantine)) == (_S.ABORTED, [latest])
    opened = app.release(app.key())
    assert (opened.state, opened.target, opened.gate, opened.claimed) == (_S.RUNNING, waiting, Gate.OPEN, 0)
    assert app.values() == (current, waiting, None)
